"""The reference of all settings is that of their declarations."""

from dataclasses import MISSING

from scperformer.cli import reference
from scperformer.config import Settings
from scperformer.seiscomp.settings import module_infos
from scperformer.setting import settings_of
from scperformer.training.config import TrainingConfig
from scperformer.training.context_config import ContextConfig
from tests.conftest import ROOT


def test_the_committed_reference_is_the_generated_one():
    text = (ROOT / reference.PATH).read_text(encoding="utf-8")
    assert text == reference.markdown(), "run python -m scperformer.cli.reference"


def test_every_setting_and_section_is_in_the_reference():
    text = reference.markdown()
    groups = [g for config in (TrainingConfig, ContextConfig) for _, g, _ in config.sections()]
    for info in [*module_infos(), *(info for group in groups for info in settings_of(group))]:
        assert f"\n| `{info.key}` |" in text
        assert info.help in text
    for group in groups:
        assert group.__doc__.replace("``", "`") in text


def test_every_declared_default_is_allowed():
    groups = [g for config in (TrainingConfig, ContextConfig) for _, g, _ in config.sections()]
    for group in [Settings, *groups]:
        for info in settings_of(group):
            assert info.help.endswith(".")
            assert info.default is MISSING or info.fault(info.default) is None

"""The rules of the house that a machine can check."""

import subprocess
import sys

import pytest

from scperformer.config import Settings, setting_infos
from scperformer.errors import ConfigurationError

HEAVY = ("tensorflow", "keras", "kapre", "obspy", "seiscomp", "h5py", "matplotlib", "lxml")


def modules_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["pipeline", "onsets", "filters", "resample", "spectrogram"])
def test_the_core_imports_no_framework_and_no_format(module):
    assert not modules_after(f"import scperformer.core.{module}") & set(HEAVY)


def test_help_and_configuration_import_no_framework():
    code = (
        "from scperformer.cli.main import main\n"
        "try: main(['scan', '--help'])\n"
        "except SystemExit: pass"
    )
    loaded = modules_after(code)
    assert "tensorflow" not in loaded
    assert "keras" not in loaded


def test_every_setting_says_what_it_is():
    infos = list(setting_infos())
    assert len({i.key for i in infos}) == len({i.name for i in infos}) == len(infos)
    for info in infos:
        assert info.help.endswith(".")
        assert info.fault(info.default) is None
        options = [o for o in info.options if not o.startswith("--")]
        assert not options


def test_all_faults_of_a_configuration_come_at_once():
    with pytest.raises(ConfigurationError) as caught:
        Settings(shift_samples=0, components="some", batch_size=True, threshold_p=float("nan"))
    assert len(caught.value.faults) == 4
    assert any(
        "wanted a whole number from 1 to 400 samples" in fault for fault in caught.value.faults
    )

"""Where models are found, and what the commands say of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from scperformer.cli.main import main
from scperformer.errors import ModelError
from scperformer.networks import registry
from scperformer.networks.registry import find_model, list_models, model_roots
from tests.conftest import ROOT

from .network_fakes import model_folder


@pytest.fixture
def roots(tmp_path, monkeypatch):
    """Every place that is looked in lies below `tmp_path`; the package's own has no models."""
    package = tmp_path / "tree" / "scperformer"
    package.mkdir(parents=True)
    monkeypatch.setattr(registry.scperformer, "__file__", str(package / "__init__.py"))
    monkeypatch.setattr(registry.sys, "prefix", str(tmp_path / "prefix"))
    monkeypatch.setenv("SCPERFORMER_MODELS", f"{tmp_path / 'first'}::{tmp_path / 'second'}")
    monkeypatch.setenv("SEISCOMP_ROOT", str(tmp_path / "seiscomp"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


ORDER = [
    "first",
    "second",
    "tree/models",
    "tree/scperformer/_models",
    "seiscomp/share/scperformer/models",
    "prefix/share/scperformer/models",
    "data/scperformer/models",
]


def test_the_order_of_the_folders(roots):
    assert model_roots() == [roots / part for part in ORDER]


@pytest.mark.parametrize("place", range(len(ORDER)))
def test_the_first_folder_with_the_model_wins(place, roots):
    for part in ORDER[place:]:
        model_folder(roots / part / "mine")
    assert find_model("mine") == roots / ORDER[place] / "mine"
    assert [(e.name, e) for e in list_models()] == [("mine", roots / ORDER[place] / "mine")]


def test_a_path_comes_before_all_names(roots, monkeypatch):
    model_folder(roots / "first" / "mine")
    model_folder(roots / "work" / "mine")
    monkeypatch.chdir(roots / "work")
    assert find_model("mine") == Path("mine")
    assert find_model(str(roots / "work" / "mine")) == roots / "work" / "mine"


def test_an_unknown_model_is_answered_with_what_there_is(roots):
    model_folder(roots / "second" / "mine")
    with pytest.raises(ModelError) as caught:
        find_model("yours")
    text = str(caught.value)
    assert "no model 'yours'; models found: mine" in text
    assert all(str(roots / part) in text for part in ORDER)
    with pytest.raises(ModelError, match="no model folder there"):
        find_model(str(roots / "nowhere"))
    with pytest.raises(ModelError, match="no model folder there"):
        find_model("")


def test_list_show_and_verify(roots, capsys):
    assert main(["models", "list"]) == 2
    assert main(["models", "verify"]) == 2
    assert "no models; looked in" in capsys.readouterr().err
    model_folder(roots / "first" / "good")
    model_folder(roots / "first" / "bad")
    (roots / "first" / "bad" / "weights.h5").write_bytes(b"short")
    model_folder(roots / "first" / "ugly")
    (roots / "first" / "ugly" / "model.json").write_text("{}")
    assert main(["models", "list"]) == 1
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 2
    assert "ugly" in shown.err
    assert main(["models", "show", "good"]) == 0
    assert '"network": "performer"' in capsys.readouterr().out
    assert main(["models", "show", "none"]) == 2
    assert main(["models", "verify", "good"]) == 0
    assert main(["models", "verify", "bad"]) == 2
    capsys.readouterr()
    assert main(["models", "verify"]) == 1
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 1
    assert "SHA-256 is" in shown.err


def test_cards_registry_and_weights_need_no_tensorflow():
    names = ("manifest", "registry", "weights", "custom")
    code = "import sys\n" + "".join(f"import scperformer.networks.{name}\n" for name in names)
    code += "import scperformer.core.inference, scperformer.cli.predict, scperformer.cli.models\n"
    code += "sys.exit(bool({'tensorflow', 'keras', 'kapre'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_shipped_model_is_verified(monkeypatch, capsys):
    monkeypatch.setenv("SCPERFORMER_MODELS", str(ROOT / "models"))
    assert main(["models", "verify", *("cnn", "performer", "streaming")]) == 0
    assert capsys.readouterr().out.count(": good, ") == 3

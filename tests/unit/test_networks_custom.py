"""Custom models: loader modules, their arguments, their answers."""

import shlex

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scperformer.core.inference import classify_windows, window_batch
from scperformer.errors import ConfigurationError, ModelError
from scperformer.networks.custom import CustomClassifier, load_custom, parse_arguments
from scperformer.types import WindowInput

from .network_fakes import windows

LOADER = """
import numpy as np
from sibling import SHARE

class Model:
    def __init__(self, arguments):
        self.arguments = arguments

    def predict(self, windows, verbose=1):
        assert verbose == 0
        rows = np.abs(windows).max(axis=(1, 2))[:, None] * np.array([SHARE, 0.25, 0.25, 7.0])
        return rows

def load_model(title="", **arguments):
    if title == "broken":
        raise RuntimeError("no weights here")
    model = Model(arguments)
    model.title = title
    return model
"""


@pytest.fixture
def loader(tmp_path):
    path = tmp_path / "my_loader.py"
    path.write_text(LOADER)
    (tmp_path / "sibling.py").write_text("SHARE = 0.5\n")
    return path


def test_a_file_and_a_module_load_with_quoted_arguments(loader, monkeypatch):
    from_file = load_custom(str(loader), "title='two words' weights=\"a b.h5\" empty=")
    assert from_file.name == "my_loader"
    assert from_file.window_input is WindowInput.SAMPLES
    answer = classify_windows(from_file, windows(1030))
    np.testing.assert_allclose(answer, np.tile([0.5, 0.25, 0.25], (1030, 1)), atol=1e-6)
    monkeypatch.chdir(loader.parent)
    from_module = load_custom("my_loader", "title=other")
    assert from_module.name == "my_loader"
    assert len(from_module.sha256) == 64
    assert from_module.sha256 != from_file.sha256


def test_arguments_reach_the_loader(tmp_path):
    (tmp_path / "echo.py").write_text(
        "def load_model(**arguments):\n"
        "    assert arguments == {'a': 'x=y', 'b': 'two words', 'c': ''}, arguments\n"
        "    return len\n"
    )
    load_custom(str(tmp_path / "echo.py"), "a=x=y b='two words' c=")


KEYS = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)


@given(st.dictionaries(KEYS, st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)))
def test_any_value_comes_through_shell_quotes(arguments):
    text = " ".join(f"{key}={shlex.quote(value)}" for key, value in arguments.items())
    assert parse_arguments(text) == arguments


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("weights", "'weights'; wanted key=value"),
        ("a = b", "'a'; wanted key=value"),
        ("a='open", "No closing quotation"),
        ("1a=2", "'1a'"),
        ("=2", "''"),
        ("a=1 a=2", "a comes twice"),
    ],
)
def test_arguments_that_are_no_pairs(text, words):
    with pytest.raises(ConfigurationError) as caught:
        parse_arguments(text)
    assert words in str(caught.value)


def test_loaders_that_fail(loader, tmp_path):
    with pytest.raises(ModelError, match=r"title='broken'\) failed: RuntimeError"):
        load_custom(str(loader), "title=broken")
    with pytest.raises(ModelError, match="no such file"):
        load_custom(str(tmp_path / "none.py"))
    with pytest.raises(ModelError, match="cannot be imported: ModuleNotFoundError"):
        load_custom("no_such_module_anywhere")
    for name, text, words in [
        ("syntax", "def", "cannot be imported: SyntaxError"),
        ("bare", "x = 1", "no function load_model"),
        ("number", "def load_model(): return 3", "returned int; wanted an object"),
        ("takes", "def load_model(a): return a", "failed: TypeError"),
    ]:
        (tmp_path / f"{name}.py").write_text(text)
        with pytest.raises(ModelError, match=words):
            load_custom(str(tmp_path / f"{name}.py"))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda w: np.zeros((len(w), 2)), r"shape \(3, 2\); wanted \(3, 3\)"),
        (lambda w: np.zeros((1, 3)), r"shape \(1, 3\)"),
        (lambda w: np.zeros(3), r"shape \(3,\)"),
        (lambda w: np.full((len(w), 3), np.nan), "not finite"),
        (lambda w: "probably P", "it failed: ValueError"),
        (lambda w: 1 / 0, "it failed: ZeroDivisionError"),
    ],
)
def test_answers_that_are_none(model, words):
    batch = window_batch(windows(3), WindowInput.SAMPLES)
    with pytest.raises(ModelError, match=words):
        CustomClassifier(model, "mine").classify(batch)


def test_absent_components_are_zeros_and_peaks_are_one():
    seen = []

    def model(windows):
        seen.append(windows.copy())
        return np.zeros((len(windows), 3))

    some = windows(4)
    some[3] = 0
    batch = window_batch(some, WindowInput.SAMPLES)
    batch.present[1] = (True, False, True)
    CustomClassifier(model, "mine").classify(batch)
    got = seen[0]
    assert not got[1, :, 1].any()
    assert got[1, :, 0].any()
    assert not got[3].any()
    np.testing.assert_allclose(np.abs(got[[0, 2]]).max(axis=(1, 2)), 1, rtol=1e-6)

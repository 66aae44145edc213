import re
import textwrap

import pytest

from scperformer.errors import ConfigurationError
from scperformer.training.config import TrainingConfig
from scperformer.training.streaming_config import StreamingConfig, is_streaming_config
from tests.conftest import ROOT

MINIMAL = """
[model]
name = "tiny"
[[data]]
folder = "records"
picks = ["picks.csv"]
[windows]
near_phases = 0.0
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "picks.csv").write_text("")
    (tmp_path / "teacher.h5").write_bytes(b"")
    (tmp_path / "windows.h5").write_bytes(b"")
    return tmp_path


def write(folder, text):
    path = folder / "train.toml"
    path.write_text(textwrap.dedent(text))
    return path


def faults(folder, text):
    with pytest.raises(ConfigurationError) as caught:
        TrainingConfig.read(write(folder, text))
    return caught.value.faults


def test_paths_are_relative_to_the_file(folder, monkeypatch):
    monkeypatch.chdir("/")
    config = TrainingConfig.read(write(folder, MINIMAL))
    assert config.data[0].folder == folder / "records"
    assert config.model.network == "performer"
    assert config.as_card()["data"][0]["folder"] == "records"


def test_a_byte_order_mark_changes_nothing(folder):
    path = write(folder, MINIMAL)
    plain = TrainingConfig.read(path)
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert TrainingConfig.read(path) == plain


def test_the_former_name_of_hold_out_is_read(folder):
    text = MINIMAL.replace("picks =", 'hold_apart = "station"\npicks =')
    config = TrainingConfig.read(write(folder, text))
    assert config.data[0].hold_out == "station"
    assert config.as_card()["data"][0]["hold_out"] == "station"


def test_overrides_win_over_the_file(folder):
    config = TrainingConfig.read(write(folder, MINIMAL), {"training": {"epochs": 3}})
    assert config.training.epochs == 3
    assert config.as_card()["training"]["epochs"] == 3


def test_whole_numbers_are_numbers(folder):
    config = TrainingConfig.read(write(folder, MINIMAL + "[training]\nlearning_rate = 0\n"))
    assert config.training.learning_rate == 0.0


def test_all_faults_of_the_text_come_at_once(folder):
    found = faults(
        folder,
        """
        [modle]
        [model]
        network = 3
        [training]
        epochs = 1.5
        speed = 2
        epoch = 2
        [augmentation]
        mixing_snr_db = [1.0]
        """,
    )
    text = "\n".join(found)
    for wanted in (
        "modle: no such section; did you mean model?",
        "model.name: missing",
        "model.network: got 3; wanted one of performer, cnn, gpd",
        "training.epochs: got 1.5; wanted a whole number",
        "training.speed: no such option",
        "training.epoch: no such option; did you mean epochs",
        "augmentation.mixing_snr_db: got [1.0]; wanted a list of 2, each a number from -60",
    ):
        assert wanted in text
    assert len(found) == 7


@pytest.mark.parametrize(
    ("addition", "fault"),
    [
        ("[training]\nepochs = 0\n", "training.epochs: got 0; wanted a whole number from 1 to"),
        ("[training]\nlearning_rate = nan\n", "training.learning_rate: got nan"),
        ("[augmentation]\nlose_one = 0.7\nlose_two = 0.7\n", "add up to more than 1"),
        ("[augmentation]\nmixing_snr_db = [9, 3]\n", "first is larger"),
        ('[teacher]\nweights = ["none.h5"]\n', "no such file"),
        (
            '[teacher]\nnetworks = ["gpt"]\n',
            "got ['gpt']; wanted a list, each one of performer, cnn",
        ),
        ('[teacher]\nweights = ["teacher.h5"]\nnetworks = ["cnn", "gpd"]\n', "one for all"),
        ('[test]\nwindows = "none.npz"\n', "no such file"),
        ('[[data]]\nfolder = "nowhere"\n', "no such folder"),
        ('[[data]]\nfolder = "records"\npicks = ["no.csv"]\n', "no such file"),
        ('[[data]]\nfolder = "records"\nhold_out = "some"\n', "wanted one of event, station"),
        ('[[data]]\nfolder = "records"\nhold_out = "split"\n', "column split"),
        ("[teacher]\nhints = 0.5\n", "needs one performer as teacher"),
        ("[labels]\nwidth_s = 0.0\n", "labels.width_s: got 0; wanted a number from 0.001 to 10 s"),
        ("[training]\nbatch_size = 200000\n", "larger than windows.per_epoch"),
        ('[[windows_file]]\npath = "none.h5"\n', "windows_file.path: no such file"),
        (2 * '[[windows_file]]\npath = "windows.h5"\n', "a file is named twice"),
        (
            '[[windows_file]]\npath = "windows.h5"\nuse = "test"\n',
            "windows_file 1.use: got 'test'; wanted one of split, training, validation",
        ),
        ('[windows_file]\npath = "windows.h5"\n', "with double brackets, [[windows_file]]"),
        (
            "[augmentation]\nresampled = 1.5\n",
            "augmentation.resampled: got 1.5; wanted a number from 0 to 1",
        ),
        (
            "[augmentation]\nresampled_hz = [5, 50]\n",
            "resampled_hz: got [5.0, 50.0]; wanted a list of 2, each a number from 10 to 100 Hz",
        ),
        ("[augmentation]\nclipped_level = [0.8, 0.2]\n", "clipped_level: the first is larger"),
        ("[augmentation]\nsynthetic_s_minus_p_s = [0, 3]\n", "each a number from 0.05 to 20 s"),
        (
            "[augmentation]\nfiltered = 0.1\nfiltered_highpass_hz = [2, 15]\n",
            "filtered_highpass_hz reaches filtered_lowpass_hz",
        ),
    ],
)
def test_bad_values_are_named(folder, addition, fault):
    assert any(fault in text for text in faults(folder, MINIMAL + addition))


def test_phases_need_a_teacher_and_targets_need_something(folder):
    text = '[model]\nname = "x"\n[[data]]\nfolder = "records"\n'
    found = "\n".join(faults(folder, text))
    assert "near_phases: needs a teacher" in found
    assert "names picks" in found


def test_files_of_windows_need_neither_picks_nor_a_teacher(folder):
    text = '[model]\nname = "x"\n[[windows_file]]\npath = "windows.h5"\n'
    config = TrainingConfig.read(write(folder, text))
    assert config.windows_file[0].path == folder / "windows.h5"
    assert config.as_card()["windows_file"] == [{"path": "windows.h5", "use": "split"}]


def test_what_was_added_to_the_augmentation_is_off(folder):
    options = TrainingConfig.read(write(folder, MINIMAL)).augmentation
    for name in ("superposed", "filtered", "resampled", "clipped", "synthetic"):
        assert getattr(options, name) == 0.0


def test_no_data_is_a_fault(folder):
    assert any("[[data]]" in text for text in faults(folder, '[model]\nname = "x"\n'))


def test_names_that_no_card_takes_are_faults(folder):
    text = MINIMAL.replace("tiny", "two words")
    assert any("model.name: got 'two words'" in fault for fault in faults(folder, text))


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        TrainingConfig.read(tmp_path / "none.toml")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        TrainingConfig.read(write(tmp_path, "[model"))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        TrainingConfig.read(write(tmp_path, "[training]\nepochs = 0x" + 5000 * "f"))


def test_the_manuals_examples_can_be_read(tmp_path):
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    examples = [
        block for block in re.findall(r"```\n(.*?)```", text, re.DOTALL) if "[model]" in block
    ]
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "picks.csv").write_text("")
    (tmp_path / "windows.h5").write_bytes(b"")
    (tmp_path / "curves.npz").write_bytes(b"")
    kinds = []
    for example in examples:
        path = write(tmp_path, example)
        kinds.append(StreamingConfig if is_streaming_config(path) else TrainingConfig)
        assert kinds[-1].read(path).model.name == "mine"
    assert kinds == [TrainingConfig, TrainingConfig, StreamingConfig]

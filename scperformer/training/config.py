"""The training configuration: the sections of its TOML file, and what may not contradict."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scperformer.datasets.seisbench_files import has_splits, is_data_set
from scperformer.datasets.splits import HoldOut
from scperformer.datasets.window_file import Use
from scperformer.errors import InputError
from scperformer.networks.contract import WINDOW_NETWORKS, Network
from scperformer.setting import ConfigFile, Range, setting

SHARE = Range(0.0, 1.0)
SNR_DB = Range(-60.0, 120.0, "dB")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

# Settings are rows of a table: one argument a line would hide that.
# fmt: off


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSection:
    """``[model]``: what is trained."""

    name: str = setting(help="Name of the model.")
    network: str = setting("performer", "Its network.", choices=Network)
    version: str = setting("1", "Version of the model.")
    title: str = setting("", "One line for the model card.")
    licence: str = setting("MIT", "Licence of the weights, SPDX.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFolder:
    """``[[data]]``: a folder of records, once for each folder."""

    folder: Path = setting(
        help="Folder of waveform files, or a data set in SeisBench's layout, which brings its "
        "arrivals.")
    picks: tuple[str, ...] = setting(
        (), "Files of picks inside the folder: CSV, JSON lines, QuakeML or SCML.")
    pick_probability: float = setting(0.3, "Least probability of a pick to be used.", SHARE)
    hold_out: str = setting(
        "event", "What is held out for validation: whole events, whole stations, all, none, or "
        "the validation traces of a SeisBench data set's own split, whose test traces are left "
        "out then.",
        choices=HoldOut, former="hold_apart")

    @property
    def name(self) -> str:
        """What its records are called after: the last two names of its path."""
        path = self.folder.resolve()
        return f"{path.parent.name}/{path.name}"

    @property
    def has_arrivals(self) -> bool:
        """Whether somebody says what arrives in its records."""
        return bool(self.picks) or is_data_set(self.folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFileSection:
    """``[[windows_file]]``: a file of windows that were cut already, once for each file."""

    path: Path = setting(
        help="HDF5 file with X, (n, 400, 3), and Y, (n,): P = 0, S = 1, noise = 2.")
    use: str = setting(
        "split", "What its windows are for: as its own split says (without one, contiguous "
        "stretches are held out), all for training, or all for validation.",
        choices=Use)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowsSection:
    """``[windows]``: which windows an epoch is made of."""

    per_epoch: int = setting(131_072, "Windows in an epoch.", Range(1, 10**9))
    near_picks: float = setting(0.2, "Share of windows drawn around picks.", SHARE)
    near_phases: float = setting(
        0.4, "Share drawn where the teacher sees P or S, half each; needs a teacher.", SHARE)
    noise: float = setting(
        0.1, "Share drawn where the teacher sees noise or, without a teacher, away from picks; "
        "what is left comes from anywhere.", SHARE)
    pick_shift_s: float = setting(
        0.5, "Largest distance of a window's centre from its pick.", Range(0.0, 60.0, "s"))
    phase_shift_s: float = setting(
        0.3, "Largest distance of a window's centre from where the teacher looked.",
        Range(0.0, 60.0, "s"))
    phase_probability: float = setting(
        0.1, "The teacher sees a phase where it gives it this much.", SHARE)
    scan_step_samples: int = setting(
        20, "Distance between the windows that the teacher looks at first.",
        Range(1, 10_000, "samples"))
    noise_distance_s: float = setting(
        4.0, "Without a teacher: least distance of noise from any pick.", Range(0.0, 600.0, "s"))
    from_files: float = setting(
        0.5, "Share of windows drawn from [[windows_file]] where there is [[data]] as well; the "
        "other shares are of the rest.", SHARE)
    balance: bool = setting(
        False, "Draw P, S and noise of [[windows_file]] as often as each other.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationSection:
    """``[augmentation]``: what happens to training windows."""

    rotation: float = setting(0.5, "Share of windows whose horizontals are rotated.", SHARE)
    polarity: float = setting(0.5, "Share turned upside down.", SHARE)
    gain_db: float = setting(3.0, "Largest gain or loss of a component.", Range(0.0, 60.0, "dB"))
    mixing: float = setting(0.3, "Share of windows that a window of noise is added to.", SHARE)
    mixing_snr_db: tuple[float, float] = setting(
        (0.0, 25.0), "Least and largest signal-to-noise ratio of mixing.", SNR_DB)
    lose_one: float = setting(0.15, "Share of windows that lose one component.", SHARE)
    lose_two: float = setting(0.25, "Share of windows that lose two components.", SHARE)
    vertical_share: float = setting(0.7, "Of those, the share that keeps the vertical.", SHARE)
    superposed: float = setting(
        0.0, "Share of windows that another earthquake is added to.", SHARE)
    superposed_db: tuple[float, float] = setting(
        (-20.0, 10.0), "Least and largest peak of it over the window's.", Range(-60.0, 60.0, "dB"))
    superposed_shift_s: tuple[float, float] = setting(
        (0.8, 1.9), "Least and largest distance of its arrival from the window's centre.",
        Range(0.0, 2.0, "s"))
    filtered: float = setting(
        0.0, "Share of windows with another filter, half of them band-passed.", SHARE)
    filtered_highpass_hz: tuple[float, float] = setting(
        (2.0, 5.0), "Least and largest corner of its high-pass.", Range(0.1, 40.0, "Hz"))
    filtered_lowpass_hz: tuple[float, float] = setting(
        (15.0, 45.0), "Least and largest corner of its low-pass.", Range(1.0, 49.0, "Hz"))
    resampled: float = setting(
        0.0, "Share of windows that look like records of a lower sampling rate: nothing above 0.4 "
        "of it.", SHARE)
    resampled_hz: tuple[float, float] = setting(
        (20.0, 80.0), "Least and largest of these rates.", Range(10.0, 100.0, "Hz"))
    clipped: float = setting(0.0, "Share of windows that are clipped.", SHARE)
    clipped_level: tuple[float, float] = setting(
        (0.2, 0.8), "Least and largest range, as a share of the peak.", Range(0.01, 1.0))
    synthetic: float = setting(
        0.0, "Share of windows that are synthetic earthquakes with short S - P.", SHARE)
    synthetic_spliced: float = setting(
        0.5, "Of those, the share spliced of a recorded P and another earthquake's recorded S; the "
        "others are made of filtered noise.", SHARE)
    synthetic_s_minus_p_s: tuple[float, float] = setting(
        (0.3, 3.0), "Least and largest S - P time, evenly by its logarithm.",
        Range(0.05, 20.0, "s"))
    synthetic_snr_db: tuple[float, float] = setting(
        (8.0, 45.0), "Least and largest peak of a made P over the noise's rms.",
        Range(-20.0, 120.0, "dB"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherSection:
    """``[teacher]``: networks whose answers are the targets."""

    weights: tuple[Path, ...] = setting(
        (), "Weights files; targets are the mean of their probabilities; none: picks alone.")
    networks: tuple[str, ...] = setting(
        ("performer",), "Network of each file, or one for all.", choices=Network)
    temperature: float = setting(
        1.0, "Probabilities of teacher and student are softened by this in the loss.",
        Range(0.1, 100.0))
    hints: float = setting(
        0.0, "Weight of the loss on what teacher and student compute on the way, in windows that "
        "lose no component; only from one performer to another, without dropout.",
        Range(0.0, 1000.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsSection:
    """``[labels]``: targets from picks."""

    weight: float = setting(
        0.0, "Weight of the picks against the teacher in the target; 1 without a teacher.", SHARE)
    width_s: float = setting(
        0.1, "Standard deviation of a pick's target in time.", Range(0.001, 10.0, "s"))
    smoothing: float = setting(0.02, "Share of the target spread over all classes.", SHARE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSection:
    """What every training has."""

    seed: int = setting(1, "Decides every random number.", Range(0, 2**31 - 1))
    clip_norm: float = setting(1.0, "Largest norm of a gradient.", Range(1e-6, 1e6))
    threads: int = setting(0, "Threads of TensorFlow, 0 for its own choice.", Range(0, 4096))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSection(RunSection):
    """``[training]``: the optimisation."""

    epochs: int = setting(40, "Epochs, and the length of the schedule.", Range(1, 100_000))
    batch_size: int = setting(512, "Windows in a step.", Range(1, 1_000_000))
    learning_rate: float = setting(
        2e-3, "Largest learning rate; a cosine takes it to zero.", Range(0.0, 1.0))
    warmup_epochs: float = setting(
        1.0, "Epochs over which the learning rate rises.", Range(0.0, 1000.0))
    weight_decay: float = setting(1e-4, "AdamW's decay of kernels.", Range(0.0, 1.0))
    dropout: bool = setting(False, "Train with the network's dropout layers.")
    patience: int = setting(
        10, "Stop after so many epochs without a better validation loss.", Range(1, 100_000))


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationSection:
    """``[validation]``: records held out, and what is measured on them."""

    share: float = setting(
        0.1, "Share that is held out of each folder's hours, and of files without a split.",
        Range(0.0, 0.9))
    windows: int = setting(12_288, "Windows of the validation loss.", Range(1, 10**8))


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSection:
    """``[test]``: windows that are only looked at when all is done."""

    windows: Path | None = setting(
        None, "NumPy archive with `windows`, (n, 400, 3), and probabilities.")
    reference: str = setting("", "Name of the reference probabilities, (n, 3).")


# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig(ConfigFile):
    """A training on windows; `read` makes it.

    Raises:
        ConfigurationError: when made, with every contradiction.
    """

    model: ModelSection
    data: tuple[DataFolder, ...]
    windows_file: tuple[WindowFileSection, ...]
    windows: WindowsSection
    augmentation: AugmentationSection
    teacher: TeacherSection
    labels: LabelsSection
    training: TrainingSection
    validation: ValidationSection
    test: TestSection

    def contradictions(self) -> Iterator[str]:
        """Check what depends on more than one setting, and the file system."""
        yield from model_faults(self.model)
        if self.model.network not in WINDOW_NETWORKS:
            yield (
                f"model.network: got {self.model.network!r}, which is trained by a configuration "
                f"with [streaming]; wanted one of {', '.join(WINDOW_NETWORKS)}"
            )
        if not self.data and not self.windows_file:
            yield (
                "no [[data]] and no [[windows_file]] section; wanted records or windows to train on"
            )
        for folder in self.data:
            yield from folder_faults(folder)
        files = [file.path for file in self.windows_file]
        yield from missing_files("windows_file.path", files)
        if len({path.resolve() for path in files}) < len(files):
            yield "windows_file.path: a file is named twice; give each once"
        yield from sum_faults("windows", self.windows, "near_picks", "near_phases", "noise")
        yield from sum_faults("augmentation", self.augmentation, "lose_one", "lose_two")
        changes = self.augmentation
        if changes.filtered and changes.filtered_highpass_hz[1] >= changes.filtered_lowpass_hz[0]:
            yield "augmentation: filtered_highpass_hz reaches filtered_lowpass_hz; wanted a gap"
        yield from self._teacher_faults()
        if self.data:
            yield from self._target_faults()
        if self.test.windows is not None:
            yield from missing_files("test.windows", [self.test.windows])
        if self.training.batch_size > self.windows.per_epoch:
            yield "training.batch_size: larger than windows.per_epoch"

    def _teacher_faults(self) -> Iterator[str]:
        teacher = self.teacher
        if len(teacher.networks) not in (1, len(teacher.weights)):
            yield "teacher.networks: wanted one for all, or one for each of teacher.weights"
        yield from missing_files("teacher.weights", teacher.weights)
        are_alike = (self.model.network, *teacher.networks) == ("performer", "performer")
        if teacher.hints and (len(teacher.weights) != 1 or not are_alike or self.training.dropout):
            yield "teacher.hints: needs one performer as teacher and one without dropout to train"

    def _target_faults(self) -> Iterator[str]:
        """Check what records need; windows from files bring their labels."""
        has_teacher, windows = bool(self.teacher.weights), self.windows
        if not has_teacher and windows.near_phases > 0:
            yield "windows.near_phases: needs a teacher; set it to 0 or name teacher.weights"
        needs_picks = windows.near_picks > 0 or self.labels.weight > 0 or not has_teacher
        if needs_picks and not any(folder.has_arrivals for folder in self.data):
            yield "no [[data]] section names picks, but windows or targets need them"


def model_faults(model: ModelSection) -> Iterator[str]:
    """Check what a model card wants."""
    if not _NAME.fullmatch(model.name):
        yield f"model.name: got {model.name!r}; wanted letters, digits, dots, dashes"
    if not model.version or not model.licence:
        yield "model: version and licence must not be empty"


def folder_faults(folder: DataFolder) -> Iterator[str]:
    """Check that a folder and its tables of picks are there, and its split if it is wanted."""
    if not folder.folder.is_dir():
        yield f"data.folder: no such folder: {folder.folder}"
        return
    yield from missing_files("data.picks", [folder.folder / name for name in folder.picks])
    if folder.hold_out == HoldOut.SPLIT and not _has_split(folder.folder):
        yield (
            f"data.hold_out: got 'split', but {folder.folder} has none; wanted a data set in "
            "SeisBench's layout whose metadata have a column split"
        )


def _has_split(folder: Path) -> bool:
    try:
        return is_data_set(folder) and has_splits(folder)
    except InputError:
        return False


def missing_files(name: str, paths: Iterable[Path]) -> Iterator[str]:
    """Check that files of a setting are there."""
    yield from (f"{name}: no such file: {path}" for path in paths if not path.is_file())


def sum_faults(section: str, values: object, *names: str) -> Iterator[str]:
    """Check that shares leave nothing below zero for the rest."""
    if sum(getattr(values, name) for name in names) > 1.0 + 1e-9:
        yield f"{section}: {', '.join(names[:-1])} and {names[-1]} add up to more than 1"

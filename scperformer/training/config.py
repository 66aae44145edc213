"""The training configuration: every option once, with default, range and one line of help.

Each section of the TOML file is a frozen dataclass; `config_file` reads them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scperformer.datasets.splits import HoldOut
from scperformer.datasets.window_file import Use
from scperformer.errors import ConfigurationError
from scperformer.networks.contract import Network
from scperformer.training.config_augmentation import AugmentationSection
from scperformer.training.config_checks import contradictions, section_faults
from scperformer.training.config_options import described, option

_NETWORKS = tuple(network.value for network in Network)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSection:
    """``[model]``: what is trained."""

    name: str = option(help="name of the model")
    network: str = option("performer", help="its network", choices=_NETWORKS)
    version: str = option("1", help="version of the model")
    title: str = option("", help="one line for the model card")
    licence: str = option("MIT", help="licence of the weights, SPDX")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFolder:
    """``[[data]]``: a folder of records, once for each folder."""

    folder: Path = field(metadata=described("folder of waveform files"))
    picks: tuple[str, ...] = option(
        (), help="files of picks inside the folder: CSV, JSON lines, QuakeML or SCML"
    )
    pick_probability: float = option(
        0.3, help="least probability of a pick to be used", low=0.0, high=1.0
    )
    hold_out: str = option(
        "event",
        help="what is held out for validation: whole events, whole stations, all or none",
        choices=tuple(rule.value for rule in HoldOut),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFileSection:
    """``[[windows_file]]``: a file of windows that were cut already, once for each file."""

    path: Path = field(
        metadata=described("HDF5 file with X, (n, 400, 3), and Y, (n,): P = 0, S = 1, noise = 2")
    )
    use: str = option(
        "split",
        help="what its windows are for: as its own split says (without one, contiguous "
        "stretches are held out), all for training, or all for validation",
        choices=tuple(use.value for use in Use),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowsSection:
    """``[windows]``: which windows an epoch is made of."""

    per_epoch: int = option(131_072, help="windows in an epoch", low=1, high=10**9)
    near_picks: float = option(0.2, help="share of windows drawn around picks", low=0.0, high=1.0)
    near_phases: float = option(
        0.4,
        help="share drawn where the teacher sees P or S, half each; needs a teacher",
        low=0.0,
        high=1.0,
    )
    noise: float = option(
        0.1,
        help="share drawn where the teacher sees noise or, without a teacher, away from picks; "
        "what is left comes from anywhere",
        low=0.0,
        high=1.0,
    )
    pick_shift_s: float = option(
        0.5, help="largest distance of a window's centre from its pick", low=0.0, high=60.0
    )
    phase_shift_s: float = option(
        0.3,
        help="largest distance of a window's centre from where the teacher looked",
        low=0.0,
        high=60.0,
    )
    phase_probability: float = option(
        0.1, help="the teacher sees a phase where it gives it this much", low=0.0, high=1.0
    )
    scan_step_samples: int = option(
        20, help="samples between the windows that the teacher looks at first", low=1, high=10_000
    )
    noise_distance_s: float = option(
        4.0, help="without a teacher: least distance of noise from any pick", low=0.0, high=600.0
    )
    from_files: float = option(
        0.5,
        help="share of windows drawn from [[windows_file]] where there is [[data]] as well; the "
        "other shares are of the rest",
        low=0.0,
        high=1.0,
    )
    balance: bool = option(
        False, help="draw P, S and noise of [[windows_file]] as often as each other"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherSection:
    """``[teacher]``: networks whose answers are the targets."""

    weights: tuple[Path, ...] = option(
        (), help="weights files; targets are the mean of their probabilities; none: picks alone"
    )
    networks: tuple[str, ...] = option(
        ("performer",), help="network of each file, or one for all", choices=_NETWORKS
    )
    temperature: float = option(
        1.0,
        help="probabilities of teacher and student are softened by this in the loss",
        low=0.1,
        high=100.0,
    )
    hints: float = option(
        0.0,
        help="weight of the loss on what teacher and student compute on the way, in windows "
        "that lose no component; only from one performer to another, without dropout",
        low=0.0,
        high=1000.0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsSection:
    """``[labels]``: targets from picks."""

    weight: float = option(
        0.0,
        help="weight of the picks against the teacher in the target; 1 without a teacher",
        low=0.0,
        high=1.0,
    )
    width_s: float = option(
        0.1, help="standard deviation of a pick's target in time", low=0.001, high=10.0
    )
    smoothing: float = option(
        0.02, help="share of the target spread over all classes", low=0.0, high=1.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSection:
    """``[training]``: the optimisation."""

    seed: int = option(1, help="decides every random number", low=0, high=2**31 - 1)
    epochs: int = option(40, help="epochs, and the length of the schedule", low=1, high=100_000)
    batch_size: int = option(512, help="windows in a step", low=1, high=1_000_000)
    learning_rate: float = option(
        2e-3, help="largest learning rate; a cosine takes it to zero", low=0.0, high=1.0
    )
    warmup_epochs: float = option(
        1.0, help="epochs over which the learning rate rises", low=0.0, high=1000.0
    )
    weight_decay: float = option(1e-4, help="AdamW's decay of kernels", low=0.0, high=1.0)
    clip_norm: float = option(1.0, help="largest norm of a gradient", low=1e-6, high=1e6)
    dropout: bool = option(False, help="train with the network's dropout layers")
    patience: int = option(
        10, help="stop after so many epochs without a better validation loss", low=1, high=100_000
    )
    threads: int = option(0, help="threads of TensorFlow, 0 for its own choice", low=0, high=4096)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationSection:
    """``[validation]``: records held out, and what is measured on them."""

    share: float = option(
        0.1, help="share of each folder's hours that is held out", low=0.0, high=0.9
    )
    windows: int = option(12_288, help="windows of the validation loss", low=1, high=10**8)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSection:
    """``[test]``: windows that are only looked at when all is done."""

    windows: Path | None = field(
        default=None,
        metadata=described("NumPy archive with `windows`, (n, 400, 3), and probabilities"),
    )
    reference: str = option("", help="name of the reference probabilities, (n, 3)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """A whole configuration; `config_file.read_config` makes it.

    Raises:
        ConfigurationError: when made, with every fault.
    """

    path: Path
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

    def __post_init__(self) -> None:
        faults = [*section_faults(self), *contradictions(self)]
        if faults:
            raise ConfigurationError(*(f"{self.path}: {fault}" for fault in faults))

    def as_card(self) -> dict[str, Any]:
        """Return the configuration as JSON takes it, paths relative to the TOML file."""
        content = asdict(self)
        del content["path"]
        return plain(content, self.path.parent)  # type: ignore[no-any-return]


def plain(value: Any, base: Path) -> Any:
    """Return a value as JSON takes it, paths relative to a folder where they lie in it."""
    if isinstance(value, Path):
        return _relative(value, base)
    if isinstance(value, dict):
        return {key: plain(item, base) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item, base) for item in value]
    return value


def _relative(path: Path, base: Path) -> str:
    try:
        return path.relative_to(base).as_posix()
    except ValueError:
        return path.as_posix()

"""The configuration of a training on whole records, with the context stage.

Sections ``[model]`` and ``[[data]]`` are those of `config`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scperformer.errors import ConfigurationError
from scperformer.setting import ConfigFile, Range, read_toml, setting
from scperformer.training.config import (
    SHARE,
    SNR_DB,
    DataFolder,
    ModelSection,
    RunSection,
    folder_faults,
    missing_files,
    model_faults,
    sum_faults,
)

# Rows, as in config.
# fmt: off


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextSection(RunSection):
    """``[context]``: the stage behind the network, and what it learns from."""

    channels: int = setting(24, "Channels of each layer.", Range(1, 512))
    layers: int = setting(
        7, "Layers; each doubles the memory: 6 see 20 s, 7 see 41 s.", Range(1, 10))
    lag_windows: int = setting(
        1, "Windows that an answer lies behind the latest one.", Range(0, 12))
    embedding: int = setting(
        8, "Numbers of what the network saw that the stage reads.", Range(0, 48))
    embedding_dropout: float = setting(
        0.1, "Share of them that is left out of a sequence.", Range(0.0, 0.9))
    windows: int = setting(313, "Windows in a sequence, one every 0.16 s.", Range(8, 10_000))
    sequences: int = setting(16, "Sequences in a step.", Range(1, 10_000))
    steps: int = setting(4000, "Steps, and the length of the schedule.", Range(1, 10**7))
    learning_rate: float = setting(
        2e-3, "Largest learning rate of the context stage.", Range(0.0, 1.0))
    network_learning_rate: float = setting(
        3e-4, "Largest learning rate of the network, 0 to leave it.", Range(0.0, 1.0))
    warmup_steps: int = setting(200, "Steps over which the rates rise.", Range(0, 10**6))
    weight_decay: float = setting(1e-3, "AdamW's decay of kernels.", Range(0.0, 1.0))
    averaging: float = setting(
        0.998, "Memory of the running mean of the weights that is kept.", Range(0.0, 0.99999))
    phase_weight: float = setting(
        4.0, "How much more windows at phases weigh than noise.", Range(0.0, 1000.0))
    width_s: float = setting(
        0.18, "Standard deviation of a pick's target in time.", Range(0.01, 10.0, "s"))
    network_loss: float = setting(
        0.3, "Weight of the loss of the network's own answers.", Range(0.0, 100.0))
    teacher_share: float = setting(
        0.5, "Share of the teacher in what the network's own answers learn; picks are the rest.",
        SHARE)
    doubtful_probability: float = setting(
        0.1, "Picks from here to data.pick_probability are neither phase nor noise.", SHARE)
    validation_share: float = setting(
        0.05, "Share of each folder's hours that is held out.", Range(0.0, 0.9))
    validation_every: int = setting(
        250, "Steps between two looks at the records held out.", Range(1, 10**6))


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceSection:
    """``[sequences]``: how sequences are drawn and changed."""

    at_picks: float = setting(0.6, "Share of sequences that hold a pick, anywhere in them.", SHARE)
    quiet: float = setting(
        0.2, "Share of sequences without any pick; the rest comes from anywhere in the records.",
        SHARE)
    stretch: float = setting(0.3, "Share that is stretched in time.", SHARE)
    stretch_range: tuple[float, float] = setting(
        (0.8, 1.25), "Least and largest factor.", Range(0.25, 4.0))
    superposition: float = setting(0.3, "Share that another record with picks is added to.", SHARE)
    superposition_db: tuple[float, float] = setting(
        (-25.0, 10.0), "Level of the other record against the first.", Range(-60.0, 60.0, "dB"))
    noise: float = setting(0.5, "Share that recorded noise is added to.", SHARE)
    noise_snr_db: tuple[float, float] = setting(
        (0.0, 35.0), "Least and largest signal-to-noise ratio.", SNR_DB)
    rotation: float = setting(0.5, "Share with rotated horizontals.", SHARE)
    polarity: float = setting(0.5, "Share turned upside down.", SHARE)
    gain_db: float = setting(4.0, "Largest gain of a component.", Range(0.0, 60.0, "dB"))
    low_pass: float = setting(0.1, "Share that is low-passed.", SHARE)
    low_pass_hz: tuple[float, float] = setting(
        (10.0, 35.0), "Least and largest corner.", Range(1.0, 49.0, "Hz"))
    clipping: float = setting(0.03, "Share that is clipped.", SHARE)
    vertical_only: float = setting(0.22, "Share with the vertical alone.", SHARE)
    horizontal_only: float = setting(0.06, "Share with one horizontal alone.", SHARE)
    lose_one: float = setting(0.17, "Share that loses one component.", SHARE)
    least_snr: float = setting(
        1.5, "Picks that stand out less from what was added are not learned from.",
        Range(0.0, 100.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextTeacherSection:
    """``[teacher]``: a network whose answers the plain network goes on learning from."""

    weights: Path | None = setting(None, "Weights file of a performer; none: picks alone.")


# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextConfig(ConfigFile):
    """A training on whole records; `read` makes it.

    Raises:
        ConfigurationError: when made, with every contradiction.
    """

    model: ModelSection
    data: tuple[DataFolder, ...]
    context: ContextSection
    sequences: SequenceSection
    teacher: ContextTeacherSection

    def contradictions(self) -> Iterator[str]:
        """Check what depends on more than one setting, and the file system."""
        yield from model_faults(self.model)
        if self.model.network != "performer":
            yield f"model.network: got {self.model.network!r}; only performer has a context stage"
        if not any(folder.picks for folder in self.data):
            yield "no [[data]] section names picks; the context stage learns from picks"
        for folder in self.data:
            yield from folder_faults(folder)
        if self.teacher.weights is not None:
            yield from missing_files("teacher.weights", [self.teacher.weights])
        shares = self.sequences
        yield from sum_faults("sequences", shares, "at_picks", "quiet")
        yield from sum_faults("sequences", shares, "vertical_only", "horizontal_only", "lose_one")


def is_context_config(path: Path) -> bool:
    """Whether a TOML file configures a training on whole records; False if unreadable."""
    try:
        return "context" in read_toml(path)
    except ConfigurationError:
        return False

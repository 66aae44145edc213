"""The configuration of a training of the streaming network, on whole records.

Section ``[model]`` is that of `config`; ``[[data]]`` has more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scperformer.core.filters import parse_filter
from scperformer.core.streaming_shape import attention_faults
from scperformer.errors import ConfigurationError
from scperformer.networks.contract import Network
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
)

DECIBELS = Range(-60.0, 60.0, "dB")

# Rows, as in config.
# fmt: off


@dataclass(frozen=True, slots=True, kw_only=True)
class TaughtFolder(DataFolder):
    """``[[data]]``: a folder of records, once for each folder."""

    curves: Path | None = setting(
        None, "Teachers' curves of these records, sample by sample; without them nothing "
        "arrives but what was picked.")
    judged_by: tuple[str, ...] = setting(
        (), "Files of picks inside the folder by which the records held out are judged, where "
        "they are others than those learned from.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamingSection(RunSection):
    """``[streaming]``: the network and how it is trained."""

    channels: int = setting(48, "Channels of each block.", Range(4, 512))
    dilations: tuple[int, ...] = setting(
        (1, 2, 4, 2), "Columns between the three that the convolution of a block reads, block "
        "by block.", Range(1, 1024, "columns"))
    memories: tuple[int, ...] = setting(
        (1, 2, 3, 4), "Bundles of 16 columns before the current one that attention looks back "
        "on, head by head, in every block.", Range(1, 256, "bundles"))
    look_ahead: int = setting(
        11, "Columns, of 0.16 s, by which an answer comes late.", Range(0, 100, "columns"))
    filter: str = setting(
        "BW_HP(4,1)", "Causal filter of the records, in SeisComP's grammar; the card names it.")
    columns: int = setting(512, "Columns of a stretch.", Range(32, 10_000))
    stretches: int = setting(16, "Stretches in a step.", Range(1, 10_000))
    steps: int = setting(30_000, "Steps, and the length of the schedule.", Range(1, 10**7))
    learning_rate: float = setting(2.5e-3, "Largest learning rate.", Range(0.0, 1.0))
    warmup_steps: int = setting(300, "Steps over which the rate rises.", Range(0, 10**6))
    weight_decay: float = setting(1e-2, "AdamW's decay of kernels.", Range(0.0, 1.0))
    averaging: float = setting(
        0.9985, "Memory of the running mean of the weights that is kept.", Range(0.0, 0.99999))
    phase_weight: float = setting(
        3.0, "How much more P and S weigh in the loss than noise.", Range(0.01, 1000.0))
    unlearned_s: float = setting(
        2.0, "First part of a stretch that nothing is learned from: the level does not stand "
        "yet.", Range(0.0, 60.0, "s"))
    validation_share: float = setting(
        0.06, "Share of each folder's hours that is held out.", Range(0.0, 0.9))
    validation_every: int = setting(
        1000, "Steps between two looks at what is held out.", Range(1, 10**6))
    workers: int = setting(
        1, "Processes that make stretches beside the one that trains.", Range(1, 256))


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetsSection:
    """``[targets]``: what is to be said of a record."""

    voices_p: tuple[float, ...] = setting(
        (0.6, 0.4), "Weight of each teacher for P.", Range(0.0, 1000.0))
    voices_s: tuple[float, ...] = setting(
        (0.5, 0.5), "Weight of each teacher for S.", Range(0.0, 1000.0))
    width_s: float = setting(
        0.12, "Standard deviation of a pick's target in time.", Range(0.01, 10.0, "s"))


@dataclass(frozen=True, slots=True, kw_only=True)
class StretchesSection:
    """``[stretches]``: how stretches are drawn and what is done to them."""

    at_arrivals: float = setting(
        0.8, "Share of records drawn for an arrival, which then lies anywhere in the stretch; "
        "the rest comes from anywhere in the records.", SHARE)
    mosaic: float = setting(
        0.6, "Share of stretches put together from several records.", SHARE)
    mosaic_piece_s: tuple[float, float] = setting(
        (6.0, 45.0), "Least and largest length of a piece.", Range(2.0, 600.0, "s"))
    time_stretch: float = setting(0.6, "Share of pieces played slower or faster.", SHARE)
    time_stretch_range: tuple[float, float] = setting(
        (0.65, 1.55), "Least and largest factor.", Range(0.25, 4.0))
    superposition: float = setting(0.35, "Share that another record is added to.", SHARE)
    superposition_db: tuple[float, float] = setting(
        (-18.0, 8.0), "Level of the other record against the first.", DECIBELS)
    quiet_superposition: float = setting(
        0.3, "Of those, the share whose other record comes from anywhere.", SHARE)
    noise: float = setting(0.35, "Share that made noise is added to, of a band.", SHARE)
    noise_snr_db: tuple[float, float] = setting(
        (3.0, 45.0), "Least and largest signal-to-noise ratio.", SNR_DB)
    rotation: float = setting(0.5, "Share with rotated horizontals.", SHARE)
    swap: float = setting(
        0.02, "Share whose components are in another order.", SHARE)
    polarity: float = setting(0.5, "Share turned upside down.", SHARE)
    gain_db: float = setting(4.0, "Largest gain of a component.", Range(0.0, 60.0, "dB"))
    filtered: float = setting(0.2, "Share that is filtered once more.", SHARE)
    filtered_highpass_hz: tuple[float, float] = setting(
        (1.5, 5.0), "Least and largest corner of its high-pass.", Range(0.1, 20.0, "Hz"))
    filtered_lowpass_hz: tuple[float, float] = setting(
        (9.0, 40.0), "Least and largest corner of its low-pass.", Range(1.0, 49.0, "Hz"))
    clipping: float = setting(0.06, "Share that is clipped.", SHARE)
    spikes: float = setting(0.05, "Share with spikes.", SHARE)
    gain_step: float = setting(0.06, "Share whose gain changes in the middle.", SHARE)
    dead_time: float = setting(
        0.05, "Share one component of which is silent for a while.", SHARE)
    vertical_only: float = setting(0.17, "Share with the vertical alone.", SHARE)
    horizontal_only: float = setting(0.03, "Share with one horizontal alone.", SHARE)
    lose_one: float = setting(0.09, "Share that loses one component.", SHARE)
    least_snr: float = setting(
        1.3, "Arrivals that stand out less from what was added are not learned from.",
        Range(0.0, 100.0))


# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamingConfig(ConfigFile):
    """A training of the streaming network; `read` makes it.

    Raises:
        ConfigurationError: when made, with every contradiction.
    """

    model: ModelSection
    data: tuple[TaughtFolder, ...]
    streaming: StreamingSection
    targets: TargetsSection
    stretches: StretchesSection

    def contradictions(self) -> Iterator[str]:
        """Check what depends on more than one setting, and the file system."""
        yield from model_faults(self.model)
        if self.model.network != Network.STREAMING:
            yield (
                f"model.network: got {self.model.network!r}; wanted {Network.STREAMING}, which is "
                "what a configuration with [streaming] trains"
            )
        try:
            parse_filter(self.streaming.filter)
        except ConfigurationError as error:
            yield f"streaming.filter: {error}"
        if not any(folder.has_arrivals or folder.curves for folder in self.data):
            yield "no [[data]] section names picks or curves; wanted something to learn"
        for folder in self.data:
            yield from folder_faults(folder)
            if folder.curves is not None:
                yield from missing_files("data.curves", [folder.curves])
            judges = [folder.folder / name for name in folder.judged_by]
            yield from missing_files("data.judged_by", judges)
        options = self.streaming
        for fault in attention_faults(options.channels, options.memories):
            yield f"streaming.memories: {fault}"
        if len(self.targets.voices_p) != len(self.targets.voices_s):
            yield "targets: voices_p and voices_s do not have the same number of teachers"
        shares = self.stretches
        if shares.vertical_only + shares.horizontal_only + shares.lose_one > 1.0:
            yield "stretches: vertical_only, horizontal_only and lose_one add up to more than 1"
        if shares.filtered_highpass_hz[1] >= shares.filtered_lowpass_hz[0]:
            yield "stretches: filtered_highpass_hz reaches filtered_lowpass_hz; wanted a gap"


def is_streaming_config(path: Path) -> bool:
    """Whether a TOML file configures a training of the streaming network; False if unreadable."""
    try:
        return "streaming" in read_toml(path)
    except ConfigurationError:
        return False

"""The configuration of a training on whole records, with the context stage.

Sections ``[model]``, ``[[data]]`` and ``[teacher]`` are those of `config`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from scperformer.errors import ConfigurationError
from scperformer.training.config import DataFolder, ModelSection, plain
from scperformer.training.config_checks import folder_faults, value_fault
from scperformer.training.config_file import read_section, read_toml
from scperformer.training.config_options import described, option


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextSection:
    """``[context]``: the stage behind the network, and what it learns from."""

    channels: int = option(24, help="channels of each layer", low=1, high=512)
    layers: int = option(
        7, help="layers; each doubles the memory: 6 see 20 s, 7 see 41 s", low=1, high=10
    )
    lag_windows: int = option(
        1, help="windows that an answer lies behind the latest one", low=0, high=12
    )
    embedding: int = option(
        8, help="numbers of what the network saw that the stage reads", low=0, high=48
    )
    embedding_dropout: float = option(
        0.1, help="share of them that is left out of a sequence", low=0.0, high=0.9
    )
    windows: int = option(313, help="windows in a sequence, one every 0.16 s", low=8, high=10_000)
    sequences: int = option(16, help="sequences in a step", low=1, high=10_000)
    steps: int = option(4000, help="steps, and the length of the schedule", low=1, high=10**7)
    learning_rate: float = option(
        2e-3, help="largest learning rate of the context stage", low=0.0, high=1.0
    )
    network_learning_rate: float = option(
        3e-4, help="largest learning rate of the network, 0 to leave it", low=0.0, high=1.0
    )
    warmup_steps: int = option(200, help="steps over which the rates rise", low=0, high=10**6)
    weight_decay: float = option(1e-3, help="AdamW's decay of kernels", low=0.0, high=1.0)
    clip_norm: float = option(1.0, help="largest norm of a gradient", low=1e-6, high=1e6)
    averaging: float = option(
        0.998, help="memory of the running mean of the weights that is kept", low=0.0, high=0.99999
    )
    phase_weight: float = option(
        4.0, help="how much more windows at phases weigh than noise", low=0.0, high=1000.0
    )
    width_s: float = option(
        0.18, help="standard deviation of a pick's target in time", low=0.01, high=10.0
    )
    network_loss: float = option(
        0.3, help="weight of the loss of the network's own answers", low=0.0, high=100.0
    )
    teacher_share: float = option(
        0.5,
        help="share of the teacher in what the network's own answers learn; picks are the rest",
        low=0.0,
        high=1.0,
    )
    doubtful_probability: float = option(
        0.1,
        help="picks from here to data.pick_probability are neither phase nor noise",
        low=0.0,
        high=1.0,
    )
    validation_share: float = option(
        0.05, help="share of each folder's hours that is held out", low=0.0, high=0.9
    )
    validation_every: int = option(
        250, help="steps between two looks at the records held out", low=1, high=10**6
    )
    seed: int = option(1, help="decides every random number", low=0, high=2**31 - 1)
    threads: int = option(0, help="threads of TensorFlow, 0 for its own choice", low=0, high=4096)


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceSection:
    """``[sequences]``: how sequences are drawn and changed."""

    at_picks: float = option(
        0.6, help="share of sequences that hold a pick, anywhere in them", low=0.0, high=1.0
    )
    quiet: float = option(
        0.2,
        help="share of sequences without any pick; the rest comes from anywhere in the records",
        low=0.0,
        high=1.0,
    )
    stretch: float = option(0.3, help="share that is stretched in time", low=0.0, high=1.0)
    stretch_range: tuple[float, float] = option(
        (0.8, 1.25), help="least and largest factor", low=0.25, high=4.0
    )
    superposition: float = option(
        0.3, help="share that another record with picks is added to", low=0.0, high=1.0
    )
    superposition_db: tuple[float, float] = option(
        (-25.0, 10.0), help="level of the other record against the first", low=-60.0, high=60.0
    )
    noise: float = option(0.5, help="share that recorded noise is added to", low=0.0, high=1.0)
    noise_snr_db: tuple[float, float] = option(
        (0.0, 35.0), help="least and largest signal-to-noise ratio", low=-60.0, high=120.0
    )
    rotation: float = option(0.5, help="share with rotated horizontals", low=0.0, high=1.0)
    polarity: float = option(0.5, help="share turned upside down", low=0.0, high=1.0)
    gain_db: float = option(4.0, help="largest gain of a component", low=0.0, high=60.0)
    low_pass: float = option(0.1, help="share that is low-passed", low=0.0, high=1.0)
    low_pass_hz: tuple[float, float] = option(
        (10.0, 35.0), help="least and largest corner", low=1.0, high=49.0
    )
    clipping: float = option(0.03, help="share that is clipped", low=0.0, high=1.0)
    vertical_only: float = option(0.22, help="share with the vertical alone", low=0.0, high=1.0)
    horizontal_only: float = option(0.06, help="share with one horizontal alone", low=0.0, high=1.0)
    lose_one: float = option(0.17, help="share that loses one component", low=0.0, high=1.0)
    least_snr: float = option(
        1.5,
        help="picks that stand out less from what was added are not learned from",
        low=0.0,
        high=100.0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextTeacherSection:
    """``[teacher]``: a network whose answers the plain network goes on learning from."""

    weights: Path | None = field(
        default=None, metadata=described("weights file; none: picks alone")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextConfig:
    """A whole configuration.

    Raises:
        ConfigurationError: when made, with every fault.
    """

    path: Path
    model: ModelSection
    data: tuple[DataFolder, ...]
    context: ContextSection
    sequences: SequenceSection
    teacher: ContextTeacherSection

    def __post_init__(self) -> None:
        faults = list(_faults(self))
        if faults:
            raise ConfigurationError(*(f"{self.path}: {fault}" for fault in faults))

    def as_card(self) -> dict[str, Any]:
        """Return the configuration as JSON takes it, paths relative to the TOML file."""
        content = asdict(self)
        del content["path"]
        return plain(content, self.path.parent)  # type: ignore[no-any-return]


def is_context_config(path: Path) -> bool:
    """Whether a TOML file configures a training on whole records; False if unreadable."""
    try:
        return "context" in read_toml(path)
    except ConfigurationError:
        return False


def read_context_config(
    path: Path, overrides: Mapping[str, Mapping[str, Any]] | None = None
) -> ContextConfig:
    """Read a TOML file that has a ``[context]`` section.

    Raises:
        ConfigurationError: as `config_file.read_config`.
    """
    content = read_toml(path)
    for section, values in (overrides or {}).items():
        content[section] = {**content.get(section, {}), **values}
    hints = get_type_hints(ContextConfig)
    faults = [f"{name}: no such section" for name in content if name not in hints or name == "path"]
    sections: dict[str, Any] = {}
    for name, hint in hints.items():
        if name == "data":
            tables = content.get(name, [])
            tables = tables if isinstance(tables, list) else []
            sections[name] = tuple(
                read_section(DataFolder, table, f"data {i}", path, faults)
                for i, table in enumerate(tables, 1)
            )
        elif name != "path":
            sections[name] = read_section(hint, content.get(name, {}), name, path, faults)
    if faults:
        raise ConfigurationError(*(f"{path}: {fault}" for fault in faults))
    return ContextConfig(path=path, **sections)


def _faults(config: ContextConfig) -> Iterator[str]:
    named: list[tuple[str, Any]] = [(f"data {i}", d) for i, d in enumerate(config.data, 1)]
    named += [(name, getattr(config, name)) for name in ("context", "sequences", "teacher")]
    for name, section in named:
        for item in fields(section):
            value = getattr(section, item.name)
            for part in value if isinstance(value, tuple) else (value,):
                fault = value_fault(part, item.metadata)
                if fault:
                    yield f"{name}.{item.name}: got {part!r}; {fault}"
    if config.model.network != "performer":
        yield f"model.network: got {config.model.network!r}; only performer has a context stage"
    if not any(folder.picks for folder in config.data):
        yield "no [[data]] section names picks; the context stage learns from picks"
    for folder in config.data:
        yield from folder_faults(folder)
    if config.teacher.weights is not None and not config.teacher.weights.is_file():
        yield f"teacher.weights: no such file: {config.teacher.weights}"
    if config.sequences.at_picks + config.sequences.quiet > 1.0 + 1e-9:
        yield "sequences: at_picks and quiet add up to more than 1"
    lost = config.sequences
    if lost.vertical_only + lost.horizontal_only + lost.lose_one > 1.0 + 1e-9:
        yield "sequences: vertical_only, horizontal_only and lose_one add up to more than 1"

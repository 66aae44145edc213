"""What is wrong with a training configuration whose types are right."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scperformer.training.config import DataFolder, TrainingConfig, WindowFileSection

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def section_faults(config: TrainingConfig) -> Iterator[str]:
    """Check ranges and choices of every section."""
    sections: list[tuple[str, Any]] = []
    for item in fields(config):
        content = getattr(config, item.name)
        if isinstance(content, tuple):
            sections += [(f"{item.name} {i}", part) for i, part in enumerate(content, 1)]
        elif item.name != "path":
            sections.append((item.name, content))
    for name, section in sections:
        for item in fields(section):
            value = getattr(section, item.name)
            for part in value if isinstance(value, tuple) else (value,):
                fault = value_fault(part, item.metadata)
                if fault:
                    yield f"{name}.{item.name}: got {part!r}; {fault}"


def value_fault(value: Any, info: Mapping[str, Any]) -> str:
    """Say what is wrong with one value of an option; empty if nothing is."""
    if info["choices"] and value not in info["choices"]:
        return "wanted one of " + ", ".join(info["choices"])
    if not isinstance(value, (int, float)) or info["low"] is None:
        return ""
    if math.isnan(value) or not info["low"] <= value <= info["high"]:
        return f"wanted {info['low']:.15g} to {info['high']:.15g}; {info['help']}"
    return ""


def contradictions(config: TrainingConfig) -> Iterator[str]:
    """Check what depends on more than one option, and the file system."""
    if not _NAME.fullmatch(config.model.name):
        yield f"model.name: got {config.model.name!r}; wanted letters, digits, dots, dashes"
    if not config.model.version or not config.model.licence:
        yield "model: version and licence must not be empty"
    if not config.data and not config.windows_file:
        yield "no [[data]] and no [[windows_file]] section; wanted records or windows to train on"
    for folder in config.data:
        yield from folder_faults(folder)
    yield from _file_faults(config.windows_file)
    yield from _share_faults(config)
    yield from _augmentation_faults(config)
    yield from _teacher_faults(config)
    if config.data:
        yield from _target_faults(config)
    if config.test.windows is not None and not config.test.windows.is_file():
        yield f"test.windows: no such file: {config.test.windows}"
    if config.training.batch_size > config.windows.per_epoch:
        yield "training.batch_size: larger than windows.per_epoch"


def folder_faults(folder: DataFolder) -> Iterator[str]:
    """Check that a folder and its tables of picks are there."""
    if not folder.folder.is_dir():
        yield f"data.folder: no such folder: {folder.folder}"
        return
    for name in folder.picks:
        if not (folder.folder / name).is_file():
            yield f"data.picks: no such file: {folder.folder / name}"


def _file_faults(files: Sequence[WindowFileSection]) -> Iterator[str]:
    for file in files:
        if not file.path.is_file():
            yield f"windows_file.path: no such file: {file.path}"
    if len({file.path.resolve() for file in files}) < len(files):
        yield "windows_file.path: a file is named twice; give each once"


def _share_faults(config: TrainingConfig) -> Iterator[str]:
    windows = config.windows
    if windows.near_picks + windows.near_phases + windows.noise > 1.0 + 1e-9:
        yield "windows: near_picks, near_phases and noise add up to more than 1"


def _augmentation_faults(config: TrainingConfig) -> Iterator[str]:
    options = config.augmentation
    if options.lose_one + options.lose_two > 1.0 + 1e-9:
        yield "augmentation: lose_one and lose_two add up to more than 1"
    for item in fields(options):
        value = getattr(options, item.name)
        if isinstance(value, tuple) and value[0] > value[1]:
            yield f"augmentation.{item.name}: the first is larger than the second"
    if options.filtered and options.filtered_highpass_hz[1] >= options.filtered_lowpass_hz[0]:
        yield "augmentation: filtered_highpass_hz reaches filtered_lowpass_hz; wanted a gap"


def _teacher_faults(config: TrainingConfig) -> Iterator[str]:
    teacher = config.teacher
    if len(teacher.networks) not in (1, len(teacher.weights)):
        yield "teacher.networks: wanted one for all, or one for each of teacher.weights"
    for path in teacher.weights:
        if not path.is_file():
            yield f"teacher.weights: no such file: {path}"
    alike = (config.model.network, *teacher.networks) == ("performer", "performer")
    if teacher.hints and (len(teacher.weights) != 1 or not alike or config.training.dropout):
        yield "teacher.hints: needs one performer as teacher and one without dropout to train"


def _target_faults(config: TrainingConfig) -> Iterator[str]:
    """Check what records need; windows from files bring their labels."""
    teacher, windows = config.teacher, config.windows
    if not teacher.weights and windows.near_phases > 0:
        yield "windows.near_phases: needs a teacher; set it to 0 or name teacher.weights"
    needs_picks = windows.near_picks > 0 or config.labels.weight > 0 or not teacher.weights
    if needs_picks and not any(folder.picks for folder in config.data):
        yield "no [[data]] section names picks, but windows or targets need them"

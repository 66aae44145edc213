"""Pictures of records and windows, drawn by matplotlib without a display."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from scperformer.atomic import AtomicFile
from scperformer.errors import ConfigurationError
from scperformer.picks.columns import floored
from scperformer.picks.envelopes import envelope
from scperformer.types import (
    COMPONENTS,
    NS_PER_S,
    SAMPLING_RATE_HZ,
    WINDOW_SAMPLES,
    Phase,
    Pick,
    format_time,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart by every kind of colour vision.
PHASE_COLOURS = {Phase.P: "#0072B2", Phase.S: "#D55E00"}
TRACE_COLOUR = "#333333"
_DOTS_PER_INCH = 100
_RECORD_INCHES = (12.0, 10.0)
_RECORD_MARGINS = {
    "left": 0.085,
    "right": 0.945,
    "top": 0.92,
    "bottom": 0.06,
    "wspace": 0.015,
    "hspace": 0.1,
}
_WINDOW_INCHES = (8.0, 6.0)
_MOST_POINTS = 6000
_MOST_FRAMES = 2400
_MOST_LABELS = 60
_LABEL_WIDTHS = (0.105, 0.055)
"""Of a label with uncertainty, and with probability alone, in parts of the axis."""

_DAY_S = 86_400.0
_FRAME_SAMPLES = 128
_DECIBEL_FLOOR = 1e-10
_LEAST_CLOCK_NS = 10 * NS_PER_S
"""Shorter records need ticks at parts of a second."""

Probabilities = tuple[NDArray[np.int64], NDArray[np.floating[Any]]]


def record_figure(
    samples: Mapping[str, NDArray[np.generic]],
    *,
    start_ns: int,
    sampling_rate_hz: float = SAMPLING_RATE_HZ,
    unit: str = "",
    probabilities: Probabilities | None = None,
    averaged: str = "",
    thresholds: Mapping[Phase, float] = MappingProxyType({}),
    picks: Sequence[Pick] = (),
    title: str = "",
) -> Figure:
    """Draw components, the vertical's spectrogram, class probabilities and picks.

    Args:
        samples: (n,) samples of each component by its letter or channel, drawn in this order;
            nan where there are none.
        start_ns: time of the first sample of all components.
        sampling_rate_hz: sampling rate of all components.
        unit: of the samples.
        probabilities: (m,) window centres in nanoseconds, and (m, 2 or more) probabilities
            of P, S and others there.
        averaged: over what they are averaged, in words.
        thresholds: drawn as dashed lines among the probabilities.
        picks: drawn as lines with bands of one standard deviation to either side, where they
            lie inside the record.
        title: a line above.

    Raises:
        ConfigurationError: matplotlib is not installed.
        ValueError: no component has samples.
    """
    n_samples = max((len(trace) for trace in samples.values()), default=0)
    if not n_samples:
        raise ValueError("no samples to draw; wanted at least one component")
    figure = new_figure(_RECORD_INCHES)
    rows = [1.0] * len(samples) + [1.4] + ([1.0] if probabilities is not None else [])
    grid = figure.add_gridspec(
        len(rows), 2, height_ratios=rows, width_ratios=[1, 0.012], **_RECORD_MARGINS
    )
    axes = [figure.add_subplot(grid[0, 0])]
    axes += [figure.add_subplot(grid[row, 0], sharex=axes[0]) for row in range(1, len(rows))]
    for axis, (component, trace) in zip(axes, samples.items(), strict=False):
        label = f"{component} ({unit})" if unit else component
        _draw_trace(axis, label, trace, start_ns, sampling_rate_hz)
    vertical = next((name for name in samples if name.endswith("Z")), list(samples)[-1])
    image = _draw_spectrogram(axes[len(samples)], samples[vertical], start_ns, sampling_rate_hz)
    axes[len(samples)].set_ylabel(f"{vertical}, frequency (Hz)")
    colour_bar = figure.colorbar(image, cax=figure.add_subplot(grid[len(samples), 1]))
    colour_bar.set_label("dB", fontsize=9)
    if probabilities is not None:
        _draw_probabilities(axes[-1], *probabilities, thresholds)
        axes[-1].set_ylabel("probability" + (f"\n({averaged})" if averaged else ""))
    end_ns = start_ns + round(n_samples * NS_PER_S / sampling_rate_hz)
    inside = [pick for pick in picks if start_ns <= pick.time_ns < end_ns]
    axes[0].set_xlim(*_moments(np.array([start_ns, end_ns])))
    _draw_picks(axes, inside)
    _label_picks(axes[0], inside)
    _label_times(axes, start_ns, end_ns)
    figure.suptitle(title, fontsize=14, y=0.975)
    figure.align_ylabels(axes)
    return figure


def plot_window(
    path: Path,
    window: NDArray[np.floating[Any]],
    *,
    title: str = "",
    phase: Phase | None = None,
    letters: Sequence[str] = COMPONENTS,
) -> None:
    """Draw one window that a network has looked at.

    Args:
        path: the picture; the format is told by the suffix.
        window: (400, 3) samples in the order of the networks.
        title: a line above.
        phase: colours the line at the window's centre, which the class refers to.
        letters: names of the components.

    Raises:
        ConfigurationError: matplotlib is not installed, or the suffix is no format of it.
        OutputError: the picture cannot be written.
        ValueError: the window has another shape.
    """
    if window.shape != (WINDOW_SAMPLES, len(COMPONENTS)):
        raise ValueError(f"window of shape {window.shape}; wanted ({WINDOW_SAMPLES}, 3)")
    figure = new_figure(_WINDOW_INCHES)
    axes = figure.subplots(len(COMPONENTS), 1, sharex=True, sharey=True)
    times_s = np.arange(WINDOW_SAMPLES) / SAMPLING_RATE_HZ
    colour = PHASE_COLOURS[phase] if phase is not None else "0.5"
    for axis, letter, trace in zip(axes, letters, window.T, strict=True):
        axis.plot(times_s, trace, color=TRACE_COLOUR, linewidth=0.9)
        axis.axvline(WINDOW_SAMPLES / 2 / SAMPLING_RATE_HZ, color=colour, linewidth=1.4)
        axis.set_ylabel(letter, rotation=0, labelpad=12, fontsize=12)
        axis.grid(axis="x", color="0.9")
        axis.margins(x=0)
    axes[-1].set_xlabel("seconds from the start of the window")
    figure.suptitle(title, fontsize=12, y=0.95)
    save_figure(figure, path)


def new_figure(inches: tuple[float, float]) -> Figure:
    """Make an empty figure that needs no screen.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - optional
        from matplotlib.figure import Figure  # noqa: PLC0415 - optional
    except ImportError as error:
        raise ConfigurationError(
            "plots need matplotlib, which is not installed; pip install scperformer[plot]"
        ) from error
    figure = Figure(figsize=inches, dpi=_DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure, complete or not at all; the suffix says in which format.

    Raises:
        ConfigurationError: no such format.
        OutputError: it cannot be written.
    """
    suffix = picture_format(figure, path)
    with AtomicFile(path) as output:
        if suffix == "png":
            write_png(figure, output.file)
        else:
            figure.savefig(output.file, format=suffix)


def picture_format(figure: Figure, path: Path) -> str:
    """Return the format that a suffix means.

    Raises:
        ConfigurationError: no such format.
    """
    suffix = path.suffix.lstrip(".").lower()
    known = figure.canvas.get_supported_filetypes()
    if suffix not in known:
        raise ConfigurationError(
            f"{path}: no picture format {suffix!r}; wanted one of {', '.join(sorted(known))}"
        )
    return suffix


def write_png(figure: Figure, file: BinaryIO) -> None:
    """Write a figure as PNG of 256 colours, which is a third as large and looks the same."""
    image = importlib.import_module("PIL.Image")  # matplotlib brings it
    figure.canvas.draw()
    drawn = image.fromarray(np.asarray(figure.canvas.buffer_rgba()))  # type: ignore[attr-defined]
    drawn = drawn.convert("RGB").quantize(256, dither=image.Dither.NONE)
    drawn.save(file, format="png", optimize=True, dpi=(_DOTS_PER_INCH, _DOTS_PER_INCH))


def _matplotlib(module: str) -> Any:
    return importlib.import_module(f"matplotlib.{module}")


def _moments(times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Turn times into matplotlib's days."""
    return np.asarray(
        _matplotlib("dates").date2num(times_ns.astype("datetime64[ns]").astype("datetime64[us]"))
    )


def _draw_trace(
    axis: Axes, label: str, trace: NDArray[np.generic], start_ns: int, rate_hz: float
) -> None:
    values = trace.astype(np.float64)
    good = np.isfinite(values)
    values -= values[good].mean() if good.any() else 0.0
    places, values = envelope(values, 2 * len(values) // _MOST_POINTS)
    times_ns = start_ns + np.rint(places * (NS_PER_S / rate_hz)).astype(np.int64)
    axis.plot(_moments(times_ns), values, color=TRACE_COLOUR, linewidth=0.6)
    axis.set_ylabel(label)
    axis.locator_params(axis="y", nbins=4)
    axis.yaxis.set_major_formatter(_matplotlib("ticker").EngFormatter(sep=""))
    axis.grid(axis="x", color="0.92")


def _draw_spectrogram(axis: Axes, trace: NDArray[np.generic], start_ns: int, rate_hz: float) -> Any:
    width = min(_FRAME_SAMPLES, len(trace))
    decibels, hop = _decibels(np.nan_to_num(trace.astype(np.float64)), width)
    low, high = np.percentile(decibels, [10, 99.7])
    places = np.array([-0.5, len(decibels) - 0.5]) * hop
    edges = _moments(start_ns + np.rint(places * (NS_PER_S / rate_hz)).astype(np.int64))
    image = axis.imshow(
        decibels.T,
        origin="lower",
        aspect="auto",
        extent=(edges[0], edges[1], 0.0, rate_hz / 2),
        cmap="magma",
        vmin=low,
        vmax=max(high, low + 1.0),
        interpolation="nearest",
    )
    axis.set_facecolor("black")
    return image


def _decibels(trace: NDArray[np.float64], width: int) -> tuple[NDArray[np.float64], int]:
    """Return (frames, bins) decibels of a Hann-windowed STFT, and its hop in samples.

    The first frame's middle is the first sample; the ends are mirrored.
    """
    hop = max(width // 8, len(trace) // _MOST_FRAMES, 1)
    padded = np.pad(trace - trace.mean(), width // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, width)[::hop]
    spectrum = np.fft.rfft((frames - frames.mean(axis=1, keepdims=True)) * np.hanning(width))
    return 20 * np.log10(np.maximum(np.abs(spectrum), _DECIBEL_FLOOR)), hop


def _draw_probabilities(
    axis: Axes,
    times_ns: NDArray[np.int64],
    probabilities: NDArray[np.floating[Any]],
    thresholds: Mapping[Phase, float],
) -> None:
    moments = _moments(times_ns)
    for phase, values in zip(Phase, probabilities.T, strict=False):
        colour = PHASE_COLOURS[phase]
        axis.plot(moments, values, color=colour, linewidth=1.2, label=str(phase))
        axis.fill_between(moments, 0, values, color=colour, alpha=0.2, linewidth=0)
    axis.set_ylim(-0.02, 1.05)
    for phase, threshold in thresholds.items():
        label = f"threshold of {phase}, {threshold:g}"
        colour = PHASE_COLOURS[phase]
        axis.axhline(threshold, color=colour, linestyle="--", linewidth=0.8, label=label)
    axis.grid(color="0.92")
    axis.legend(loc="upper right", ncols=2, fontsize=9, framealpha=0.9)


def _draw_picks(axes: Sequence[Axes], picks: Sequence[Pick]) -> None:
    moments = _moments(np.array([pick.time_ns for pick in picks], np.int64))
    for pick, moment in zip(picks, moments, strict=True):
        for axis in axes:
            on_image = bool(axis.images)
            colour = "white" if on_image else PHASE_COLOURS[pick.phase]
            style = "--" if on_image and pick.phase is Phase.S else "-"
            axis.axvline(moment, color=colour, linestyle=style, linewidth=1.0, zorder=3)
            if not on_image and math.isfinite(pick.uncertainty_s):
                reach = pick.uncertainty_s / _DAY_S
                axis.axvspan(moment - reach, moment + reach, color=colour, alpha=0.2, linewidth=0)


def _label_picks(axis: Axes, picks: Sequence[Pick]) -> None:
    """Label picks as fully as there is room for: P to the left of its line, S to the right."""
    moments = _moments(np.array([pick.time_ns for pick in picks], np.int64))
    left, right = axis.get_xlim()
    places = (moments - left) / (right - left)
    n_words = 1 + sum(_has_room(picks, places, width) for width in _LABEL_WIDTHS)
    if len(picks) > _MOST_LABELS:
        return
    for pick, moment in zip(picks, moments, strict=True):
        side, offset = ("right", -3) if pick.phase is Phase.P else ("left", 3)
        axis.annotate(
            " ".join(_words(pick)[:n_words]),
            (moment, 1.0),
            xycoords=axis.get_xaxis_transform(),
            xytext=(offset, 4),
            textcoords="offset points",
            ha=side,
            color=PHASE_COLOURS[pick.phase],
            fontsize=10,
            fontweight="bold",
            annotation_clip=False,
        )


def _words(pick: Pick) -> list[str]:
    words = [str(pick.phase), floored(pick.probability, 2)]
    if math.isfinite(pick.uncertainty_s):
        words.append(f"\u00b1{pick.uncertainty_s:.2f} s")
    return words


def _has_room(picks: Sequence[Pick], places: NDArray[np.float64], width: float) -> bool:
    """Tell whether labels of a width, in parts of the axis, keep clear of each other."""
    lefts = places - np.array([width if pick.phase is Phase.P else 0.0 for pick in picks])
    return bool((np.diff(np.sort(lefts)) >= width).all())


def _label_times(axes: Sequence[Axes], start_ns: int, end_ns: int) -> None:
    dates = _matplotlib("dates")
    locator = dates.AutoDateLocator(minticks=5, maxticks=11)
    day, last_day = (format_time(at_ns, "%Y-%m-%d") for at_ns in (start_ns, end_ns))
    one_day = day == last_day and end_ns - start_ns > _LEAST_CLOCK_NS
    formatter = dates.DateFormatter("%H:%M:%S") if one_day else dates.ConciseDateFormatter(locator)
    axes[-1].xaxis.set_major_locator(locator)
    axes[-1].xaxis.set_major_formatter(formatter)
    axes[-1].set_xlabel(f"UTC, {day}" if one_day else "UTC")
    for axis in axes[:-1]:
        axis.tick_params(labelbottom=False)

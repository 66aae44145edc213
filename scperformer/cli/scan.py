"""`scperformer scan`: pick phases in archives."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path

from tqdm import tqdm

from scperformer.cli.loading import load_model
from scperformer.cli.options import (
    add_model_options,
    add_setting_options,
    parse_time_option,
    settings_from_options,
)
from scperformer.cli.scan_report import ScanObserver, TimedClassifier, summary
from scperformer.core.pipeline import Pipeline, effective_filter
from scperformer.errors import ConfigurationError
from scperformer.io.archive import ArchiveGroup, index_inputs
from scperformer.io.problems import InputProblem
from scperformer.io.sinks import open_sink
from scperformer.types import NS_PER_S, Pick, PickSink, SensorId

EXIT_OK, EXIT_SOME_FAILED, EXIT_NOTHING_DONE = 0, 1, 2
SCAN_DEFAULTS = {"batch_size": 4096, "max_batch_delay_s": 60.0}
_MOST_DIGITS = 15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    parser.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="INPUT",
        help="waveform files, folders, an SDS root, or a list file: a line a station, its "
        "component files separated by white space",
    )
    parser.add_argument(
        "--out",
        "-o",
        action="append",
        type=Path,
        metavar="FILE",
        help="output file, repeatable; the suffix chooses the format: .txt .csv .jsonl .scml "
        ".xml .qml (default: predictions.txt)",
    )
    parser.add_argument("--start", metavar="TIME", help="leave out data before this UTC time")
    parser.add_argument("--end", metavar="TIME", help="leave out data from this UTC time on")
    parser.add_argument(
        "--print-precision",
        type=int,
        default=4,
        metavar="DIGITS",
        help="digits of the probability in .txt output (default: 4)",
    )
    parser.add_argument("--time", action="store_true", help="print the time spent in the network")
    add_model_options(parser)
    add_setting_options(parser, defaults=SCAN_DEFAULTS, leave_out=["max_batch_delay_s"])
    _add_original_options(parser)


def _add_original_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("as in the original program")
    group.add_argument("--no-filter", action="store_true", help="do not filter the waveforms")
    group.add_argument("--no-detrend", action="store_true", help="do not detrend the waveforms")
    group.add_argument(
        "--plot-positives",
        action="store_true",
        help="draw the filtered window of every pick into the folder OUT_positives",
    )
    group.add_argument(
        "--plot-positives-original",
        action="store_true",
        help="draw the unfiltered window of every pick into the folder OUT_positives",
    )
    group.add_argument(
        "--print-scores",
        action="store_true",
        help="save probabilities, window times and waveforms as .npy into the folder OUT_scores",
    )


def run(options: argparse.Namespace) -> int:
    """Scan; return the exit status."""
    return Scan(options).run()


class Scan:
    """One run of the subcommand.

    Args:
        options: the parsed command line.

    Raises:
        ConfigurationError: options that are not usable.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        defaults: dict[str, object] = {**SCAN_DEFAULTS, "detrend": not options.no_detrend}
        if options.no_filter:
            if "filter" in vars(options):
                raise ConfigurationError("--no-filter and --filter exclude each other")
            defaults["filter"] = ""
        self._settings = settings_from_options(options, defaults=defaults)
        effective_filter(self._settings)
        if not 0 <= options.print_precision <= _MOST_DIGITS:
            raise ConfigurationError(
                f"--print-precision: got {options.print_precision}; wanted 0 to {_MOST_DIGITS}"
            )
        self._start_ns = parse_time_option("--start", options.start)
        self._end_ns = parse_time_option("--end", options.end)
        if (
            self._start_ns is not None
            and self._end_ns is not None
            and self._start_ns >= self._end_ns
        ):
            raise ConfigurationError(f"--start {options.start} is not before --end {options.end}")
        self._outputs: list[Path] = options.out or [Path("predictions.txt")]
        self._problems: list[InputProblem] = []
        self._n_idle_sensors = 0
        self._written: set[str] = set()

    def run(self) -> int:
        """Scan; return the exit status."""
        with ExitStack() as stack:
            sinks = [self._open(stack, path) for path in self._outputs]
            index = index_inputs(self._options.inputs, start_ns=self._start_ns, end_ns=self._end_ns)
            for problem in index.problems:
                self._report(problem)
            if not index.groups:
                raise ConfigurationError("nothing to scan in the inputs")
            return self._scan(index.groups, sinks)

    def _open(self, stack: ExitStack, path: Path) -> PickSink:
        sink = open_sink(path, precision=self._options.print_precision)
        return stack.enter_context(sink)

    def _scan(self, groups: Sequence[ArchiveGroup], sinks: Sequence[PickSink]) -> int:
        model = load_model(self._options)
        classifier = TimedClassifier(model.classifier)
        observer = ScanObserver(
            scores=self._folder("scores", self._options.print_scores),
            positives=self._folder(
                "positives", self._options.plot_positives or self._options.plot_positives_original
            ),
            draw_filtered=self._options.plot_positives,
            draw_original=self._options.plot_positives_original,
        )
        pipeline = Pipeline(
            classifier, thresholds=model.thresholds, settings=self._settings, observer=observer
        )
        begun = time.perf_counter()
        ordered = sorted(groups, key=lambda group: (group.sensor_id, group.start_ns))
        for sensor_id, own in groupby(ordered, key=lambda group: group.sensor_id):
            for group in own:
                self._write(self._scan_group(pipeline, group), sinks)
            self._write(pipeline.finish(sensor_id), sinks)
        self._write(pipeline.flush(), sinks)
        for sensor_id in dict.fromkeys(group.sensor_id for group in ordered):
            self._close_sensor(pipeline, sensor_id, observer)
        elapsed_s = time.perf_counter() - begun
        observer.draw_originals(ordered)
        print(
            summary(
                pipeline.statistics,
                elapsed_s,
                n_problems=len(self._problems),
                n_idle_sensors=self._n_idle_sensors,
            )
        )
        if self._options.time:
            print(f"Total model prediction time: {classifier.elapsed_s:.6} seconds")
        return self._status(pipeline)

    def _scan_group(self, pipeline: Pipeline, group: ArchiveGroup) -> Iterator[Pick]:
        pipeline.expect(group.seed_ids)
        with tqdm(
            total=round((group.end_ns - group.start_ns) / NS_PER_S),
            desc=str(group.sensor_id),
            unit="s",
            unit_scale=True,
            leave=False,
            disable=None,
        ) as bar:
            for record in group.records(report=self._report):
                bar.update(max((record.start_ns - group.start_ns) // NS_PER_S - bar.n, 0))
                yield from pipeline.feed(record)

    def _write(self, picks: Iterable[Pick], sinks: Sequence[PickSink]) -> None:
        for pick in picks:
            if pick.public_id in self._written:
                continue
            self._written.add(pick.public_id)
            for sink in sinks:
                sink.write([pick])

    def _close_sensor(
        self, pipeline: Pipeline, sensor_id: SensorId, observer: ScanObserver
    ) -> None:
        """Say what was left out of a sensor, and whether anything was left to scan."""
        observer.log_left_out(sensor_id)
        if not pipeline.statistics.windows_by_sensor[sensor_id]:
            self._n_idle_sensors += 1
            self._say(f"{sensor_id}: no window to look at: {observer.why_idle(sensor_id)}")

    def _report(self, problem: InputProblem) -> None:
        self._problems.append(problem)
        self._say(str(problem))

    def _say(self, text: str) -> None:
        tqdm.write(f"scperformer scan: {text}", file=sys.stderr)

    def _folder(self, kind: str, wanted: bool) -> Path | None:
        if not wanted:
            return None
        folder = self._outputs[0].with_name(f"{self._outputs[0].stem}_{kind}")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _status(self, pipeline: Pipeline) -> int:
        if not pipeline.statistics.windows:
            return EXIT_NOTHING_DONE
        return EXIT_SOME_FAILED if self._problems or self._n_idle_sensors else EXIT_OK

"""One run of `scperformer scan`: inputs through the pipeline into files of picks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path

from tqdm import tqdm

from scperformer.cli import EXIT_NOTHING_DONE, EXIT_OK, EXIT_SOME_FAILED
from scperformer.cli.loading import load_model
from scperformer.cli.scan import ScanRequest
from scperformer.cli.scan_report import (
    ScanObserver,
    SensorFacts,
    channels_left_out,
    nothing_to_scan,
    summary,
    timed,
)
from scperformer.cli.stopping import StopSignal, stopping_on_signals
from scperformer.core.pipeline import Pipeline
from scperformer.core.sensors import effective_filter, owner
from scperformer.errors import ConfigurationError, OutputError
from scperformer.networks.loading import LoadedModel
from scperformer.picks.parquet import ParquetDays
from scperformer.picks.pick_files import FileSink, open_sink
from scperformer.picks.style import Style
from scperformer.types import NS_PER_S, Pick, PickSink, SensorId, format_time
from scperformer.waveforms.archive import ArchiveGroup, ArchiveIndex, index_inputs
from scperformer.waveforms.problems import InputProblem


class Scan:
    """One run of the subcommand.

    Args:
        load: gives the model when the inputs and outputs have been found to be usable; by
            default the one that the options name.

    Raises:
        ConfigurationError: the filter cannot be read.
    """

    def __init__(
        self, request: ScanRequest, *, load: Callable[[], LoadedModel] | None = None
    ) -> None:
        effective_filter(request.settings)
        self._request = request
        self._options = request.options
        self._load = load or (lambda: load_model(request.options))
        self._n_problems = 0
        self._n_idle_sensors = 0
        self._facts = SensorFacts()
        self._stop = StopSignal()
        self._reached_ns = 0
        self._unwritten: set[Path] = set()
        self._written: set[str] = set()

    def run(self) -> int:
        """Scan; return the exit status."""
        with ExitStack() as stack:
            stack.enter_context(stopping_on_signals(self._stop, at_once=False))
            sinks = [self._open(stack, path) for path in self._request.outputs]
            index, model = self._prepare()
            status = self._scan(index, model, sinks)
        n_picks = len(self._written)
        written = [path for path in self._request.outputs if path not in self._unwritten]
        for path in written:
            print(f"written: {path}, {n_picks} picks")
        if self._unwritten and status <= EXIT_NOTHING_DONE:
            return max(status, EXIT_SOME_FAILED) if written else EXIT_NOTHING_DONE
        return status

    def _prepare(self) -> tuple[ArchiveIndex, LoadedModel]:
        """Look through the inputs and load the model; a signal ends it there and then."""
        request = self._request
        try:
            with stopping_on_signals(self._stop):
                times = {"start_ns": request.start_ns, "end_ns": request.end_ns}
                index = index_inputs(self._options.inputs, **times, selection=request.selection)
                for problem in index.problems:
                    self._report(problem)
                if not index.groups:
                    raise ConfigurationError(nothing_to_scan(index, **times))
                return index, self._load()
        except SystemExit:
            self._say(f"ended by {self._stop.name} before anything was scanned; nothing is written")
            raise

    def _open(self, stack: ExitStack, path: Path) -> PickSink:
        style = Style(
            precision=self._options.print_precision,
            agency=self._options.agency,
            author=self._options.author,
            amplitude_phases=self._request.settings.amplitude_phases,
        )
        sink = open_sink(path, style)
        stack.push(partial(self._close, sink, path))
        return sink

    def _close(
        self,
        sink: FileSink | ParquetDays,
        path: Path,
        kind: type[BaseException] | None,
        *_: object,
    ) -> None:
        """Write an output, nothing if the scan failed; one that fails costs no other."""
        if kind is not None:
            sink.discard()
            return
        try:
            sink.close()
        except OutputError as error:
            self._unwritten.add(path)
            self._say(str(error))

    def _scan(self, index: ArchiveIndex, model: LoadedModel, sinks: Sequence[PickSink]) -> int:
        stopwatch = timed(model.classifier) if self._options.time else None
        observer = self._observer()
        whose = owner(self._options.agency, self._options.author)
        pipeline = replace(model, classifier=stopwatch or model.classifier).pipeline(
            self._request.settings, observer=observer, owner=whose
        )
        pipeline.batches.catches_up = True  # an archive has nobody waiting: fill every batch
        begun = time.perf_counter()
        ordered = sorted(index.groups, key=lambda group: (group.sensor_id, group.start_ns))
        scanned = self._scan_sensors(pipeline, ordered, sinks)
        for sensor_id in scanned:
            self._close_sensor(pipeline, sensor_id, observer)
        elapsed_s = time.perf_counter() - begun
        if not self._stop.is_set():
            observer.draw_originals(ordered)
        counts = {"n_problems": self._n_problems, "n_idle_sensors": self._n_idle_sensors}
        print(summary(pipeline.statistics, elapsed_s, **counts))
        if index.left_out:
            print(f"left out: {channels_left_out(index.left_out)}")
        if stopwatch is not None:
            print(f"Total model prediction time: {stopwatch.elapsed_s:.6} seconds")
        return max(self._status(pipeline), EXIT_SOME_FAILED if observer.has_failed else EXIT_OK)

    def _observer(self) -> ScanObserver:
        options = self._options
        draws = options.plot_positives or options.plot_positives_original
        return ScanObserver(
            scores=self._folder("scores", options.print_scores),
            positives=self._folder("positives", draws),
            draw_filtered=options.plot_positives,
            draw_original=options.plot_positives_original,
        )

    def _scan_sensors(
        self, pipeline: Pipeline, groups: Sequence[ArchiveGroup], sinks: Sequence[PickSink]
    ) -> list[SensorId]:
        """Scan sensor by sensor, until a signal comes; return those that were scanned whole."""
        scanned: list[SensorId] = []
        for sensor_id, own in groupby(groups, key=lambda group: group.sensor_id):
            for group in own:
                self._write(self._scan_group(pipeline, group), sinks)
            if self._stop.is_set():
                # What is not decided yet would be with the data that follow: it is no pick.
                self._write(pipeline.classify_pending(), sinks)
                n_sensors = len({group.sensor_id for group in groups})
                self._say(
                    f"ended by {self._stop.name} after {len(scanned)} of {n_sensors} sensors, in "
                    f"{sensor_id} at {format_time(self._reached_ns)}; the picks decided so far "
                    "are written"
                )
                return scanned
            self._write(pipeline.finish(sensor_id), sinks)
            scanned.append(sensor_id)
        self._write(pipeline.flush(), sinks)
        return scanned

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
                self._reached_ns = record.start_ns
                if self._stop.is_set():
                    return
                bar.update(max((record.start_ns - group.start_ns) // NS_PER_S - bar.n, 0))
                self._facts.note(record)
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
        left_out = observer.log_left_out(sensor_id)
        if not pipeline.statistics.windows_by_sensor[sensor_id]:
            self._n_idle_sensors += 1
            why = left_out or self._facts.why_idle(sensor_id, self._request.settings)
            self._say(f"{sensor_id}: no window to look at: {why}")

    def _report(self, problem: InputProblem) -> None:
        self._n_problems += not problem.is_note
        self._say(str(problem))

    def _say(self, text: str) -> None:
        tqdm.write(f"scperformer scan: {text}", file=sys.stderr)

    def _folder(self, kind: str, wanted: bool) -> Path | None:
        if not wanted:
            return None
        first = self._request.outputs[0]
        folder = first.with_name(f"{first.stem}_{kind}")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _status(self, pipeline: Pipeline) -> int:
        if self._stop.is_set():
            return self._stop.exit_status
        if not pipeline.statistics.windows:
            return EXIT_NOTHING_DONE
        return EXIT_SOME_FAILED if self._n_problems or self._n_idle_sensors else EXIT_OK

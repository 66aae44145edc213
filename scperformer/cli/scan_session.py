"""One run of `scperformer scan`: inputs through the pipeline into files of picks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import groupby
from pathlib import Path

from tqdm import tqdm

from scperformer.cli.loading import LoadedModel, load_model
from scperformer.cli.scan import ScanRequest
from scperformer.cli.scan_report import ScanObserver, TimedClassifier, summary
from scperformer.core.pipeline import Pipeline
from scperformer.core.sensors import effective_filter
from scperformer.errors import ConfigurationError, OutputError
from scperformer.io.archive import ArchiveGroup, index_inputs
from scperformer.io.problems import InputProblem
from scperformer.io.sinks import FileSink, open_sink
from scperformer.types import NS_PER_S, Pick, PickSink, SensorId

EXIT_OK, EXIT_SOME_FAILED, EXIT_NOTHING_DONE = 0, 1, 2


class Scan:
    """One run of the subcommand.

    Args:
        request: what the command line asks for.
        load: gives the model; called when the inputs and outputs have been found to be
            usable. By default the model that the options name is loaded.

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
        self._problems: list[InputProblem] = []
        self._n_idle_sensors = 0
        self._n_unwritten = 0
        self._written: set[str] = set()

    def run(self) -> int:
        """Scan; return the exit status."""
        request = self._request
        with ExitStack() as stack:
            sinks = [self._open(stack, path) for path in request.outputs]
            index = index_inputs(
                self._options.inputs, start_ns=request.start_ns, end_ns=request.end_ns
            )
            for problem in index.problems:
                self._report(problem)
            if not index.groups:
                raise ConfigurationError("nothing to scan in the inputs")
            status = self._scan(index.groups, sinks)
        if self._n_unwritten:
            is_all = self._n_unwritten == len(request.outputs)
            return EXIT_NOTHING_DONE if is_all else max(status, EXIT_SOME_FAILED)
        return status

    def _open(self, stack: ExitStack, path: Path) -> PickSink:
        sink = open_sink(
            path,
            precision=self._options.print_precision,
            amplitude_phases=self._request.settings.amplitude_phases,
        )
        stack.push(partial(self._close, sink))
        return sink

    def _close(self, sink: FileSink, kind: type[BaseException] | None, *_: object) -> None:
        """Write an output, nothing if the scan failed; one that fails costs no other."""
        if kind is not None:
            sink.discard()
            return
        try:
            sink.close()
        except OutputError as error:
            self._n_unwritten += 1
            self._say(str(error))

    def _scan(self, groups: Sequence[ArchiveGroup], sinks: Sequence[PickSink]) -> int:
        model = self._load()
        timed = TimedClassifier(model.classifier) if self._options.time else None
        observer = ScanObserver(
            scores=self._folder("scores", self._options.print_scores),
            positives=self._folder(
                "positives", self._options.plot_positives or self._options.plot_positives_original
            ),
            draw_filtered=self._options.plot_positives,
            draw_original=self._options.plot_positives_original,
        )
        pipeline = Pipeline(
            timed or model.classifier,
            thresholds=model.thresholds,
            settings=self._request.settings,
            observer=observer,
            context=model.context,
        )
        pipeline.catches_up = True  # an archive has nobody waiting: fill every batch
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
        if timed is not None:
            print(f"Total model prediction time: {timed.elapsed_s:.6} seconds")
        return max(self._status(pipeline), EXIT_SOME_FAILED if observer.has_failed else EXIT_OK)

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
        first = self._request.outputs[0]
        folder = first.with_name(f"{first.stem}_{kind}")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _status(self, pipeline: Pipeline) -> int:
        if not pipeline.statistics.windows:
            return EXIT_NOTHING_DONE
        return EXIT_SOME_FAILED if self._problems or self._n_idle_sensors else EXIT_OK

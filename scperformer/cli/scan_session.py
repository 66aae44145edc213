"""One run of `scperformer scan`: inputs, piece by piece, into files of picks."""

from __future__ import annotations

import heapq
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from scperformer.cli import EXIT_NOTHING_DONE, EXIT_OK, EXIT_SOME_FAILED
from scperformer.cli.loading import from_anywhere, load_model
from scperformer.cli.progress import Progress
from scperformer.cli.scan import ScanRequest
from scperformer.cli.scan_page import Page
from scperformer.cli.scan_report import picks_by_station, summary
from scperformer.cli.stopping import StopSignal, stopping_on_signals
from scperformer.core.sensors import effective_filter, owner
from scperformer.errors import ConfigurationError, InputError, OutputError
from scperformer.networks.loading import LoadedModel
from scperformer.picks.growing import GrowingDays, GrowingFile, open_growing
from scperformer.picks.parquet import ParquetDays
from scperformer.picks.style import Style
from scperformer.scanning.crew import Alone, Crew, Processes, in_order
from scperformer.scanning.ledger import Ledger
from scperformer.scanning.listening import ExtraOutputs
from scperformer.scanning.tally import Tally, samples
from scperformer.scanning.work import PieceResult, Work
from scperformer.types import Pick, format_time
from scperformer.waveforms.archive import ArchiveIndex
from scperformer.waveforms.contents import Span
from scperformer.waveforms.local import LocalInputs
from scperformer.waveforms.pieces import Piece
from scperformer.waveforms.problems import InputProblem, Report, say_nothing
from scperformer.waveforms.selection import channels_left_out
from scperformer.waveforms.sources import find_pieces, parse_source

_NO_MATTER = ("batch_size", "max_batch_delay_s")
"""Settings on which no pick depends."""

_MOST_PASSING = 100_000
"""Problems of files that are remembered: the pieces of the days beside tell them as well."""

_Output = GrowingFile | GrowingDays | ParquetDays

_log = logging.getLogger(__name__)


class Scan:
    """One run of the subcommand.

    Args:
        request: what is asked for.
        load: gives the model when the inputs and outputs have been found to be usable; by
            default the one that the options name. For other processes it is pickled.

    Raises:
        ConfigurationError: the filter cannot be read.
    """

    def __init__(
        self, request: ScanRequest, *, load: Callable[[], LoadedModel] | None = None
    ) -> None:
        effective_filter(request.settings)
        self._request = request
        self._options = from_anywhere(request.options)
        self._load = load or partial(load_model, self._options)
        self._passing: dict[InputProblem, None] = {}
        self._stop = StopSignal()
        self._outputs: list[_Output] = []
        self._unwritten: set[Path] = set()
        self._tally = Tally()
        self._n_pieces: int | None = None
        self._failed_extra = False

    def run(self) -> int:
        """Scan; return the exit status."""
        with ExitStack() as stack:
            stack.enter_context(stopping_on_signals(self._stop, at_once=False))
            ledger = None
            if self._options.resume is not None:
                ledger = stack.enter_context(Ledger(self._options.resume))
            style = self._style(ledger)
            for path in self._request.outputs:
                output = open_growing(
                    path, style, again=ledger is not None, roll=self._options.roll
                )
                self._outputs.append(output)
                stack.push(partial(self._close, output))
            local, model = self._prepare()
            status = self._scan(local, model, ledger)
        written = [path for path in self._request.outputs if path not in self._unwritten]
        for path in written:
            print(f"written: {path}, {self._tally.n_picks} picks")
        if self._unwritten and status <= EXIT_NOTHING_DONE:
            return max(status, EXIT_SOME_FAILED) if written else EXIT_NOTHING_DONE
        return status

    def _style(self, ledger: Ledger | None) -> Style:
        style = Style(
            precision=self._options.print_precision,
            agency=self._options.agency,
            author=self._options.author,
            amplitude_phases=self._request.settings.amplitude_phases,
        )
        return style if ledger is None else replace(style, created_ns=ledger.created_ns)

    def _close(self, output: _Output, kind: type[BaseException] | None, *_: object) -> None:
        """Complete an output; one that fails costs no other."""
        if kind is None:
            self._try(output, output.close)
        else:
            output.discard()

    def _try(self, output: _Output, act: Callable[[], None]) -> None:
        try:
            act()
        except OutputError as error:
            self._unwritten.add(output.path)
            self._outputs.remove(output)
            self._say(str(error))

    def _prepare(self) -> tuple[LocalInputs, LoadedModel]:
        """Look through the inputs and load the model; a signal ends it there and then."""
        request = self._request
        try:
            with stopping_on_signals(self._stop):
                times = {"start_ns": request.start_ns, "end_ns": request.end_ns}
                inputs = self._options.inputs
                local = LocalInputs.of(inputs, **times, selection=request.selection)
                for problem in local.index.problems:
                    self._tell(problem)
                for source in self._options.source:
                    parse_source(source)
                if local.is_empty and not self._options.source:
                    raise ConfigurationError(local.why_empty(**times))
                return local, self._load()
        except SystemExit:
            self._say(f"ended by {self._stop.name} before anything was scanned; nothing is written")
            raise

    def _scan(self, local: LocalInputs, model: LoadedModel, ledger: Ledger | None) -> int:
        begun_s = time.perf_counter()
        page = self._page(local.index, model)
        whose = owner(self._options.agency, self._options.author)
        if ledger is not None:
            ledger.check(_facts(model, self._request, whose))
        if not self._options.source:
            self._n_pieces = local.n_pieces
        progress = Progress(self._n_pieces, self._say)
        with ExitStack() as stack:
            stack.callback(progress.close)
            crew = self._crew(model, whose, progress)
            stack.callback(crew.close)
            known = _nothing if ledger is None else ledger.known
            pieces = self._pieces(local)
            for piece, result, was_known in in_order(pieces, crew, known, self._stop):
                if ledger is not None and not was_known:
                    ledger.note(piece, result)
                result.problems = self._new_problems(result.problems)
                picks = self._take(piece, result, was_known=was_known)
                if page is not None:
                    page.add(piece, result, picks)
                progress.done(piece, known=was_known)
                if not (self._outputs or page or (ledger and ledger.is_sound)):
                    self._say("nothing can be written any more: ended")
                    break
        if self._stop.is_set():
            self._say(self._how_far(ledger))
        if ledger is not None and ledger.n_left and not self._stop.is_set():
            left = "1 station-day is" if ledger.n_left == 1 else f"{ledger.n_left} station-days are"
            self._say(f"{left} left; the same command goes on there")
        self._failed_extra |= ledger is not None and not ledger.is_sound
        if page is not None:
            self._write_page(page, local)
        self._summarise(local, time.perf_counter() - begun_s)
        return self._status()

    def _page(self, index: ArchiveIndex, model: LoadedModel) -> Page | None:
        options = self._options
        if options.report is None:
            return None
        page = Page(options.report, options.labels, model, self._request.settings)
        for problem in index.problems:
            page.note(str(problem))
        return page

    def _write_page(self, page: Page, local: LocalInputs) -> None:
        def between(start_ns: int, end_ns: int) -> Iterator[Piece]:
            span = Span(start_ns, end_ns)
            near = local.pieces_between(start_ns, end_ns)
            for piece in chain(near, *self._far(start_ns, end_ns, say_nothing)):
                if span.touches(piece.start_ns, piece.end_ns):
                    yield piece

        try:
            page.write(between, ended_by=self._stop.name if self._stop.is_set() else "")
            print(f"written: {page.path}")
        except OutputError as error:
            self._failed_extra = True
            self._say(str(error))

    def _pieces(self, local: LocalInputs) -> Iterator[Piece]:
        """Yield all pieces by day and sensor."""
        far = self._far(self._request.start_ns, self._request.end_ns, self._tell)
        return heapq.merge(local.pieces(self._tell), *far, key=lambda piece: piece.order)

    def _far(
        self, start_ns: int | None, end_ns: int | None, report: Report
    ) -> list[Iterator[Piece]]:
        """Find the pieces of the sources between two times."""
        found = []
        for source in self._options.source:
            pieces = find_pieces(
                source,
                selection=self._request.selection,
                start_ns=start_ns,
                end_ns=end_ns,
                stations=self._options.stations_xml,
                report=report,
            )
            found.append(_as_far_as_told(source, pieces, report))
        return found

    def _crew(self, model: LoadedModel, whose: str, progress: Progress) -> Crew:
        extras = self._extras()
        dask, jobs = self._options.dask, self._request.jobs
        load = self._load if dask or jobs > 1 else lambda: model
        timed = bool(self._options.time)
        work = Work(
            load,
            self._request.settings,
            owner=whose,
            extras=extras,
            sha256=model.classifier.sha256,
            is_timed=timed,
        )
        if dask:
            from scperformer.scanning.dask_crew import Cluster  # noqa: PLC0415

            return Cluster(work, dask)
        if jobs > 1:
            return Processes(work, jobs)
        return Alone(work, self._stop, progress.within)

    def _extras(self) -> ExtraOutputs:
        options = self._options
        draws = options.plot_positives or options.plot_positives_original
        return ExtraOutputs(
            scores=self._folder("scores", options.print_scores),
            positives=self._folder("positives", draws),
            draws_filtered=options.plot_positives,
            draws_original=options.plot_positives_original,
        )

    def _take(self, piece: Piece, result: PieceResult, *, was_known: bool) -> list[Pick]:
        """Write the picks of a piece, and count what came of it; return them."""
        picks = self._tally.take(piece, result)
        for output in list(self._outputs):
            self._try(output, partial(output.write, picks))
        for problem in result.problems:
            self._tell(problem)
        if not was_known:
            for warning in result.warnings:
                _log.warning("%s", warning)
        return picks

    def _new_problems(self, problems: tuple[InputProblem, ...]) -> tuple[InputProblem, ...]:
        """Leave out those of files that the pieces beside have told of as well."""
        new = [one for one in problems if not (one.is_passing and one in self._passing)]
        self._passing |= dict.fromkeys(one for one in new if one.is_passing)
        while len(self._passing) > _MOST_PASSING:
            del self._passing[next(iter(self._passing))]
        return tuple(new)

    def _how_far(self, ledger: Ledger | None) -> str:
        tally = self._tally
        where = ""
        if tally.last is not None:
            where = f", in {tally.last} at {format_time(tally.reached_ns)}"
        of_all = "" if self._n_pieces is None else f" of {self._n_pieces:,}"
        advice = "; --resume FOLDER would have let it go on from there"
        if ledger is not None:
            advice = "; the same command goes on from there"
        done = f"{tally.n_whole:,}{of_all} station-days{where}"
        name = self._stop.name
        return f"ended by {name} after {done}; the picks decided so far are written{advice}"

    def _summarise(self, local: LocalInputs, elapsed_s: float) -> None:
        tally = self._tally
        for seed_id, reasons in sorted(tally.left_out.items()):
            _log.warning("%s: left out: %s", seed_id, "; ".join(samples(reasons)))
        if not self._stop.is_set():
            for sensor_id, why in tally.idle_sensors():
                self._say(f"{sensor_id}: no window to look at: {why}")
        n_idle = 0 if self._stop.is_set() else len(tally.idle_sensors())
        print(
            summary(tally.statistics, elapsed_s, n_problems=tally.n_problems, n_idle_sensors=n_idle)
        )
        if tally.by_station:
            print(picks_by_station(tally.by_station))
        if local.left_out:
            print(f"left out: {channels_left_out(local.left_out)}")
        if self._options.time:
            print(f"Total model prediction time: {tally.network_s:.6} seconds")

    def _tell(self, problem: InputProblem) -> None:
        self._tally.n_problems += not problem.is_note
        self._say(str(problem))

    def _say(self, text: str) -> None:
        tqdm.write(f"scperformer scan: {text}", file=sys.stderr)

    def _folder(self, kind: str, wanted: bool) -> Path | None:
        if not wanted:
            return None
        first = self._request.outputs[0].absolute()
        folder = first.with_name(f"{first.stem}_{kind}")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _status(self) -> int:
        tally = self._tally
        if self._stop.is_set():
            return self._stop.exit_status
        if not tally.statistics.windows:
            return EXIT_NOTHING_DONE
        if tally.n_problems or tally.idle_sensors() or tally.extras_failed or self._failed_extra:
            return EXIT_SOME_FAILED
        return EXIT_OK


def _as_far_as_told(source: str, pieces: Iterator[Piece], report: Report) -> Iterator[Piece]:
    """Yield pieces; a source that does not tell what it has ends there, and the rest goes on."""
    try:
        yield from pieces
    except InputError as error:
        report(InputProblem(Path("--source"), f"{source}: {error}", ""))


def _nothing(piece: Piece) -> PieceResult | None:
    """Know no piece: nothing was done before."""
    del piece
    return None


def _facts(model: LoadedModel, request: ScanRequest, whose: str) -> dict[str, str]:
    """What decides about picks, for a comparison."""
    settings = {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in asdict(request.settings).items()
        if name not in _NO_MATTER
    }
    return {
        "model": f"{model.classifier.name} {model.classifier.sha256[:16]}".strip(),
        "owner": whose,
        "thresholds": str(model.thresholds),
        **{name: json.dumps(value) for name, value in settings.items()},
    }

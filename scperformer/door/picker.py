"""A model with its settings, which picks whatever it is given."""

from __future__ import annotations

import logging
import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack, cast, overload

from scperformer.config import DEFAULT_AUTHOR, MODEL_FILTER, UNHURRIED, Settings
from scperformer.core.pipeline import MANY_RECORDS
from scperformer.core.sensors import owner
from scperformer.core.statistics import ScoredWindows
from scperformer.door.answers import Answers
from scperformer.door.asked import Asked, AskedWords, read_asked
from scperformer.door.inputs import Given, Name, is_iterator, open_inputs
from scperformer.door.picks import Picks
from scperformer.door.scan import Scan
from scperformer.door.session import (
    Feedable,
    Session,
    StreamLike,
    TraceLike,
    is_stream,
    is_trace,
)
from scperformer.door.views import View, look_at
from scperformer.errors import ConfigurationError, InputError
from scperformer.networks.loading import LoadedModel
from scperformer.picks.pick_files import in_order
from scperformer.picks.style import Style
from scperformer.scanning.listening import Scored
from scperformer.types import SAMPLE_NS, Pick
from scperformer.waveforms.feed import Feed, Source
from scperformer.waveforms.live import open_sources
from scperformer.waveforms.local import LocalInputs
from scperformer.waveforms.pieces import AFTER_NS, BEFORE_NS
from scperformer.waveforms.problems import (
    LimitedLog,
    LoggingObserver,
)
from scperformer.waveforms.selection import SCHEMES

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from obspy import Stream

_DAY_S = 86_400.0

_log = logging.getLogger(__name__)


class Picker:
    """A model with its settings. `load` makes one.

    It keeps nothing between two calls: each begins anew. One thread at a time may use it or
    its sessions, of which there may be several.

    Args:
        model: the model.
        given: settings that differ from the defaults, by the attributes of `Settings`.
        agency: agency id of documents, and part of the picks' public ids.
        author: author of documents, and part of the public ids unless it is the default.

    Attributes:
        name: the model's name.
        model: the model.
        settings: those in force.

    Raises:
        ConfigurationError: settings that do not go with the model.
    """

    def __init__(
        self,
        model: LoadedModel,
        given: Mapping[str, Any],
        *,
        agency: str = "",
        author: str = DEFAULT_AUTHOR,
    ) -> None:
        self.name = model.classifier.name
        self.model = model
        self.settings = Settings(**given)
        self._given = dict(given)
        self._unhurried = Settings(**{**UNHURRIED, **given})
        self._owner = owner(agency, author)
        phases = self.settings.amplitude_phases
        self._style = Style(agency=agency, author=author, amplitude_phases=phases)
        model.pipeline(self.settings)

    @property
    def filter_id(self) -> str:
        """The filter in use, in SeisComP's grammar; empty for none."""
        own = self.settings.filter
        return self.model.own_filter if own == MODEL_FILTER else own

    def __repr__(self) -> str:
        settings = (f"{name}={value!r}" for name, value in self._given.items())
        return f"<Picker: {', '.join((self.name, *settings))}>"

    def classify(self, waveforms: Given, **asked: Unpack[AskedWords]) -> Picks:
        """Pick waveforms, by the code of ``scperformer scan``.

        Args:
            waveforms: an `obspy.Stream` or `obspy.Trace`; the name of a file, a folder, an SDS
                root or a list file, or a list of names, of which no more than a piece, a day of
                a sensor, is in memory; or an iterator of what `Session.feed` takes, in the
                order of time, which is picked as ``scperformer stream`` does.
            asked: ``start`` and ``end``; ``stations``, ``network``, ``location`` and
                ``channels`` as on the command line.

        Returns:
            The picks by time. What was wrong with the waveforms is in their `problems`, and
            was told in the log.

        Raises:
            ConfigurationError: a keyword that is not usable.
            InputError: there was nothing to look at; says why.

        >>> import obspy, scperformer
        >>> picks = scperformer.load().classify(obspy.read())
        >>> for pick in picks:
        ...     print(pick.phase, pick.station, f"{pick.time_ns / 1e9 % 60:.1f} s")
        P BW.RJOB 7.7 s
        S BW.RJOB 8.7 s
        """
        wanted = read_asked(**asked)
        if is_iterator(waveforms):
            session = self._session(wanted, is_live=False)
            return self._picks(self._push(waveforms, session))
        scan = self._scan()
        found = scan.run(open_inputs(waveforms, wanted))
        return self._picks((pick for _, picks in found for pick in picks), scan.problems)

    @overload
    def annotate(
        self, waveforms: StreamLike | TraceLike, **asked: Unpack[AskedWords]
    ) -> Stream: ...
    @overload
    def annotate(self, waveforms: Given, **asked: Unpack[AskedWords]) -> Iterator[Stream]: ...
    def annotate(self, waveforms: Given, **asked: Unpack[AskedWords]) -> Stream | Iterator[Stream]:
        """Return what the network says of waveforms: probabilities of P, S and noise.

        The time of a sample is the time that its probabilities speak of, whenever the network
        could say it. There is a trace for each class and stretch without a gap; its channel
        code is ``STREAMING_P``, ``_S`` or ``_N`` (the model's name in front), its rate that of
        the network's columns, its ``stats.instrument`` band and instrument of the channels,
        such as HH. A pick is made where the mean of log-odds over ``smoothing_s`` has a maximum
        above the threshold.

        Args:
            waveforms: as in `classify`.
            asked: likewise.

        Returns:
            Of a stream or trace in memory, a stream. Of all else an iterator of streams: for
            names one for each piece, a day of a sensor; for an iterator as they come.

        Raises:
            ConfigurationError: a keyword that is not usable.
            InputError: there was nothing to look at; says why.

        >>> import obspy, scperformer
        >>> print(scperformer.load().annotate(obspy.read())[0])
        BW.RJOB..STREAMING_P | 2009-08-24T00:20:03.040000Z - ... | 6.2 Hz, 175 samples
        """
        wanted = read_asked(**asked)
        if is_iterator(waveforms):
            return self._annotate_iterator(waveforms, wanted)
        inputs = open_inputs(waveforms, wanted)
        if is_stream(waveforms) or is_trace(waveforms):
            answers = Answers()
            for _ in self._scan().run(inputs, listen=answers.of_piece):
                pass
            return self._stream_of(answers)
        return self._annotate_pieces(inputs)

    def stream(
        self,
        source: Name | Sequence[Name] | Iterator[Feedable],
        *,
        speed: float = math.inf,
        **asked: Unpack[AskedWords],
    ) -> Iterator[Pick]:
        """Pick in real time, by the code of ``scperformer stream``.

        Args:
            source: ``slink://HOST:PORT`` (or ``slinks://``; wants ``stations``), a file, a
                folder, an SDS root, ``-`` for miniSEED on standard input, or a list of these;
                or an iterator of what `Session.feed` takes.
            speed: files are replayed at so many times real time.
            asked: as in `classify`; ``end`` is for iterators only.

        Yields:
            Picks as soon as they are decided. A server's stream ends when the iterator is
            closed, or the loop over it is left.

        Raises:
            ConfigurationError: a source or a keyword that is not usable.
            InputError: there is nothing in the files; at the end, that a source has failed.
        """
        wanted = read_asked(**asked)
        if is_iterator(source):
            return self._push(source, self._session(wanted))
        if isinstance(source, (str, os.PathLike)):
            source = [source]
        names = [os.fspath(name) for name in cast(Sequence[Name], source)]
        if any(name.startswith(SCHEMES) for name in names) and not wanted.selection.stations:
            raise ConfigurationError("slink:// wants stations, such as stations='CI.*,PB.B91?'")
        if wanted.end_ns is not None:
            raise ConfigurationError("end has no meaning where names are streamed; use classify")
        sources = open_sources(
            names, selection=wanted.selection, start_ns=wanted.start_ns, speed=speed
        )
        return self._follow(sources, Asked(selection=wanted.selection))

    def session(
        self, *, on_pick: Callable[[Pick], None] | None = None, **asked: Unpack[AskedWords]
    ) -> Session:
        """Begin a session that waveforms are pushed into.

        Args:
            on_pick: is called with every pick, those of the session's end as well.
            asked: as in `classify`.

        Raises:
            ConfigurationError: a keyword that is not usable.

        >>> import obspy, scperformer
        >>> with scperformer.load().session(on_pick=lambda pick: print(pick.phase)) as live:
        ...     for second in obspy.read().slide(1.0, 1.0):
        ...         picks = live.feed(second)
        P
        S
        """
        return self._session(read_asked(**asked), on_pick=on_pick)

    def plot(
        self,
        waveforms: StreamLike | TraceLike | Sequence[TraceLike] | Name | Sequence[Name],
        *,
        event: Any = None,
        stations_xml: Any = None,
        section: bool | None = None,
        **asked: Unpack[AskedWords],
    ) -> Figure:
        """Draw waveforms with what the network says and the picks.

        One sensor is drawn with its components as the network sees them, the vertical's
        spectrogram, the probabilities that decide and the picks with their uncertainties.
        Several make a record section: by distance from the epicentre if `event` and
        `stations_xml` tell it, else by S minus P, or by the first P.

        Args:
            waveforms: as in `classify`, but for iterators; at most six hours of them.
            event: the earthquake: a file (QuakeML, SCML or CSV), an obspy Event or Origin, or
                (time, latitude, longitude).
            stations_xml: StationXML or SeisComP inventory, a file or several, or an obspy
                Inventory.
            section: draw a section, also of one sensor.
            asked: as in `classify`; up to 150 s before ``start`` are read for the network's
                memory, so that what it says is what it says of the whole record.

        Returns:
            A matplotlib figure: ``figure.savefig("picture.png")``.

        Raises:
            ConfigurationError: matplotlib is not installed, or a keyword that is not usable.
            InputError: there was nothing to look at; says why.
        """
        from scperformer.door.drawing import draw  # noqa: PLC0415 - only where it is needed

        views = self.look(waveforms, **asked)
        return draw(self, views, event=event, stations_xml=stations_xml, section=section)

    def look(self, waveforms: Any, **asked: Unpack[AskedWords]) -> list[View]:
        """Return what there is to draw of each sensor, those first that come first by name.

        Args:
            waveforms: as in `plot`.
            asked: as in `classify`.

        Raises:
            ConfigurationError: more than six hours, or a keyword that is not usable.
            InputError: there was nothing to look at; says why.
        """
        drawn = read_asked(**asked)
        inputs = open_inputs(waveforms, drawn, beside=(BEFORE_NS, AFTER_NS))
        return look_at(inputs, self._scan(), drawn)

    def _picks(self, picks: Iterator[Pick], problems: list[str] | None = None) -> Picks:
        ordered = in_order(picks)
        return Picks(ordered, style=self._style, problems=problems or ())

    def _scan(self) -> Scan:
        return Scan(self.model, self._unhurried, self._owner)

    def _annotate_pieces(self, inputs: LocalInputs) -> Iterator[Stream]:
        answers = Answers()
        for _ in self._scan().run(inputs, listen=answers.of_piece):
            if found := self._stream_of(answers):
                yield found

    def _annotate_iterator(self, waveforms: Iterator[Feedable], wanted: Asked) -> Iterator[Stream]:
        answers = Answers()
        session = self._session(wanted, answers=answers, is_live=False)
        for data in waveforms:
            session.feed(data)
            if found := self._stream_of(answers):
                yield found
        session.close()
        if found := self._stream_of(answers):
            yield found
        _check_looked(session)

    def _stream_of(self, answers: Answers) -> Stream:
        step_ns = self.settings.shift_samples * SAMPLE_NS
        return answers.take(model=self.name, step_ns=step_ns)

    def _push(self, waveforms: Iterator[Feedable], session: Session) -> Iterator[Pick]:
        with session:
            for data in waveforms:
                yield from session.feed(data)
            yield from session.close()
        _check_looked(session)

    def _follow(self, sources: Sequence[Source], wanted: Asked) -> Iterator[Pick]:
        stop = threading.Event()
        feed = Feed(sources, stop)
        try:
            with self._session(wanted) as session:
                for record in feed:
                    if record is None:
                        yield from session.poll()
                        continue
                    session.hurry(is_late=feed.n_waiting > MANY_RECORDS)
                    yield from session.feed(record)
                yield from session.close()
        finally:
            stop.set()
        if feed.failed:
            raise InputError(f"ended by an error, which the log has: {', '.join(feed.failed)}")

    def _session(
        self,
        wanted: Asked,
        *,
        on_pick: Callable[[Pick], None] | None = None,
        answers: Answers | None = None,
        is_live: bool = True,
    ) -> Session:
        observer = _Heard(None if answers is None else answers.scored)
        settings = self.settings if is_live else self._unhurried
        pipeline = self.model.pipeline(settings, observer=observer, owner=self._owner)
        return Session(pipeline, asked=wanted, style=self._style, on_pick=on_pick, is_live=is_live)


class _Heard(LoggingObserver):
    """Logs gaps and left-out samples, what lasts once a day, and passes on what is said."""

    def __init__(self, scored: Scored | None) -> None:
        super().__init__(LimitedLog(_log), LimitedLog(_log, interval_s=_DAY_S))
        self.wants_scores = scored is not None
        self._scored = scored

    def scored(self, windows: ScoredWindows) -> None:
        if self._scored is not None:
            self._scored(windows)


def _check_looked(session: Session) -> None:
    if session.why_idle:
        raise InputError(f"no window to look at: {session.why_idle}")

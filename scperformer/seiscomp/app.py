"""The application: SeisComP's side of the picker, without any picking of its own."""

from __future__ import annotations

import functools
import gc
import logging
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from seiscomp import client, core, datamodel, system

from scperformer import __version__
from scperformer.core.sensors import owner
from scperformer.delivery.outbox import Kind, Outbox
from scperformer.delivery.store import Store
from scperformer.errors import ConfigurationError, RecordError, ScperformerError
from scperformer.monitoring.vitals import Vitals
from scperformer.monitoring.watch import Watch
from scperformer.networks.loading import LoadedModel
from scperformer.picks.style import Style
from scperformer.seiscomp import configuration as conf
from scperformer.seiscomp.configuration import Bindings, read_bindings
from scperformer.seiscomp.logs import DumpingObserver, LogObserver, Losses, bridge
from scperformer.seiscomp.messages import Connection, Sender, StoredPicks
from scperformer.seiscomp.objects import ObjectMaker, PublicIds, convert, seed_id_of, to_time
from scperformer.seiscomp.outputs import (
    DocumentOutput,
    ExportOutput,
    LineOutput,
    MessagingOutput,
)
from scperformer.seiscomp.picker import Picker, load_model
from scperformer.seiscomp.streams import (
    Inventory,
    SeiscompInventory,
    Selection,
    select_streams,
)
from scperformer.types import Phase, Pick, PickSink, SeedId
from scperformer.waveforms.problems import LimitedLog

_log = logging.getLogger(__name__)

_TIMER_S = 1
_ASK_S = 0.02


def guarded(answer: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a handler answer instead of raising into SeisComP, which would end without `done`."""

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(self: Any, *arguments: Any) -> Any:
            try:
                return method(self, *arguments)
            except ScperformerError as error:
                _complain(str(error))
            except Exception:
                _log.exception("%s failed", method.__name__)
                if method.__name__ in ("initConfiguration", "validateParameters", "init"):
                    print(f"scperformer: {method.__name__}: {sys.exc_info()[1]!r}", file=sys.stderr)
            return answer

        return call

    return decorate


def _complain(text: str) -> None:
    for line in text.splitlines():
        _log.error("%s", line)
        print(f"scperformer: {line}", file=sys.stderr)


class App(client.StreamApplication):  # type: ignore[misc]
    """The picker as a SeisComP module; `load` loads a model by its name or folder."""

    def __init__(
        self, argc: int, argv: list[str], *, load: Callable[..., LoadedModel] = load_model
    ) -> None:
        super().__init__(argc, argv)
        # SeisComP's log opens in `init`; until then Python itself would print errors, too.
        _log.addHandler(logging.NullHandler())
        # What is enabled here gets its options; validateParameters disables what is not wanted.
        self.setMessagingEnabled(True)
        self.setDatabaseEnabled(True, True)
        self.setLoadInventoryEnabled(True)
        self.setLoadConfigModuleEnabled(True)
        self.setDaemonEnabled(True)
        self.setPrimaryMessagingGroup("PICK")
        # Single precision would lose counts beyond 2 to the 24th.
        self.setRecordDatatype(core.Array.DOUBLE)
        self._load = load
        self._files: dict[str, Any] = {}
        self._config = conf.configure({}, {}, frozenset())
        self._bindings = Bindings()
        self._selection = Selection()
        self._picker: Picker | None = None
        self._watch: Watch | None = None
        self._outputs: list[PickSink] = []
        self._sender: Sender | None = None
        self._record_log: Any = None
        self._n_logged = 0
        self._limited = LimitedLog(_log)
        self._wanted: dict[str, SeedId | None] = {}
        self._losses = Losses()
        self._is_refused = False
        self._asked_s = 0.0

    # Start

    @guarded(False)
    def initConfiguration(self) -> bool:  # noqa: N802 - SeisComP's name, as below
        if not super().initConfiguration():
            return False
        self._files = conf.read_files(self)
        return True

    @guarded(None)
    def createCommandLineDescription(self) -> None:  # noqa: N802
        super().createCommandLineDescription()
        conf.declare_options(self.commandline())

    def version(self) -> str:
        return __version__

    @guarded(None)
    def printUsage(self) -> None:  # noqa: N802
        print(
            f"Usage: {self.name()} [options]\n\n"
            "Picks P and S phases with a neural network. Archives and servers without SeisComP:\n"
            "'scperformer scan --help', 'scperformer stream --help'.\n",
            flush=True,
        )
        super().printUsage()
        print(
            "Examples:\n"
            f"  {self.name()} --debug\n"
            f"  {self.name()} --ep -f --playback --inventory-db inventory.xml "
            "--config-db config.xml -I data.mseed > picks.xml",
            flush=True,
        )

    @guarded(False)
    def validateParameters(self) -> bool:  # noqa: N802
        if not super().validateParameters():
            return False
        modes = conf.given_modes(self.commandline())
        self._config = conf.configure(self._files, conf.read_options(self.commandline()), modes)
        has_files = not (self.isInventoryDatabaseEnabled() or self.isConfigDatabaseEnabled())
        needs_nobody = has_files and "dump-config" in modes
        self.setMessagingEnabled(not (self._config.is_offline or needs_nobody))
        self._choose_database()
        return True

    def _choose_database(self) -> None:
        """Do without the database where files replace it, or nobody named one offline."""
        needs_inventory = self.isInventoryDatabaseEnabled()
        needs_config = self.isConfigDatabaseEnabled()
        off = "db-disable" in self._config.modes
        off = off or (self._config.is_offline and not self.databaseURI())
        if off:
            self.setLoadInventoryEnabled(not needs_inventory)
            self.setLoadConfigModuleEnabled(not needs_config)
        if off or not (needs_inventory or needs_config):
            self.setDatabaseEnabled(False, False)

    @guarded(False)
    def init(self) -> bool:
        # The base forks here when it becomes a daemon; threads made before would be gone,
        # so the model comes afterwards.
        if not super().init():
            if not self.isExitRequested():
                print("scperformer: cannot start; SeisComP's log says why", file=sys.stderr)
            return False
        bridge()
        _log.info("scperformer %s", __version__)
        inventory = self._inventory()
        self._bindings = read_bindings(
            self, self._config.settings, datamodel.findSetup, datamodel.ParameterSet.Find
        )
        if "dump-config" in self._config.modes:
            return True
        self._select(inventory)
        self._picker = self._make_picker(inventory)
        gc.freeze()  # what is there by now stays: no garbage to be looked for
        self._outputs = list(self._make_outputs())
        self._watch = self._make_watch(self._picker)
        self.enableTimer(_TIMER_S)
        return True

    def _inventory(self) -> Inventory:
        if not self.isLoadInventoryEnabled():
            return Inventory()
        return SeiscompInventory(client.Inventory.Instance(), to_time)

    def _select(self, inventory: Inventory) -> None:
        module, now_ns = self._config.module, time.time_ns()
        self._selection = select_streams(
            self._bindings,
            inventory,
            now_ns=None if module.playback else now_ns,
            all_streams=module.use_all_streams,
            any_stream=self._config.any_stream,
            reads_file=self._reads_file(),
        )
        stream = self.recordStream()
        for channel in self._selection.subscriptions:
            stream.addStream(channel.network, channel.station, channel.location, channel.channel)
        if not module.playback:
            stream.setStartTime(to_time(now_ns - round(module.lead_time_s * 1e9)))
        sensors = self._selection.sensors
        _log.info(
            "picking %s, %d streams requested%s",
            "all streams" if sensors is None else f"{len(sensors)} sensors",
            len(self._selection.subscriptions),
            ", playback" if module.playback else f" from {module.lead_time_s:g} s ago",
        )

    def _reads_file(self) -> bool:
        if self.commandline().hasOption("record-file"):
            return True
        service, separator, _ = self.recordStreamURL().partition("://")
        return not separator or service == "file"

    def _make_picker(self, inventory: Inventory) -> Picker:
        default = self._config.module.model
        wanted = {s.model for s in self._bindings.stations.values() if s.enabled and s.model}
        models, faults = {}, []
        for name in sorted(wanted | {default}):
            try:
                source = _absolute(name) if "@" in name else name
                models[name] = self._load(source)
            except ScperformerError as error:
                faults.append(str(error))
        if faults:
            raise ConfigurationError(*faults)
        dumps = self._config.is_offline and "dump-records" in self._config.modes
        observer = DumpingObserver if dumps else LogObserver
        return Picker(
            models,
            default,
            settings=self._config.settings,
            bindings=self._bindings,
            inventory=inventory,
            blind_s=self._config.module.blind_s,
            observer=observer(self._losses),
            owner=owner(self.agencyID(), self.author()),
            catches_up=self._config.writes_document,
        )

    def _make_watch(self, picker: Picker) -> Watch:
        """Make what tells how the picker is doing, with the stations that have to come."""

        def vitals() -> Vitals:
            outputs = [output.state for output in self._outputs if output.name]
            n_problems = self._limited.n_warnings + self._losses.n_failed
            return picker.vitals(outputs, n_problems)

        monitoring = self._config.monitoring
        # A trial run beside the module must not write into the file of the module.
        file = monitoring.metrics_file if self._config.sends else ""
        monitoring = replace(monitoring, metrics_file=_absolute(file) if file else "")
        is_live = not (self._config.is_offline or self._ends)
        watch = Watch(monitoring, vitals, models=picker.checksums, is_live=is_live)
        watch.expect((c.network, c.station) for c in self._selection.subscriptions)
        watch.begin()
        return watch

    def _make_outputs(self) -> Iterator[PickSink]:
        modes, module = self._config.modes, self._config.module
        style = Style(
            agency=self.agencyID(),
            author=self.author(),
            amplitude_phases=self._config.settings.amplitude_phases,
        )
        maker = self._object_maker(style)
        if self._config.writes_document:
            as_quakeml = "quakeml" in modes
            yield DocumentOutput(maker, as_quakeml=as_quakeml, formatted="formatted" in modes)
        elif self._config.sends:
            yield self._messaging_output(maker)
        else:
            yield LineOutput()
        for folder, suffix in ((module.export_scml, ".scml"), (module.export_quakeml, ".qml")):
            if folder and not self._config.is_offline:
                yield ExportOutput(Path(_absolute(folder)), suffix, style)

    def _object_maker(self, style: Style) -> ObjectMaker:
        module = self._config.module
        pattern = "" if module.simplified_ids else datamodel.PublicObject.GetIdPattern()
        return ObjectMaker(
            style=style,
            public_ids=PublicIds(pattern),
            hints={Phase.P: module.phase_hint_p, Phase.S: module.phase_hint_s},
            extra_comments=module.extra_pick_comments,
            comment=(module.comment_id, module.comment_text),
        )

    def _messaging_output(self, maker: ObjectMaker) -> MessagingOutput:
        module = self._config.module
        folder = Path(_absolute(module.outbox)) / self.name() if module.outbox else None
        outbox = Outbox(Store(folder), amplitude_phases=self._config.settings.amplitude_phases)
        stored = None
        if self.query() is not None:
            until_ns = None if module.playback else time.time_ns()
            stored = StoredPicks(self.query(), maker, until_ns=until_ns)
        elif not module.outbox:
            _log.warning("neither database nor outbox: a restart may send picks again")
        pick_group = self.primaryMessagingGroup()
        self._record_log = self.addInputObjectLog("record")
        log_pick = self.addOutputObjectLog("pick", pick_group)
        log_amplitude = self.addOutputObjectLog("amplitude", module.amplitude_group)
        self._sender = Sender(
            Connection(self, {pick_group: log_pick, module.amplitude_group: log_amplitude}),
            outbox,
            maker,
            {Kind.PICK: pick_group, Kind.AMPLITUDE: module.amplitude_group},
            is_stored=stored.has_entry if stored is not None else lambda _: False,
        )
        if len(outbox):
            _log.info("%d messages wait from before the start", len(outbox))
        return MessagingOutput(
            outbox, self._sender, leave_new=stored.new if stored is not None else list
        )

    # Work

    def run(self) -> bool:
        if "dump-config" in self._config.modes:
            return bool(self._dump_config())
        succeeded = bool(super().run())
        if not self._is_refused:
            self._finish()
        return succeeded and not (self._losses and self._ends) and not self._found_nothing

    @property
    def _ends(self) -> bool:
        """Whether the records are a whole that ends, of which nothing may be lost."""
        return self._config.writes_document or self._config.module.playback or self._reads_file()

    @property
    def _found_nothing(self) -> bool:
        """Whether a document says nothing because there was nothing to read."""
        picker = self._picker
        return self._config.writes_document and picker is not None and not picker.n_records

    @guarded(True)
    def _dump_config(self) -> bool:
        print("Configuration:", *self._config.lines(), sep="\n")
        print("\nStations:")
        for station in sorted(self._bindings.stations.values(), key=str):
            settings = station.settings
            print(
                f"{'' if station.enabled else '# '}{station}.{station.location}.{station.stream} "
                f"model {station.model or self._config.module.model}, "
                f"P {_or_card(settings.threshold_p)}, S {_or_card(settings.threshold_s)}, "
                f"components {settings.components}, dead time {settings.min_distance_s:g} s, "
                f"correction {settings.time_correction_s:g} s, filter {settings.filter}"
            )
        sys.stdout.flush()
        return True

    @guarded(None)
    def handleRecord(self, record: Any) -> None:  # noqa: N802
        try:
            seed_id = self._seed_id(record)
            if self._picker is not None and seed_id is not None and not self._is_refused:
                own = convert(record, seed_id)
                if self._watch is not None:
                    self._watch.note(own)
                self._give_out(self._picker.feed(own))
        except RecordError as error:
            self._limited.warn(str(error))
        except Exception as error:
            self._losses.n_failed += 1
            name = record.streamID()
            self._limited.warning((name, type(error)), f"{name}: record left out: {error!r}")
            _log.debug("%s", name, exc_info=True)
        # Behind every record the question would cost a tenth of what it asks about.
        if time.monotonic() - self._asked_s >= _ASK_S:
            self._classify_in_time()
        self._refuse_disorder()

    def _seed_id(self, record: Any) -> SeedId | None:
        """Return a record's channel if it is to be picked; one call costs less than four."""
        name = record.streamID()
        if name not in self._wanted:
            seed_id = seed_id_of(record)
            self._wanted[name] = seed_id if self._selection.wants(seed_id) else None
        return self._wanted[name]

    def _refuse_disorder(self) -> None:
        """End at once: picks of what is left of the records would be taken for all of them."""
        if self._picker is None or self._is_refused or not self._config.writes_document:
            return
        if not self._losses.is_disorder(self._picker.n_samples):
            return
        self._is_refused = True
        _complain(f"stopped: {self._losses.text(self._source())}")
        self.exit(1)

    def _nothing_text(self) -> str:
        module = self._config.module
        if module.playback:
            return f"no records of the streams to be picked came from {self._source()}"
        return (
            f"no records of the last {module.lead_time_s:g} s (leadTime) came from "
            f"{self._source()}; add --playback for older ones"
        )

    def _source(self) -> str:
        line = self.commandline()
        if line.hasOption("record-file"):
            return str(line.optionString("record-file"))
        return str(self.recordStreamURL())

    @guarded(None)
    def handleTimeout(self) -> None:  # noqa: N802
        self._classify_in_time()
        for output in self._outputs:
            output.settle()
        self._count_records()
        if self._watch is not None:
            self._watch.check()

    def _count_records(self) -> None:
        """Let SeisComP's status messages tell of records, as they do of picks."""
        if self._record_log is None or self._picker is None:
            return
        n_records, self._n_logged = self._picker.n_records - self._n_logged, self._picker.n_records
        if n_records:
            self.logObject(self._record_log, core.Time.UTC(), n_records)

    @guarded(None)
    def handleEndAcquisition(self) -> None:  # noqa: N802
        _log.info("end of acquisition")
        if self._picker is not None and not self._is_refused:
            self._give_out(self._picker.flush())

    @guarded(None)
    def handleDisconnect(self) -> None:  # noqa: N802
        _log.warning("messaging is away; picks wait")
        if self._sender is not None:
            self._sender.lost()

    @guarded(None)
    def handleReconnect(self) -> None:  # noqa: N802
        if self._sender is not None:
            _log.info("messaging is back; %d messages wait", self._sender.n_waiting)
            self._sender.found()

    @guarded(True)
    def handleClose(self) -> bool:  # noqa: N802
        return True

    def _classify_in_time(self) -> None:
        self._asked_s = time.monotonic()
        if self._picker is not None and not self._config.is_offline:
            self._give_out(self._picker.keep_time(self._asked_s))

    def _give_out(self, picks: list[Pick]) -> None:
        if not picks:
            return
        for pick in picks:
            _log.debug("%s %.4f", pick.public_id, pick.probability)
        for output in self._outputs:
            output.write(picks)
        if self._watch is not None:
            self._watch.given_out(picks)

    @guarded(None)
    def _finish(self) -> None:
        """Decide what is in hand, send what waits, close the outputs.

        A restart will see the samples after the last complete window together with what
        follows them; picks decided without that would come twice, at different times.
        """
        picker = self._picker
        if self._watch is not None:
            self._watch.stopping()
        if picker is not None:
            picks = picker.flush() if self._config.is_offline else picker.classify_pending()
            self._give_out(picks)
            _log.info("%s", picker.summary())
            if self._losses and self._ends:
                _complain(self._losses.text(self._source()))
            if self._found_nothing:
                _complain(self._nothing_text())
        for output in self._outputs:
            output.close()
        if self._watch is not None:
            self._watch.end()


def _or_card(threshold: float | None) -> str:
    return "as its card says" if threshold is None else f"{threshold:g}"


def _absolute(path: str) -> str:
    """Resolve ``@ROOTDIR@`` and the like, and paths relative to SeisComP's folder."""
    return str(system.Environment.Instance().absolutePath(path))


def run(argv: list[str]) -> int:
    """Run the application; return the exit status."""
    return int(App(len(argv), argv)())

"""A double of SeisComP's Python package that behaves as seen on a running system.

What matters: records are borrowed and overwritten after the handler; boolean methods that
return None raise; an exception in handleRecord ends the application without `done`;
`send` is False while disconnected and keeps nothing; `Pick.Create` gives None for an id
that is alive; notifiers carry no children; unset keys raise, and so do values of another
kind, in the same way. Objects have the attributes, children and constructors that the real
ones have, and the application its setters: any other name is an error.
"""

from __future__ import annotations

import sys
import types
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from scperformer.types import Record

NS = 1_000_000_000


class Time:
    def __init__(self, seconds: int = 0, microseconds: int = 0) -> None:
        self.ns = seconds * NS + microseconds * 1000

    @staticmethod
    def UTC() -> Time:
        return Time(1_700_000_000)

    def epochSeconds(self) -> int:
        return self.ns // NS

    def microseconds(self) -> int:
        return self.ns % NS // 1000

    def __lt__(self, other: Time) -> bool:
        return self.ns < other.ns

    def __le__(self, other: Time) -> bool:
        return self.ns <= other.ns


class Thing:
    """An object with setX and x for the attributes of its class, and children by add."""

    attributes: ClassVar[str] = ""
    """Names of the attributes, separated by blanks."""
    constructors: ClassVar[tuple[int, ...]] = (0,)
    """How many arguments a constructor may take."""
    holds: ClassVar[tuple[str, ...]] = ()
    """Classes of the children."""

    def __init__(self, *arguments: Any) -> None:
        if len(arguments) not in self.constructors:
            raise TypeError(f"{type(self).__name__}: no constructor of {len(arguments)} arguments")
        self.arguments = arguments
        self.values: dict[str, Any] = {}
        self.children: list[Any] = []

    def add(self, child: Any) -> bool:
        if type(child).__name__ not in self.holds:
            raise TypeError(f"{type(self).__name__} holds no {type(child).__name__}")
        self.children.append(child)
        return True

    def __getattr__(self, name: str) -> Any:
        known = self.attributes.split()
        if name in known:
            return lambda: self.values[name]
        attribute = name[3:4].lower() + name[4:]
        if name.startswith("set") and attribute in known:
            return lambda value: self.values.__setitem__(attribute, value)
        raise AttributeError(f"SeisComP's {type(self).__name__} has no {name}")


class PublicObject(Thing):
    alive: ClassVar[weakref.WeakValueDictionary[str, PublicObject]] = weakref.WeakValueDictionary()

    @classmethod
    def Create(cls, public_id: str) -> PublicObject | None:
        if public_id in PublicObject.alive:
            return None
        made = cls()
        made.values["publicID"] = public_id
        PublicObject.alive[public_id] = made
        return made

    @classmethod
    def Cast(cls, item: Any) -> Any:
        return item if isinstance(item, cls) else None

    @classmethod
    def TypeInfo(cls) -> type:
        return cls

    @staticmethod
    def GetIdPattern() -> str:
        return "@classname@/@time/%Y%m%d%H%M%S.%f@.@id@"


class Pick(PublicObject):
    attributes = (
        "publicID time waveformID filterID methodID horizontalSlowness backazimuth "
        "slownessMethodID onset phaseHint polarity evaluationMode evaluationStatus creationInfo"
    )
    holds = ("Comment",)


class Amplitude(PublicObject):
    attributes = (
        "publicID type amplitude timeWindow period snr unit pickID waveformID filterID methodID "
        "scalingTime magnitudeHint evaluationMode creationInfo"
    )
    holds = ("Comment",)


class Comment(Thing):
    attributes = "text id start end creationInfo"


class CreationInfo(Thing):
    attributes = "agencyID agencyURI author authorURI creationTime modificationTime version"


class Quantity(Thing):
    """`TimeQuantity` and `RealQuantity`, which have the same attributes."""

    attributes = "value uncertainty lowerUncertainty upperUncertainty confidenceLevel pdf"
    constructors = (0, 1, 2, 3, 4, 5, 6)


class TimeWindow(Thing):
    attributes = "reference begin end"
    constructors = (0, 1, 3)


class PhaseHint(Thing):
    attributes = "code"
    constructors = (0, 1)

    def __init__(self, *code: str) -> None:
        super().__init__(*code)
        self.values = dict(zip(["code"], code, strict=False))


class WaveformId(Thing):
    attributes = "networkCode stationCode locationCode channelCode resourceURI"
    constructors = (0, 5)

    def __init__(self, *codes: str) -> None:
        super().__init__(*codes)
        self.values = dict(zip(self.attributes.split(), codes, strict=False))


class EventParameters(Thing):
    holds = ("Pick", "Amplitude")

    def pickCount(self) -> int:
        return sum(isinstance(child, Pick) for child in self.children)

    def amplitudeCount(self) -> int:
        return sum(isinstance(child, Amplitude) for child in self.children)


class Notifier:
    def __init__(self, parent: str, operation: str, made: Thing) -> None:
        self.parent, self.operation = parent, operation
        # Children are not serialised with the object.
        self.kind, self.values = type(made).__name__, dict(made.values)


class NotifierMessage:
    def __init__(self) -> None:
        self.notifiers: list[Notifier] = []

    def size(self) -> int:
        return len(self.notifiers)

    def attach(self, notifier: Notifier) -> bool:
        self.notifiers.append(notifier)
        return True


class Array:
    DOUBLE = "double"


class Data:
    def __init__(self, samples: np.ndarray) -> None:
        self.samples = samples

    def numpy(self) -> np.ndarray:
        return self.samples


class BorrowedRecord:
    """A record whose memory belongs to somebody else."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.memory = np.array(record.samples, dtype=np.float64)

    def networkCode(self) -> str:
        return self.record.seed_id.network

    def stationCode(self) -> str:
        return self.record.seed_id.station

    def locationCode(self) -> str:
        return self.record.seed_id.location

    def channelCode(self) -> str:
        return self.record.seed_id.channel

    def streamID(self) -> str:
        return str(self.record.seed_id)

    def startTime(self) -> Time:
        return Time(self.record.start_ns // NS, self.record.start_ns % NS // 1000)

    def samplingFrequency(self) -> float:
        return self.record.sampling_rate_hz

    def data(self) -> Data:
        return Data(self.memory)

    def release(self) -> None:
        self.memory[:] = 1e9


class Connection:
    def __init__(self) -> None:
        self.connected = True
        self.refuses: set[str] = set()
        self.sent: list[tuple[str, NotifierMessage]] = []

    def send(self, group: str, message: NotifierMessage) -> bool:
        if not self.connected or group in self.refuses:
            return False
        self.sent.append((group, message))
        return True

    def isConnected(self) -> bool:
        return self.connected

    def ids(self, kind: str) -> list[str]:
        return [
            n.parent if kind == "Comment" else n.values["publicID"]
            for _, message in self.sent
            for n in message.notifiers
            if n.kind == kind
        ]


class Query:
    """A database that holds what was sent to it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def _notifiers(self) -> Iterable[Notifier]:
        return (n for _, message in self.connection.sent for n in message.notifiers)

    def getPicks(self, first: Time, last: Time) -> list[Pick]:
        found = []
        for notifier in self._notifiers():
            if notifier.kind == "Pick":
                pick = Pick()
                pick.values = notifier.values
                if first <= pick.values["time"].arguments[0] <= last:
                    found.append(pick)
        return found

    def getObject(self, kind: type, public_id: str) -> Any:
        names = (n.values.get("publicID") for n in self._notifiers() if n.kind == kind.__name__)
        return True if public_id in names else None


class CommandLine:
    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given
        self.known: set[str] = set()

    def addGroup(self, name: str) -> None:
        pass

    def addOption(self, group: str, name: str, help: str) -> None:
        long_name = name.partition(",")[0]
        assert long_name not in self.known
        self.known.add(long_name)

    addStringOption = addIntOption = addDoubleOption = addOption

    def hasOption(self, name: str) -> bool:
        return name in self.given

    def optionString(self, name: str) -> Any:
        return self.given[name]

    optionInt = optionDouble = optionString


class RecordStream:
    def __init__(self) -> None:
        self.streams: list[str] = []
        self.start: Time | None = None

    def addStream(self, *codes: str) -> bool:
        self.streams.append(".".join(codes))
        return True

    def setStartTime(self, time: Time) -> bool:
        self.start = time
        return True


class World:
    """What the next application finds: configuration, options, records, a connection."""

    def __init__(self) -> None:
        self.configuration: dict[str, Any] = {}
        self.options: dict[str, Any] = {"playback": True}
        self.records: list[Record] = []
        self.connection = Connection()
        self.has_database = False
        self.events: dict[int, Callable[[Any], None]] = {}
        self.ends_by_signal = False
        self.module: Any = None
        self.inventory: Any = None
        self.log: list[tuple[str, str]] = []
        self.documents: list[EventParameters] = []
        self.name = "scperformer"


WORLD = World()


def wanted_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise RuntimeError(f"SWIG director: expected bool, got {value!r}")
    return value


class StreamApplication:
    """The life of an application, in one thread."""

    def __init__(self, argc: int, argv: Sequence[str]) -> None:
        assert argc == len(argv)
        self.stream = RecordStream()
        self.was_done = False
        self.counted: list[str] = []
        self.exit_code: int | None = None

    def __call__(self) -> int:
        self._line = CommandLine(WORLD.options)
        self.createCommandLineDescription()
        wanted_bool(self.initConfiguration())
        self._line = CommandLine(WORLD.options)
        self.createCommandLineDescription()
        if not wanted_bool(self.validateParameters()) or not wanted_bool(self.init()):
            return 1
        succeeded = wanted_bool(self.run())
        self.done()
        return self.exit_code or (0 if succeeded else 1)

    def exit(self, code: int) -> None:
        self.exit_code = code

    def run(self) -> bool:
        for i, record in enumerate(WORLD.records):
            if i in WORLD.events:
                WORLD.events[i](self)
            borrowed = BorrowedRecord(record)
            self.handleRecord(borrowed)
            borrowed.release()
            if self.exit_code is not None:
                return True
        if not WORLD.ends_by_signal:
            self.handleEndAcquisition()
            wanted_bool(self.handleClose())
        return True

    def _configured(self, kind: type, key: str) -> Any:
        value = WORLD.configuration.get(key)
        if value is None or (isinstance(value, str) and kind is not str):
            raise RuntimeError("any text")
        return str(value) if kind is str else value

    def configuration(self) -> Any:
        """What the files say, as seiscomp.config.Config."""
        return SimpleNamespace(names=lambda: tuple(WORLD.configuration))

    def configGetBool(self, key: str) -> Any:
        return self._configured(bool, key)

    def configGetInt(self, key: str) -> Any:
        return self._configured(int, key)

    def configGetDouble(self, key: str) -> Any:
        return self._configured(float, key)

    def configGetString(self, key: str) -> Any:
        return self._configured(str, key)

    def initConfiguration(self) -> bool:
        return True

    def createCommandLineDescription(self) -> None:
        pass

    def validateParameters(self) -> bool:
        return True

    def init(self) -> bool:
        return True

    def done(self) -> None:
        self.was_done = True

    def isExitRequested(self) -> bool:
        return False

    def handleEndAcquisition(self) -> None:
        pass

    def commandline(self) -> CommandLine:
        return self._line

    def connection(self) -> Connection:
        return WORLD.connection

    def query(self) -> Query | None:
        return Query(WORLD.connection) if WORLD.has_database else None

    def recordStream(self) -> RecordStream:
        return self.stream

    def recordStreamURL(self) -> str:
        return "file://records.mseed"

    def configModule(self) -> Any:
        return WORLD.module

    def name(self) -> str:
        return WORLD.name

    def agencyID(self) -> str:
        return "TEST"

    def author(self) -> str:
        return f"{WORLD.name}@double"

    def primaryMessagingGroup(self) -> str:
        return "PICK"

    def databaseURI(self) -> str:
        return "sqlite3://x" if WORLD.has_database else ""

    def isInventoryDatabaseEnabled(self) -> bool:
        return True

    isConfigDatabaseEnabled = isInventoryDatabaseEnabled

    def isLoadInventoryEnabled(self) -> bool:
        return WORLD.inventory is not None

    def isStationEnabled(self, network: str, station: str) -> bool:
        return station != "OFF"

    def addOutputObjectLog(self, name: str, group: str) -> str:
        return name

    def addInputObjectLog(self, name: str) -> str:
        return name

    def logObject(self, log: str, time: Time, count: int = 1) -> None:
        self.counted += count * [log]

    def handleRecord(self, record: Any) -> None:
        pass

    def handleTimeout(self) -> None:
        pass

    def handleDisconnect(self) -> None:
        pass

    def handleReconnect(self) -> None:
        pass

    def handleClose(self) -> bool:
        return True

    def version(self) -> str:
        return ""

    def printUsage(self) -> None:
        pass

    def _set(self, *arguments: Any) -> None:
        assert len(arguments) == 1

    setMessagingEnabled = setLoadInventoryEnabled = setLoadConfigModuleEnabled = _set
    setDaemonEnabled = setPrimaryMessagingGroup = setRecordDatatype = enableTimer = _set

    def setDatabaseEnabled(self, enable: bool, try_to_fetch: bool) -> None:
        pass


class InventoryHolder:
    @staticmethod
    def Instance() -> Any:
        return WORLD.inventory


class XMLArchive:
    def create(self, name: str) -> bool:
        assert name == "-"
        return True

    def setFormattedOutput(self, enable: bool) -> None:
        pass

    def writeObject(self, made: EventParameters) -> None:
        WORLD.documents.append(made)

    def close(self) -> None:
        pass


class Environment:
    @staticmethod
    def Instance() -> Environment:
        return Environment()

    def absolutePath(self, path: str) -> str:
        return path.replace("@ROOTDIR@", "/root")


def find_setup(station: Any, name: str, allow_global: bool) -> Any:
    assert allow_global is False
    return station.setups.get(name)


def _writer(level: str) -> Callable[[str], None]:
    return lambda text: WORLD.log.append((level, text))


class ParameterSets:
    """Stands for ``datamodel.ParameterSet``."""

    known: ClassVar[dict[str, Any]] = {}

    @staticmethod
    def Find(public_id: str) -> Any:
        return ParameterSets.known.get(public_id)


def install(monkeypatch: Any) -> World:
    """Put the double in the place of ``seiscomp``; returns a fresh world."""
    global WORLD  # noqa: PLW0603
    WORLD = World()
    ParameterSets.known = {}
    parts: dict[str, dict[str, Any]] = {
        "client": {"StreamApplication": StreamApplication, "Inventory": InventoryHolder},
        "core": {"Time": Time, "Array": Array},
        "datamodel": {
            "Pick": Pick, "Amplitude": Amplitude, "Comment": Comment, "Notifier": Notifier,
            "NotifierMessage": NotifierMessage, "EventParameters": EventParameters,
            "PublicObject": PublicObject, "ParameterSet": ParameterSets, "findSetup": find_setup,
            "TimeQuantity": Quantity, "RealQuantity": Quantity, "TimeWindow": TimeWindow,
            "Phase": PhaseHint,
            "CreationInfo": CreationInfo, "WaveformStreamID": WaveformId, "OP_ADD": "add",
            "AUTOMATIC": "automatic", "POSITIVE": "positive", "NEGATIVE": "negative",
            "UNDECIDABLE": "undecidable", "IMPULSIVE": "impulsive", "EMERGENT": "emergent",
            "QUESTIONABLE": "questionable",
        },
        "io": {"XMLArchive": XMLArchive},
        "logging": {name: _writer(name) for name in ("error", "warning", "info", "debug")},
        "system": {"Environment": Environment},
    }  # fmt: skip
    package = types.ModuleType("seiscomp")
    for name in [n for n in sys.modules if n.split(".")[0] == "seiscomp"]:
        monkeypatch.delitem(sys.modules, name)
    for name in [n for n in sys.modules if n.startswith("scperformer.seiscomp")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "seiscomp", package)
    for name, members in parts.items():
        module = types.ModuleType(f"seiscomp.{name}")
        vars(module).update(members)
        setattr(package, name, module)
        monkeypatch.setitem(sys.modules, f"seiscomp.{name}", module)
    return WORLD

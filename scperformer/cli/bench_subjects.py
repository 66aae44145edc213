"""What `scperformer bench` measures: the stream and the SeisComP module, as whole processes."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import scperformer
from scperformer.config import Settings
from scperformer.errors import ConfigurationError, ScperformerError
from scperformer.setting import settings_of, shown
from scperformer.types import NS_PER_S, parse_time

ROOT_VARIABLE = "SEISCOMP_ROOT"
LOCAL_VARIABLE = "SEISCOMP_LOCAL_CONFIG"

_PROGRAM = "import sys\nfrom scperformer.entry import main\nsys.exit(main())\n"
_CHOICES, _SWITCHES = ("model_name", "weights", "model", "loader_argv"), ("cnn", "gpd", "cpu")
_OUTPUTS = ("outbox", "export.scml", "export.quakeml")
_START_S, _STOP_S = 20.0, 30.0
_LAST_LINES = 8
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class BenchError(ScperformerError):
    """What was to be measured cannot be run."""


@dataclass(frozen=True, slots=True)
class Decided:
    """When a pick was there, and the time that it speaks of; UTC, ns."""

    at_ns: int
    time_ns: int


class Subject(Protocol):
    """What is measured."""

    name: str
    told: str

    def start(self, folder: Path) -> Running:
        """Start it with its files in an empty folder."""


class Running:
    """A process that takes miniSEED on its standard input.

    Args:
        command: what to run.
        folder: where its log goes.
        environment: beside what is set already.
        out: its standard output; by default in its log.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        out: int | None = None,
    ) -> None:
        self._log = folder / "log"
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=_environment() | dict(environment or {}),
                stdin=subprocess.PIPE,
                stdout=log if out is None else out,
                stderr=log,
            )

    def send(self, data: bytes) -> None:
        """Hand records over; wait while it takes none.

        Raises:
            BenchError: it has ended.
        """
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(data)
            self.process.stdin.flush()
        except OSError:
            raise BenchError(self._last_words()) from None

    def cpu_s(self) -> float:
        """Processor time that all its threads have taken.

        Raises:
            BenchError: it has ended.
        """
        if self.process.poll() is not None:
            raise BenchError(self._last_words())
        return process_cpu_s(self.process.pid)

    def helpers_cpu_s(self) -> float:
        """Processor time of the processes that it needs beside itself."""
        return 0.0

    def peak_mb(self) -> float:
        """Its largest resident memory, MiB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

    def finish(self) -> list[Decided]:
        """Say that nothing follows, wait for its end, and return its picks.

        Raises:
            BenchError: it failed.
        """
        assert self.process.stdin is not None
        try:
            self.process.stdin.close()
            self.process.wait(_STOP_S)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
        if self.process.wait():
            raise BenchError(self._last_words())
        return self.picks()

    def close(self) -> None:
        """End it, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()

    def picks(self) -> list[Decided]:
        """Return the picks that it has made; it has ended."""
        return []

    def _last_words(self) -> str:
        self.process.wait()
        lines = self._log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        return "\n".join(["it ended too early; its last words:", *lines])


def process_cpu_s(number: int) -> float:
    """Processor time of a process, all its threads."""
    fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def _environment() -> dict[str, str]:
    here = str(Path(scperformer.__file__).parents[1])
    known = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": f"{here}:{known}" if known else here}


class Stream:
    """`scperformer stream`, its picks on standard output.

    Raises:
        ConfigurationError: a setting that only files know.
    """

    name = "stream"
    told = "scperformer stream"

    def __init__(self, options: argparse.Namespace, settings: Settings) -> None:
        self.words = _model_words(options) + _setting_words(settings)

    def start(self, folder: Path) -> Running:
        command = [sys.executable, "-m", "scperformer", "stream", "-", *self.words]
        return _RunningStream(command, folder, out=subprocess.PIPE)


class _RunningStream(Running):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._decided: list[Decided] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._decided.append(Decided(time.time_ns(), parse_time(json.loads(line)["time"])))

    def picks(self) -> list[Decided]:
        self._reader.join()
        return self._decided

    def close(self) -> None:
        super().close()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


def _model_words(options: argparse.Namespace) -> list[str]:
    given = {name: getattr(options, name) for name in _CHOICES if getattr(options, name)}
    words = [word for name, value in given.items() for word in (_option(name), str(value))]
    return words + [_option(name) for name in _SWITCHES if getattr(options, name)]


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _changed(settings: Settings) -> dict[str, Any]:
    """Return the settings that are not at their default, by key."""
    values = {info.key: getattr(settings, info.name) for info in settings_of(Settings)}
    defaults = {info.key: info.default for info in settings_of(Settings)}
    return {key: value for key, value in values.items() if value != defaults[key]}


def _setting_words(settings: Settings) -> list[str]:
    changed = _changed(settings)
    thresholds = [
        f"{phase}: {changed.pop(key)}"
        for phase, key in (("p", "thresholds.P"), ("s", "thresholds.S"))
        if key in changed
    ]
    words = ["--threshold", ", ".join(thresholds)] if thresholds else []
    options = {info.key: info.option for info in settings_of(Settings)}
    if faults := [f"{key}: the stream has no option for it" for key in changed if not options[key]]:
        raise ConfigurationError(*faults, "'--only module' measures the module with it")
    for key, value in changed.items():
        words += [options[key]] if value is True else [f"{options[key]}={shown(value)}"]
    return words


def missing() -> str | None:
    """Say what the module lacks to be measured, None if nothing."""
    if ROOT_VARIABLE not in os.environ or find_spec("seiscomp") is None:
        return "no SeisComP; run it as 'seiscomp exec scperformer bench' where there is one"
    if not (Path(os.environ[ROOT_VARIABLE]) / "bin" / "scmaster").exists():
        return "no scmaster in $SEISCOMP_ROOT/bin"
    return None


class Module:
    """The SeisComP module as it runs live: connected to an scmaster, which has a database.

    Its records come by ``-I -``, its own bindings and database are left alone.

    Raises:
        ConfigurationError: a model that it cannot have.
    """

    name = "module"
    told = "the SeisComP module, which sends to an scmaster"

    def __init__(
        self, options: argparse.Namespace, settings: Settings, others: Mapping[str, str]
    ) -> None:
        given = [name for name in (*_CHOICES[1:], *_SWITCHES[:2]) if getattr(options, name)]
        if given:
            raise ConfigurationError(f"{_option(given[0])}: the module has only --model-name")
        keys = {**others, **{key: shown(value) for key, value in _changed(settings).items()}}
        if options.model_name:
            keys["model"] = options.model_name
        self.keys = keys

    def start(self, folder: Path) -> Running:
        master = Master(folder)
        # The last word on what the operator's own scperformer.cfg may say of where picks go.
        keys = self.keys | dict.fromkeys(_OUTPUTS, "") | {"connection.server": master.server}
        lines = [f'{key} = "{value}"' for key, value in keys.items()]
        (master.local / "scperformer.cfg").write_text("\n".join([*lines, ""]))
        program = folder / "scperformer"  # SeisComP finds the configuration by this name
        program.write_text(_PROGRAM)
        words = ("--playback", "--db-disable", "-I", "-", "--console", "1")
        return _RunningModule(master, [sys.executable, str(program), *words], folder)


class _RunningModule(Running):
    def __init__(self, master: Master, command: Sequence[str], folder: Path) -> None:
        self._master = master
        try:
            master.start()
            super().__init__(command, folder, master.environment)
        except BaseException:
            master.close()
            raise

    def helpers_cpu_s(self) -> float:
        return self._master.cpu_s()

    def picks(self) -> list[Decided]:
        return self._master.picks()

    def close(self) -> None:
        super().close()
        self._master.close()


class Master:
    """An scmaster of our own on the loopback; it keeps picks where SeisComP can write SQLite.

    Args:
        folder: for its configuration, database and log.
    """

    def __init__(self, folder: Path) -> None:
        self._root = Path(os.environ[ROOT_VARIABLE])
        self.local = folder / "local"
        self.environment = {LOCAL_VARIABLE: str(self.local)}
        self._log = folder / "scmaster.log"
        self._database = folder / "picks.db"
        self._keeps = (self._root / "share" / "plugins" / "dbsqlite3.so").exists()
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.server = f"{self._address}/production"
        self._process: subprocess.Popen[bytes] | None = None
        self._configure()

    def _configure(self) -> None:
        self.local.mkdir()
        plugins = "dbsqlite3" if self._keeps else '""'
        (self.local / "global.cfg").write_text(
            f"core.plugins = {plugins}\nagencyID = BENCH\nconnection.server = {self.server}\n"
        )
        lines = [
            f"interface.bind = {self._address}",
            "interface.acl = 127.0.0.1",
            "queues = production",
            "queues.production.acl = 127.0.0.1",
        ]
        if self._keeps:
            store = "queues.production.processors.messages.dbstore"
            lines += [
                "plugins = dbsqlite3",
                "queues.production.plugins = dbstore",
                "queues.production.processors.messages = dbstore",
                f"{store}.driver = sqlite3",
                f"{store}.read = {self._database}",
                f"{store}.write = {self._database}",
            ]
            with closing(sqlite3.connect(self._database)) as database:
                schema = self._root / "share" / "db" / "sqlite3.sql"
                database.executescript(f"PRAGMA journal_mode=wal;\n{schema.read_text()}")
        (self.local / "scmaster.cfg").write_text("\n".join([*lines, ""]))

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            BenchError: it does not.
        """
        program = self._root / "bin" / "scmaster"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [program, "--console", "1"],
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=log,
            )
        host, _, port = self._address.partition(":")
        until_s = time.monotonic() + _START_S
        while time.monotonic() < until_s and self._process.poll() is None:
            with socket.socket() as probe:
                if not probe.connect_ex((host, int(port))):
                    return
            time.sleep(0.1)
        raise BenchError(f"scmaster does not start:\n{self._log.read_text(errors='replace')}")

    def cpu_s(self) -> float:
        """Processor time that it has taken."""
        assert self._process is not None
        return process_cpu_s(self._process.pid)

    def picks(self) -> list[Decided]:
        """Return the picks in its database, by when the module handed them over."""
        if not self._keeps:
            return []
        columns = ", ".join(
            f"{name}, {name}_ms" for name in ("creationInfo_creationTime", "time_value")
        )
        with closing(sqlite3.connect(self._database)) as database:
            rows = database.execute(f"SELECT {columns} FROM Pick").fetchall()
        return [Decided(_ns(*row[:2]), _ns(*row[2:])) for row in rows]

    def close(self) -> None:
        """Stop it."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _ns(text: str, microseconds: int) -> int:
    return parse_time(text) + int(microseconds) * (NS_PER_S // 1_000_000)

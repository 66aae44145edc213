"""A real SeisComP system of its own for a test: database, scmaster, bindings, subscriber."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

SUBSCRIBER = Path(__file__).with_name("seiscomp_subscriber.py")
ROOT = Path(__file__).resolve().parents[1]


class System:
    """Starts and stops the parts; everything lives in a folder.

    Args:
        folder: an empty folder.
        stations: StationXML of the inventory.
        streams: (network, station, band and instrument) of the bindings.
        root: SEISCOMP_ROOT.
    """

    def __init__(
        self,
        folder: Path,
        stations: Path,
        streams: Sequence[tuple[str, str, str]],
        root: Path,
    ) -> None:
        self.folder = folder
        self.root = root
        self.port = free_port()
        self.database = folder / "test.db"
        self.inventory = folder / "inventory.xml"
        self.config = folder / "config.xml"
        # Bindings are found by the program's name.
        self.program = folder / "scperformer"
        self.program.write_text(
            "import sys\nfrom scperformer.entry import main\nsys.exit(main())\n"
        )
        self._processes: list[subprocess.Popen[bytes]] = []
        self._write_configuration()
        self.environment = self._environment()
        self._write_bindings(streams)
        self.tool("fdsnxml2inv", "-f", str(stations), str(self.inventory))
        self.tool("bindings2cfg", "--key-dir", str(folder / "key"), "-o", str(self.config))

    def _write_configuration(self) -> None:
        local = self.folder / "local"
        local.mkdir()
        store = "queues.production.processors.messages.dbstore"
        (local / "scmaster.cfg").write_text(
            f"interface.bind = 127.0.0.1:{self.port}\ninterface.acl = 127.0.0.1\n"
            "plugins = dbsqlite3\nqueues = production\nqueues.production.acl = 127.0.0.1\n"
            "queues.production.plugins = dbstore\n"
            "queues.production.processors.messages = dbstore\n"
            f"{store}.driver = sqlite3\n{store}.read = {self.database}\n"
            f"{store}.write = {self.database}\n"
        )
        (local / "global.cfg").write_text(
            "core.plugins = dbsqlite3\nagencyID = TEST\n"
            f"connection.server = 127.0.0.1:{self.port}/production\n"
        )

    def _environment(self) -> dict[str, str]:
        environment = dict(os.environ)
        environment.update(
            SEISCOMP_ROOT=str(self.root),
            SEISCOMP_LOCAL_CONFIG=str(self.folder / "local"),
            PATH=f"{self.root / 'bin'}:{environment['PATH']}",
            LD_LIBRARY_PATH=f"{self.root / 'lib'}:{environment.get('LD_LIBRARY_PATH', '')}",
            PYTHONPATH=f"{ROOT}:{self.root / 'lib' / 'python'}",
            TF_CPP_MIN_LOG_LEVEL="3",
        )
        return environment

    def _write_bindings(self, streams: Sequence[tuple[str, str, str]]) -> None:
        key = self.folder / "key"
        (key / "scperformer").mkdir(parents=True)
        (key / "global").mkdir()
        # A binding without any parameter is lost: give one that changes nothing.
        (key / "scperformer" / "profile_default").write_text("components = any\n")
        for band in {band for _, _, band in streams}:
            (key / "global" / f"profile_{band}").write_text(
                f'detecStream = {band}\ndetecLocid = ""\n'
            )
        for network, station, band in streams:
            (key / f"station_{network}_{station}").write_text(
                f"global:{band}\nscperformer:default\n"
            )

    def tool(self, *command: str) -> str:
        """Run one of SeisComP's programs to its end; its standard output."""
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def make_database(self) -> None:
        """Make the database with inventory and bindings."""
        schema = (self.root / "share" / "db" / "sqlite3.sql").read_text()
        subprocess.run(
            [shutil.which("sqlite3") or "sqlite3", self.database], input=schema, text=True,
            check=True, capture_output=True,
        )  # fmt: skip
        for path in (self.inventory, self.config):
            self.tool("scdb", "-d", f"sqlite3://{self.database}", "-i", str(path))

    def start(self, *command: str, log: str, stdin: int | None = None) -> subprocess.Popen[bytes]:
        """Start a program that writes to a log file in the folder."""
        with (self.folder / log).open("ab") as file:
            process = subprocess.Popen(
                command, env=self.environment, cwd=self.folder, stdin=stdin, stdout=file,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def start_master(self) -> subprocess.Popen[bytes]:
        """Start scmaster and wait until it answers."""
        master = self.start("scmaster", "-v", "--console", "1", log="master.log")
        wait_until(lambda: can_connect(self.port), 20, "scmaster")
        return master

    def start_subscriber(self) -> subprocess.Popen[bytes]:
        """Start a client that writes what it receives, a line an object."""
        received = self.folder / "received.txt"
        subscriber = self.start(
            sys.executable, str(SUBSCRIBER), str(received), "-v", "--console", "1", log="sub.log"
        )
        wait_until(received.exists, 20, "subscriber")
        return subscriber

    def picker_command(self, *options: str) -> list[str]:
        """The module as a command."""
        return [sys.executable, str(self.program), *options]

    def received(self, kind: str) -> list[str]:
        """Public ids (parents of comments) that the subscriber got, in order."""
        lines = (self.folder / "received.txt").read_text().splitlines()
        return [line.split(" ", 1)[1] for line in lines if line.startswith(f"{kind} ")]

    def stored(self, kind: str) -> list[str]:
        """Public ids in the database."""
        query = (
            f"SELECT PublicObject.publicID FROM PublicObject, {kind} "
            f"WHERE PublicObject._oid = {kind}._oid"
        )
        done = subprocess.run(
            ["sqlite3", self.database, query], capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    def log_text(self, name: str) -> str:
        return (self.folder / name).read_text(errors="replace")

    def close(self) -> None:
        """Stop what still runs."""
        for process in reversed(self._processes):
            stop(process)


def stop(process: subprocess.Popen[bytes], *, timeout_s: float = 10.0) -> float:
    """End a process by SIGTERM; return how long it took."""
    begun_s = time.monotonic()
    if process.poll() is None:
        with suppress(OSError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return time.monotonic() - begun_s


def wait_until(condition, timeout_s: float, what: str) -> None:  # type: ignore[no-untyped-def]
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"{what}: not there after {timeout_s} s"
        time.sleep(0.1)


def can_connect(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

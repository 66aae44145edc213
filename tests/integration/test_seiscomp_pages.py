"""The commands of pages that speak of SeisComP, one after the other, in a copy of SeisComP.

What is prepared is what an operator has: a database, scmaster, an inventory, one station that
scautopick picks. Packages are not downloaded: the virtual environment sees this one's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.integration.test_documents import commands
from tests.seiscomp_system import free_port

pytest.importorskip("seiscomp.client", exc_type=ImportError)
pytestmark = [pytest.mark.seiscomp, pytest.mark.slow, pytest.mark.shared]

PAGES = ("seiscomp.md", "operate.md", "comparison.md")
LEFT_OUT = r".*pip install|tail -f|scperformer stream|python -m benchmarks"
SOURCE = ("CMakeLists.txt", "config", "descriptions", "models", "scperformer")


class Machine:
    """A copy of SeisComP, a home and the unpacked source, in a folder."""

    def __init__(self, folder: Path, records: Path) -> None:
        self.folder, self.source, self.root = folder, folder / "source", folder / "seiscomp"
        self.source.mkdir()
        for name in SOURCE:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, self.source / name)
        shutil.copytree(os.environ["SEISCOMP_ROOT"], self.root)
        for path in [*self.root.glob("etc/*/scperformer*"), self.root / "bin" / "scperformer"]:
            path.unlink(missing_ok=True)
        shutil.rmtree(self.root / "lib" / "python" / "scperformer", ignore_errors=True)
        packages = [path for path in sys.path if path.endswith("-packages")]
        self.environment = {
            "HOME": str(folder),
            "SEISCOMP_ROOT": str(self.root),
            "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": str(self.root / "lib"),
            "PYTHONPATH": os.pathsep.join([str(self.root / "lib" / "python"), *packages]),
        }
        self.database = f"sqlite3://{folder / 'test.db'}"
        self._configure(folder / "test.db")
        (self.root / "var" / "lib" / "scperformer").mkdir(parents=True)
        (self.source / "ridgecrest").symlink_to(records)
        files = " ".join(map(str, sorted(records.glob("CI.CCC.*.D.*"))))
        span = "2019-07-04T16:12:30~2019-07-04T16:15:30"
        self.run(f"scmssort -u -t {span} {files} > day.mseed")
        self.run(f"fdsnxml2inv {records / 'stations.xml'} stations.scml")
        self.run("seiscomp enable scmaster && seiscomp start scmaster && sleep 2")
        self.run(f"scdb -d {self.database} -i stations.scml")

    def _configure(self, database: Path) -> None:
        schema = (self.root / "share" / "db" / "sqlite3.sql").read_text()
        subprocess.run(["sqlite3", database], input=schema, text=True, check=True)
        etc, port = self.root / "etc", free_port()
        store = "queues.production.processors.messages.dbstore"
        texts = {
            "global.cfg": f"core.plugins = dbsqlite3\nagencyID = TEST\n"
            f"connection.server = localhost:{port}/production\n"
            f"recordstream = slink://localhost:{free_port()}\n",
            "scmaster.cfg": f"interface.bind = 127.0.0.1:{port}\n"
            "queues.production.processors.messages = dbstore\n"
            f"queues.production.plugins = dbstore\n{store}.driver = sqlite3\n"
            f"{store}.read = {database}\n{store}.write = {database}\n",
            "scautopick.cfg": "picker = AIC\n",
            "key/global/profile_HH": 'detecStream = HH\ndetecLocid = ""\n',
            "key/scautopick/profile_default": "detecEnable = true\n",
            "key/station_CI_CCC": "global:HH\nscautopick:default\n",
        }
        for name, text in texts.items():
            (etc / name).parent.mkdir(parents=True, exist_ok=True)
            (etc / name).write_text(text)

    def run(self, command: str) -> str:
        """Run a command as it stands in the page; return what it prints."""
        if os.geteuid() == 0:
            command = re.sub(r"\bseiscomp (?=[a-z])", "seiscomp --asroot ", command)
        command = command.replace("-d DATABASE", f"-d {self.database}")
        command = command.replace("file:///path/", f"file://{self.source}/")
        if "--dump-config" in command:
            # SeisComP's client may wait for its own thread for ever if it ends as it begins.
            command = f"timeout -s KILL 60 {command} || {command}"
        done = subprocess.run(
            ["sh", "-c", command], cwd=self.source, env=self.environment, capture_output=True,
            text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture
def machine(tmp_path: Path, shared: Path) -> Iterator[Machine]:
    for program in ("cmake", "sqlite3"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    made = Machine(tmp_path, shared / "data" / "continuous" / "ridgecrest")
    yield made
    made.run("seiscomp stop")


def test_the_pages_lead_an_operator_to_picks_and_back(machine: Machine) -> None:
    texts = [(ROOT / "docs" / page).read_text(encoding="utf-8") for page in PAGES]
    every = [command for text in texts for command in commands(text)]
    printed: dict[str, str] = {}
    for command in every:
        if command.startswith("seiscomp exec scperformer --ep"):
            for other in every:
                if other.startswith("scxmldump"):
                    machine.run(other)
        # The other machine makes the same alias.
        again = command.startswith("seiscomp alias") and command in printed
        if not again and not re.match(LEFT_OUT, command):
            printed[command] = machine.run(command)
        if "-m venv" in command:
            (site,) = machine.folder.glob("scperformer-venv/lib/python*/site-packages")
            (site / "here.pth").write_text(machine.environment["PYTHONPATH"].replace(":", "\n"))
    assert "CI.CCC..HH model streaming" in printed["seiscomp exec scperformer --dump-config"]
    assert "CI.CCC..HH" in printed["seiscomp exec scperformer2 --dump-config"]
    assert "is running" in printed["seiscomp status scperformer"]
    assert (machine.source / "picks.xml").read_text().count("<pick ") >= 2
    assert "EventParameters" in (machine.source / "origins.xml").read_text()

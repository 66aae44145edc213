"""The bus against SeisComP itself: its reader takes our messages, its scmaster stores them."""

import os
import signal
import socket
import sqlite3
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from scperformer.messaging import notifier
from scperformer.messaging.publisher import Labels
from scperformer.picks.style import Style
from tests.integration.test_bus import PATIENCE_S, open_sink, picks, wait_for
from tests.unit.test_delivery_outbox import pick
from tests.unit.test_messaging_notifier import BY, PICK

pytestmark = pytest.mark.seiscomp
datamodel = pytest.importorskip("seiscomp.datamodel", exc_type=ImportError)
io = pytest.importorskip("seiscomp.io", exc_type=ImportError)
ROOT = Path(os.environ.get("SEISCOMP_ROOT", "/nowhere"))

# SeisComP's objects live as long as the message that they came in.
OWNERS: list[object] = []

CONFIG = """
queues = production
queues.production.processors.messages.dbstore.driver = sqlite3
queues.production.processors.messages.dbstore.read = {database}
queues.production.processors.messages.dbstore.write = {database}
interface.bind = 127.0.0.1:{port}
"""


def read_message(data: bytes, path: Path):
    """Read a message as SeisComP does: (operation, parent, object) of each notifier."""
    path.write_bytes(data)
    archive = io.XMLArchive()
    assert archive.open(str(path))
    content = archive.readObject()
    assert content.className() == "notifier_message"
    message = datamodel.NotifierMessage.Cast(content)
    iterator = message.iter()
    found = []
    for _ in range(message.size()):
        one = datamodel.Notifier.Cast(iterator.get())
        found.append((one.operation(), one.parentID(), one.object()))
        iterator.next()
    OWNERS.append((content, message))
    return found


def test_seiscomp_reads_a_pick_and_its_comments(tmp_path):
    message = notifier.pick_message(PICK, replace(BY, scml_version="0.14"))
    (operation, parent, first), *rest = read_message(message, tmp_path / "pick.xml")
    assert (operation, parent) == (datamodel.OP_ADD, "EventParameters")
    read = datamodel.Pick.Cast(first)
    assert read.publicID() == PICK.public_id
    assert read.time().value().iso() == "2021-04-01T12:35:55.66Z"
    assert read.time().uncertainty() == PICK.uncertainty_s
    assert read.phaseHint().code() == "P"
    assert read.waveformID().channelCode() == "EHZ"
    assert read.filterID() == PICK.filter_id
    assert read.polarity() == datamodel.NEGATIVE
    assert read.onset() == datamodel.IMPULSIVE
    assert read.evaluationMode() == datamodel.AUTOMATIC
    assert read.creationInfo().agencyID() == "IMGG"
    comments = {datamodel.Comment.Cast(item).id(): owner for _, owner, item in rest}
    assert comments == dict.fromkeys(("probability", "model", "decision_delay"), PICK.public_id)


def test_seiscomp_reads_an_amplitude_and_a_marker(tmp_path):
    message = notifier.amplitude_message(PICK, replace(BY, scml_version="0.14"))
    [(_, parent, item)] = read_message(message, tmp_path / "amplitude.xml")
    read = datamodel.Amplitude.Cast(item)
    assert (parent, read.type(), read.pickID()) == ("EventParameters", "snr", PICK.public_id)
    assert (read.snr(), read.amplitude().value()) == (PICK.snr, PICK.snr)
    assert read_message(notifier.marker_message("x", version="0.14"), tmp_path / "marker.xml") == []


class Master:
    """An scmaster with a database of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.folder = folder
        self.database = folder / "seiscomp.db"
        with sqlite3.connect(self.database) as database:
            database.executescript((ROOT / "share" / "db" / "sqlite3.sql").read_text())
        (folder / "global.cfg").write_text("core.plugins = dbsqlite3\n")
        text = CONFIG.format(database=self.database, port=self.port)
        (folder / "scmaster.cfg").write_text(text)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"scmp://127.0.0.1:{self.port}/"

    def start(self) -> None:
        with (self.folder / "scmaster.log").open("ab") as log:
            self.process = subprocess.Popen(
                [ROOT / "bin" / "scmaster", "--console", "1"],
                env={**os.environ, "SEISCOMP_LOCAL_CONFIG": str(self.folder)},
                stdout=log,
                stderr=log,
            )

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(20)
            self.process = None

    def count(self, table: str) -> int:
        with sqlite3.connect(self.database, timeout=20) as database:
            return int(database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])

    def public_ids(self) -> list[str]:
        with sqlite3.connect(self.database, timeout=20) as database:
            query = "SELECT publicID FROM PublicObject JOIN Pick USING (_oid) ORDER BY _oid"
            return [row[0] for row in database.execute(query)]


@pytest.fixture
def master(tmp_path):
    if not (ROOT / "bin" / "scmaster").exists():
        pytest.skip("no scmaster in $SEISCOMP_ROOT/bin")
    if not (ROOT / "share" / "plugins" / "dbsqlite3.so").exists():
        pytest.skip("this SeisComP cannot write SQLite databases")
    folder = tmp_path / "seiscomp"
    folder.mkdir()
    master = Master(folder)
    master.start()
    yield master
    master.stop(signal.SIGKILL)


def test_scmaster_stores_everything_once_whatever_happens_to_it(master, tmp_path):
    with open_sink(
        master.url, tmp_path / "outbox", labels=Labels(style=Style(agency="TEST"))
    ) as sink:
        sink.write(picks(0, 10))
        assert sink.flush(PATIENCE_S)
        for number, first in ((signal.SIGTERM, 10), (signal.SIGKILL, 110)):
            sink.write(picks(first, first + 100))
            wait_for(lambda first=first: len(master.public_ids()) > first + 3)
            master.stop(number)
            master.start()
            assert sink.flush(PATIENCE_S)
        assert sink.counts.rejected == 0
    assert master.public_ids() == [pick(i).public_id for i in range(210)]
    assert (master.count("Pick"), master.count("Amplitude")) == (210, 210)
    assert master.count("Comment") == 630

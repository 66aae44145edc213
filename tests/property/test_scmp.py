"""SCMP: frames come back as they were, and nothing a network does loses or repeats a pick."""

import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from scperformer.messaging.publisher import Labels, Publisher
from scperformer.messaging.scmp import Frame, ProtocolError, Session, parse_server_frame
from tests.profiles import examples
from tests.scmp_broker import BrokerCore
from tests.scmp_network import Network
from tests.unit.test_delivery_outbox import disk_outbox, killed, pick

COMMANDS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=12)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1).filter(
    lambda text: text == text.strip()
)
NAMES = TEXTS.filter(lambda text: ":" not in text)
FRAMES = st.builds(
    Frame, COMMANDS, st.lists(st.tuples(NAMES, TEXTS), max_size=5).map(tuple), st.binary()
)


@given(FRAMES)
def test_a_frame_comes_back_as_it_was(frame):
    assert Frame.decode(frame.encode()) == frame


@given(st.binary() | st.text() | FRAMES.map(Frame.encode))
def test_whatever_arrives_is_a_frame_or_a_protocol_error(data):
    with suppress(ProtocolError):
        parse_server_frame(data)


@given(st.lists(st.sampled_from(["send", "state", "done", "ack"]), max_size=60), st.booleans())
def test_an_acknowledged_message_is_one_that_the_server_is_done_with(steps, overtaking):
    """The server counts STATEs at once and SENDs when they are done, in order."""
    session = Session("me")
    session.connect()
    session.receive("CONNECTED\nClient-Name:me\nGroups:PICK\n\n")
    sends = states = done = 0
    for step in steps:
        if step == "send":
            session.send("PICK", b"x")
            sends += 1
        elif step == "state" and (overtaking or done == sends):
            session.heartbeat("a=b")
            states += 1
        elif step == "done":
            done = min(done + 1, sends)
        elif step == "ack":
            session.receive(f"ACK\nN:{done + states}\n\n")
            assert session.acknowledged == done
        assert session.acknowledged <= done


# A network that mostly works, so that there is something to break.
CALM = ("write", "forth", "forth", "forth", "back", "back", "beat")
FINE = ("open", "pump", "up", "down", "process", "notice", "notice")
TROUBLE = ("drop", "drop", "kill")


def steps(*names: str) -> st.SearchStrategy[list[tuple[str, int]]]:
    number = st.integers(0, 6) | st.integers(0, 300)
    return st.lists(st.tuples(st.sampled_from(names), number), min_size=20, max_size=60)


# Where renaming a file costs nothing.
FAST = "/dev/shm" if Path("/dev/shm").is_dir() else None
QUIET = examples(100)


class World:
    """A sink on a disk, a network and a broker, moved by steps."""

    def __init__(self, folder: Path, *, ack_window: int, **broker) -> None:
        self.folder = folder
        self.ack_window = ack_window
        self.box = disk_outbox(folder)
        self.network = Network(BrokerCore(**broker), self.publisher())
        self.written = 0
        self.repeated = 0

    def publisher(self) -> Publisher:
        return Publisher(self.box, Labels(), ack_window=self.ack_window)

    @property
    def core(self) -> BrokerCore:
        return self.network.core

    @property
    def wanted(self) -> list[str]:
        picks = [pick(i).public_id for i in range(self.written)]
        return [name for public_id in picks for name in (public_id, f"{public_id}.snr")]

    def move(self, step: str, n: int) -> None:
        network = self.network
        match step:
            case "write":
                n = min(n, 12)
                self.box.append([pick(self.written + i) for i in range(n)], created_ns=0)
                self.written += n
            case "up":
                network.carry_up(n)
            case "down":
                network.carry_down(n)
            case "process":
                self.core.process(n)
            case "drop":
                network.drop(n)
            case "forth":
                network.open()
                network.pump()
                network.carry_up()
                self.core.process()
            case "back":
                network.carry_down()
            case "kill":
                self.kill(n)
            case "server":
                self.restart_server()
            case _:
                getattr(network, step)()

    def kill(self, garbage: int) -> None:
        """Kill the sink while it writes a further line, and begin anew from its folder."""
        killed(self.box)
        with (self.folder / "scperformer.sqlite-wal").open("ab") as wal:
            wal.write((b'{"number": 9999, "kind": "pick"' * 10)[:garbage])
        self.repeated += self.network.publisher.counts.repeated
        self.box = disk_outbox(self.folder)
        self.network.restart(self.publisher())

    def restart_server(self) -> None:
        if self.network.line is not None:
            self.network.drop(0)
        self.network.notice()
        self.core.restart()

    def run(self, moves) -> None:
        for step, n in moves:
            self.move(step, n)
        self.network.notice()
        self.core.process()
        self.network.settle(rounds=20 + self.written, done=lambda: not len(self.box))
        self.repeated += self.network.publisher.counts.repeated
        killed(self.box)


@pytest.fixture(scope="module", autouse=True)
def _disk_without_waiting():
    with patch("os.fsync"):
        yield


@QUIET
@given(
    moves=steps(*CALM, *FINE, *TROUBLE),
    queued=st.booleans(),
    ack_window=st.sampled_from([1, 2, 20]),
)
@example(
    moves=[("write", 2), ("open", 0), ("up", 9), ("down", 9), ("up", 2), ("kill", 1)],
    queued=False,
    ack_window=1,
)
def test_every_pick_arrives_exactly_once_and_in_order(moves, queued, ack_window):
    with tempfile.TemporaryDirectory(dir=FAST) as folder:
        world = World(
            Path(folder), queued=queued, ack_window=ack_window, ack_after_s=0, silence_s=1e9
        )
        world.run(moves)
        event(f"connections: {min(world.core.connections, 5)}")
        assert world.core.ids == world.wanted
        assert len(world.box) == 0
        assert world.core.violations == []


@QUIET
@given(
    moves=steps(*CALM, *FINE, *TROUBLE, "server"),
    queued=st.booleans(),
    replay=st.booleans(),
)
def test_a_server_that_forgets_gets_repetitions_but_no_gap(moves, queued, replay):
    """The window that remains: what is repeated is counted, and the order is kept."""
    with tempfile.TemporaryDirectory(dir=FAST) as folder:
        world = World(
            Path(folder),
            queued=queued,
            ack_window=1,
            replay=replay,
            ack_after_s=0,
            silence_s=1e9,
        )
        world.run(moves)
        assert list(dict.fromkeys(world.core.ids)) == world.wanted
        assert sum(count - 1 for count in Counter(world.core.ids).values()) <= world.repeated
        assert len(world.box) == 0
        assert world.core.violations == []

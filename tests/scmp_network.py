"""A publisher and a broker joined by two queues of frames, which a test moves by hand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from scperformer.messaging.publisher import Publisher, RefusedError, Step
from scperformer.messaging.scmp import ProtocolError
from tests.scmp_broker import BrokerCore, Peer


@dataclass
class Line:
    """One connection: frames on their way to the broker and back."""

    up: deque[bytes] = field(default_factory=deque)
    down: deque[bytes] = field(default_factory=deque)
    peer: Peer | None = None
    ended: bool = False


class Network:
    """The world between a publisher and a broker.

    A line that breaks lives on at the broker's end (`zombies`), with frames that may still
    arrive there, until the broker notices.
    """

    def __init__(self, core: BrokerCore, publisher: Publisher) -> None:
        self.core = core
        self.publisher = publisher
        self.line: Line | None = None
        self.zombies: list[Line] = []
        self.problems: list[str] = []

    def open(self) -> None:
        if self.line is not None:
            return
        line = Line()

        def end(politely: bool) -> None:
            line.ended = True

        line.peer = self.core.attach(line.down.append, end)
        self.line = line
        line.up.append(self.publisher.open())

    def pump(self) -> None:
        if self.line is not None:
            self.line.up.extend(self.publisher.pump())

    def beat(self) -> None:
        if self.line is not None:
            server = self.publisher.server
            name = server.client_name if server else ""
            self.line.up.extend(self.publisher.heartbeat(f"clientname={name}"))

    def stop_looking(self) -> None:
        if self.line is not None:
            self.line.up.extend(self.publisher.stop_looking())

    def carry_up(self, count: int = 1000) -> None:
        """Let frames arrive at the broker."""
        if self.line is not None:
            _carry(self.core, self.line, count)

    def carry_down(self, count: int = 1000) -> None:
        """Let frames arrive at the publisher; tell it when the broker has ended the line."""
        for _ in range(count):
            if self.line is None:
                return
            if self.line.down:
                try:
                    self.line.up.extend(self.publisher.receive(self.line.down.popleft()))
                except (RefusedError, ProtocolError) as error:
                    self.problems.append(str(error))
                    self.drop(0)
            elif self.line.ended:
                self.drop(0)
        self.pump()

    def drop(self, arrive: int) -> None:
        """Break the line; so many frames still arrive, later."""
        if self.line is None:
            return
        while len(self.line.up) > arrive:
            self.line.up.pop()
        self.zombies.append(self.line)
        self.line = None
        self.publisher.lost()

    def notice(self) -> None:
        """Let the broker notice the lines that broke."""
        for line in self.zombies:
            _carry(self.core, line, len(line.up))
            assert line.peer is not None
            self.core.gone(line.peer)
        self.zombies.clear()

    def restart(self, publisher: Publisher) -> None:
        """Put a new publisher in the place of one that was killed."""
        if self.line is not None:
            self.drop(len(self.line.up))
        self.publisher = publisher

    def settle(self, *, rounds: int = 30, done: Callable[[], bool] = lambda: False) -> None:
        """Let everything arrive and come back, over and over."""
        for _ in range(rounds):
            if done():
                return
            self.notice()
            self.open()
            self.pump()
            self.carry_up()
            self.core.process()
            self.core.tick()
            self.carry_down()
            quiet = self.line is not None and not self.line.up and not self.line.down
            if quiet and self.publisher.step is Step.PUBLISHING:
                self.beat()


def _carry(core: BrokerCore, line: Line, count: int) -> None:
    for _ in range(min(count, len(line.up))):
        assert line.peer is not None
        core.take(line.peer, line.up.popleft())

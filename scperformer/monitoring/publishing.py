"""Where metrics are read: a file that is written anew, and a page over HTTP."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from scperformer.atomic import write_bytes
from scperformer.errors import ConfigurationError, OutputError
from scperformer.monitoring import metrics
from scperformer.monitoring.settings import MonitoringSettings, parse_address
from scperformer.monitoring.stations import Stations
from scperformer.monitoring.vitals import RecordQueue, Vitals
from scperformer.types import NS_PER_S, OutputState, Pick

_log = logging.getLogger(__name__)

_COST_SHARE = 0.01
"""Of the processor time of the main loop, which making the metrics may take."""


class Publisher(Collector):
    """Makes metrics when they are due, writes them into a file and serves them over HTTP.

    Whoever reads them over HTTP reads in a thread of its own, and what nobody changes any more.
    With thousands of stations they are made less often than asked, so as to cost next to nothing.

    Args:
        settings: file and interval.
        address: ``[HOST:]PORT`` to listen on, by default for this machine alone; empty for none.
        models: checksum by name of each model.
        stations: what has come of each.
        is_live: data have a latency.

    Attributes:
        port: on which it listens, 0 if on none.

    Raises:
        ConfigurationError: an address that is none, or that cannot be had.
    """

    def __init__(
        self,
        settings: MonitoringSettings,
        address: str,
        *,
        models: Mapping[str, str],
        stations: Stations,
        is_live: bool,
    ) -> None:
        self.port = 0
        self._file = Path(settings.metrics_file) if settings.metrics_file else None
        self._interval_s = self._shortest_s = settings.metrics_interval_s
        self._program = metrics.about_the_program(models)
        self._stations = stations
        self._is_live = is_live
        self._begun_s = time.time()
        self._made_s = 0.0
        self._delays = metrics.PickDelays()
        self._stuck: dict[str, tuple[int | None, float]] = {}
        self._families: Sequence[Metric] = ()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self._has_failed = False
        self._server: WSGIServer | None = None
        if address:
            self._listen(address)

    def collect(self) -> Sequence[Metric]:
        """Return the metrics, for prometheus_client."""
        return self._families

    def is_due(self, now_s: float) -> bool:
        """Whether metrics are to be made again."""
        return now_s - self._made_s >= self._interval_s

    def given_out(self, picks: Iterable[Pick]) -> None:
        """Count how late picks are that have just been given out."""
        now_ns = time.time_ns()
        for pick in picks:
            self._delays.add((now_ns - pick.time_ns) / NS_PER_S)

    def publish(
        self, vitals: Vitals, queue: RecordQueue | None, *, is_running: bool = True
    ) -> None:
        """Make the metrics and show them; a file that cannot be written does no harm."""
        now = metrics.Moment(time.monotonic(), time.time())
        self._made_s = now.steady_s
        begun_s = time.thread_time()
        self._families = tuple(self._make(vitals, queue, now, is_running=is_running))
        if self._file is not None:
            self._write(self._file)
        cost_s = time.thread_time() - begun_s
        self._interval_s = max(self._shortest_s, cost_s / _COST_SHARE)

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def _make(
        self, vitals: Vitals, queue: RecordQueue | None, now: metrics.Moment, *, is_running: bool
    ) -> Iterator[Metric]:
        yield from self._program
        yield from metrics.about_the_run(
            self._begun_s, now, self._interval_s, is_running=is_running
        )
        yield from metrics.about_the_work(vitals, queue)
        if self._is_live:
            yield self._delays.family()
        stuck_s = {output.name: self._stuck_s(output, now) for output in vitals.outputs}
        yield from metrics.about_the_outputs(vitals.outputs, stuck_s)
        yield from metrics.about_the_stations(
            vitals.statistics, self._stations, now, is_live=self._is_live
        )

    def _stuck_s(self, output: OutputState, now: metrics.Moment) -> float:
        """For how long something has waited there and nothing was delivered."""
        if not (output.n_waiting or output.n_kept):
            self._stuck.pop(output.name, None)
            return 0.0
        delivered_ns, since_s = self._stuck.get(output.name, (-1, 0.0))
        if delivered_ns != output.delivered_ns:
            since_s = now.steady_s
            self._stuck[output.name] = output.delivered_ns, since_s
        return now.steady_s - since_s

    def _write(self, path: Path) -> None:
        try:
            write_bytes(path, generate_latest(self._registry))
        except OutputError as error:
            if not self._has_failed:
                _log.error("metrics: %s; tried again and again, and picking goes on", error)
            self._has_failed = True
            return
        if self._has_failed:
            _log.warning("metrics: %s is written again", path)
        self._has_failed = False

    def _listen(self, address: str) -> None:
        host, port = parse_address(address)
        try:
            server, _ = start_http_server(port, host, registry=self._registry)
        except OSError as error:
            raise ConfigurationError(
                f"--metrics: {address} cannot be listened on ({error.strerror or error}); "
                "name another port"
            ) from error
        self._server, self.port = server, server.server_port
        _log.info("metrics at http://%s:%d/metrics", host, self.port)

"""Metrics: what is counted once comes out under names that Prometheus reads."""

import json
import logging
import re
import time
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from scperformer.core.statistics import DropReason, Statistics
from scperformer.errors import ConfigurationError
from scperformer.monitoring.publishing import Publisher
from scperformer.monitoring.settings import MonitoringSettings, parse_address
from scperformer.monitoring.stations import Heard, Stations
from scperformer.monitoring.vitals import Vitals
from scperformer.types import NS_PER_S, OutputState, SensorId
from tests.conftest import ROOT
from tests.picks import PICK

SHA = "0123" * 16


class Queue:
    n_waiting, fill, waiting_s = 12, 0.25, 1.5


def statistics():
    made = Statistics(records=30, samples=3000, inference_s=0.5)
    for instrument in ("EH", "EN"):
        counts = made.of(SensorId("IM", "NYSH", "00", instrument))
        counts.windows, counts.gaps = 100, 1
        counts.dropped_samples[DropReason.LATE] = 7
        counts.dropped_records[DropReason.DUPLICATE] = 2
    made.count_pick(PICK)
    return made


def vitals(**changes):
    outputs = [OutputState("picks.csv", delivered_ns=5 * NS_PER_S), OutputState("scmp://h", 1, 4)]
    values = {"statistics": statistics(), "n_batches": 4, "n_pending_windows": 3}
    return Vitals(**{**values, "outputs": outputs, "n_problems": 2, **changes})


def stations():
    """One that is heard, its latest record 3 s late a second ago, and one that never was."""
    made = Stations(300.0, time.monotonic())
    made.expect([("IM", "NYSH"), ("IM", "GONE")], time.monotonic())
    made.heard["IM", "NYSH"] = Heard(time.time_ns() - 4 * NS_PER_S, time.monotonic() - 1.0)
    return made


def publisher(path=None, *, address="", is_live=True, interval_s=10.0):
    settings = MonitoringSettings(metrics_file=str(path or ""), metrics_interval_s=interval_s)
    models = {"streaming": SHA}
    return Publisher(settings, address, models=models, stations=stations(), is_live=is_live)


def parsed(text):
    """Values by name and labels, as Prometheus reads them."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def written(path, **changes):
    own = publisher(path)
    own.given_out([PICK])
    own.publish(vitals(**changes), Queue())
    return parsed(path.read_text())


def test_what_is_counted_is_what_is_told(tmp_path):
    values = written(tmp_path / "new" / "metrics.prom")
    station = ("network", "IM"), ("station", "NYSH")
    assert values["scperformer_records_total",] == 30
    assert values["scperformer_station_windows_total", *station] == 200
    assert values["scperformer_station_gaps_total", *station] == 2
    assert values["scperformer_station_picks_total", station[0], ("phase", "P"), station[1]] == 1
    assert values["scperformer_station_picks_total", station[0], ("phase", "S"), station[1]] == 0
    late = ("scperformer_station_dropped_samples_total", station[0], ("reason", "late"), station[1])
    assert values[late] == 14
    twice = ("reason", "duplicate")
    records = ("scperformer_station_dropped_records_total", station[0], twice, station[1])
    assert values[records] == 4
    assert values["scperformer_batch_windows_sum",] == 200
    assert values["scperformer_batch_windows_count",] == 4
    assert values["scperformer_inference_seconds_sum",] == 0.5
    assert values["scperformer_queue_records",] == 12
    assert values["scperformer_queue_fill_ratio",] == 0.25
    assert values["scperformer_windows_pending",] == 3
    assert values["scperformer_model_info", ("model", "streaming"), ("sha256", SHA)] == 1
    delay = ("scperformer_decision_delay_seconds", ("quantile", "0.95"))
    assert values[delay] == pytest.approx(PICK.decision_delay_s, abs=0.005)


def test_times_and_latency_of_a_station(tmp_path):
    values = written(tmp_path / "metrics.prom")
    station = ("network", "IM"), ("station", "NYSH")
    now_s = values["scperformer_updated_timestamp_seconds",]
    latency_s = values["scperformer_station_latency_seconds", *station]
    came_s = values["scperformer_station_last_record_timestamp_seconds", *station]
    end_s = values["scperformer_station_last_data_timestamp_seconds", *station]
    assert latency_s == pytest.approx(3.0, abs=0.2)
    assert came_s == pytest.approx(now_s - 1.0, abs=0.2)
    assert came_s - end_s == pytest.approx(latency_s, abs=1e-3)
    gone = ("network", "IM"), ("station", "GONE")
    assert values["scperformer_station_last_record_timestamp_seconds", *gone] == 0
    assert ("scperformer_station_last_data_timestamp_seconds", *gone) not in values


def test_outputs_what_waits_and_what_was_delivered(tmp_path):
    values = written(tmp_path / "metrics.prom")
    assert values["scperformer_outbox_length", ("output", "scmp://h")] == 5
    delivered = "scperformer_last_delivery_timestamp_seconds"
    assert values[delivered, ("output", "picks.csv")] == 5
    assert (delivered, ("output", "scmp://h")) not in values
    assert values["scperformer_output_up", ("output", "picks.csv")] == 1
    values = written(tmp_path / "metrics.prom", outputs=[OutputState("x", problem="full")])
    assert values["scperformer_output_up", ("output", "x")] == 0


def test_an_output_is_stuck_from_when_nothing_goes_until_something_does(monkeypatch, tmp_path):
    now_s = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    own = publisher(tmp_path / "metrics.prom")
    told = []
    for n_kept, delivered_ns in ((0, 0), (3, 0), (5, 0), (4, 1), (4, 1), (0, 2), (1, 2)):
        own.publish(vitals(outputs=[OutputState("x", 0, n_kept, delivered_ns)]), None)
        values = parsed((tmp_path / "metrics.prom").read_text())
        told.append(values["scperformer_outbox_stuck_seconds", ("output", "x")])
        now_s[0] += 10.0
    assert told == [0, 0, 10, 0, 10, 0, 0]


def test_a_replay_has_no_latency_and_no_delay(tmp_path):
    path = tmp_path / "metrics.prom"
    publisher(path, is_live=False).publish(vitals(), None)
    assert "latency" not in path.read_text()
    assert "pick_delay" not in path.read_text()
    assert "queue" not in path.read_text()


def test_they_are_made_no_more_often_than_asked_and_cost_a_hundredth_at_most(monkeypatch):
    own = publisher(interval_s=10.0)
    now_s = time.monotonic()
    assert own.is_due(now_s)
    own.publish(vitals(), None)
    assert not own.is_due(now_s + 9.9)
    assert own.is_due(now_s + 11.0)
    spent = iter([0.0, 0.5])
    monkeypatch.setattr(time, "thread_time", lambda: next(spent))
    own.publish(vitals(), None)
    assert not own.is_due(time.monotonic() + 49.0)
    assert own.is_due(time.monotonic() + 51.0)


def test_a_file_that_cannot_be_written_is_told_once_and_so_is_its_end(tmp_path, caplog):
    path = tmp_path / "metrics.prom"
    path.mkdir()
    own = publisher(path)
    for _ in range(3):
        own.publish(vitals(), None)
    path.rmdir()
    own.publish(vitals(), None)
    own.publish(vitals(), None)
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]
    assert "picking goes on" in caplog.messages[0]
    assert path.is_file()
    assert [one.name for one in tmp_path.iterdir()] == ["metrics.prom"]


def test_a_name_that_no_file_can_hold(tmp_path):
    values = written(tmp_path / "metrics.prom", outputs=[OutputState("picks\udcff.csv")])
    assert values["scperformer_outbox_length", ("output", "picks?.csv")] == 0


def test_odd_names_come_back_whole(tmp_path):
    odd = 'C:\\x "y"\nz'
    values = written(tmp_path / "metrics.prom", outputs=[OutputState(odd)])
    assert values["scperformer_outbox_length", ("output", odd)] == 0


class TestServed:
    @pytest.fixture
    def own(self):
        made = publisher(address="127.0.0.1:0")
        made.publish(vitals(), Queue())
        yield made
        made.close()

    def get(self, own, path="/metrics"):
        with urllib.request.urlopen(f"http://127.0.0.1:{own.port}{path}", timeout=10) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            return parsed(answer.read().decode())

    def test_the_page_is_what_the_file_is(self, own, tmp_path):
        names = {name for name, *_ in self.get(own)}
        assert names == {name for name, *_ in written(tmp_path / "metrics.prom")}

    def test_the_page_does_not_look_into_what_the_main_loop_changes(self, own):
        before = self.get(own)
        own._stations.heard.clear()
        assert self.get(own) == before

    def test_a_port_that_is_taken(self, own):
        with pytest.raises(ConfigurationError, match=r"--metrics: .* cannot be listened on"):
            publisher(address=f"127.0.0.1:{own.port}")

    def test_nobody_listens_afterwards(self, own):
        own.close()
        with pytest.raises(urllib.error.URLError):
            self.get(own)


def test_addresses():
    assert parse_address("9108") == ("127.0.0.1", 9108)
    assert parse_address("0.0.0.0:9108") == ("0.0.0.0", 9108)
    assert parse_address("[::1]:9108") == ("::1", 9108)
    for wrong in ("", "x", "host:", ":9108", "70000", "host:1:2", "9108/metrics"):
        with pytest.raises(ConfigurationError, match="--metrics"):
            parse_address(wrong)


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """Every name that can stand in a file."""
    path = tmp_path_factory.mktemp("metrics") / "metrics.prom"
    return {name for name, *_ in written(path)}


def test_the_example_dashboard_asks_for_metrics_that_there_are(names):
    dashboard = json.loads((ROOT / "config" / "grafana-dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(queries) > 10
    for query in queries:
        asked = set(re.findall(r"\bscperformer_\w+", query))
        assert asked
        assert asked <= names, query


def test_the_documentation_tells_each_metric_and_no_other(names):
    text = (ROOT / "docs" / "monitoring.md").read_text()
    told = set(re.findall(r"^\| `(scperformer_\w+)`", text, re.MULTILINE))
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in names}
    assert told == families

"""The application's rules against a double of SeisComP."""

import importlib
import logging
import subprocess
import sys
import time
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from scperformer.core.triggers import Thresholds
from scperformer.delivery.outbox import Outbox
from scperformer.delivery.store import Store
from scperformer.errors import ModelError
from scperformer.networks.loading import LoadedModel
from scperformer.types import Phase, Record, SeedId, format_time
from tests import picks, seiscomp_double, synthetic
from tests.fakes import RiseClassifier
from tests.streaming_network import make_network

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def world(monkeypatch):
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield seiscomp_double.install(monkeypatch)
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    for name in [n for n in sys.modules if n.startswith("scperformer.seiscomp")]:
        sys.modules.pop(name)


def make_app(load=None):
    app = importlib.import_module("scperformer.seiscomp.app")

    def load_fake(name):
        return LoadedModel(RiseClassifier(), Thresholds.constant(0.5, 0.5))

    return app.App(1, ["scperformer"], load=load or load_fake)


def stream(n_samples=6000, p_times_s=(20.0, 40.0), step=400):
    waveform = synthetic.earthquakes(n_samples, list(p_times_s))
    cuts = [range(step, n_samples, step)] * 3
    return synthetic.records(waveform, cuts)


def expected_ids():
    picks = synthetic.pick_all(synthetic.make_pipeline(owner="TEST"), stream())
    assert len(picks) >= 4
    return sorted(pick.public_id for pick in picks)


def snr_ids(phase="-P-"):
    return [f"{name}.snr" for name in expected_ids() if phase in name]


@pytest.mark.parametrize(("wanted", "phases"), [("none", "!"), ("P", "-P-"), ("all", "-")])
def test_picks_of_the_phases_asked_for_get_amplitudes(world, wanted, phases):
    world.records = stream()
    world.configuration = {"snrAmplitudes": wanted}
    make_app()()
    assert sorted(world.connection.ids("Amplitude")) == snr_ids(phases)
    assert sorted(world.connection.ids("Pick")) == expected_ids()


def test_picks_comments_and_amplitudes_are_sent(world):
    world.records = stream()
    app = make_app()
    assert app() == 0
    connection = world.connection
    assert sorted(connection.ids("Pick")) == expected_ids()
    assert sorted(connection.ids("Amplitude")) == snr_ids()
    assert sorted(connection.ids("Comment")) == sorted(2 * expected_ids())
    assert {group for group, _ in connection.sent} == {"PICK", "AMPLITUDE"}
    assert app.counted.count("pick") == len(expected_ids())
    assert app.counted.count("amplitude") == len(snr_ids())
    assert app.was_done


def test_what_a_pick_says(world):
    world.records = stream()
    world.configuration = {
        "extraPickComments": True, "comment.ID": "who", "comment.text": "me", "phaseHint": "Pg",
    }  # fmt: skip
    make_app()()
    message = next(m for g, m in world.connection.sent if g == "PICK")
    pick, *rest = message.notifiers
    comments = list(takewhile(lambda notifier: notifier.kind == "Comment", rest))
    assert pick.parent == "EventParameters"
    assert pick.values["phaseHint"].code() == "Pg"
    assert pick.values["methodID"] == "scperformer"
    assert pick.values["filterID"] == "BW_HP(4,2)"
    assert pick.values["evaluationMode"] == "automatic"
    info = pick.values["creationInfo"].values
    assert (info["agencyID"], info["author"]) == ("TEST", "scperformer@double")
    assert {c.values["id"] for c in comments} == {
        "probability", "model", "SNR", "decision_delay", "components", "who",
    }  # fmt: skip
    assert {c.parent for c in comments} == {pick.values["publicID"]}


def test_records_are_copied(world):
    """The double overwrites each record's memory when the handler has returned."""
    world.records = stream(step=50)
    make_app()()
    assert sorted(world.connection.ids("Pick")) == expected_ids()


def test_what_could_not_be_sent_is_counted_in_messages(world):
    """S picks have no amplitude by default: it is no message, and must not count as one."""
    world.records = stream()
    world.connection.connected = False
    make_app()()
    n_messages = len(expected_ids()) + len(snr_ids())
    assert ("error", f"{n_messages} messages could not be sent") in world.log


def test_an_outage_loses_nothing_and_keeps_the_order(world):
    world.records = stream()
    n = len(world.records)

    def cut(app):
        world.connection.connected = False
        if n % 2 == 0:
            app.handleDisconnect()

    def mend(app):
        world.connection.connected = True
        app.handleReconnect()

    world.events = {n // 4: cut, 3 * n // 4: mend}
    assert make_app()() == 0
    assert sorted(world.connection.ids("Pick")) == expected_ids()
    assert sorted(world.connection.ids("Amplitude")) == snr_ids()


def run_with_messaging_away(world, first, last, then):
    """Run with no messaging from one record to another, given as shares; return the status."""
    world.records = stream()
    n = len(world.records) - 1

    def cut(app):
        world.connection.connected = False

    def mend(app):
        world.connection.connected = True
        then(app)

    world.events = {round(first * n): cut, round(last * n): mend}
    return make_app()()


def test_what_waits_together_travels_in_one_message_a_kind(world):
    assert run_with_messaging_away(world, 0, 1, lambda app: app.handleReconnect()) == 0
    (first, picks), (second, amplitudes), *_ = world.connection.sent
    assert (first, second) == ("PICK", "AMPLITUDE")
    ids = [n.values["publicID"] for n in picks.notifiers if n.kind == "Pick"]
    assert len(ids) > 2
    assert len(amplitudes.notifiers) == sum("-P-" in name for name in ids) > 1
    assert sorted(world.connection.ids("Pick")) == expected_ids()
    assert sorted(world.connection.ids("Amplitude")) == snr_ids()


def test_one_pick_that_the_server_refuses_holds_none_of_its_message_up(world, monkeypatch):
    unwanted = expected_ids()[1]
    send = world.connection.send

    def refuse(group, message):
        ids = {n.values.get("publicID") for n in message.notifiers}
        return unwanted not in ids and send(group, message)

    monkeypatch.setattr(world.connection, "send", refuse)
    tries = range(8)
    status = run_with_messaging_away(world, 0, 1, lambda app: [app.handleTimeout() for _ in tries])
    assert status == 0
    assert sorted(world.connection.ids("Pick")) == sorted({*expected_ids()} - {unwanted})
    assert sorted(world.connection.ids("Amplitude")) == snr_ids()


def test_a_connection_that_came_back_unseen_is_noticed(world):
    run_with_messaging_away(world, 1 / 4, 3 / 4, lambda app: app.handleTimeout())
    assert sorted(world.connection.ids("Pick")) == expected_ids()


def test_a_message_that_nobody_takes_does_not_hold_the_others_up(world):
    world.records = stream()
    world.connection.refuses = {"AMPLITUDE"}
    world.events = {len(world.records) - 1: lambda app: [app.handleTimeout() for _ in range(99)]}
    make_app()()
    assert len(world.connection.ids("Pick")) >= len(expected_ids()) - 1
    assert any("refused" in text for level, text in world.log if level == "error")


def test_an_outbox_on_disk_outlives_a_restart(world, tmp_path):
    world.records = stream()
    world.configuration = {"outbox": str(tmp_path)}
    world.connection.connected = False
    assert make_app()() == 0
    assert not world.connection.sent
    world.connection.connected = True
    world.records = []
    assert make_app()() == 0
    assert sorted(world.connection.ids("Pick")) == expected_ids()
    assert (tmp_path / "scperformer").is_dir()


def test_nothing_is_sent_twice_after_a_restart(world):
    world.has_database = True
    world.records = stream()
    make_app()()
    n = len(world.connection.sent)
    make_app()()
    assert len(world.connection.sent) == n


def test_another_instance_on_the_same_database_sends_its_own_picks(world):
    world.has_database = True
    world.records = stream()
    make_app()()
    first = world.connection.ids("Pick")
    world.name = "scperformer2"
    make_app()()
    both = world.connection.ids("Pick")
    assert len(both) == len(set(both)) == 2 * len(first)


def test_a_crash_between_sending_and_noting_doubles_nothing(world, tmp_path):
    world.has_database = True
    world.configuration = {"outbox": str(tmp_path)}
    world.records = stream()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Outbox, "_note", lambda self: None)
        make_app()()
    n = len(world.connection.sent)
    assert n
    box = Outbox(Store(tmp_path / "scperformer"))
    assert len(box) >= n
    box.close()
    world.records = []
    make_app()()
    assert len(world.connection.sent) == n


def test_a_stop_decides_only_what_is_complete(world):
    """What follows the last complete window is seen again after the restart."""
    world.records = stream(n_samples=2206, p_times_s=(20.0,))
    world.ends_by_signal = True
    make_app()()
    assert not world.connection.ids("Pick")
    world.ends_by_signal = False
    make_app()()
    assert world.connection.ids("Pick")


def test_no_record_however_bad_ends_the_module(world):
    good = stream()
    bad = Record(SeedId("XX", "BAD", "", "HHZ"), synthetic.START_NS, 0.0, np.array([np.nan]))
    world.records = [bad, *good]

    def break_data(app):
        class Broken:
            def __getattr__(self, name):
                raise RuntimeError("broken")

        assert app.handleRecord(Broken()) is None

    world.events = {5: break_data}
    assert make_app()() == 1
    assert sorted(world.connection.ids("Pick")) == expected_ids()


def test_a_record_without_samples_is_told_once(world, monkeypatch):
    world.records = stream()
    monkeypatch.setattr(seiscomp_double.BorrowedRecord, "data", lambda self: None, raising=True)
    assert make_app()() == 0
    lines = [text for level, text in world.log if "without samples" in text]
    assert len(lines) == 3


def test_test_mode_sends_nothing_and_prints(world, capsys):
    world.records = stream()
    world.options["test"] = True
    assert make_app()() == 0
    assert not world.connection.sent
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[-1] for line in lines) == expected_ids()


def test_ep_writes_one_document(world, capsys):
    world.records = stream()
    world.options["ep"] = True
    assert make_app()() == 0
    (document,) = world.documents
    assert document.pickCount() == len(expected_ids())
    assert document.amplitudeCount() == len(snr_ids())
    assert f"Found {len(expected_ids())} picks" in capsys.readouterr().err
    assert not world.connection.sent


def by_channel(records):
    """As `cat` puts files of channels together."""
    return sorted(records, key=lambda record: (record.seed_id, record.start_ns))


@pytest.mark.parametrize("mode", ["ep", "quakeml"])
def test_a_file_out_of_order_is_refused(world, capsys, mode):
    world.records = by_channel(stream(n_samples=30_000))
    world.options[mode] = True
    app = make_app()
    assert app() == 1
    said = capsys.readouterr()
    assert "stopped: records not in the order of time" in said.err
    assert "scmssort -u records.mseed > sorted.mseed" in said.err
    assert said.err.count("order of time") == 1
    assert "Found" not in said.err
    assert not world.documents
    assert "<" not in said.out
    assert app.was_done


@pytest.mark.parametrize("mode", ["ep", "playback", "offline"])
def test_a_few_late_records_cost_the_exit_status_and_are_told(world, capsys, mode):
    records = stream()
    late = next(i for i, r in enumerate(records) if r.start_ns >= synthetic.START_NS + 10**10)
    # The gap that it leaves has been given up by then, 10 s later.
    world.records = [*records[:late], *records[late + 1 : late + 9], records[late]]
    world.records += records[late + 9 :]
    world.options[mode] = True
    assert make_app()() == 1
    name, n_samples = records[late].seed_id, len(records[late].samples)
    said = capsys.readouterr().err
    assert f"{n_samples} samples of {name} lost" in said
    assert "scmssort -u" in said
    assert len(world.documents) == (mode == "ep")


def test_stations_one_after_another_are_in_order(world, capsys):
    """Only a sensor's own records must be: nothing is lost, nothing is said."""
    one = synthetic.earthquakes(30_000, [20.0])
    world.records = [
        record for station in "AB" for record in synthetic.records(one, station=station)
    ]
    world.options["ep"] = True
    assert make_app()() == 0
    assert "lost" not in capsys.readouterr().err


def test_a_record_that_an_error_leaves_out_costs_the_exit_status(world, capsys, monkeypatch):
    world.records = stream()
    world.options["ep"] = True
    make = seiscomp_double.BorrowedRecord.startTime

    def fail_once(record):
        monkeypatch.setattr(seiscomp_double.BorrowedRecord, "startTime", make)
        raise RuntimeError("broken")

    monkeypatch.setattr(seiscomp_double.BorrowedRecord, "startTime", fail_once)
    assert make_app()() == 1
    assert "1 records left out by errors" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("playback", "advice"), [(False, "leadTime) came from file"), (True, "streams to be picked")]
)
def test_a_document_of_no_records_costs_the_exit_status(world, capsys, playback, advice):
    world.options = {"ep": True} | ({"playback": True} if playback else {})
    assert make_app()() == 1
    said = capsys.readouterr().err
    assert advice in said
    assert ("add --playback" in said) == (not playback)


@pytest.mark.parametrize("mode", ["offline", "test", "debug"])
def test_late_records_of_a_live_stream_leave_the_exit_status(world, monkeypatch, mode):
    world.options = {"init-time": 0.0, mode: True}
    world.records = by_channel(stream(n_samples=30_000))
    app = make_app()
    module = importlib.import_module("scperformer.seiscomp.app")
    monkeypatch.setattr(module, "select_streams", lambda *_, **__: module.Selection())
    monkeypatch.setattr(app, "recordStreamURL", lambda: "slink://host", raising=False)
    assert app() == 0
    assert any("later than the windows" in text for _, text in world.log)


def test_nobody_waits_for_a_document_so_that_records_are_joined(world, monkeypatch):
    world.records = stream(step=50)
    world.options["ep"] = True
    n_fed = []
    pipeline = importlib.import_module("scperformer.core.pipeline").Pipeline
    feed = pipeline.feed
    monkeypatch.setattr(pipeline, "feed", lambda self, r: n_fed.append(1) or feed(self, r))
    assert make_app()() == 0
    assert len(n_fed) < len(world.records) / 20
    assert world.documents[0].pickCount() == len(expected_ids())
    assert any(text.startswith(f"{len(world.records)} records") for _, text in world.log)


def test_quakeml_writes_a_catalogue(world, capfdbinary):
    world.records = stream()
    world.options["quakeml"] = True
    assert make_app()() == 0
    text = capfdbinary.readouterr().out
    assert text.count(b"<pick ") == len(expected_ids())
    assert b"quakeml/1.2" in text


def test_dumped_windows_are_files(world, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    world.records = stream()
    world.options |= {"offline": True, "dump-records": True}
    make_app()()
    written = sorted(path.stem for path in tmp_path.glob("*.txt"))
    assert written == expected_ids()
    assert np.loadtxt(next(tmp_path.glob("*.txt"))).shape == (400, 3)


def test_exports_receive_every_pick(world, tmp_path):
    world.records = stream()
    world.configuration = {
        "export.scml": str(tmp_path / "s"),
        "export.quakeml": str(tmp_path / "q"),
    }
    make_app()()
    for folder in ("s", "q"):
        texts = [path.read_bytes() for path in (tmp_path / folder).iterdir()]
        assert sum(text.count(b"<pick ") for text in texts) == len(expected_ids())


def test_dump_config_prints_and_loads_no_model(world, capsys):
    world.options["dump-config"] = True

    def load(name):
        raise AssertionError("no model is needed")

    assert make_app(load)() == 0
    out = capsys.readouterr().out
    assert "thresholds.deadTime" in out
    assert "Stations:" in out


WITHOUT_TENSORFLOW = """
import sys, pytest
from tests import seiscomp_double
world = seiscomp_double.install(pytest.MonkeyPatch())
{change}
from scperformer.seiscomp import app
print(app.run(["scperformer"]), [name for name in sys.modules if "tensorflow" in name])
"""


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ("world.configuration = dict(shift=0)", 1),
        ("world.configuration = dict(model='/nowhere')", 1),
        ("world.options['dump-config'] = True", 0),
    ],
)
def test_what_needs_no_model_does_not_wait_for_tensorflow(change, status):
    code = WITHOUT_TENSORFLOW.format(change=change)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == f"{status} []"


def test_real_time_requests_a_start_and_is_blind_for_a_while(world):
    world.options = {"before": 30.0}
    world.records = stream(p_times_s=(5.0, 40.0))
    app = make_app()
    assert app() == 0
    assert app.stream.start is not None
    ids = world.connection.ids("Pick")
    first_ns = synthetic.START_NS + 10_000_000_000
    assert ids
    assert min(ids) >= format_time(first_ns, "%Y%m%d.%H%M%S.%f")
    everything = synthetic.make_pipeline()
    assert len(ids) < len(synthetic.pick_all(everything, world.records))


def test_a_value_of_another_kind_ends_the_module(world, capsys):
    world.configuration = {"leadTime": "soon"}
    assert make_app().initConfiguration() is False
    assert "leadTime: got 'soon'; wanted a number" in capsys.readouterr().err


def test_values_out_of_range_end_the_module(world, capsys):
    world.configuration = {"leadTime": -5.0, "shift": 0}
    assert make_app()() == 1
    err = capsys.readouterr().err
    assert "leadTime" in err
    assert "shift" in err


def test_a_missing_model_is_said(world, capsys):
    def load(name):
        raise ModelError(f"no model {name!r}")

    assert make_app(load)() == 1
    assert "no model 'streaming'" in capsys.readouterr().err


@pytest.mark.parametrize(("key", "value"), [("shift", 10), ("traceNormalization", True)])
def test_a_setting_that_does_not_go_with_the_model_is_said(key, value, world, capsys):
    def load(name):
        return LoadedModel(make_network(), Thresholds.constant(0.5, 0.5))

    world.configuration = {key: value}
    assert make_app(load)() == 1
    assert f"scperformer: {key}: " in capsys.readouterr().err


def test_the_double_has_what_the_real_classes_have_and_no_more(world):
    datamodel = importlib.import_module("seiscomp.datamodel")
    pick = datamodel.Pick.Create("a")
    pick.setMethodID("us")
    assert pick.methodID() == "us"
    with pytest.raises(AttributeError, match="Pick has no setMethodId"):
        pick.setMethodId("us")
    with pytest.raises(AttributeError, match="Amplitude has no setPolarity"):
        datamodel.Amplitude.Create("b").setPolarity(1)
    with pytest.raises(TypeError, match="Comment holds no Comment"):
        datamodel.Comment().add(datamodel.Comment())
    with pytest.raises(TypeError, match="no constructor of 4"):
        datamodel.WaveformStreamID("N", "S", "", "HHZ")
    with pytest.raises(AttributeError):
        make_app().setMesagingEnabled(True)


def test_every_public_method_of_the_application_is_one_that_seiscomp_calls(world):
    app = make_app()
    mine = [name for name in vars(type(app)) if not name.startswith("_")]
    assert len(mine) > 10
    assert all(hasattr(type(app).__base__, name) for name in mine)


def test_no_handler_raises_or_gives_none_where_a_bool_is_wanted(world, monkeypatch):
    app = make_app()

    class Bad:
        def __getattr__(self, name):
            raise ZeroDivisionError(name)

    app._picker = app._sender = Bad()
    app._outputs = [Bad()]
    for name in ("handleTimeout", "handleEndAcquisition", "handleDisconnect", "handleReconnect"):
        assert getattr(app, name)() is None
    assert app.handleRecord(Bad()) is None
    assert app.handleClose() is True
    assert app.validateParameters() is False
    monkeypatch.setattr(seiscomp_double.StreamApplication, "init", Bad().__getattr__, raising=False)
    assert app.init() is False


def test_messages_of_python_go_to_seiscomps_log(world):
    world.records = stream()
    make_app()()
    assert ("info", "end of acquisition") in world.log
    assert any("records of 1 sensors" in text for _, text in world.log)


def test_public_ids_are_stable_in_any_pattern(world):
    make = importlib.import_module("scperformer.seiscomp.objects").PublicIds
    pick = replace(
        picks.PICK,
        time_ns=1_562_256_828_190_001_234,
        seed_id=SeedId("CI", "CCC", "", "HHZ"),
        recipe="",
    )
    assert make().of_pick(pick) == "20190704.161348.190001-P-CI.CCC..HHZ"
    assert make().of_amplitude(pick) == "20190704.161348.190001-P-CI.CCC..HHZ.snr"
    ids = make("@classname@/@time/%Y%m%d%H%M%S.%f@.@id@")
    assert ids.of_pick(pick).startswith("Pick/20190704161348.190001.")
    assert ids.of_pick(pick) == ids.of_pick(replace(pick, probability=0.5))
    assert ids.of_pick(pick) != ids.of_pick(replace(pick, phase=Phase.S))
    assert ids.of_amplitude(pick).startswith("Amplitude/")
    assert make("@net@.@sta@.@loc@.@cha@@type@@agency@").of_pick(pick) == "CI.CCC..HHZP@agency@"


CHANNELS = [SeedId("XX", "A", "", f"HH{letter}") for letter in "ZNE12"]


@pytest.fixture
def losses(world):
    return importlib.import_module("scperformer.seiscomp.logs").Losses()


def test_nothing_lost_is_false(losses):
    assert not losses
    losses.late(CHANNELS[0], 1)
    assert losses


def test_a_channel_that_lost_a_minute_shows_that_the_order_is_wrong(losses):
    for channel in CHANNELS:
        losses.late(channel, 5999)
    assert not losses.is_disorder(100_000)
    losses.late(CHANNELS[0], 1)
    assert losses.is_disorder(100_000)


def test_what_is_late_now_and_then_is_no_disorder(losses):
    losses.late(CHANNELS[0], 50_000)
    assert losses.is_disorder(5_000_000)
    assert not losses.is_disorder(5_000_001)


@pytest.mark.parametrize(
    ("source", "remedy"),
    [
        ("file:///data/all.mseed", "scmssort -u /data/all.mseed > sorted.mseed"),
        ("my day.mseed", "scmssort -u 'my day.mseed' > sorted.mseed"),
        ("-", "scmssort -u FILE > sorted.mseed"),
        ("sdsarchive:///archive", "scmssort -u FILE > sorted.mseed"),
        ("slink://host", "raise lateWait and componentWait"),
    ],
)
def test_the_remedy_fits_the_source(losses, source, remedy):
    losses.late(CHANNELS[0], 100)
    assert remedy in losses.text(source)


def test_the_text_counts_and_names_the_worst(losses):
    for number, channel in enumerate(CHANNELS, start=1):
        losses.late(channel, number)
    text = losses.text("x.mseed")
    assert "15 samples of XX.A..HH2, XX.A..HH1, XX.A..HHE and 2 more lost" in text


def test_records_that_failed_are_counted(losses):
    losses.n_failed = 3
    assert losses
    assert losses.text("x") == "3 records left out by errors; the log names them"


class TestMonitoring:
    @pytest.fixture
    def metrics(self, world, monkeypatch, tmp_path):
        """Records that come as they are recorded, and what the file says of them."""
        waveform = synthetic.earthquakes(6000, [20.0, 40.0])
        now_ns = time.time_ns()
        world.records = synthetic.records(waveform, [range(400, 6000, 400)] * 3, start_ns=now_ns)
        world.options = {}
        world.configuration = {
            "metrics.file": str(tmp_path / "metrics.prom"), "metrics.interval": 0.1,
            "heartbeat": 0.1, "silence": 0.5, "initTime": 0.0,
        }  # fmt: skip
        asked = [SeedId("XX", station, "", "HHZ") for station in ("A", "GONE")]
        module = importlib.import_module("scperformer.seiscomp.app")
        selection = module.Selection(subscriptions=asked)
        monkeypatch.setattr(module, "select_streams", lambda *_, **__: selection)
        monkeypatch.setattr(
            module.App, "recordStreamURL", lambda app: "slink://host", raising=False
        )

        def read():
            text = (tmp_path / "metrics.prom").read_text()
            families = text_string_to_metric_families(text)
            return {
                (sample.name.removeprefix("scperformer_"), *sorted(sample.labels.values())): (
                    sample.value
                )
                for family in families
                for sample in family.samples
            }

        return read

    def test_metrics_tell_what_was_picked_and_sent(self, world, metrics):
        assert make_app()() == 0
        values = metrics()
        names = world.connection.ids("Pick")
        assert len(names) >= 4
        for phase in "PS":
            n = sum(f"-{phase}-" in name for name in names)
            assert values["station_picks_total", "A", phase, "XX"] == n
        assert values["records_total",] == len(world.records)
        assert values["running",] == 0
        assert values["outbox_length", "messaging"] == 0
        assert values["output_up", "messaging"] == 1
        assert values["last_delivery_timestamp_seconds", "messaging"] > time.time() - 60
        assert values["pick_delay_seconds_count",] == len(names)
        assert values["model_info", "0" * 64, "rise"] == 1
        assert ("station_latency_seconds", "A", "XX") in values
        assert values["station_last_record_timestamp_seconds", "GONE", "XX"] == 0
        assert "queue_records" not in {name for name, *_ in values}

    def test_an_outage_of_the_messaging(self, world, metrics):
        seen = {}

        def cut(app):
            world.connection.connected = False
            app.handleDisconnect()

        def look(app):
            time.sleep(0.15)
            app.handleTimeout()
            seen.update(metrics())

        last = len(world.records) - 1
        world.events = {last // 4: cut, last: look}
        make_app()()
        assert seen["running",] == 1
        assert seen["output_up", "messaging"] == 0
        assert seen["outbox_length", "messaging"] >= 4
        assert ("last_delivery_timestamp_seconds", "messaging") not in seen

    def test_a_heartbeat_and_silence_in_seiscomps_log(self, world, metrics):
        def wait(app):
            for _ in range(3):
                time.sleep(0.3)
                app.handleTimeout()

        def go_on(app):
            app.handleTimeout()

        last = len(world.records) - 1
        world.events = {last - 1: wait, last: go_on}
        make_app()()
        beats = [text for level, text in world.log if level == "info" and "status: " in text]
        assert beats[0].startswith("status: 1 stations, ")
        said = [text for level, text in world.log if level == "warning"]
        silence = [text for text in said if text.startswith(("silent", "data again"))]
        assert silence[0].startswith("silent: nothing from any of 2 stations for ")
        assert silence[1].startswith("data again after ")
        assert len(silence) == 2

    def test_status_messages_count_records(self, world, metrics):
        world.events = {len(world.records) - 1: lambda app: app.handleTimeout()}
        app = make_app()
        app()
        assert app.counted.count("record") == len(world.records) - 1

    def test_a_playback_has_no_latency_and_nobody_is_silent(self, world, metrics):
        world.options = {"playback": True}
        world.events = {5: lambda app: (time.sleep(0.7), app.handleTimeout())}
        make_app()()
        assert "station_latency_seconds" not in {name for name, *_ in metrics()}
        assert not any("silent" in text for _, text in world.log)

    @pytest.mark.parametrize("mode", ["ep", "offline", "test"])
    def test_a_trial_run_leaves_the_modules_file_alone(self, world, metrics, tmp_path, mode):
        world.options = {"playback": True, mode: True}
        assert make_app()() == 0
        assert not (tmp_path / "metrics.prom").exists()

    def test_a_file_that_cannot_be_written_costs_no_pick(self, world, metrics, tmp_path):
        (tmp_path / "metrics.prom").mkdir()
        assert make_app()() == 0
        assert len(world.connection.ids("Pick")) >= 4
        assert any("picking goes on" in text for level, text in world.log if level == "error")

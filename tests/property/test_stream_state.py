"""Crashes at any moment: every pick reaches every output exactly once, and files stay readable."""

import json
import os
import sqlite3
import tempfile
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from scperformer.delivery.delivery import Delivery, Journal
from scperformer.delivery.live_sinks import open_live_sink
from scperformer.delivery.state import StreamState
from scperformer.delivery.store import Store
from scperformer.picks.appending import AppendFile
from scperformer.picks.columns import pick_from_json, pick_to_json
from scperformer.types import NS_PER_S, Onset, Phase, Pick, Polarity, SeedId, SensorId
from tests.picks import PICK
from tests.profiles import examples

BASE_NS = 1_600_000_000 * NS_PER_S
OUTPUTS = ("picks.jsonl", "picks.csv", "picks.txt", "picks.scml", "picks.qml")
relaxed = examples(25)

codes = st.text("ABZ09", min_size=1, max_size=4)
any_picks = st.builds(
    Pick,
    time_ns=st.integers(0, 4 * 10**18),
    phase=st.sampled_from(Phase),
    seed_id=st.builds(SeedId, codes, codes, st.sampled_from(["", "00", "é.", '"\n']), codes),
    probability=st.floats(0.0, 1.0),
    uncertainty_s=st.floats(allow_nan=False),
    snr=st.floats(allow_nan=False),
    polarity=st.none() | st.sampled_from(Polarity),
    onset=st.sampled_from(Onset),
    decision_delay_s=st.floats(0.0, 10.0),
    model=st.text(max_size=5),
    model_sha256=st.just("ab" * 32),
    filter_id=st.sampled_from(["", "BW_HP(4,2)"]),
    n_components=st.integers(1, 3),
)


def make_pick(n, *, station="A", shift_ns=0):
    """The n-th pick of a station: P and S in turn, seven seconds apart."""
    phase = (Phase.P, Phase.S)[n % 2]
    return replace(
        PICK,
        time_ns=BASE_NS + n * 7 * NS_PER_S + shift_ns,
        phase=phase,
        seed_id=SeedId("XX", station, "", "HHZ"),
        probability=0.5 + 0.001 * n,
    )


class Crash(BaseException):
    """The plug was pulled."""


@contextmanager
def plug_pulled(after, fraction):
    """Let so many calls that write pass, then write a part of the next and raise `Crash`."""
    calls = 0

    def due():
        nonlocal calls
        calls += 1
        return after is not None and calls > after

    def write(handle, data):
        if due():
            true_write(handle, bytes(data)[: int(fraction * len(data))])
            raise Crash
        return true_write(handle, data)

    def fsync(handle):
        if due():
            raise Crash

    def rename(path, target):
        if due():
            if fraction > 0.5:
                true_rename(path, target)
            raise Crash
        return true_rename(path, target)

    class Database(sqlite3.Connection):
        """Writes at COMMIT; `test_cut_off_anywhere` knows what half of one leaves behind."""

        def execute(self, question, values=()):
            if question == "COMMIT" and due():
                if fraction > 0.5:
                    super().execute(question)
                raise Crash
            return super().execute(question, values)

    true_write, true_rename = os.write, Path.replace
    connect = partial(sqlite3.connect, factory=Database)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", write)
        patch.setattr(os, "fsync", fsync)
        patch.setattr(Path, "replace", rename)
        patch.setattr("scperformer.delivery.store.sqlite3.connect", connect)
        with suppress(Crash):
            yield


def run_until_crash(folder, picks, *, after, fraction, save_every, shift_ns):
    """Give out picks as a picker would that begins again where the state says."""
    state = None
    try:
        with plug_pulled(after, fraction):
            state = StreamState(folder / "state")
            resume = {s: state.positions.resume_ns(s) for s in state.positions.restored}
            sinks = [open_live_sink(str(folder / name)) for name in OUTPUTS]
            delivery = Delivery(sinks, journal=state.journal, emitted=state.emitted())
            decided = {}
            for n, pick in enumerate(picks):
                sensor_id = pick.seed_id.sensor_id
                if pick.time_ns >= resume.get(sensor_id, 0):
                    delivery.emit([replace(pick, time_ns=pick.time_ns + shift_ns)])
                decided[sensor_id] = pick.time_ns + NS_PER_S
                if n % save_every == 0:
                    state.save(dict(decided), delivery)
            state.save(dict(decided), delivery)
            assert delivery.close() == 0
    finally:
        if state is not None:
            state.close()  # as the system does for a dead process


def keys(picks):
    return Counter((p.seed_id.station, p.phase, round(p.time_ns / NS_PER_S)) for p in picks)


def found(folder):
    """What each output holds: station, phase and whole second, with how often."""
    out = {}
    lines = (folder / "picks.jsonl").read_bytes().split(b"\n")[:-1]
    out["jsonl"] = Counter(json.loads(line)["public_id"][:15] for line in lines)
    for name, skipped in (("picks.csv", 1), ("picks.txt", 0)):
        out[name] = len((folder / name).read_bytes().split(b"\n")[skipped:-1])
    for name in ("picks.scml", "picks.qml"):
        ids = Counter()
        for path in (folder / name).glob("*.*ml"):
            root = etree.parse(path).getroot()
            ids.update(element.get("publicID") for element in root.iter("{*}pick"))
        out[name] = ids
    return out


class TestCrashes:
    @relaxed
    @given(
        crashes=st.lists(st.tuples(st.integers(0, 300), st.floats(0.0, 1.0)), max_size=6),
        save_every=st.integers(1, 9),
        shift_ms=st.integers(-40, 40),
        n=st.integers(1, 14),
    )
    def test_every_pick_once_in_every_output(self, crashes, save_every, shift_ms, n):
        picks = [make_pick(k, station=s) for k in range(n) for s in ("A", "B")]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for k, (after, fraction) in enumerate([*crashes, (None, 0.0)]):
                run_until_crash(
                    folder,
                    picks,
                    after=after,
                    fraction=fraction,
                    save_every=save_every,
                    shift_ns=shift_ms * 1_000_000 if k % 2 else 0,
                )
                readable_documents(folder)
            held = found(folder)
            assert held["picks.csv"] == held["picks.txt"] == len(picks)
            assert held["jsonl"].total() == len(picks)
            assert set(held["picks.scml"].values()) == set(held["picks.qml"].values()) == {1}
            assert len(held["picks.scml"]) == len(held["picks.qml"]) == len(picks)
            text = (folder / "picks.jsonl").read_text()
            assert all(f'"{public_id}"' in text for public_id in held["picks.scml"])


def readable_documents(folder):
    for path in folder.glob("picks.*/*ml"):
        etree.parse(path)


class TestJournal:
    @relaxed
    @given(pick=any_picks)
    def test_a_pick_comes_back_exactly(self, pick):
        assert pick_from_json(json.loads(json.dumps(pick_to_json(pick)))) == pick

    @relaxed
    @given(data=st.data(), n=st.integers(1, 12))
    def test_cut_off_anywhere_it_gives_what_was_whole(self, data, n):
        with tempfile.TemporaryDirectory() as name:
            store = Store(Path(name))
            journal = Journal(store)
            wal = Path(f"{store.path}-wal")
            ends = [wal.stat().st_size]
            for k in range(n):
                journal.append([make_pick(k)])
                ends.append(wal.stat().st_size)
            left = {path: path.read_bytes() for path in (store.path, wal)}
            store.close()
            cut = data.draw(st.integers(ends[0], ends[-1]))
            store.path.write_bytes(left[store.path])
            wal.write_bytes(left[wal][:cut])
            store = Store(Path(name))
            again = Journal(store)
            whole = sum(end <= cut for end in ends[1:])
            assert list(again.picks.values()) == [make_pick(k) for k in range(whole)]
            again.append([make_pick(99)])
            assert max(again.picks) == again.last_serial
            store.close()
            assert len(Journal(Store(Path(name))).picks) == whole + 1


class TestAppendFile:
    @relaxed
    @given(text=st.binary(max_size=200_000), more=st.binary(max_size=20))
    def test_a_partial_line_is_cut_off(self, text, more):
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "lines"
            path.write_bytes(text)
            file = AppendFile(path)
            file.append(more + b"\n")
            file.close()
            whole = text[: text.rfind(b"\n") + 1]
            assert path.read_bytes() == whole + more + b"\n"


def test_a_full_disk_leaves_no_trace_and_nothing_is_lost(tmp_path, monkeypatch):
    full = False

    def write(handle, data):
        if full:
            true_write(handle, bytes(data)[:10])
            raise OSError(28, "No space left on device")
        return true_write(handle, data)

    true_write = os.write
    monkeypatch.setattr(os, "write", write)
    sink = open_live_sink(str(tmp_path / "picks.jsonl"))
    delivery = Delivery([sink])
    delivery.emit([make_pick(0)])
    full = True
    delivery.emit([make_pick(1)])
    assert delivery.n_waiting == 1
    assert (tmp_path / "picks.jsonl").read_bytes().count(b"\n") == 1
    full = False
    assert delivery.close() == 0
    assert (tmp_path / "picks.jsonl").read_bytes().count(b"\n") == 2
    assert not (tmp_path / "picks.jsonl").read_bytes().partition(b"\n")[2].startswith(b'{"time{')


def test_the_journal_does_not_grow_for_ever(tmp_path):
    state = StreamState(tmp_path / "state")
    delivery = Delivery([open_live_sink(str(tmp_path / "p.jsonl"))], journal=state.journal)
    sensor_id = SensorId("XX", "A", "", "HH")
    largest = 0
    for n in range(0, 6000, 50):
        picks = [make_pick(k) for k in range(n, n + 50)]
        delivery.emit(picks)
        state.save({sensor_id: picks[-1].time_ns + 1}, delivery)
        largest = max(largest, state.store.path.stat().st_size)
    assert len(state.journal.picks) < 1200
    assert largest < 1_000_000
    delivery.close()
    state.close()

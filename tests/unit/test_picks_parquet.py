"""Picks in Parquet: types, units, the same bytes on every way, files whole at every moment."""

import math
import sys
from dataclasses import replace
from itertools import pairwise

import pytest

from scperformer.errors import ConfigurationError, InputError, OutputError
from scperformer.picks.columns import NAMES
from scperformer.picks.parquet import ParquetDays, arrow
from scperformer.picks.pick_files import in_order, open_sink, read_pick_file
from scperformer.types import NS_PER_S, Phase, SeedId, parse_time
from tests.picks import PICK

DAY_NS = 86_400 * NS_PER_S
MIDNIGHT_NS = parse_time("2021-04-02")
BARE = replace(
    PICK,
    time_ns=MIDNIGHT_NS - 1,
    phase=Phase.S,
    seed_id=SeedId("IM", "NYSH", "", "EHE"),
    uncertainty_s=math.nan,
    snr=math.inf,
    polarity=None,
    onset=None,
    recipe="",
)
OTHER_MODEL = {"model": "streaming", "model_sha256": "ab" * 32}
PICKS = [
    PICK,
    BARE,
    replace(PICK, time_ns=MIDNIGHT_NS),
    replace(PICK, time_ns=MIDNIGHT_NS + 7, seed_id=SeedId("A", "B", "", "HHZ"), **OTHER_MODEL),
    *(replace(PICK, time_ns=MIDNIGHT_NS + DAY_NS + n * NS_PER_S) for n in range(20)),
]


@pytest.fixture
def pyarrow():
    try:
        return arrow()
    except ConfigurationError as error:
        pytest.skip(f"needs pyarrow: {error}")


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def written(folder, portions, **options):
    with ParquetDays(folder, **options) as sink:
        for portion in portions:
            sink.write(portion)
    return files(folder)


def same(one, other):
    return str(one) == str(other)  # nan is nan there


def test_every_value_comes_back_exactly(tmp_path, pyarrow):
    folder = tmp_path / "picks.parquet"
    with open_sink(folder) as sink:
        sink.write(PICKS[::-1])
    assert same(read_pick_file(folder), in_order(PICKS))
    (first,) = read_pick_file(folder / "day=2021-04-02" / "picks.parquet")[:1]
    assert first.time_ns == MIDNIGHT_NS


def test_there_is_a_folder_a_day_that_others_find(tmp_path, pyarrow):
    from pyarrow import dataset  # noqa: PLC0415

    made = written(tmp_path / "p", [PICKS])
    assert sorted(made) == [f"day=2021-04-0{n}/picks.parquet" for n in (1, 2, 3)]
    table = dataset.dataset(tmp_path / "p", partitioning="hive").to_table()
    assert set(table.column_names) == {*NAMES, "day"}
    assert len(table) == len(PICKS)


def test_the_schema_tells_types_units_and_the_models_checksum(tmp_path, pyarrow):
    from pyarrow import parquet  # noqa: PLC0415

    written(tmp_path, [PICKS])
    schema = parquet.read_schema(tmp_path / "day=2021-04-02" / "picks.parquet")
    assert tuple(schema.names) == NAMES
    assert str(schema.field("time").type) == "timestamp[ns, tz=UTC]"
    assert str(schema.field("uncertainty_s").type) == "double"
    assert pyarrow.types.is_dictionary(schema.field("station").type)
    assert schema.field("uncertainty_s").metadata[b"unit"] == b"s"
    assert schema.field("decision_delay_s").metadata[b"unit"] == b"s"
    assert schema.metadata[b"model"] == b"performer, streaming"
    assert schema.metadata[b"model_sha256"] == f"{PICK.model_sha256}, {'ab' * 32}".encode()


@pytest.mark.parametrize("most_waiting", [1, 3, 1000])
def test_bytes_do_not_depend_on_order_portions_or_repetitions(tmp_path, pyarrow, most_waiting):
    wanted = written(tmp_path / "a", [PICKS])
    edges = [0, 1, 5, 6, 20, len(PICKS)]
    portions = [PICKS[a:b] for a, b in pairwise(edges)][::-1]
    portions.append(PICKS[:3])
    assert written(tmp_path / "b", portions, most_waiting=most_waiting) == wanted


def test_a_day_is_whole_at_every_moment_and_few_picks_wait(tmp_path, pyarrow):
    sink = ParquetDays(tmp_path / "p", most_waiting=4)
    for number, pick in enumerate(PICKS, 1):
        sink.write([pick])
        there = read_pick_file(tmp_path / "p") if files(tmp_path / "p") else []
        assert 0 <= number - len(there) < 4
    sink.close()
    sink.close()
    assert len(read_pick_file(tmp_path / "p")) == len(PICKS)
    with pytest.raises(OutputError, match="closed"):
        sink.write([PICK])


def test_settling_brings_all_to_the_disk(tmp_path, pyarrow):
    sink = ParquetDays(tmp_path / "p")
    sink.write(PICKS)
    assert not sink.settle()
    assert sink.settle(at_once=True)
    assert len(read_pick_file(tmp_path / "p")) == len(PICKS)


def test_a_folder_with_picks_is_extended_only_where_that_is_wanted(tmp_path, pyarrow):
    wanted = written(tmp_path / "whole", [PICKS])
    written(tmp_path / "p", [PICKS[:10]])
    with pytest.raises(OutputError, match=r"has picks already; .*name another folder"):
        ParquetDays(tmp_path / "p")
    leftover = tmp_path / "p" / "day=2021-04-02" / ".picks.parquet.0123abcd.part"
    leftover.write_bytes(b"half")
    assert written(tmp_path / "p", [PICKS], extend=True) == wanted


def test_a_folder_begun_anew_keeps_its_days_until_there_are_picks(tmp_path, pyarrow):
    whole = written(tmp_path / "p", [PICKS])
    ParquetDays(tmp_path / "p", anew=True).close()
    assert files(tmp_path / "p") == whole
    assert written(tmp_path / "p", [PICKS[:1]], anew=True) == written(tmp_path / "q", [PICKS[:1]])


def test_a_damaged_file_is_not_extended_and_its_picks_still_wait(tmp_path, pyarrow):
    written(tmp_path / "p", [PICKS])
    path = tmp_path / "p" / "day=2021-04-01" / "picks.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    sink = ParquetDays(tmp_path / "p", extend=True)
    sink.write([replace(PICK, time_ns=PICK.time_ns + 1_000_000)])
    with pytest.raises(OutputError, match="no file of ours that can be extended"):
        sink.close()
    path.write_bytes(whole)
    sink.close()
    assert len(read_pick_file(path)) == 3


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(200) + b"PAR1", b"no" * 900])
def test_what_is_no_parquet_is_told(tmp_path, pyarrow, content):
    path = tmp_path / "picks.parquet"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"picks\.parquet: no Parquet that can be read"):
        read_pick_file(path)


def test_no_picks_are_an_empty_folder(tmp_path, pyarrow):
    assert written(tmp_path / "p.parquet", []) == {}
    assert read_pick_file(tmp_path / "p.parquet") == []
    assert written(tmp_path / "p.parquet", [PICKS])


def test_a_missing_or_empty_folder_is_told(tmp_path, pyarrow):
    with pytest.raises(InputError, match="no such file"):
        read_pick_file(tmp_path / "no.parquet")
    with pytest.raises(InputError, match=r"a folder without any file \.parquet"):
        read_pick_file(tmp_path)


def test_tables_of_others_are_read(tmp_path, pyarrow, caplog):
    from pyarrow import parquet  # noqa: PLC0415

    path = tmp_path / "theirs.parquet"
    texts = ["2021-04-01T12:00:00.5", "2021-04-01T12:00:02", "2021-04-01T12:00:03"]
    shared = {"network": ["XX"] * 3, "station": ["A", "B", "B"], "phase": ["Pg", "Sn", "PKP"]}
    parquet.write_table(pyarrow.table({**shared, "time": texts}), path)
    one, two = read_pick_file(path)
    assert (one.phase, one.time_ns, one.probability) == (Phase.P, parse_time(texts[0]), 1.0)
    assert (two.phase, two.seed_id.station) == (Phase.S, "B")
    assert "PKP 1" in caplog.text

    stamps = pyarrow.array([1, 2, None], pyarrow.timestamp("s"))
    row = {"network": ["XX"] * 3, "station": ["A", "B", "C"], "p_time": stamps, "s_time": stamps}
    parquet.write_table(pyarrow.table(row), path)
    assert [p.time_ns // NS_PER_S for p in read_pick_file(path)] == [1, 1, 2, 2]

    parquet.write_table(pyarrow.table({"a": [1]}), path)
    with pytest.raises(InputError, match="columns found: a;"):
        read_pick_file(path)


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'scperformer\[parquet\]'"):
        open_sink(tmp_path / "p.parquet")
    with pytest.raises(ConfigurationError, match="Parquet needs pyarrow"):
        read_pick_file(tmp_path / "p.parquet")
    assert list(tmp_path.iterdir()) == []

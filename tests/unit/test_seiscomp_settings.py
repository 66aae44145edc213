"""Settings, options, bindings and descriptions of the SeisComP module: no SeisComP needed."""

from pathlib import Path

import pytest
from lxml import etree

from scperformer.config import Settings
from scperformer.core.triggers import Thresholds
from scperformer.errors import ConfigurationError
from scperformer.networks.loading import LoadedModel
from scperformer.seiscomp import describe
from scperformer.seiscomp.configuration import Bindings, configure, read_bindings
from scperformer.seiscomp.picker import Picker
from scperformer.seiscomp.settings import (
    ModuleSettings,
    binding_infos,
    module_infos,
    module_options,
)
from scperformer.seiscomp.streams import Inventory, select_streams
from scperformer.setting import settings_of
from scperformer.types import SeedId, SensorId
from tests import synthetic
from tests.fakes import RiseClassifier

ROOT = Path(__file__).resolve().parents[2]

SCAUTOPICK_KEYS = {
    "ringBufferSize", "leadTime", "initTime", "playback", "gapInterpolation", "useAllStreams",
    "filter", "timeCorrection", "phaseHint", "simplifiedIDs", "extraPickComments",
    "thresholds.maxGapLength", "thresholds.deadTime", "comment.ID", "comment.text",
    "connection.amplitudeGroup",
}  # fmt: skip
SCAUTOPICK_OPTIONS = {
    "any-stream", "before", "buffer-size", "init-time", "filter", "gap-interpolation",
    "gap-tolerance", "playback",
}  # fmt: skip


class Values:
    """Stands for a station, setup, parameter set or parameter."""

    def __init__(self, **values: object) -> None:
        self.__dict__.update({name: lambda value=value: value for name, value in values.items()})


class ParameterSet:
    def __init__(self, base: str, **values: str) -> None:
        self.base, self.values = base, list(values.items())

    def baseID(self) -> str:
        return self.base

    def parameterCount(self) -> int:
        return len(self.values)

    def parameter(self, i: int) -> Values:
        return Values(name=self.values[i][0].replace("__", "."), value=self.values[i][1])


class App:
    """An application with bindings for stations A (enabled), OFF and NONE (no setup)."""

    def __init__(self, sets: dict[str, ParameterSet], name: str = "scperformer") -> None:
        self.sets, self._name = sets, name
        self.stations = [
            Values(networkCode="XX", stationCode=code, enabled=True, setup=setup)
            for code, setup in (("A", "own"), ("OFF", "own"), ("NONE", None))
        ]

    def name(self) -> str:
        return self._name

    def configModule(self) -> "App":
        return self

    def configStationCount(self) -> int:
        return len(self.stations)

    def configStation(self, i: int) -> Values:
        return self.stations[i]

    def isStationEnabled(self, network: str, station: str) -> bool:
        return station != "OFF"

    def find_setup(self, station: Values, name: str, allow_global: bool) -> Values | None:
        assert (name, allow_global) == (self._name, False)
        setup = station.setup()
        return None if setup is None else Values(parameterSetID=setup, enabled=True)

    def read(self, settings: Settings | None = None) -> Bindings:
        return read_bindings(self, settings or Settings(), self.find_setup, self.sets.get)


def bound(**values: str) -> App:
    base = ParameterSet("", detecStream="HH", detecLocid="", thresholds__P="0.1")
    return App({"base": base, "own": ParameterSet("base", **values)})


def test_scautopicks_names_are_there():
    assert {info.key for info in module_infos()} >= SCAUTOPICK_KEYS
    assert set(module_options()) >= SCAUTOPICK_OPTIONS
    assert {info.key for info in binding_infos()} >= {"detecEnable", "detecFilter", "timeCorr"}


def test_no_two_settings_share_a_key_or_an_option():
    keys = [info.key for info in module_infos()]
    options = [info.option for info in module_infos() if info.option]
    assert len(keys) == len(set(keys))
    assert len(options) == len(set(options)) == len(module_options()) - 2
    for info in module_infos():
        assert info.help.endswith(".")
        assert info.fault(info.default) is None


def test_options_prevail_over_files_and_all_faults_come_at_once():
    config = configure({"lead_time_s": 120.0, "filter": ""}, {"filter": "BW(4,2,20)"}, frozenset())
    assert config.module.lead_time_s == 120.0
    assert config.settings.filter == "BW(4,2,20)"
    with pytest.raises(ConfigurationError) as caught:
        configure({"lead_time_s": -1.0, "filter": "NONSENSE(1)"}, {}, frozenset())
    assert len(caught.value.faults) == 2


def test_the_blind_time_is_for_real_time():
    assert ModuleSettings().blind_s == 10.0
    assert ModuleSettings(playback=True).blind_s == 0.0
    assert ModuleSettings(playback=True, init_time_s=5.0).blind_s == 5.0


def test_offline_work_waits_for_full_batches():
    config = configure({"max_batch_delay_s": 0.5}, {}, frozenset({"ep"}))
    assert config.is_offline
    assert config.settings.max_batch_delay_s == 60.0


@pytest.mark.parametrize(("text", "value"), [("true", True), ("0", False), ("On", True)])
def test_truth_values_as_seiscomp_writes_them(text, value):
    info = next(i for i in module_infos() if i.name == "gap_interpolation")
    assert info.parse(text) is value


def test_bindings_are_read_base_first():
    station = (
        bound(thresholds__P="0.7", detecFilter="BW(4,1,20)", model="other").read().get("XX", "A")
    )
    assert station is not None
    assert (station.stream, station.location, station.model) == ("HH", "", "other")
    assert station.settings.threshold_p == 0.7
    assert station.settings.filter == "BW(4,1,20)"
    assert station.settings.threshold_s is None


def test_an_empty_value_leaves_the_modules():
    station = bound(detecFilter="", thresholds__P="").read(Settings(threshold_s=0.4)).get("XX", "A")
    assert station is not None
    assert station.settings.filter == Settings().filter
    assert station.settings.threshold_s == 0.4


def test_stations_are_enabled_by_binding_and_by_seiscomp():
    bindings = bound(detecEnable="true").read()
    assert bindings.stations["XX", "A"].enabled
    assert not bindings.stations["XX", "OFF"].enabled
    assert ("XX", "NONE") not in bindings.stations
    assert not bound(detecEnable="false").read().stations["XX", "A"].enabled


def test_an_alias_reads_its_own_bindings():
    sets = bound().sets
    assert App(sets, "scperformer2").read().stations["XX", "A"].enabled


def test_faults_of_all_stations_come_at_once():
    with pytest.raises(ConfigurationError) as caught:
        bound(thresholds__P="much", timeCorr="1000", detecFilter="BW(").read()
    text = str(caught.value)
    assert "XX.A: thresholds.P" in text
    assert "XX.OFF" in text


def test_a_missing_base_and_a_circle_do_no_harm():
    sets = {"own": ParameterSet("own", detecStream="HH")}
    assert App(sets).read().stations["XX", "A"].stream == "HH"
    assert App({}).read().stations["XX", "A"].stream == ""


class OneSensor(Inventory):
    def components(self, sensor_id, time_ns):
        return [sensor_id.channel(letter) for letter in "Z12"]

    def ever(self, sensor_id):
        return [sensor_id.channel(letter) for letter in "ZNE12"]

    def sensors(self, time_ns):
        return [SensorId("XX", "B", "00", "BH")]


def select(bindings, inventory=None, **options):
    wanted = {"now_ns": 0, "all_streams": True, "any_stream": False, "reads_file": False, **options}
    return select_streams(bindings, inventory or OneSensor(), **wanted)


def test_bound_stations_are_subscribed_as_the_inventory_knows_them():
    selection = select(bound().read())
    assert [c.channel for c in selection.subscriptions] == ["HHZ", "HH1", "HH2"]
    assert selection.wants(SeedId("XX", "A", "", "HHZ"))
    assert not selection.wants(SeedId("XX", "A", "", "HNZ"))
    assert not selection.wants(SeedId("XX", "OFF", "", "HHZ"))


def test_playback_subscribes_all_epochs_and_unknown_stations_by_wildcard():
    assert len(select(bound().read(), now_ns=None).subscriptions) == 5
    selection = select(bound().read(), Inventory())
    assert [str(c) for c in selection.subscriptions] == ["XX.A..HH?"]


def test_without_bindings_all_streams_are_taken():
    assert select(Bindings(), reads_file=True).subscriptions == []
    assert len(select(Bindings()).subscriptions) == 3
    with pytest.raises(ConfigurationError, match="nothing to pick"):
        select(Bindings(), all_streams=False)


def test_what_is_no_seismometer_is_neither_requested_nor_picked_unless_it_is_bound():
    class WithStrain(OneSensor):
        def sensors(self, time_ns):
            return [*super().sensors(time_ns), SensorId("XX", "B", "00", "HV")]

    requested = select(Bindings(), WithStrain())
    assert {c.channel for c in requested.subscriptions} == {"BHZ", "BH1", "BH2"}
    for selection in (requested, select(Bindings(), reads_file=True)):
        assert selection.wants(SeedId("XX", "B", "00", "BHZ"))
        for channel in ("HV1", "VM1", "ACE", "LOG"):
            assert not selection.wants(SeedId("XX", "B", "00", channel))
    binding = bound(detecStream="HV").read()
    assert select(binding, Inventory()).wants(SeedId("XX", "A", "", "HV1"))


def test_without_an_enabled_binding_there_is_nothing_to_do_unless_asked():
    bindings = bound(detecEnable="false").read()
    with pytest.raises(ConfigurationError, match="nothing to pick"):
        select(bindings)
    selection = select(bindings, any_stream=True, reads_file=True)
    assert selection.wants(SeedId("YY", "C", "", "HHZ"))
    assert not selection.wants(SeedId("XX", "A", "", "HHZ"))


def test_each_station_goes_through_its_model_and_settings():
    models = {
        name: LoadedModel(RiseClassifier(), Thresholds.constant(0.5, 0.5)) for name in ("a", "b")
    }
    bindings = bound(model="b", thresholds__P="0.99999", thresholds__S="0.99999").read()
    picker = Picker(models, "a", settings=Settings(), bindings=bindings, inventory=Inventory())
    waveform = synthetic.earthquakes(6000, [20.0, 40.0])
    picks = []
    for station in ("A", "B"):
        for record in synthetic.records(waveform, station=station):
            picks += picker.feed(record)
    picks += picker.flush()
    assert {pick.seed_id.station for pick in picks} == {"B"}
    assert models["b"].classifier.batch_sizes  # type: ignore[attr-defined]
    assert "6 records of 2 sensors" in picker.summary()


def test_picks_in_the_blind_time_are_left_out():
    def pick_with(blind_s):
        models = {"a": LoadedModel(RiseClassifier(), Thresholds.constant(0.5, 0.5))}
        picker = Picker(
            models, "a", settings=Settings(), bindings=Bindings(), inventory=Inventory(),
            blind_s=blind_s,
        )  # fmt: skip
        waveform = synthetic.earthquakes(6000, [20.0, 40.0])
        stream = synthetic.records(waveform)
        return [p for r in stream for p in picker.feed(r)] + picker.flush()

    every = pick_with(0.0)
    late = [p for p in every if p.time_ns >= synthetic.START_NS + 30_000_000_000]
    assert 0 < len(late) < len(every)
    assert [p.public_id for p in pick_with(30.0)] == [p.public_id for p in late]


@pytest.mark.parametrize("path", sorted(describe.files()))
def test_the_committed_files_are_the_generated_ones(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    assert text == describe.files()[path], "run python -m scperformer.seiscomp.describe"


def test_the_description_names_every_key_once():
    root = etree.fromstring(describe.xml().encode())
    module, binding = root.find("module"), root.find("binding")
    assert keys_of(module.find("configuration")) == [i.key for i in ordered(module_infos())]
    assert keys_of(binding.find("configuration")) == [i.key for i in ordered(binding_infos())]
    kinds = {p.get("type") for p in root.iter("parameter")}
    assert kinds == {"string", "int", "double", "boolean", "path"}
    assert all("." not in p.get("name") for p in root.iter("parameter"))
    references = {o.get("param-ref") for o in root.iter("option") if o.get("param-ref")}
    assert references == {i.key for i in module_options().values()}


def test_the_defaults_file_sets_what_the_code_does():
    lines = [line for line in describe.cfg().splitlines() if line and not line.startswith("# ")]
    written = dict(line.lstrip("#").split(" =", 1) for line in lines)
    infos = {info.key: info for info in module_infos()}
    assert list(written) == list(infos)
    for key, text in written.items():
        assert infos[key].parse(text.strip().strip('"')) == infos[key].default


def test_every_setting_of_the_pipeline_is_in_the_description():
    assert {i.key for i in settings_of(Settings)} <= {i.key for i in module_infos()}


def ordered(infos):
    infos = list(infos)
    groups: dict[str, list] = {}
    for info in infos:
        groups.setdefault(info.key.rpartition(".")[0], []).append(info)
    return [i for name in sorted(groups, key=bool) for i in groups[name]]


def keys_of(configuration):
    keys = []
    for element in configuration:
        if element.tag == "parameter":
            keys.append(element.get("name"))
        else:
            keys += [f"{element.get('name')}.{p.get('name')}" for p in element.iter("parameter")]
    return keys

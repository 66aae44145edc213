"""Which picks come with an amplitude."""

import io
import math
from dataclasses import replace

import pytest
from lxml import etree

from scperformer.config import Settings
from scperformer.delivery.live_sinks import open_live_sink
from scperformer.delivery.outbox import Kind, Outbox
from scperformer.delivery.store import Store
from scperformer.picks import scml
from scperformer.picks.pick_files import BY_SUFFIX, open_sink
from scperformer.picks.style import Style
from scperformer.types import Phase
from tests.unit.test_messaging_notifier import BY, PICK

P = replace(PICK, phase=Phase.P)
S = replace(PICK, phase=Phase.S)
NO_SNR = replace(P, snr=math.nan, time_ns=P.time_ns + 1)


@pytest.mark.parametrize(
    ("wanted", "picks"), [("none", []), ("P", [P]), ("all", [P, S])], ids=["none", "P", "all"]
)
def test_a_document_has_the_amplitudes_asked_for(wanted, picks):
    phases = Settings(snr_amplitudes=wanted).amplitude_phases
    file = io.BytesIO()
    BY_SUFFIX[".scml"].write(file, [P, S, NO_SNR], replace(BY, amplitude_phases=phases))
    root = etree.fromstring(file.getvalue())
    found = [item.text for item in root.iterfind(".//{*}amplitude/{*}pickID")]
    assert found == [pick.public_id for pick in picks]
    assert len(root.findall(".//{*}pick")) == 3


def test_by_default_every_p_with_an_snr_has_one():
    assert Settings().amplitude_phases == frozenset({Phase.P})
    assert [scml.has_amplitude(pick) for pick in (P, S, NO_SNR)] == [True, True, False]


@pytest.mark.parametrize(("wanted", "n"), [("none", 0), ("P", 1), ("all", 2)])
def test_files_folders_and_messages_agree(wanted, n, tmp_path):
    phases = Settings(snr_amplitudes=wanted).amplitude_phases
    style = Style(amplitude_phases=phases)
    with open_sink(tmp_path / "file.scml", style) as sink:
        sink.write([P, S])
    assert (tmp_path / "file.scml").read_bytes().count(b"<amplitude ") == n
    live = open_live_sink(str(tmp_path / "live.scml"), style)
    live.write([P])
    live.settle(at_once=True)
    live.write([S])
    live.close()
    (document,) = (tmp_path / "live.scml").iterdir()
    assert document.read_bytes().count(b"<amplitude ") == n
    for box in (
        Outbox(amplitude_phases=phases),
        Outbox(Store(tmp_path / "box"), amplitude_phases=phases),
    ):
        assert box.append([P, S], created_ns=0) == 2 + n
        kinds = [entry.kind for entry in box.waiting(9)]
        assert kinds.count(Kind.AMPLITUDE) == n
        box.close()

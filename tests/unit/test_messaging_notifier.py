"""Notifier messages: their own structure, and the schema for the objects inside."""

import io
import math
from dataclasses import replace

import pytest
from lxml import etree
from obspy.io.seiscomp.core import validate

from scperformer.delivery.outbox import Entry, Kind
from scperformer.errors import ConfigurationError
from scperformer.messaging import notifier
from scperformer.picks import scml
from scperformer.picks.documents import comments
from scperformer.picks.style import SCML_VERSIONS, Style
from scperformer.types import Phase, SeedId
from tests import picks
from tests.scmp_broker import check_message

BY = Style(agency="IMGG", author="scperformer", created_ns=1_700_000_000_123_456_000)
PICK = replace(picks.PICK, model="performer <&>", recipe="")
S = replace(
    PICK, phase=Phase.S, seed_id=SeedId("IM", "NYSH", "", "EHE"), polarity=None, filter_id=""
)


def messages(pick, version):
    style = replace(BY, scml_version=version)
    amplitude = notifier.amplitude_message(pick, style)
    assert amplitude is not None
    return notifier.pick_message(pick, style), amplitude


def as_document(message: bytes) -> io.BytesIO:
    """Make of notifiers the document that a receiver would end up with."""
    root = etree.fromstring(message)
    namespace = etree.QName(root).namespace
    parents = {"EventParameters": etree.Element(f"{{{namespace}}}EventParameters")}
    for item in root.iter(f"{{{namespace}}}notifier"):
        [child] = item
        name = etree.QName(child).localname
        child.tag = f"{{{namespace}}}{name[0].lower()}{name[1:]}"
        parents[item.get("parentID")].append(child)
        parents[child.get("publicID", "")] = child
    [body] = root
    root.replace(body, parents["EventParameters"])
    return io.BytesIO(etree.tostring(root))


@pytest.mark.parametrize("version", SCML_VERSIONS)
@pytest.mark.parametrize("pick", [PICK, S], ids=["P", "S"])
def test_the_objects_follow_seiscomps_schema(pick, version):
    for message in messages(pick, version):
        document = as_document(message)
        assert etree.parse(document).getroot().get("version") == version
        document.seek(0)
        assert validate(document, version=version)


def test_what_a_receiver_adds_up_is_the_pick_of_a_document():
    document = etree.parse(as_document(messages(PICK, "0.12")[0])).getroot()
    for element in document.iter():
        element.tag = etree.QName(element).localname
    [pick] = document.iter("pick")
    whole = scml.pick_element(PICK, BY)

    def plain(element):
        children = sorted(map(plain, element))
        return element.tag, sorted(element.attrib.items()), (element.text or "").strip(), children

    assert plain(pick) == plain(whole)


def test_each_comment_travels_in_a_notifier_of_its_own():
    message, _ = messages(PICK, "0.14")
    root = etree.fromstring(message)
    found = [
        (
            item.get("parentID"),
            item.get("operation"),
            [etree.QName(child).localname for child in item],
        )
        for item in root.iter("{*}notifier")
    ]
    wanted = [(PICK.public_id, "add", ["Comment"])] * len(comments(PICK, precision=4))
    assert found == [("EventParameters", "add", ["Pick"]), *wanted]
    assert not list(root.iter("{*}comment"))


def test_the_broker_of_the_tests_agrees():
    pick, amplitude = messages(PICK, "0.14")
    assert check_message(pick) == (PICK.public_id,)
    assert check_message(amplitude) == (f"{PICK.public_id}.snr",)
    assert check_message(notifier.marker_message("abc", version="0.14")) == ()


@pytest.mark.parametrize("kind", list(Kind))
def test_public_ids_are_those_of_the_outbox(kind):
    message = messages(PICK, "0.12")[list(Kind).index(kind)]
    assert notifier.public_ids(message) == (Entry(1, kind, 0, PICK).public_id,)


@pytest.mark.parametrize("message", [b"", b"\x00", b"<a", b"<a/>", "<a>ä</a>".encode("latin-1")])
def test_what_is_no_message_has_no_public_ids(message):
    assert notifier.public_ids(message) == ()


def test_a_message_with_a_document_type_is_none_of_ours():
    bomb = (
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        b'<a><b><notifier><P publicID="y">&x;</P></notifier></b></a>'
    )
    assert notifier.public_ids(bomb) == ()


def test_there_is_no_amplitude_without_an_snr():
    assert notifier.amplitude_message(replace(PICK, snr=math.nan), BY) is None


def test_markers_differ_and_hold_nothing():
    one, two = (notifier.marker_message(nonce, version="0.12") for nonce in ("a", "b"))
    assert one != two
    assert notifier.public_ids(one) == ()


@pytest.mark.parametrize(
    ("offered", "version"),
    [
        ("0.14.0", "0.14"),
        ("0.14", "0.14"),
        ("0.13.5", "0.13"),
        ("0.9", "0.9"),
        ("0.10", "0.10"),
        ("0.99", "0.14"),
        ("1.0", "0.14"),
        ("0.6", "0.7"),
        ("", "0.7"),
        ("new", "0.7"),
    ],
)
def test_the_newest_schema_that_both_know_is_taken(offered, version):
    assert notifier.schema_version(offered) == version


def test_an_unknown_schema_is_refused():
    with pytest.raises(ConfigurationError, match="wanted one of"):
        notifier.pick_message(PICK, replace(BY, scml_version="3"))

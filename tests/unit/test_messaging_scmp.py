"""SCMP on the wire: frames, what a session lets through, what counts as acknowledged."""

import pytest

from scperformer.messaging.scmp import (
    MAX_FRAME_BYTES,
    Ack,
    Connected,
    Entered,
    Frame,
    Left,
    Other,
    ProtocolError,
    Receipt,
    Received,
    Refusal,
    Session,
    SessionState,
    parse_server_frame,
)

# As SeisComP 7.2.3 sends it.
WELCOME = (
    b"CONNECTED\nQueue:production\nVersion:1.0\nSchema-Version:0.14.0\nClient-Name:probe\n"
    b"Ack-Window:1\nGroups:STATUS_GROUP,AMPLITUDE,PICK\nDB-Schema-Version:0.14\n\n"
)


def opened(**kwargs) -> Session:
    session = Session("probe", **kwargs)
    session.connect()
    session.receive(WELCOME)
    return session


class TestFrame:
    def test_the_bytes_are_those_of_the_protocol(self):
        frame = Frame("SEND", (("D", "PICK"), ("L", "4"), ("T", "application/x-sc-xml")), b"<a/>")
        assert frame.encode() == b"SEND\nD:PICK\nL:4\nT:application/x-sc-xml\n\n<a/>"
        assert Frame.decode(frame.encode()) == frame

    def test_the_payload_may_hold_empty_lines_and_any_byte(self):
        payload = b"\n\nACK\nN:1\n\n\x00\xff"
        assert Frame.decode(Frame("RECV", (("C", "a"),), payload).encode()).payload == payload

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b"", "no empty line"),
            (b"ACK\nN:1", "no empty line"),
            (b"\n\n", "wanted a command"),
            (b"ack\nN:1\n\n", "wanted a command"),
            (b"AC K\n\n", "wanted a command"),
            ("ÄCK\n\n", "wanted a command"),
            (b"ACK\nN 1\n\n", "wanted 'Name: value'"),
            (b"ACK\n:1\n\n", "wanted 'Name: value'"),
            (b"ACK\nN:\xff\n\n", "not UTF-8"),
            (b"ACK\nN:-1\n\n", "wanted a count"),
            (b"ACK\nN:1.5\n\n", "wanted a count"),
            ("ACK\nN:²\n\n", "wanted a count"),
            (b"ACK\nX:1\n\n", "'N' is missing"),
            (b"RECV\nC:a\nL:1\n\nx", "'D' is missing"),
            (b"RECV\nC:a\nD:PICK\nL:2\n\nx", "content length 2, but 1 bytes"),
            (b"CONNECTED\nClient-Name:a\n\n", "'Groups' is missing"),
            (b"ENTER\nD:PICK\n\n", "'C' is missing"),
        ],
    )
    def test_what_is_wrong_is_told(self, data, said):
        with pytest.raises(ProtocolError, match=said):
            parse_server_frame(data)

    @pytest.mark.parametrize(
        "header", [("", "a"), ("a:b", "a"), (" a", "a"), ("a\nb", "a"), ("a", ""), ("a", "b\n\nc")]
    )
    def test_a_header_cannot_break_a_frame(self, header):
        with pytest.raises(ProtocolError):
            Frame("SEND", (header,)).encode()

    def test_a_frame_that_servers_would_not_take_is_not_made(self):
        session = opened()
        with pytest.raises(ProtocolError, match="at most 1048576"):
            session.send("PICK", b"x" * MAX_FRAME_BYTES)
        assert session.sends == 0

    @pytest.mark.parametrize(
        ("data", "frame"),
        [
            ("ACK\nN:20\n\n", Ack(20)),
            ("ENTER\nD: PICK\nC: me\n\nme,you", Entered("PICK", "me")),
            ("LEAVE\nD:PICK\nC:me\n\n", Left("PICK", "me")),
            ("STATE\nD:STATUS_GROUP\nC:me\nL:3\n\na=b", Other("STATE")),
            ("RECEIPT\nReceipt-Id:me\n\n", Receipt("me")),
            ("DISCONNECTED\nC:you\n\n", Other("DISCONNECTED")),
            (
                "ERROR\nN:3\n\n414 Message not accepted",
                Refusal(3, 414, "414 Message not accepted"),
            ),
            ("ERROR\nN:0\n\n", Refusal(0, None, "")),
            (
                b"RECV\nC:me\nD:PICK\nN:7\nL:1\nE:identity\nT:text/plain\n\nx",
                Received("me", "PICK", 7, "text/plain", "identity", b"x"),
            ),
        ],
    )
    def test_what_servers_send_is_read(self, data, frame):
        assert parse_server_frame(data) == frame

    def test_the_welcome_of_a_real_server_is_read(self):
        assert parse_server_frame(WELCOME) == Connected(
            schema_version="0.14.0",
            framework_version="",
            client_name="probe",
            ack_window=1,
            groups=("STATUS_GROUP", "AMPLITUDE", "PICK"),
        )


class TestSession:
    def test_the_first_frame_asks_for_what_is_wanted(self):
        session = Session("me", ack_window=5, subscriptions=("PICK", "EVENT"), replay=True)
        assert session.connect().decode() == (
            "CONNECT\nAck-Window:5\nClient-Name:me\nMembership-Info:0\nSelf-Discard:0\n"
            "Seq-No:0\nSubscriptions:PICK,EVENT\n\n"
        )

    def test_a_whole_life(self):
        session = opened(subscriptions=("PICK",))
        assert (session.state, session.client_name) == (SessionState.OPEN, "probe")
        session.receive("ENTER\nD:PICK\nC:probe\n\n")
        session.receive("ENTER\nD:PICK\nC:another\n\n")
        assert session.members == {"PICK"}
        assert session.unsubscribe(["PICK"]) == b"UNSUBSCRIBE\nGroups:PICK\n\n"
        session.receive("LEAVE\nD:PICK\nC:probe\n\n")
        assert session.members == set()
        assert session.heartbeat("a=b") == b"STATE\nD:STATUS_GROUP\nL:3\n\na=b"
        assert session.disconnect() == b"DISCONNECT\nReceipt:probe\n\n"
        session.receive("RECEIPT\nReceipt-Id:probe\n\n")
        assert session.state is SessionState.CLOSED

    def test_a_heartbeat_that_overtakes_acknowledges_nothing(self):
        session = opened()
        session.send("PICK", b"1")
        session.send("PICK", b"2")
        session.heartbeat("a=b")
        session.receive("ACK\nN:1\n\n")
        assert session.acknowledged == 0
        session.receive("ACK\nN:2\n\n")
        assert session.acknowledged == 1
        session.receive("ACK\nN:3\n\n")
        assert session.acknowledged == 2

    @pytest.mark.parametrize("count", [0, 3])
    def test_an_acknowledgement_that_cannot_be_is_refused(self, count):
        session = opened()
        session.send("PICK", b"1")
        session.send("PICK", b"2")
        session.receive("ACK\nN:1\n\n")
        with pytest.raises(ProtocolError, match="wanted 1 to 2"):
            session.receive(f"ACK\nN:{count}\n\n")

    def test_an_error_tells_how_far_the_server_came(self):
        session = opened()
        for payload in (b"1", b"2", b"3"):
            session.send("PICK", payload)
        session.receive("ERROR\nN:2\n\n500 Internal queue error")
        assert (session.acknowledged, session.state) == (2, SessionState.CLOSED)

    def test_frames_at_the_wrong_time_are_refused(self):
        session = Session("me")
        with pytest.raises(ProtocolError, match="the session is NEW"):
            session.send("PICK", b"")
        with pytest.raises(ProtocolError, match="the session is NEW"):
            session.receive(WELCOME)
        session.connect()
        with pytest.raises(ProtocolError, match="wanted CONNECTED or ERROR first"):
            session.receive("ACK\nN:0\n\n")
        with pytest.raises(ProtocolError, match="not NEW"):
            session.connect()
        session.receive(WELCOME)
        with pytest.raises(ProtocolError, match="second time"):
            session.receive(WELCOME)
        session.disconnect()
        with pytest.raises(ProtocolError, match="the session is LEAVING"):
            session.heartbeat("a=b")

    @pytest.mark.parametrize("name", ["", "x" * 129, "a\nb"])
    def test_a_name_that_cannot_be_sent_is_refused(self, name):
        with pytest.raises(ProtocolError):
            Session(name).connect()

    def test_a_group_with_a_comma_is_refused(self):
        with pytest.raises(ProtocolError, match="comma"):
            Session("me", subscriptions=("A,B",)).connect()

"""Delivery: what is sent when, what is in doubt, what a refusal does. No socket."""

import logging
from dataclasses import replace

import pytest

from scperformer.delivery.outbox import Outbox
from scperformer.errors import ConfigurationError
from scperformer.messaging.publisher import MAX_IN_FLIGHT, Labels, Publisher, Step
from scperformer.picks.style import Style
from tests.scmp_broker import BrokerCore
from tests.scmp_network import Network
from tests.unit.test_delivery_outbox import disk_outbox, killed, pick


def world(count=0, *, box=None, labels=None, ack_window=1, **broker):
    box = Outbox() if box is None else box
    box.append([pick(i) for i in range(count)], created_ns=0)
    publisher = Publisher(box, labels or Labels(), ack_window=ack_window)
    return Network(BrokerCore(**broker), publisher), box


def ids(*indices):
    return [name for i in indices for name in (pick(i).public_id, f"{pick(i).public_id}.snr")]


def greet(network):
    network.open()
    network.carry_up()
    network.carry_down(1)


def test_messages_arrive_in_order_and_in_their_groups():
    network, box = world(30)
    network.settle()
    assert network.core.ids == ids(*range(30))
    assert [message.group for message in network.core.published] == ["PICK", "AMPLITUDE"] * 30
    assert len(box) == 0
    assert network.core.violations == []
    counts = network.publisher.counts
    assert (counts.sent, counts.acknowledged, counts.connections) == (60, 60, 1)
    assert (counts.recovered, counts.repeated, counts.rejected) == (0, 0, 0)


def test_groups_and_names_can_be_others():
    labels = Labels(client_name="two", pick_group="LOCATION", amplitude_group="LOCATION")
    network, _ = world(2, labels=labels)
    network.settle()
    assert {(m.group, m.sender) for m in network.core.published} == {("LOCATION", "two")}


def test_only_so_many_messages_are_in_flight():
    network, box = world(50, queued=True)
    greet(network)
    network.pump()
    network.carry_up()
    network.carry_down()
    assert len(network.core._tasks) == MAX_IN_FLIGHT
    assert len(box) == 100
    network.core.process(1)
    network.carry_down()
    network.carry_up()
    assert len(network.core._tasks) == MAX_IN_FLIGHT
    assert len(box) == 99


def test_a_message_that_is_sent_again_is_still_one_message():
    network, box = world(5, queued=True)
    for _ in range(3):
        greet(network)
        network.carry_down()
        network.carry_up()
        network.drop(arrive=0)
        network.notice()
        network.core._tasks.clear()
    network.settle()
    assert len(box) == 0
    assert network.publisher.counts.connections > 1
    assert network.publisher.counts.sent == 10


def test_nothing_leaves_the_outbox_before_it_is_acknowledged():
    network, box = world(3)
    network.core.faults.mute = True
    network.settle()
    assert len(network.core.ids) == 6
    assert len(box) == 6
    network.core.faults.mute = False
    network.beat()
    network.carry_up()
    network.carry_down()
    assert len(box) == 0


def test_a_heartbeat_never_acknowledges_a_message_that_still_waits_for_the_database():
    network, box = world(2, queued=True)
    greet(network)
    network.carry_up()
    for _ in range(10):
        network.beat()
        network.carry_up()
        network.carry_down()
    assert (len(box), network.core.ids) == (4, [])
    network.settle()
    assert (len(box), network.core.ids) == (0, ids(0, 1))


@pytest.mark.parametrize("window", [1, 3, 20])
def test_any_acknowledgement_window_serves(window):
    now = [0.0]
    network, box = world(25, ack_window=window, clock=lambda: now[0])
    network.settle()
    now[0] = 2.0
    network.settle()
    assert network.core.ids == ids(*range(25))
    assert len(box) == 0


@pytest.mark.parametrize("fault", ["drop_before_relay", "drop_after_relay"])
def test_a_break_around_the_acknowledgement_neither_loses_nor_repeats(fault):
    network, box = world(10)
    getattr(network.core.faults, fault).update({1, 2, 7, 20})
    network.settle(rounds=60)
    assert network.core.ids == ids(*range(10))
    assert len(box) == 0
    assert network.core.violations == []
    assert network.publisher.counts.connections == 5


def test_the_old_connection_must_be_dead_before_anything_is_repeated():
    network, _ = world(2)
    greet(network)
    network.drop(arrive=2)
    for _ in range(3):
        network.open()
        network.carry_up()
        network.carry_down()
    assert "is in use" in network.problems[-1]
    assert network.core.ids == []
    network.settle()
    assert network.core.ids == ids(0, 1)
    assert network.publisher.counts.recovered == 2


def test_messages_that_wait_behind_a_database_are_waited_for():
    network, _ = world(3, queued=True)
    greet(network)
    network.carry_up()
    network.drop(arrive=0)
    network.notice()
    network.open()
    for _ in range(4):
        network.carry_up()
        network.carry_down()
    assert network.publisher.step is Step.LOOKING
    network.settle()
    assert network.core.ids == ids(0, 1, 2)


def test_a_killed_process_neither_loses_nor_repeats(tmp_path):
    box = disk_outbox(tmp_path)
    network, _ = world(5, box=box)
    greet(network)
    network.carry_up(4)
    killed(box)
    again = disk_outbox(tmp_path)
    network.restart(Publisher(again, Labels()))
    network.settle()
    assert network.core.ids == ids(*range(5))
    assert len(again) == 0
    assert network.publisher.counts.recovered == 10


@pytest.mark.parametrize("sent", [False, True])
def test_only_what_may_have_been_sent_is_looked_for(tmp_path, sent):
    box = disk_outbox(tmp_path)
    network, _ = world(5, box=box)
    network.core.faults.mute = True
    if sent:
        greet(network)
        network.pump()
        network.carry_up()
    network.drop(arrive=0)
    network.notice()
    network.publisher.close()
    box.close()
    again = disk_outbox(tmp_path)
    assert again.in_doubt == sent
    network.restart(Publisher(again, Labels()))
    network.core.faults.mute = False
    network.settle()
    assert network.core.ids == ids(*range(5))
    assert network.publisher.counts.recovered == (10 if sent else 0)
    markers = [message for message in network.core.published if not message.ids]
    assert len(markers) == sent


@pytest.mark.parametrize("forgets", ["restart", "replay"])
def test_a_server_that_cannot_tell_gets_it_again_and_that_is_told(forgets, caplog):
    network, box = world(8, queued=True, replay=forgets != "replay")
    greet(network)
    network.carry_up()
    network.core.process(7)
    network.carry_down(3)
    network.drop(arrive=0)
    network.notice()
    network.core.process()
    if forgets == "restart":
        network.core.restart()
    with caplog.at_level(logging.WARNING):
        network.settle()
    assert sorted(set(network.core.ids)) == sorted(ids(*range(8)))
    assert network.publisher.counts.repeated == 13
    assert "the same public ids" in caplog.text
    assert len(box) == 0
    firsts = list(dict.fromkeys(network.core.ids))
    assert firsts == ids(*range(8))


def test_what_is_seen_vouches_for_what_was_sent_before():
    """Without replay: some were relayed before we listened again, the others while we did."""
    network, box = world(3, queued=True, replay=False)
    greet(network)
    network.carry_down()
    network.carry_up()
    network.drop(arrive=0)
    network.core.process(2)
    network.settle()
    assert network.core.ids == ids(0, 1, 2)
    assert network.publisher.counts.recovered == 6
    assert network.publisher.counts.repeated == 0
    assert len(box) == 0


def test_what_others_send_vouches_for_nothing():
    """A second picker on the same stations gives its picks the same public ids."""
    network, box = world(2)
    greet(network)
    network.drop(arrive=0)
    twin = Network(network.core, Publisher(Outbox(), Labels(client_name="twin")))
    twin.publisher._outbox.append([pick(1)], created_ns=0)
    twin.settle()
    network.settle()
    assert [m.ids[0] for m in network.core.published if m.sender == "scperformer" and m.ids] == ids(
        0, 1
    )
    assert len(box) == 0


def test_looking_can_be_given_up(caplog):
    network, box = world(2, queued=True)
    greet(network)
    network.carry_up()
    network.drop(arrive=0)
    network.notice()
    network.core._tasks.clear()
    network.open()
    network.carry_up()
    network.carry_down()
    network.carry_up()
    assert network.publisher.step is Step.LOOKING
    network.stop_looking()
    network.settle()
    assert network.core.ids == ids(0, 1)
    assert "cannot tell" in caplog.text
    assert len(box) == 0


def test_a_message_that_the_server_rejects_is_put_aside_and_the_rest_goes_on():
    network, box = world(10)
    bad = {pick(3).public_id, f"{pick(4).public_id}.snr"}
    refusal = "415 Message could not be decoded"
    network.core.faults.refuse = lambda m: refusal if bad & set(m.ids) else None
    network.settle(rounds=60)
    assert network.core.ids == [name for name in ids(*range(10)) if name not in bad]
    assert network.publisher.counts.rejected == 2
    assert len(box) == 0
    assert network.core.violations == []


def test_an_error_does_not_fall_on_messages_that_wait_for_the_database():
    network, box = world(6, queued=True)
    bad = pick(3).public_id
    network.core.faults.refuse = lambda m: "414 Message not accepted" if bad in m.ids else None
    network.settle(rounds=60)
    assert network.core.ids == [name for name in ids(*range(6)) if name != bad]
    assert network.publisher.counts.rejected == 1
    assert len(box) == 0


def test_an_acknowledgement_counts_even_if_it_is_the_last_thing_heard():
    network, box = world(1)
    greet(network)
    network.carry_up()
    while network.line.down:
        network.publisher.receive(network.line.down.popleft())
    network.drop(arrive=0)
    assert len(box) == 0


@pytest.mark.parametrize("text", ["500 Internal queue error", "408 Inactivity", "", "unknown"])
def test_other_errors_are_not_the_messages_fault(text):
    network, _ = world(3)
    errors = [text] * 3
    network.core.faults.refuse = lambda m: errors.pop() if errors and m.ids else None
    network.settle(rounds=60)
    assert network.core.ids == ids(0, 1, 2)
    assert network.publisher.counts.rejected == 0
    assert any(text in problem for problem in network.problems)


def test_a_message_that_cannot_be_written_is_put_aside():
    network, box = world()
    box.append([pick(0), replace(pick(1), model="x" * 2**20), pick(2)], created_ns=0)
    network.settle()
    wanted = [name for name in ids(0, 1, 2) if name != pick(1).public_id]
    assert network.core.ids == wanted
    assert network.publisher.counts.rejected == 1
    assert network.core.violations == []


def test_an_unknown_group_is_told_and_nothing_is_lost():
    network, box = world(1, labels=Labels(pick_group="PICKS"))
    network.open()
    network.carry_up()
    network.carry_down()
    assert "no group PICKS; it has STATUS_GROUP, AMPLITUDE, PICK" in network.problems[0]
    assert len(box) == 2


def test_goodbye():
    network, _ = world(1)
    network.settle()
    [bye] = network.publisher.leave()
    network.line.up.append(bye)
    network.carry_up()
    frames = [network.publisher.take_leave(data) for data in network.line.down]
    assert frames[-1] is False
    assert network.publisher.leave() == []
    assert network.core.peers == []


def test_labels_are_checked_all_at_once():
    with pytest.raises(ConfigurationError) as caught:
        Labels(client_name="", pick_group="A,B", amplitude_group="x" * 129)
    assert len(caught.value.faults) == 3
    with pytest.raises(ConfigurationError, match="precision: got -1"):
        Style(precision=-1)

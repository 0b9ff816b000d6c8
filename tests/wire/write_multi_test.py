"""REGION_WRITE_MULTI: many posted writes in one message."""

import errno
import struct

import codec
import pytest
from codec import WRITE_MULTI, config_region, no_reply, write_entry, write_multi
from samples import limits_32, limits_64, refuse_short

bar_0 = 0x10


@pytest.fixture(autouse=True)
def offered(request):
    if "not_offered" not in request.node.name:
        request.getfixturevalue("offers")("write_multiple")


@pytest.fixture
def bar(client):
    if client.region(0).size == 0:
        pytest.skip("the device has no BAR 0, which is what is written to here")
    client.write(config_region, bar_0, bytes(4))
    yield client


def top(client) -> int:
    """The upper half of BAR 0, which every size of a BAR leaves to be written."""
    return int.from_bytes(client.read(config_region, bar_0 + 2, 2), "little")


def entry(value: int) -> bytes:
    return write_entry(bar_0 + 2, config_region, value.to_bytes(2, "little"))


def done(client, payload: bytes) -> int:
    reply = client.ok(WRITE_MULTI, payload)
    assert len(reply.payload) == 8
    assert reply.fds == []
    return struct.unpack("=Q", reply.payload)[0]


def test_it_is_unknown_where_it_was_not_offered(connect):
    client = connect()
    client.negotiate({})
    client.refused(WRITE_MULTI, write_multi([]))
    client.lives()


def test_the_answer_says_how_many_were_done(bar):
    assert done(bar, write_multi([entry(0x1234)])) == 1
    assert top(bar) == 0x1234


@pytest.mark.parametrize("count", [1, 2, 3, 10, 100, 200, 1000])
def test_they_are_done_in_their_order(bar, count):
    assert done(bar, write_multi([entry(i) for i in range(1, count + 1)])) == count
    assert top(bar) == count


def test_none_at_all(client):
    assert done(client, write_multi([])) == 0


@pytest.mark.parametrize("size", range(0, 9))
def test_each_size_up_to_eight(client, size):
    assert done(client, write_multi([write_entry(0, config_region, bytes(size))])) == 1


def test_without_a_reply(bar):
    bar.send(WRITE_MULTI, write_multi([entry(i) for i in range(200)] + [entry(0x4321)]), flags=no_reply)
    assert top(bar) == 0x4321


def test_without_a_reply_and_wrong(client):
    client.send(WRITE_MULTI, write_multi([write_entry(0, 100, b"x")]), flags=no_reply)
    assert client.is_silent()
    client.lives()


@pytest.mark.parametrize("count", [9, 16, *limits_32])
def test_a_write_of_more_than_its_eight_bytes(client, count):
    client.refused(WRITE_MULTI, write_multi([write_entry(0, config_region, b"", count)]), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("claimed, sent", [(1, 0), (2, 1), (0, 1), (1, 2), (100, 99)])
def test_writes_that_are_not_as_many_as_said(client, claimed, sent):
    client.refused(WRITE_MULTI, write_multi([entry(0)] * sent, claimed), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("count", [1 << 32, 0x0AAAAAAAAAAAAAAB, 1 << 61, *limits_64])
def test_a_number_of_writes_at_the_limits_of_its_field(client, count):
    """0x0AAA...AB times 24 is 8 again."""
    client.refused(WRITE_MULTI, write_multi([], count))
    client.refused(WRITE_MULTI, write_multi([entry(0)], count))
    client.lives()


@pytest.mark.parametrize("length", [0, 1, 4, 7])
def test_a_payload_that_is_too_short(client, length):
    refuse_short(client, WRITE_MULTI, length)


@pytest.mark.parametrize("cut", [1, 8, 16, 23])
def test_a_last_write_that_is_cut_off(client, cut):
    client.refused(WRITE_MULTI, write_multi([entry(1), entry(2)])[:-cut], errno.EINVAL)
    client.lives()


def bad_entry(client, kind: str) -> bytes:
    match kind:
        case "region":
            return write_entry(0, 100, b"x")
        case "offset":
            return write_entry(client.region(config_region).size, config_region, b"x")
        case "end":
            return write_entry(client.region(config_region).size - 1, config_region, b"xx")
        case "wrap":
            return write_entry(0xFFFFFFFFFFFFFFFF, config_region, b"xx")


@pytest.mark.parametrize("kind", ["region", "offset", "end", "wrap"])
@pytest.mark.parametrize("at", [0, 1, 50])
def test_a_write_that_fails_among_others(bar, kind, at):
    """Either the whole is an error, or the answer says how many came before it. Those were done, later ones not."""
    entries = [entry(i + 1) for i in range(at)] + [bad_entry(bar, kind), entry(0x7777)]
    reply = bar.call(WRITE_MULTI, write_multi(entries))
    if reply.error is None:
        assert struct.unpack("=Q", reply.payload)[0] == at
    assert top(bar) != 0x7777
    bar.lives()


def test_descriptors_do_not_belong_to_it(client, memory):
    client.refused(WRITE_MULTI, write_multi([entry(0)]), errno.EINVAL, fds=[memory(4096)])
    client.lives()


def test_among_single_writes_and_reads(bar):
    for i in range(1, 100):
        bar.post(config_region, bar_0 + 2, bytes(2))
        bar.send(WRITE_MULTI, write_multi([entry(2 * i - 1), entry(2 * i)]), flags=no_reply)
        assert top(bar) == 2 * i


@pytest.mark.device("mtty")
def test_mttys_scratch_register_keeps_the_last(client):
    entries = [write_entry(7, port, bytes([value])) for value in range(256) for port in (0, 1)]
    assert done(client, write_multi(entries)) == 512
    assert client.read(0, 7, 1) == client.read(1, 7, 1) == b"\xff"

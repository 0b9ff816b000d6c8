"""Regions with memory to map, accesses that take their time, and ranges of vectors: what the board has."""

import mmap
import os
import struct

import codec
import pytest
from board import block, page, ram, shared, slow
from client import check_reply, close_fds
from codec import GET_INFO, REGION_INFO, REGION_READ, SET_IRQS, data_eventfd, data_none, message, set_irqs, trigger

pytestmark = pytest.mark.device("board")
sparse_mmap = 1


def test_the_areas_that_can_be_mapped(client):
    reply = client.ok(REGION_INFO, codec.region_info(shared, argsz=4096))
    close_fds(reply.fds)
    region = codec.unpack_region_info(reply.payload)
    assert region.flags == codec.region_readable | codec.region_writable | codec.region_mappable | codec.region_caps
    assert len(reply.fds) == 1
    (capability,) = codec.unpack_capabilities(reply.payload, region.cap_offset)
    assert (capability.id, capability.version) == (sparse_mmap, 1)
    assert struct.unpack("=IIQQQQ", capability.data) == (2, 0, 0, page, 2 * page, page)


@pytest.mark.parametrize("argsz", [32, 33, 40, 79])
def test_a_reply_without_room_for_the_areas(client, argsz):
    whole = client.region(shared)
    reply = client.ok(REGION_INFO, codec.region_info(shared, argsz))
    assert reply.fds == []
    assert len(reply.payload) == 32
    short = codec.unpack_region_info(reply.payload)
    assert short.argsz == whole.argsz == 32 + 48
    assert not short.flags & codec.region_caps
    assert short.cap_offset == 0


@pytest.mark.parametrize("argsz", [80, 81, 4096, 0xFFFFFFFF])
def test_a_reply_with_room(client, argsz):
    reply = client.ok(REGION_INFO, codec.region_info(shared, argsz))
    close_fds(reply.fds)
    assert len(reply.fds) == 1
    assert len(reply.payload) == 80


def test_what_is_mapped_is_the_devices_memory(client):
    reply = client.ok(REGION_INFO, codec.region_info(shared, argsz=4096))
    region = codec.unpack_region_info(reply.payload)
    try:
        with mmap.mmap(reply.fds[0], page, offset=region.offset + 2 * page) as view:
            view[:5] = b"umdev"
            assert client.read(shared, 2 * page, 5) == b"umdev"
    finally:
        close_fds(reply.fds)


def test_asked_a_hundred_times(client):
    for _ in range(100):
        reply = client.ok(REGION_INFO, codec.region_info(shared, argsz=4096))
        assert len(reply.fds) == 1
        close_fds(reply.fds)


def test_descriptors_and_replies_in_one_send(client):
    """Several replies with a descriptor each: each arrives with its own."""
    client.send_bytes(message(REGION_INFO, codec.region_info(shared, argsz=4096), id=5) * 20)
    for _ in range(20):
        reply = client.receive()
        check_reply(reply, 5, REGION_INFO)
        assert len(reply.fds) == 1
        close_fds(reply.fds)


def test_what_is_behind_a_slow_access_waits_for_it(client):
    """Commands are handled in their order."""
    client.send_bytes(
        message(REGION_READ, codec.access(0, slow, 4), id=1)
        + message(GET_INFO, codec.get_info(), id=2)
        + message(REGION_READ, codec.access(0, ram, 4), id=3)
    )
    replies = [client.receive() for _ in range(3)]
    assert [reply.header.id for reply in replies] == [1, 2, 3]
    assert replies[0].payload[16:] == b"\x51" * 4


def test_a_client_that_goes_during_a_slow_access(connect):
    for _ in range(3):
        client = connect()
        client.negotiate({})
        client.send(REGION_READ, codec.access(0, slow, 4))
        client.close()
    last = connect()
    last.negotiate({})
    assert last.read(slow, 0, 4) == b"\x51" * 4


# --- Three vectors.


def is_signalled(event: int) -> bool:
    try:
        return os.read(event, 8) != b""
    except BlockingIOError:
        return False


def fire(client, start: int = 0, count: int = 3) -> None:
    client.ok(SET_IRQS, set_irqs(data_none | trigger, block, start, count))


def assign(client, start: int, events: list[int]) -> None:
    client.ok(SET_IRQS, set_irqs(data_eventfd | trigger, block, start, len(events)), fds=events)


def test_each_vector_has_its_eventfd(client, eventfd):
    events = [eventfd() for _ in range(3)]
    assign(client, 0, events)
    for i in range(3):
        fire(client, i, 1)
        assert [is_signalled(event) for event in events] == [j == i for j in range(3)]


@pytest.mark.parametrize("start, count", [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (2, 1)])
def test_a_range_is_taken_back_and_the_others_stay(client, eventfd, start, count):
    events = [eventfd() for _ in range(3)]
    assign(client, 0, events)
    client.ok(SET_IRQS, set_irqs(data_eventfd | trigger, block, start, count))
    fire(client)
    assert [is_signalled(event) for event in events] == [not start <= i < start + count for i in range(3)]


@pytest.mark.parametrize("bools", [b"\1\0\0", b"\0\1\0", b"\0\0\1", b"\1\0\1", b"\1\1\1", b"\0\0\0", b"\xff\2\x80"])
def test_those_are_fired_whose_byte_is_not_zero(client, eventfd, bools):
    events = [eventfd() for _ in range(3)]
    assign(client, 0, events)
    client.ok(SET_IRQS, set_irqs(codec.data_bool | trigger, block, 0, 3, bools))
    assert [is_signalled(event) for event in events] == [byte != 0 for byte in bools]


@pytest.mark.parametrize("given", [1, 2])
def test_fewer_descriptors_than_vectors_are_refused(client, eventfd, given):
    client.refused(SET_IRQS, set_irqs(data_eventfd | trigger, block, 0, 3), fds=[eventfd() for _ in range(given)])
    client.lives()


def test_one_descriptor_that_is_no_eventfd_spoils_the_range(client, eventfd, memory):
    events = [eventfd(), memory(page), eventfd()]
    client.refused(SET_IRQS, set_irqs(data_eventfd | trigger, block, 0, 3), fds=events)
    client.lives()
    fresh = [eventfd() for _ in range(3)]
    assign(client, 0, fresh)
    fire(client)
    assert all(is_signalled(event) for event in fresh)
    assert not is_signalled(events[0])


def test_one_eventfd_for_all_vectors(client, eventfd):
    event = eventfd()
    assign(client, 0, [event] * 3)
    fire(client)
    assert int.from_bytes(os.read(event, 8), "little") == 3

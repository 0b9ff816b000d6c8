"""The twin socket: the server's requests and their replies, and nothing else."""

import os

import codec
import pytest
from board import World, guest
from client import Closed, eventually
from codec import DMA_READ, GET_INFO, dma_access

pytestmark = pytest.mark.device("null", "mtty", "board")


@pytest.fixture
def twin(connect, silent):
    """A session with one; its `asked` is the twin."""
    reply = silent.ok(codec.VERSION, codec.version(capabilities={"max_msg_fds": 1, "twin_socket": {"supported": True}}))
    for fd in reply.fds:
        os.close(fd)
    if not reply.fds:
        pytest.skip("the server has no twin socket")
    silent.close()
    world = World(connect(), True)
    yield world
    world.close()


def test_nothing_comes_unasked(twin):
    twin.client.lives()
    assert twin.is_silent()


@pytest.mark.parametrize("command", [GET_INFO, codec.RESET, codec.VERSION, DMA_READ, 0xFFFF])
def test_requests_of_the_client_do_not_belong_there(twin, command):
    """Refused, or the end: never done."""
    try:
        assert twin.asked.call(command, bytes(16)).error is not None
    except Closed:
        return
    twin.client.lives()


def test_refusals_that_nobody_reads_do_not_pile_up(twin):
    many = codec.message(GET_INFO, bytes(16)) * 2048
    with pytest.raises((Closed, OSError)):
        for _ in range(500):
            twin.asked.send_bytes(many)


def test_replies_to_nothing_are_nothing(twin):
    for _ in range(100):
        twin.asked.send(DMA_READ, dma_access(0, 16, bytes(16)), flags=codec.type_reply)
    assert twin.is_silent()
    twin.client.lives()


@pytest.mark.parametrize("size", [0, 15, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_broken_frame_ends_the_session(twin, size):
    twin.asked.send(DMA_READ, b"", flags=codec.type_reply, size=size)
    assert twin.asked.has_closed()


def test_half_a_message_is_no_obstacle(twin):
    twin.asked.send_bytes(codec.message(DMA_READ, bytes(32), flags=codec.type_reply)[:20])
    for _ in range(20):
        twin.client.lives()


def test_descriptors_do_not_belong_there(twin, memory):
    twin.asked.send(DMA_READ, bytes(32), flags=codec.type_reply, fds=[memory(4096)] * 5)
    twin.client.lives()


def test_it_ends_with_the_session(twin):
    twin.client.close()
    assert twin.asked.has_closed()


def test_closed_by_the_client_nobody_can_be_asked(twin):
    """The session goes on without, or ends: it does not hang."""
    twin.asked.close()
    try:
        twin.client.lives()
    except Closed:
        pass


@pytest.mark.own
@pytest.mark.device("null", "mtty")
def test_nothing_of_it_stays(server, connect):
    first = connect()
    first.negotiate({})
    before = server.descriptors()
    first.close()
    for _ in range(20):
        World(connect(), True).close()
    last = connect()
    last.negotiate({})
    assert eventually(lambda: server.descriptors() <= before)


@pytest.mark.device("board")
def test_requests_come_there_and_not_on_the_main_socket(twin):
    twin.lend()
    twin.start_fetch(16)
    request = twin.request(DMA_READ)
    assert twin.client.is_silent()
    twin.reply(request, dma_access(guest, 16, bytes(16)))
    assert twin.result() == 0


@pytest.mark.device("board")
def test_a_reply_on_the_main_socket_is_nothing(twin):
    twin.lend()
    twin.start_fetch(16)
    request = twin.request(DMA_READ)
    reply = codec.message(DMA_READ, dma_access(guest, 16, bytes(16)), request.header.id, codec.type_reply)
    twin.client.send_bytes(reply)
    twin.client.lives()
    assert twin.is_under_way()
    twin.asked.send_bytes(reply)
    assert twin.result() == 0

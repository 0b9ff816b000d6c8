"""Descriptors: where they belong, and what becomes of those that do not."""

import errno
import os
import socket

import codec
import pytest
from client import Closed, eventually, fds_per_message
from codec import DMA_MAP, GET_INFO, SET_IRQS, dma_map, message
from samples import bad, good, names, page

takes_none = [command for command in good if command != DMA_MAP]


@pytest.mark.parametrize("command", takes_none, ids=names)
@pytest.mark.parametrize("count", [1, 16, fds_per_message])
def test_with_a_command_that_takes_none(client, memory, command, count):
    client.refused(command, good[command], errno.EINVAL, fds=[memory(page)] * count)
    client.lives()


@pytest.mark.parametrize("command", [0, 19, 0xFFFF, codec.DMA_READ, codec.DIRTY_PAGES])
def test_with_a_command_that_there_is_not(client, memory, command):
    client.refused(command, bytes(16), fds=[memory(page)])
    client.lives()


@pytest.mark.parametrize("command", [DMA_MAP, SET_IRQS], ids=names)
@pytest.mark.parametrize("count", [17, 64, fds_per_message])
def test_more_than_the_server_said_it_takes(client, memory, command, count):
    if count <= client.capabilities["max_msg_fds"]:
        pytest.skip("the server takes so many")
    client.refused(command, good.get(command) or bad[command], errno.EINVAL, fds=[memory(page)] * count)
    client.lives()


def test_with_a_message_that_wants_no_reply(client, memory):
    client.send(GET_INFO, codec.get_info(), fds=[memory(page)], flags=codec.no_reply)
    client.lives()


def test_with_a_reply_that_nobody_waits_for(client, memory):
    client.send(codec.DMA_READ, bytes(32), fds=[memory(page)] * 10, flags=codec.type_reply)
    client.lives()


def test_they_belong_to_the_message_they_came_with(client, memory):
    """Of many in flight only the last one brings a descriptor, and the others have no memory behind them."""
    client.send_bytes(message(GET_INFO, codec.get_info(), 1) * 20)
    client.send(DMA_MAP, dma_map(0x1000, page), fds=[memory(page)], id=2)
    client.send_bytes(message(GET_INFO, codec.get_info(), 1) * 20)
    replies = [client.receive() for _ in range(41)]
    assert all(reply.error is None for reply in replies)
    assert [reply.header.id for reply in replies] == [1] * 20 + [2] + [1] * 20


def test_a_message_with_some_between_two_without(client, memory):
    for _ in range(50):
        client.send(GET_INFO, codec.get_info())
        client.send(GET_INFO, codec.get_info(), fds=[memory(page)])
        client.send(GET_INFO, codec.get_info())
        assert [client.receive().error for _ in range(3)] == [None, errno.EINVAL, None]


@pytest.mark.parametrize("cut", [1, 8, 15, 16, 17, 40])
def test_with_the_first_piece_of_a_message(client, memory, cut):
    data = message(DMA_MAP, dma_map(0x1000, page), id=1)
    client.send_bytes(data[:cut], [memory(page)])
    client.send_bytes(data[cut:])
    assert client.receive().error is None
    assert client.unmap(0x1000, page) == page


@pytest.mark.parametrize("cut", [1, 8, 16, 40])
def test_with_a_later_piece_they_belong_to_nothing(client, memory, cut):
    """Refused, or taken: the session goes on in either case, and no other message gets them."""
    data = message(DMA_MAP, dma_map(0x1000, page), id=1)
    client.send_bytes(data[:cut])
    assert client.is_silent(0.02)
    client.send_bytes(data[cut:], [memory(page)])
    try:
        client.receive()
    except Closed:
        return
    client.lives()
    client.map(0x10000, page)


def test_a_descriptor_of_the_connection_itself(client):
    client.refused(DMA_MAP, dma_map(0x1000, page), None, fds=[client.socket.fileno()])
    client.lives()


def test_a_socket_that_holds_descriptors_itself(client, memory):
    left, right = socket.socketpair()
    with left, right:
        socket.send_fds(left, [b"x"], [right.fileno(), memory(page)])
        client.refused(GET_INFO, codec.get_info(), None, fds=[right.fileno()])
        client.refused(DMA_MAP, dma_map(0x1000, page), None, fds=[right.fileno()])
    client.lives()


# --- None may stay. The daemon's own descriptors are counted; a reply may be faster than what is closed behind it.


@pytest.mark.own
@pytest.mark.parametrize("command", [*good, *(c for c in bad if c not in good), 0xFFFF], ids=names)
def test_none_stays_open(server, client, memory, command):
    client.lives()
    before = server.descriptors()
    payload = bad.get(command, good.get(command, b""))
    for _ in range(10):
        client.call(command, payload, fds=[memory(page)] * 16)
    assert eventually(lambda: server.descriptors() <= before)


@pytest.mark.own
def test_none_stays_open_of_half_a_message(server, connect, memory):
    before = server.descriptors()
    for _ in range(10):
        client = connect()
        client.send_bytes(message(DMA_MAP, dma_map(0x1000, page))[:20], [memory(page)] * fds_per_message)
        client.close()
    assert eventually(lambda: server.descriptors() <= before)


@pytest.mark.own
def test_ten_thousand(server, client, memory):
    client.lives()
    before = server.descriptors()
    fd = memory(page)
    for _ in range(40):
        client.refused(GET_INFO, codec.get_info(), errno.EINVAL, fds=[fd] * 250)
    assert eventually(lambda: server.descriptors() <= before)
    assert os.fstat(fd).st_size == page

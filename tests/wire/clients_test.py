"""Clients: the second one, the next one, the one that goes in the middle of something."""

import socket

import codec
import pytest
from client import Closed
from codec import DMA_MAP, GET_INFO, REGION_READ, VERSION, config_region, dma_map, message, version


def refused_at_version(client) -> bool:
    try:
        return client.call(VERSION, version(capabilities={})).error is not None and client.has_closed()
    except Closed:
        return True


def test_a_second_client_is_refused_and_the_first_goes_on(client, connect):
    """The device has one user at a time. How the second is refused is the server's affair."""
    second = connect()
    second.socket.settimeout(5)
    try:
        assert refused_at_version(second)
    except TimeoutError:
        pass
    client.lives()


def test_a_second_client_that_is_silent_is_no_obstacle(client, connect):
    second = connect()
    client.lives()
    second.close()
    client.lives()


def test_the_next_client_comes_at_once(connect):
    for _ in range(30):
        client = connect()
        client.negotiate({})
        client.lives()
        client.close()


def test_the_next_client_need_not_wait_for_the_end_of_the_one_before(client, connect):
    """The one before is closed between the next one's connection and its VERSION."""
    client.lives()
    following = connect()
    client.close()
    following.negotiate({})
    following.lives()


def test_the_next_client_finds_no_mappings(client, connect):
    client.map(0x1000, 4096)
    client.close()
    following = connect()
    following.negotiate({})
    following.map(0x1000, 4096)


def test_each_session_agrees_anew(connect):
    small = connect()
    small.negotiate({"max_data_xfer_size": 16})
    small.refused(REGION_READ, codec.access(0, config_region, 17))
    small.close()
    large = connect()
    large.negotiate({})
    assert len(large.read(config_region, 0, 256)) == 256


def test_ids_go_on_where_the_session_before_ended(connect):
    """QEMU counts messages over all its connections."""
    client = connect()
    client.ok(VERSION, version(capabilities={}), id=217)
    client.ok(GET_INFO, codec.get_info(), id=218)


def test_who_has_said_all_still_gets_the_answers(client):
    client.send_bytes(message(GET_INFO, codec.get_info(), id=1) * 50)
    client.socket.shutdown(socket.SHUT_WR)
    assert [client.receive().header.id for _ in range(50)] == [1] * 50
    assert client.has_closed()


@pytest.mark.parametrize("length", [0, 1, 7, 15, 16, 20, 31])
def test_one_that_goes_in_the_middle_of_a_message(connect, length):
    for _ in range(5):
        client = connect()
        client.negotiate({})
        client.send_bytes(message(GET_INFO, codec.get_info())[:length])
        client.close()
    last = connect()
    last.negotiate({})
    last.lives()


@pytest.mark.parametrize("length", [0, 1, 15, 16, 19, 40])
def test_one_that_goes_in_the_middle_of_version(connect, length):
    for _ in range(5):
        client = connect()
        client.send_bytes(message(VERSION, version(capabilities={"max_msg_fds": 1}))[:length])
        client.close()
    last = connect()
    last.negotiate({})
    last.lives()


def test_one_that_goes_before_it_has_the_answer(connect, memory):
    for _ in range(20):
        client = connect()
        client.send_bytes(message(VERSION, version(capabilities={})))
        client.send(DMA_MAP, dma_map(0x1000, 4096), fds=[memory(4096)])
        client.send(REGION_READ, codec.access(0, config_region, 64))
        client.close()
    last = connect()
    last.negotiate({})
    last.lives()


def test_one_that_reads_no_answers_is_not_read_any_more(client, connect):
    """And leaves, and is no burden."""
    client.socket.settimeout(0.2)
    request = message(REGION_READ, codec.access(0, config_region, 256)) * 100
    with pytest.raises(TimeoutError):
        for _ in range(10_000):
            client.send_bytes(request)
    client.close()
    following = connect()
    following.negotiate({})
    following.lives()


def test_a_reset_connection(connect):
    """Closed with answers unread."""
    for _ in range(20):
        client = connect()
        client.negotiate({})
        client.send_bytes(message(GET_INFO, codec.get_info()) * 10)
        client.close()
    last = connect()
    last.negotiate({})
    last.lives()


@pytest.mark.own
def test_two_devices_have_a_client_each(server, connect, device):
    from client import Client

    here = connect()
    here.negotiate({})
    for other in server.uuids:
        if other != device:
            with Client(server.socket_of(other)) as there:
                there.negotiate({})
                there.lives()
                here.lives()

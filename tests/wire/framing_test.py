"""The stream: headers, sizes, pieces, order."""

import contextlib
import random
import time

import codec
import pytest
from client import Closed, check_reply
from codec import GET_INFO, REGION_READ, config_region, message
from samples import bad, good, limits_32, names, reply_sizes

info = codec.get_info()


def info_reply(client, id: int) -> None:
    reply = client.receive()
    check_reply(reply, id, GET_INFO)
    assert len(reply.payload) == 16


def end_of_stream(client, data: bytes) -> None:
    """These bytes are no message: the session ends."""
    with contextlib.suppress(Closed):
        client.send_bytes(data)
    assert client.has_closed()


# --- What every reply looks like. (check_reply() looks at each one in this suite.)


@pytest.mark.parametrize("id", [0, 1, 2, 0x7FFF, 0x8000, 0xFFFF])
def test_the_id_comes_back(client, id):
    client.ok(GET_INFO, info, id=id)


@pytest.mark.parametrize("command", good, ids=names)
def test_a_reply_has_its_commands_payload(client, command):
    if command == codec.DMA_UNMAP:
        client.ok(codec.DMA_MAP, good[codec.DMA_MAP])
    assert len(client.ok(command, good[command]).payload) >= reply_sizes[command]
    client.lives()


@pytest.mark.parametrize("command", bad, ids=names)
def test_an_error_reply_is_a_bare_header(client, command):
    client.refused(command, bad[command])
    client.lives()


@pytest.mark.parametrize("command", bad, ids=names)
def test_an_error_has_no_reply_where_none_is_wanted(client, command):
    client.send(command, bad[command], flags=codec.no_reply)
    client.lives()


@pytest.mark.parametrize("command", good, ids=names)
def test_a_success_has_no_reply_where_none_is_wanted(client, command):
    client.send(command, good[command], flags=codec.no_reply)
    client.lives()


@pytest.mark.parametrize("error", [1, 22, 0x7FFFFFFF, 0xFFFFFFFF])
def test_error_is_reserved_in_a_command(client, error):
    client.ok(GET_INFO, info, error=error)


@pytest.mark.parametrize("bit", [5, 6, 7, 8, 15, 16, 24, 31])
def test_flags_that_no_command_has_do_no_harm(client, bit):
    client.call(GET_INFO, info, flags=1 << bit)
    client.lives()


@pytest.mark.parametrize("kind", range(2, 16))
def test_a_message_that_is_neither_command_nor_reply(client, kind):
    client.refused(GET_INFO, info, flags=kind)
    client.lives()


# --- Replies from the client, which nobody has asked for.


@pytest.mark.parametrize("command", [GET_INFO, codec.DMA_READ, codec.DMA_WRITE, codec.VERSION, 0, 0xFFFF])
@pytest.mark.parametrize("flags", [codec.type_reply, codec.type_reply | codec.error_bit])
def test_a_reply_to_nothing_is_nothing(client, command, flags):
    client.send(command, bytes(32), flags=flags)
    client.lives()


def test_a_thousand_replies_to_nothing(client):
    client.send_bytes(b"".join(message(codec.DMA_READ, bytes(100), i, codec.type_reply) for i in range(1000)))
    client.lives()


def test_a_reply_to_nothing_that_is_as_large_as_may_be(client):
    client.send(codec.DMA_READ, bytes(16 + client.capabilities["max_data_xfer_size"]), flags=codec.type_reply)
    client.lives()


# --- A size that cannot be one.


@pytest.mark.parametrize("size", [0, 1, 8, 15])
@pytest.mark.parametrize("command", [GET_INFO, codec.REGION_WRITE, 0xFFFF], ids=names)
def test_a_size_below_the_headers_ends_the_session(client, command, size):
    client.send(command, info, size=size)
    assert client.has_closed()


@pytest.mark.parametrize("size", [2 << 20, 16 << 20, *limits_32])
def test_a_size_above_every_message_ends_the_session(client, size):
    client.send(GET_INFO, info, size=size)
    assert client.has_closed()


@pytest.mark.parametrize("size", [0, 15, *limits_32])
def test_the_same_before_version(silent, size):
    silent.send(codec.VERSION, codec.version(capabilities={}), size=size)
    assert silent.has_closed()


def test_a_broken_size_behind_good_messages(client):
    """What came before it is answered."""
    client.send_bytes(message(GET_INFO, info, id=1) + message(GET_INFO, info, id=2) + message(GET_INFO, size=3))
    info_reply(client, 1)
    info_reply(client, 2)
    assert client.has_closed()


def test_a_header_that_says_the_size_of_another_command(client):
    """What is missing is taken from what follows, and that is no message any more then."""
    client.send_bytes(message(GET_INFO, info[:8], id=1, size=32) + message(GET_INFO, info, id=2))
    check_reply(client.receive(), 1, GET_INFO)
    end_of_stream(client, bytes(64))


def test_a_header_that_says_too_little(client):
    """What is left over is the next header, and its size is 0."""
    client.send(GET_INFO, info, size=24)
    end_of_stream(client, bytes(64))


def test_a_header_without_a_payload(client):
    client.refused(GET_INFO, b"")
    client.lives()


# --- Pieces.


def send_in_pieces(client, data: bytes, cuts: list[int], pause: float = 0.0) -> None:
    for begin, end in zip([0, *cuts], [*cuts, len(data)]):
        client.send_bytes(data[begin:end])
        if pause:
            time.sleep(pause)


@pytest.mark.parametrize("cut", range(1, 32))
def test_a_message_in_two_pieces(client, cut):
    send_in_pieces(client, message(GET_INFO, info, id=cut), [cut], pause=0.001)
    info_reply(client, cut)


def test_a_message_byte_by_byte(client):
    data = message(GET_INFO, info, id=1)
    send_in_pieces(client, data, list(range(1, len(data))), pause=0.0005)
    info_reply(client, 1)


def test_version_byte_by_byte(silent):
    data = message(codec.VERSION, codec.version(capabilities={}), id=1)
    send_in_pieces(silent, data, list(range(1, len(data))), pause=0.0002)
    check_reply(silent.receive(), 1, codec.VERSION)
    silent.lives()


@pytest.mark.parametrize("seed", range(10))
def test_messages_in_random_pieces(client, seed):
    chance = random.Random(seed)
    commands = [chance.choice([GET_INFO, codec.REGION_INFO, codec.IRQ_INFO, REGION_READ]) for _ in range(50)]
    data = b"".join(message(command, good[command], id=i) for i, command in enumerate(commands))
    cuts = sorted(chance.sample(range(1, len(data)), 40))
    send_in_pieces(client, data, cuts, pause=0.0002)
    for i, command in enumerate(commands):
        check_reply(client.receive(), i, command)
    client.lives()


@pytest.mark.parametrize("seed", range(4))
def test_a_large_message_in_random_pieces(client, seed):
    chance = random.Random(100 + seed)
    count = client.capabilities["max_data_xfer_size"]
    data = message(codec.REGION_WRITE, codec.access(0, config_region, count, bytes(count)), id=7)
    send_in_pieces(client, data, sorted(chance.sample(range(1, len(data)), 30)))
    reply = client.receive()
    check_reply(reply, 7, codec.REGION_WRITE)
    assert reply.error is not None
    client.lives()


@pytest.mark.parametrize("count", [2, 3, 10, 100, 1000])
def test_many_messages_in_one_send(client, count):
    client.send_bytes(b"".join(message(GET_INFO, info, id=i) for i in range(count)))
    for i in range(count):
        info_reply(client, i)


def test_one_message_and_a_half(client):
    data = message(GET_INFO, info, id=1) + message(GET_INFO, info, id=2)
    client.send_bytes(data[:45])
    info_reply(client, 1)
    assert client.is_silent()
    client.send_bytes(data[45:])
    info_reply(client, 2)


def test_half_a_message_is_not_answered(client):
    client.send_bytes(message(GET_INFO, info, id=1)[:31])
    assert client.is_silent()
    client.send_bytes(info[15:])
    info_reply(client, 1)


# --- Order.


def test_replies_come_in_the_order_of_the_commands(client):
    commands = [command for command in good for _ in range(3)]
    client.send_bytes(b"".join(message(command, good[command], id=i) for i, command in enumerate(commands)))
    for i, command in enumerate(commands):
        check_reply(client.receive(), i, command)


def test_errors_keep_their_place_among_successes(client):
    ids = range(100)
    requests = [message(GET_INFO, info if i % 3 else codec.get_info(argsz=0), id=i) for i in ids]
    client.send_bytes(b"".join(requests))
    replies = [client.receive() for _ in ids]
    assert [reply.header.id for reply in replies] == list(ids)
    assert [reply.error is None for reply in replies] == [i % 3 != 0 for i in ids]


@pytest.mark.parametrize("id", [0, 7, 0xFFFF])
def test_an_id_may_be_used_again_while_it_is_under_way(client, id):
    client.send_bytes(message(GET_INFO, info, id=id) * 20)
    for _ in range(20):
        info_reply(client, id)


def test_large_replies_behind_each_other(client):
    size = client.region(config_region).size
    request = message(REGION_READ, codec.access(0, config_region, size), id=1)
    client.send_bytes(request * 500)
    first = client.receive().payload
    assert all(client.receive().payload == first for _ in range(499))


def test_commands_without_replies_among_those_with(client):
    quiet = message(GET_INFO, info, id=1, flags=codec.no_reply)
    client.send_bytes(b"".join(quiet + message(GET_INFO, info, id=i) + quiet for i in range(100)))
    for i in range(100):
        info_reply(client, i)
    assert client.is_silent()

"""REGION_READ and REGION_WRITE of sizes up to the advertised maximum, in arbitrary pieces. The board has the memory."""

import random

import codec
import pytest
from board import ram, ram_size
from client import check_reply
from codec import REGION_READ, REGION_WRITE, message, no_reply

pytestmark = pytest.mark.device("board")
most = 1 << 20


def pattern(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.mark.parametrize("size", [1, 15, 16, 17, 4095, 4096, 4097, 16351, 16352, 16353, 65536, most - 1, most])
def test_what_was_written_is_read(client, size):
    data = pattern(size)
    client.write(ram, 0, data)
    assert client.read(ram, 0, size) == data


@pytest.mark.parametrize("power", range(21))
def test_around_each_power_of_two(client, power):
    for size in {max(1, (1 << power) - 1), 1 << power, min(most, (1 << power) + 1)}:
        data = pattern(size, power)
        client.write(ram, ram_size - size, data)
        assert client.read(ram, ram_size - size, size) == data


def test_the_maximum_is_what_was_advertised(client):
    assert client.capabilities["max_data_xfer_size"] == most
    client.refused(REGION_READ, codec.access(0, ram, most + 1))
    client.lives()


def send_in_pieces(client, data: bytes, cuts: list[int]) -> None:
    for begin, end in zip([0, *cuts], [*cuts, len(data)]):
        client.send_bytes(data[begin:end])


@pytest.mark.parametrize("cut", [1, 15, 16, 17, 31, 32, 33, 4096, 16384, 65536, most - 1, most, most + 31])
def test_the_largest_write_in_two_pieces(client, cut):
    data = pattern(most, cut)
    send_in_pieces(client, message(REGION_WRITE, codec.access(0, ram, most, data), id=9), [cut])
    check_reply(client.receive(), 9, REGION_WRITE)
    assert client.read(ram, 0, most) == data


@pytest.mark.parametrize("seed", range(10))
def test_writes_and_reads_of_any_size_in_any_pieces(client, seed):
    """All in one stream, cut anywhere; the answers are as a plain array says."""
    chance, plain, stream, expected = random.Random(seed), bytearray(1 << 20), [], []
    client.write(ram, 0, bytes(1 << 20))
    for id in range(60):
        size = min(chance.choice([1, 4, 100, 5000, 40_000, 300_000]), 1 << 20)
        offset = chance.randrange((1 << 20) - size + 1)
        if chance.random() < 0.6:
            data = chance.randbytes(size)
            plain[offset : offset + size] = data
            quiet = chance.random() < 0.5
            stream.append(message(REGION_WRITE, codec.access(offset, ram, size, data), id, no_reply if quiet else 0))
            if not quiet:
                expected.append((id, REGION_WRITE, codec.access(offset, ram, size)))
        else:
            size = min(size, 3000)
            stream.append(message(REGION_READ, codec.access(offset, ram, size), id))
            answer = codec.access(offset, ram, size, bytes(plain[offset : offset + size]))
            expected.append((id, REGION_READ, answer))
    data = b"".join(stream)
    send_in_pieces(client, data, sorted(chance.sample(range(1, len(data)), 200)))
    for id, command, payload in expected:
        reply = client.receive()
        check_reply(reply, id, command)
        assert reply.payload == payload
    assert client.read(ram, 0, 1 << 20) == plain


def test_many_of_the_largest_replies_behind_each_other(client):
    """More than any socket's buffer holds: the server waits for who reads, and goes on then."""
    data = pattern(most)
    client.write(ram, 0, data)
    client.send_bytes(message(REGION_READ, codec.access(0, ram, most), id=3) * 16)
    for _ in range(16):
        reply = client.receive()
        check_reply(reply, 3, REGION_READ)
        assert reply.payload[16:] == data


@pytest.mark.parametrize("own", [1, 100, 4096, 100_000])
def test_a_client_that_takes_less(connect, own):
    client = connect()
    client.negotiate({"max_data_xfer_size": own})
    assert len(client.read(ram, 0, own)) == own
    client.refused(REGION_READ, codec.access(0, ram, own + 1))
    client.lives()

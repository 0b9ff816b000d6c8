"""REGION_WRITE, with a reply and posted."""

import contextlib
import errno

import codec
import pytest
from client import Closed
from codec import REGION_WRITE, config_region, no_reply
from samples import limits_32, limits_64, refuse_short, short_lengths

bar_0 = 0x10


def sized(client) -> int:
    """What BAR 0 answers to all ones: its size and kind."""
    client.write(config_region, bar_0, b"\xff" * 4)
    return int.from_bytes(client.read(config_region, bar_0, 4), "little")


@pytest.fixture
def bar(client):
    if client.region(0).size == 0:
        pytest.skip("the device has no BAR 0, which is what is written to here")
    client.write(config_region, bar_0, bytes(4))
    yield client
    client.write(config_region, bar_0, bytes(4))


def test_what_was_written_is_read(bar):
    kind = sized(bar)
    bar.write(config_region, bar_0, b"\x00\x00\x00\xc0")
    assert int.from_bytes(bar.read(config_region, bar_0, 4), "little") >> 24 == 0xC0
    assert bar.region(0).size == (~(kind & (0xFFFFFFFC if kind & 1 else 0xFFFFFFF0)) & 0xFFFFFFFF) + 1


@pytest.mark.parametrize("byte", [2, 3])
def test_one_byte_of_a_register_is_one_byte(bar, byte):
    bar.write(config_region, bar_0 + byte, b"\x80")
    value = bar.read(config_region, bar_0, 4)
    assert value[byte] == 0x80
    assert value[5 - byte] == 0


def test_two_bytes_of_a_register_are_two_bytes(bar):
    bar.write(config_region, bar_0 + 2, b"\x34\x12")
    assert bar.read(config_region, bar_0 + 2, 2) == b"\x34\x12"


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_read_only_registers_stay(client, count):
    before = client.read(config_region, 0, 4)
    client.write(config_region, 0, b"\xff" * count)
    assert client.read(config_region, 0, 4) == before
    client.write(config_region, 4, bytes(4))


def test_the_reply_repeats_the_request_without_the_data(client):
    reply = client.ok(REGION_WRITE, codec.access(0, config_region, 4, bytes(4)))
    assert reply.payload == codec.access(0, config_region, 4)
    assert reply.fds == []


def test_a_count_of_0_is_a_success(client):
    assert client.ok(REGION_WRITE, codec.access(0, config_region, 0)).payload == codec.access(0, config_region, 0)


@pytest.mark.parametrize("count, length", [(4, 3), (4, 5), (4, 0), (0, 4), (1, 2), (256, 255), (8, 16)])
def test_data_that_are_not_as_many_as_said(client, count, length):
    client.refused(REGION_WRITE, codec.access(0, config_region, count, bytes(length)), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("count", limits_32)
def test_a_count_at_the_limits_of_its_field(client, count):
    client.refused(REGION_WRITE, codec.access(0, config_region, count, bytes(4)))
    client.lives()


def test_a_write_that_reaches_beyond_the_end_writes_nothing(client):
    size = client.region(config_region).size
    client.refused(REGION_WRITE, codec.access(size - 1, config_region, 2, b"\0\0"), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("behind", [0, 1, *limits_64])
def test_an_offset_behind_the_end(client, behind):
    offset = min(client.region(config_region).size + behind, 0xFFFFFFFFFFFFFFFF)
    client.refused(REGION_WRITE, codec.access(offset, config_region, 1, b"\0"), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("region", [9, 100, *limits_32])
def test_a_region_that_is_not_there(client, region):
    if region < client.info().num_regions:
        pytest.skip("the device has more regions than PCI names")
    client.refused(REGION_WRITE, codec.access(0, region, 4, bytes(4)), errno.EINVAL)
    client.lives()


def test_a_bar_without_a_size(client):
    for bar in codec.bars:
        if client.region(bar).size == 0:
            client.refused(REGION_WRITE, codec.access(0, bar, 4, bytes(4)), errno.EINVAL)
    client.lives()


@short_lengths(REGION_WRITE)
def test_a_payload_that_is_too_short(client, length):
    refuse_short(client, REGION_WRITE, length)


def test_as_much_as_the_server_transfers_is_taken_for_a_message(client):
    """Config space is smaller, so it is an error; but one of the device's, behind which the stream goes on."""
    count = client.capabilities["max_data_xfer_size"]
    client.refused(REGION_WRITE, codec.access(0, config_region, count, bytes(count)), errno.EINVAL)
    client.lives()


def test_one_byte_more_than_the_server_transfers(client):
    count = client.capabilities["max_data_xfer_size"] + 1
    with contextlib.suppress(Closed):
        client.send(REGION_WRITE, codec.access(0, config_region, count, bytes(count)))
    assert client.has_closed()


# --- Posted.


def test_a_posted_write_has_no_reply(client):
    client.post(config_region, 0, bytes(4))
    assert client.is_silent()
    client.lives()


def test_a_posted_write_that_fails_has_no_reply_either(client):
    client.send(REGION_WRITE, codec.access(0, 100, 4, bytes(4)), flags=no_reply)
    assert client.is_silent()
    client.lives()


def test_a_posted_write_is_done_before_a_later_command_is_answered(bar):
    for top in range(1, 200):
        bar.post(config_region, bar_0 + 2, bytes([0, top]))
        assert bar.read(config_region, bar_0 + 3, 1) == bytes([top])


def test_a_thousand_posted_writes_and_one_read(bar):
    stream = b"".join(
        codec.message(REGION_WRITE, codec.access(bar_0 + 2, config_region, 2, i.to_bytes(2, "little")), flags=no_reply)
        for i in range(1, 1001)
    )
    bar.send_bytes(stream)
    assert int.from_bytes(bar.read(config_region, bar_0 + 2, 2), "little") == 1000


@pytest.mark.device("null")
@pytest.mark.parametrize("offset, count", [(0, 1), (0, 4096), (4095, 1), (3, 4)])
def test_null_forgets_what_is_written(client, offset, count):
    client.write(0, offset, b"\xff" * count)
    assert client.read(0, offset, count) == bytes(count)


@pytest.mark.device("mtty")
@pytest.mark.parametrize("port", [0, 1])
def test_mtty_returns_what_is_sent(client, port):
    client.ok(codec.RESET)
    client.write(port, 2, b"\x01")  # FIFOs on
    for byte in b"umdev":
        client.write(port, 0, bytes([byte]))
    assert bytes(client.read(port, 0, 1)[0] for _ in range(5)) == b"umdev"


@pytest.mark.device("mtty")
@pytest.mark.parametrize("value", [0, 0x55, 0xAA, 0xFF])
def test_mttys_scratch_register(client, value):
    client.write(1, 7, bytes([value]))
    assert client.read(1, 7, 1) == bytes([value])

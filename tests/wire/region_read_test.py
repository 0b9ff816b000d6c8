"""REGION_READ."""

import errno

import codec
import pytest
from codec import REGION_READ, config_region
from samples import limits_32, limits_64, refuse_short, short_lengths


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 16, 64, 255, 256])
def test_any_count_inside_of_config_space(client, count):
    whole = client.read(config_region, 0, 256)
    assert client.read(config_region, 0, count) == whole[:count]


@pytest.mark.parametrize("count", [1, 2, 4, 8])
@pytest.mark.parametrize("offset", [0, 1, 2, 3, 5, 0x3D, 0x7F, 0xF8])
def test_any_offset_inside_of_config_space(client, offset, count):
    whole = client.read(config_region, 0, 256)
    assert client.read(config_region, offset, count) == whole[offset : offset + count]


def test_the_last_byte(client):
    client.read(config_region, client.region(config_region).size - 1, 1)


def test_the_whole_of_config_space_at_once(client):
    size = client.region(config_region).size
    assert len(client.read(config_region, 0, size)) == size


@pytest.mark.parametrize("beyond", [1, 2, 100])
def test_a_count_that_reaches_beyond_the_end(client, beyond):
    size = client.region(config_region).size
    client.refused(REGION_READ, codec.access(size - 1, config_region, 1 + beyond), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("behind", [0, 1, 1 << 32, *limits_64])
def test_an_offset_behind_the_end(client, behind):
    offset = min(client.region(config_region).size + behind, 0xFFFFFFFFFFFFFFFF)
    client.refused(REGION_READ, codec.access(offset, config_region, 1), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("offset", [0xFFFFFFFFFFFFFFFC, 0xFFFFFFFFFFFFFF01])
def test_an_offset_that_wraps_back_into_the_region(client, offset):
    client.refused(REGION_READ, codec.access(offset, config_region, 256), errno.EINVAL)
    client.lives()


def test_a_count_of_0_is_an_empty_success(client):
    reply = client.ok(REGION_READ, codec.access(0, config_region, 0))
    assert reply.payload == codec.access(0, config_region, 0)


@pytest.mark.parametrize("region", [9, 10, 100, *limits_32])
def test_a_region_that_is_not_there(client, region):
    if region < client.info().num_regions:
        pytest.skip("the device has more regions than PCI names")
    client.refused(REGION_READ, codec.access(0, region, 4), errno.EINVAL)
    client.lives()


def test_a_bar_without_a_size(client):
    for bar in codec.bars:
        if client.region(bar).size == 0:
            client.refused(REGION_READ, codec.access(0, bar, 4), errno.EINVAL)
    client.lives()


@short_lengths(REGION_READ)
def test_a_payload_that_is_too_short(client, length):
    refuse_short(client, REGION_READ, length)


def test_bytes_behind_the_structure_are_not_looked_at(client):
    reply = client.ok(REGION_READ, codec.access(0, config_region, 4, b"\xff" * 100))
    assert reply.payload[16:] == client.read(config_region, 0, 4)


def test_more_than_the_server_transfers(client):
    count = client.capabilities["max_data_xfer_size"] + 1
    client.refused(REGION_READ, codec.access(0, config_region, count))
    client.lives()


@pytest.mark.parametrize("count", limits_32)
def test_a_count_at_the_limits_of_its_field(client, count):
    client.refused(REGION_READ, codec.access(0, config_region, count))
    client.lives()


@pytest.mark.parametrize("own", [4, 64, 255])
def test_never_more_than_the_client_said_it_takes(connect, own):
    client = connect()
    client.negotiate({"max_data_xfer_size": own})
    assert len(client.read(config_region, 0, own)) == own
    client.refused(REGION_READ, codec.access(0, config_region, own + 1))
    client.lives()


def test_the_reply_brings_no_descriptor(client):
    assert client.ok(REGION_READ, codec.access(0, config_region, 4)).fds == []


def test_the_ids_are_no_empty_slots(client):
    assert client.read(config_region, 0, 4) not in (b"\0\0\0\0", b"\xff\xff\xff\xff")


@pytest.mark.device("null")
@pytest.mark.parametrize("offset, count", [(0, 1), (0, 4096), (4095, 1), (1, 4095), (2048, 8)])
def test_nulls_memory_is_zero(client, offset, count):
    assert client.read(0, offset, count) == bytes(count)


@pytest.mark.device("null")
@pytest.mark.parametrize("offset, count", [(0, 4097), (4096, 1), (4095, 2), (1, 4096)])
def test_beyond_nulls_memory(client, offset, count):
    client.refused(REGION_READ, codec.access(offset, 0, count), errno.EINVAL)


@pytest.mark.device("mtty")
@pytest.mark.parametrize("port", [0, 1])
def test_mttys_ports_say_that_they_can_send(client, port):
    client.ok(codec.RESET)
    assert client.read(port, 5, 1) == b"\x60"


@pytest.mark.device("mtty")
@pytest.mark.parametrize("offset, count", [(0, 9), (8, 1), (7, 2)])
def test_beyond_mttys_ports(client, offset, count):
    client.refused(REGION_READ, codec.access(offset, 0, count), errno.EINVAL)

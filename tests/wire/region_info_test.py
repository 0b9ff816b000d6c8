"""DEVICE_GET_REGION_INFO: where the registers are."""

import errno
import os
import stat

import codec
import pytest
from client import close_fds
from codec import REGION_INFO
from deviations import deviates
from samples import limits_32, refuse_short, short_lengths

indexes = range(codec.pci_regions)


@pytest.mark.parametrize("index", indexes)
def test_each_region_tells_its_index(client, index):
    assert client.region(index).index == index


@pytest.mark.parametrize("index", indexes)
def test_the_flags_are_known(client, index):
    assert client.region(index).flags & ~0xF == 0


@pytest.mark.parametrize("index", indexes)
def test_a_region_that_is_not_there_has_size_0_and_nothing_to_map(client, index):
    region = client.region(index)
    if region.size == 0:
        assert not region.flags & codec.region_mappable


@pytest.mark.parametrize("index", indexes)
def test_a_region_that_is_there_can_be_read_or_written(client, index):
    region = client.region(index)
    if region.size:
        assert region.flags & (codec.region_readable | codec.region_writable)


@pytest.mark.parametrize("index", codec.bars)
def test_a_bar_has_a_size_that_pci_can_express(client, index):
    size = client.region(index).size
    assert size & (size - 1) == 0


def test_config_space_is_256_bytes_or_4096(client):
    region = client.region(codec.config_region)
    assert region.size in (256, 4096)
    assert region.flags & 3 == 3
    assert not region.flags & codec.region_mappable


@pytest.mark.parametrize("index", indexes)
def test_a_descriptor_comes_exactly_with_what_can_be_mapped(client, index):
    reply = client.ok(REGION_INFO, codec.region_info(index, argsz=4096))
    region = codec.unpack_region_info(reply.payload)
    modes = [os.fstat(fd).st_mode for fd in reply.fds]
    close_fds(reply.fds)
    assert len(modes) == (1 if region.flags & codec.region_mappable else 0)
    assert all(stat.S_ISREG(mode) for mode in modes)


@pytest.mark.parametrize("index", indexes)
def test_the_chain_of_capabilities_lies_inside_the_reply(client, index):
    reply = client.ok(REGION_INFO, codec.region_info(index, argsz=4096))
    close_fds(reply.fds)
    region = codec.unpack_region_info(reply.payload)
    assert len(reply.payload) == region.argsz
    if region.flags & codec.region_caps:
        assert region.cap_offset >= 32
        assert codec.unpack_capabilities(reply.payload, region.cap_offset)
    else:
        assert region.argsz == 32


@pytest.mark.parametrize("index", indexes)
def test_a_reply_that_does_not_fit_is_the_structure_with_the_size_that_is_needed(client, index):
    """Without FLAG_CAPS: QEMU takes FLAG_CAPS with cap_offset 0 for a chain that begins there."""
    whole = client.region(index)
    reply = client.ok(REGION_INFO, codec.region_info(index, argsz=32))
    short = codec.unpack_region_info(reply.payload)
    close_fds(reply.fds)
    assert len(reply.payload) == 32
    assert short.argsz == whole.argsz
    assert (short.index, short.size, short.offset) == (whole.index, whole.size, whole.offset)
    assert not short.flags & codec.region_caps
    if whole.argsz > 32 and not deviates("no-flags-on-short-info"):
        assert short.flags | codec.region_caps == whole.flags


@pytest.mark.parametrize("index", [codec.pci_regions, 10, 100, *limits_32])
def test_an_index_that_is_not_there(client, index):
    if index < client.info().num_regions:
        pytest.skip("the device has more regions than PCI names")
    client.refused(REGION_INFO, codec.region_info(index), errno.EINVAL)
    client.lives()


@short_lengths(REGION_INFO)
def test_a_payload_that_is_too_short(client, length):
    refuse_short(client, REGION_INFO, length)


@pytest.mark.parametrize("argsz", [0, 1, 16, 31])
def test_argsz_that_has_no_room_for_the_structure(client, argsz):
    client.refused(REGION_INFO, codec.region_info(codec.config_region, argsz), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("argsz", [33, 40, 1 << 20, *limits_32])
def test_argsz_that_has_more_room(client, argsz):
    whole = client.region(codec.config_region)
    reply = client.ok(REGION_INFO, codec.region_info(codec.config_region, argsz))
    assert codec.unpack_region_info(reply.payload) == whole


@pytest.mark.parametrize("fields", [{"flags": 0xFFFFFFFF}, {"cap_offset": 7}, {"size": 1 << 63}, {"offset": 1 << 63}])
def test_fields_that_only_the_reply_has_are_not_looked_at(client, fields):
    reply = client.ok(REGION_INFO, codec.region_info(codec.config_region, **fields))
    assert codec.unpack_region_info(reply.payload) == client.region(codec.config_region)


def test_bytes_behind_the_structure_are_not_looked_at(client):
    client.ok(REGION_INFO, codec.region_info(codec.config_region) + b"\xff" * 100)
    client.lives()


@pytest.mark.device("null")
def test_null_has_one_page_of_memory(client):
    assert [client.region(index).size for index in indexes] == [4096, 0, 0, 0, 0, 0, 0, 256, 0]


@pytest.mark.device("mtty")
def test_mtty_has_two_ports_of_eight_registers(client):
    assert [client.region(index).size for index in indexes] == [8, 8, 0, 0, 0, 0, 0, 256, 0]
    assert not any(client.region(index).flags & codec.region_mappable for index in indexes)

"""DEVICE_GET_REGION_IO_FDS: eventfds that stand for writes to a part of a region."""

import errno
from pathlib import Path

import codec
import pytest
from board import irq
from client import close_fds, eventually
from codec import REGION_IO_FDS, region_io_fds
from samples import limits_32, refuse_short, short_lengths

entry_size = 40
datamatch_flag = 1  # KVM_IOEVENTFD_FLAG_DATAMATCH


@pytest.fixture(autouse=True)
def known(client):
    if client.call(REGION_IO_FDS, region_io_fds(codec.config_region)).error == errno.ENOTTY:
        pytest.skip("the server does not know the command")


def ask(client, index: int, argsz: int = 1 << 16) -> codec.Message:
    reply = client.ok(REGION_IO_FDS, region_io_fds(index, argsz))
    close_fds(reply.fds)
    return reply


def entries(reply: codec.Message) -> list[codec.IoFd]:
    fixed = codec.unpack_region_io_fds(reply.payload)
    if not fixed.count:
        return []
    stride = (fixed.argsz - 16) // fixed.count
    assert stride >= entry_size
    begins = range(16, 16 + fixed.count * stride, stride)
    return [codec.unpack_io_fd(reply.payload[begin : begin + entry_size]) for begin in begins]


@pytest.mark.parametrize("index", range(codec.pci_regions))
def test_the_reply_tells_the_region_and_its_own_size(client, index):
    reply = ask(client, index)
    fixed = codec.unpack_region_io_fds(reply.payload)
    assert (fixed.index, fixed.flags) == (index, 0)
    assert fixed.argsz == len(reply.payload) >= 16 + fixed.count * entry_size
    assert bool(reply.fds) == bool(fixed.count)


@pytest.mark.parametrize("index", range(codec.pci_regions))
def test_each_entry_lies_in_its_region_and_names_a_descriptor(client, index):
    region = client.region(index)
    reply = ask(client, index)
    for each in entries(reply):
        assert each.offset + each.size <= region.size
        assert each.fd_index < len(reply.fds)
        assert each.type in (0, 1)


@pytest.mark.parametrize("index", range(codec.pci_regions))
def test_a_reply_that_does_not_fit_has_no_entries_and_no_descriptors(client, index):
    whole = codec.unpack_region_io_fds(ask(client, index).payload)
    reply = ask(client, index, argsz=16)
    short = codec.unpack_region_io_fds(reply.payload)
    assert len(reply.payload) == 16
    assert (short.argsz, short.count) == (whole.argsz, whole.count)
    assert reply.fds == []


@pytest.mark.parametrize("index", [codec.pci_regions, 100, *limits_32])
def test_an_index_that_is_not_there(client, index):
    if index < client.info().num_regions:
        pytest.skip("the device has more regions than PCI names")
    client.refused(REGION_IO_FDS, region_io_fds(index), errno.EINVAL)
    client.lives()


@short_lengths(REGION_IO_FDS)
def test_a_payload_that_is_too_short(client, length):
    refuse_short(client, REGION_IO_FDS, length)


@pytest.mark.parametrize("argsz", [0, 1, 15])
def test_argsz_that_has_no_room_for_the_structure(client, argsz):
    client.refused(REGION_IO_FDS, region_io_fds(codec.config_region, argsz), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("argsz", limits_32)
def test_argsz_that_has_more_room_than_any_reply(client, argsz):
    ask(client, codec.config_region, argsz)
    client.lives()


def test_descriptors_do_not_belong_to_it(client, memory):
    payload = region_io_fds(codec.config_region)
    client.refused(REGION_IO_FDS, payload, errno.EINVAL, fds=[memory(4096)])
    client.lives()


@pytest.mark.own
def test_asked_a_hundred_times(server, client):
    ask(client, 0)
    before = server.descriptors()
    for _ in range(100):
        ask(client, 0)
    assert eventually(lambda: server.descriptors() <= before)


@pytest.mark.device("null", "mtty")
@pytest.mark.parametrize("index", range(codec.pci_regions))
def test_ours_have_none(client, index):
    reply = ask(client, index)
    assert reply.payload == region_io_fds(index)


@pytest.mark.parametrize("fields", [{"flags": 1}, {"flags": 0xFFFFFFFF}])
def test_the_flags_must_be_zero(client, fields):
    client.refused(REGION_IO_FDS, region_io_fds(codec.config_region, **fields), errno.EINVAL)
    client.lives()


# --- The board has two in one region.


@pytest.mark.device("board")
def test_the_boards_doorbells(client):
    reply = client.ok(REGION_IO_FDS, region_io_fds(irq, 1 << 16))
    try:
        assert codec.unpack_region_io_fds(reply.payload) == (16 + 2 * entry_size, 0, irq, 2)
        assert entries(reply) == [(0, 4, 0, 0, datamatch_flag, 7), (0, 0, 1, 0, 0, 0)]
        assert len(reply.fds) == 2
        for fd in reply.fds:
            assert "eventfd-count" in Path(f"/proc/self/fdinfo/{fd}").read_text()
    finally:
        close_fds(reply.fds)


@pytest.mark.device("board")
@pytest.mark.parametrize("argsz", [16, 56, 95])
def test_all_or_none(client, argsz):
    reply = client.ok(REGION_IO_FDS, region_io_fds(irq, argsz))
    assert reply.payload == region_io_fds(irq, 16 + 2 * entry_size, count=2)
    assert reply.fds == []


@pytest.mark.device("board")
def test_no_more_descriptors_than_the_client_takes(client, connect):
    client.close()
    modest = connect()
    modest.negotiate({"max_msg_fds": 1})
    reply = ask(modest, irq)
    assert len(reply.fds) == 1
    assert len(entries(reply)) == 1

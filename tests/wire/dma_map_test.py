"""DMA_MAP: memory that the client lends."""

import errno
import fcntl
import os
import socket

import codec
import pytest
from client import close_fds, eventually
from codec import DMA_MAP, dma_map, map_read, map_write, message
from deviations import deviates
from samples import limits_64, page, refuse_short, short_lengths

base = 0x100000
last_page = (1 << 64) - page


def test_the_reply_is_a_bare_header(client, memory):
    assert client.ok(DMA_MAP, dma_map(base, page), fds=[memory(page)]).payload == b""
    client.lives()


@pytest.mark.parametrize("flags", [map_read, map_write, map_read | map_write])
def test_memory_with_a_file(client, memory, flags):
    client.map(base, page, memory(page), flags=flags)
    assert client.unmap(base, page) == page


@pytest.mark.parametrize("flags", [map_read, map_write, map_read | map_write])
def test_memory_without_a_file(client, flags):
    client.map(base, page, flags=flags)
    assert client.unmap(base, page) == page


@pytest.mark.parametrize("flags", [0, 4, 8, 16, 5, 0x80000003, 0xFFFFFFFF])
@pytest.mark.parametrize("with_file", [False, True])
def test_flags_that_are_none(client, memory, flags, with_file):
    fds = [memory(page)] if with_file else []
    client.refused(DMA_MAP, dma_map(base, page, flags=flags), errno.EINVAL, fds=fds)
    client.lives()


# --- Sizes and addresses.


@pytest.mark.parametrize("size", [page, 2 * page, 1 << 20, 1 << 30, 1 << 40, 1 << 47])
def test_sizes_without_a_file(client, size):
    client.map(0, size)
    assert client.unmap(0, size) == size


@pytest.mark.parametrize("size", [page, 3 * page, 1 << 20, 1 << 30])
def test_sizes_with_a_file(client, memory, size):
    client.map(0, size, memory(size))
    assert client.unmap(0, size) == size


@pytest.mark.parametrize("iova", [0, page, 0xFEE00000, 1 << 32, 1 << 47, 1 << 62, last_page])
def test_addresses(client, memory, iova):
    client.map(iova, page, memory(page))
    assert client.unmap(iova, page) == page


@pytest.mark.parametrize("with_file", [False, True])
def test_a_size_of_0(client, memory, with_file):
    fds = [memory(page)] if with_file else []
    client.refused(DMA_MAP, dma_map(base, 0), errno.EINVAL, fds=fds)
    client.lives()


@pytest.mark.parametrize("size", [1, 512, page - 1, page + 1])
@pytest.mark.parametrize("with_file", [False, True])
def test_a_size_that_is_not_in_pages(client, memory, size, with_file):
    fds = [memory(2 * page)] if with_file else []
    client.refused(DMA_MAP, dma_map(base, size), errno.EINVAL, fds=fds)
    client.lives()


@pytest.mark.parametrize("iova", [1, 512, page - 1, base + 1])
@pytest.mark.parametrize("with_file", [False, True])
def test_an_address_that_is_not_a_pages(client, memory, iova, with_file):
    fds = [memory(page)] if with_file else []
    client.refused(DMA_MAP, dma_map(iova, page), errno.EINVAL, fds=fds)
    client.lives()


@pytest.mark.parametrize("iova, size", [(last_page, 2 * page), (1 << 63, (1 << 63) + page), (2 * page, last_page)])
def test_a_range_that_wraps(client, memory, iova, size):
    client.refused(DMA_MAP, dma_map(iova, size), errno.EOVERFLOW)
    client.refused(DMA_MAP, dma_map(iova, size), None, fds=[memory(page)])
    client.lives()


@pytest.mark.parametrize("iova", [page, 1 << 63, last_page])
def test_a_range_up_to_the_end_of_all_addresses(client, iova):
    client.map(iova, (1 << 64) - iova)
    assert client.unmap(iova, (1 << 64) - iova) == (1 << 64) - iova


@pytest.mark.parametrize("size", limits_64)
def test_a_size_at_the_limits_of_its_field(client, memory, size):
    client.refused(DMA_MAP, dma_map(base, size), None, fds=[memory(page)])
    if size == 1 << 63:
        client.map(base, size)
    else:
        client.refused(DMA_MAP, dma_map(base, size))
    client.lives()


# --- The file.


@pytest.mark.parametrize("offset", [0, page, 7 * page])
def test_an_offset_in_the_file(client, memory, offset):
    client.map(base, page, memory(8 * page), offset=offset)
    assert client.unmap(base, page) == page


@pytest.mark.parametrize("offset", [1, 512, page - 1])
def test_an_offset_that_is_not_a_pages(client, memory, offset):
    client.refused(DMA_MAP, dma_map(base, page, offset=offset), errno.EINVAL, fds=[memory(2 * page)])
    client.lives()


@pytest.mark.parametrize("offset", [1 << 40, (1 << 63) - page, 1 << 63, last_page])
def test_an_offset_beyond_every_file(client, memory, offset):
    client.refused(DMA_MAP, dma_map(base, page, offset=offset), None, fds=[memory(page)])
    client.lives()


@pytest.mark.parametrize("offset, size", [(page, page), (0, 2 * page), (1 << 20, page)])
@pytest.mark.device("null", "mtty")
def test_a_range_beyond_the_end_of_the_file(client, memory, offset, size):
    client.refused(DMA_MAP, dma_map(base, size, offset=offset), errno.EINVAL, fds=[memory(page)])
    client.lives()


@pytest.mark.device("null", "mtty")
def test_the_last_page_of_a_file_may_be_a_part_of_one(client, memory):
    client.map(base, 2 * page, memory(page + 1))
    assert client.unmap(base, 2 * page) == 2 * page


def test_many_slices_of_one_file(client, memory):
    fd = memory(64 * page)
    for i in range(64):
        client.map(base + (63 - i) * page, page, fd, offset=i * page)
    assert client.unmap(base, 64 * page) == 64 * page


def test_one_slice_at_many_addresses(client, memory):
    fd = memory(page)
    for i in range(32):
        client.map(base + i * page, page, fd)
    assert client.unmap(base, 32 * page) == 32 * page


def test_a_file_that_the_client_closes_afterwards(client):
    fd = os.memfd_create("guest")
    os.truncate(fd, page)
    client.map(base, page, fd)
    os.close(fd)
    assert client.unmap(base, page) == page


@pytest.fixture
def read_only(memory):
    fd = memory(page)
    copy = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    yield copy
    os.close(copy)


def test_a_file_that_can_only_be_read(client, read_only):
    client.map(base, page, read_only, flags=map_read)
    client.refused(DMA_MAP, dma_map(base + page, page), None, fds=[read_only])
    client.lives()


@pytest.mark.parametrize("seal", ["F_SEAL_WRITE", "F_SEAL_FUTURE_WRITE"])
def test_a_file_that_is_sealed_against_writing(client, memory, seal):
    fd = memory(page)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, getattr(fcntl, seal, 0x10))
    client.map(base, page, fd, flags=map_read)
    client.refused(DMA_MAP, dma_map(base + page, page), None, fds=[fd])
    client.lives()


def test_a_file_that_is_sealed_against_everything_else(client, memory):
    fd = memory(page)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    client.map(base, page, fd)
    client.lives()


def not_memory(kind: str) -> list[int]:
    match kind:
        case "pipe":
            return list(os.pipe())
        case "socket":
            return [end.detach() for end in socket.socketpair()]
        case "eventfd":
            return [os.eventfd(0)]
        case "folder":
            return [os.open("/", os.O_RDONLY | os.O_DIRECTORY)]
        case "path":
            return [os.open("/", os.O_PATH)]
        case "null":
            return [os.open("/dev/null", os.O_RDWR)]
        case "proc":
            return [os.open("/proc/self/maps", os.O_RDONLY)]


@pytest.mark.parametrize("kind", ["pipe", "socket", "eventfd", "folder", "path", "null", "proc"])
def test_a_descriptor_that_is_not_memory(client, kind):
    fds = not_memory(kind)
    try:
        client.refused(DMA_MAP, dma_map(base, page, flags=map_read), None, fds=fds[:1])
        client.lives()
    finally:
        close_fds(fds)


def test_an_empty_file(client, memory):
    client.refused(DMA_MAP, dma_map(base, page), None, fds=[memory(0)])
    client.lives()


@pytest.mark.parametrize("count", [2, 3, 16])
def test_more_descriptors_than_one(client, memory, count):
    fd = memory(page)
    client.refused(DMA_MAP, dma_map(base, page), errno.EINVAL, fds=[fd] * count)
    client.lives()


# --- Over what is there already.


@pytest.mark.parametrize("with_file", [False, True])
def test_the_same_again(client, memory, with_file):
    fd = memory(page) if with_file else None
    client.map(base, page, fd)
    if not deviates("map-again"):
        client.refused(DMA_MAP, dma_map(base, page), errno.EEXIST, fds=[fd] if with_file else [])
    assert client.unmap(base, page) == page


@pytest.mark.parametrize("first, count", [(-1, 2), (-1, 3), (-1, 6), (0, 1), (0, 5), (1, 1), (1, 3), (3, 1), (3, 9)])
def test_over_a_part_of_what_is_there(client, first, count):
    """Pages 0 to 3 are mapped."""
    client.map(base, 4 * page)
    client.refused(DMA_MAP, dma_map(base + first * page, count * page), errno.EEXIST)
    assert client.unmap(base, 4 * page) == 4 * page


@pytest.mark.parametrize("first, count", [(-1, 1), (-3, 3), (4, 1), (4, 100)])
def test_beside_what_is_there(client, first, count):
    client.map(base, 4 * page)
    client.map(base + first * page, count * page)
    assert client.unmap(base, 4 * page) == 4 * page


def test_a_refused_one_leaves_nothing(client, memory):
    for fds in ([], [memory(page)]):
        client.refused(DMA_MAP, dma_map(base, page, flags=0), errno.EINVAL, fds=fds)
        client.map(base, page)
        assert client.unmap(base, page) == page


# --- The message.


@short_lengths(DMA_MAP)
def test_a_payload_that_is_too_short(client, length):
    refuse_short(client, DMA_MAP, length)


@pytest.mark.parametrize("argsz", [0, 1, 24, 31])
def test_argsz_below_the_structures_size(client, argsz):
    client.refused(DMA_MAP, dma_map(base, page, argsz=argsz), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("argsz", [33, 4096, 0xFFFFFFFF])
def test_argsz_above_it(client, argsz):
    client.map(base, page, argsz=argsz)
    assert client.unmap(base, page) == page


def test_many_in_one_send(client):
    count = 500
    client.send_bytes(b"".join(message(DMA_MAP, dma_map(base + i * page, page), id=i) for i in range(count)))
    assert [client.receive().header[:4] for _ in range(count)] == [(i, DMA_MAP, 16, 1) for i in range(count)]
    assert client.unmap(base, count * page) == count * page


def test_many_with_a_descriptor_each(client, memory):
    count = 100
    fd = memory(count * page)
    for i in range(count):
        client.send(DMA_MAP, dma_map(base + i * page, page, offset=i * page), fds=[fd], id=i)
    assert [client.receive().header[:4] for _ in range(count)] == [(i, DMA_MAP, 16, 1) for i in range(count)]
    assert client.unmap(base, count * page) == count * page


def test_without_a_reply(client, memory):
    client.send(DMA_MAP, dma_map(base, page), fds=[memory(page)], flags=codec.no_reply)
    assert client.unmap(base, page) == page


# --- Limits.


@pytest.mark.device("null", "mtty")
def test_as_many_as_were_advertised_and_not_one_more(client, device):
    if device != "null":
        pytest.skip("one device is enough: it takes its time")
    most = client.capabilities["max_dma_maps"]
    batch = 1 << 12
    for first in range(0, most, batch):
        count = min(batch, most - first)
        quiet = (message(DMA_MAP, dma_map((first + i) * page, page), flags=codec.no_reply) for i in range(count))
        client.send_bytes(b"".join(quiet))
        client.lives()
    client.refused(DMA_MAP, dma_map(most * page, page), errno.ENOSPC)
    assert client.unmap(0, page) == page
    client.map(most * page, page)
    assert client.unmap(0, 2 * most * page) == most * page


@pytest.mark.own
def test_nothing_is_left_when_the_client_has_gone(server, connect, memory, device):
    before = server.descriptors()
    for _ in range(5):
        client = connect()
        client.negotiate({})
        for i in range(20):
            client.map(base + i * page, page, memory(page))
        client.close()
    assert eventually(lambda: server.descriptors() <= before)
    after = connect()
    after.negotiate({})
    assert after.unmap(base, 20 * page) == 0

"""Memory that the client changes under its maps: truncated, sealed, punched, grown, mapped again."""

import ctypes
import errno
import fcntl
import mmap
import os
import random

import codec
import pytest
from client import close_fds, eventually
from codec import DMA_MAP, DMA_UNMAP, dma_map, dma_unmap
from samples import page

pages = 64
keep_size_and_punch = 1 | 2  # FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE
libc = ctypes.CDLL(None, use_errno=True)


def punch(fd: int, offset: int, length: int) -> None:
    libc.fallocate(fd, keep_size_and_punch, ctypes.c_long(offset), ctypes.c_long(length))


@pytest.mark.parametrize("to", [0, 1, page - 1, page, 10 * page, 10 * page + 1])
def test_truncated_while_it_is_lent(client, memory, to):
    fd = memory(pages * page)
    client.map(0, pages * page, fd)
    os.ftruncate(fd, to)
    client.lives()
    assert client.unmap(0, pages * page) == pages * page


def test_truncated_and_lent_again(client, memory):
    fd = memory(pages * page)
    client.map(0, page, fd)
    os.ftruncate(fd, page)
    client.refused(DMA_MAP, dma_map(page, page, offset=page), fds=[fd])
    client.map(page, page, fd)
    os.ftruncate(fd, pages * page)
    client.map(2 * page, page, fd, offset=(pages - 1) * page)
    assert client.unmap(0, 3 * page) == 3 * page


def test_grown_after_it_was_lent(client, memory):
    fd = memory(page)
    client.map(0, page, fd)
    os.ftruncate(fd, 100 * page)
    client.map(page, 99 * page, fd, offset=page)
    assert client.unmap(0, 100 * page) == 100 * page


def test_punched_while_it_is_lent(client, memory):
    fd = memory(pages * page)
    client.map(0, pages * page, fd)
    punch(fd, 0, pages * page)
    client.lives()
    assert client.unmap(0, pages * page) == pages * page


@pytest.mark.parametrize("seal", [fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW, fcntl.F_SEAL_SEAL, 0x10])
def test_sealed_while_it_is_lent(client, memory, seal):
    fd = memory(pages * page)
    client.map(0, pages * page, fd)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seal)
    client.lives()
    assert client.unmap(0, pages * page) == pages * page


def test_sealed_against_writing_while_it_is_lent(client, memory):
    """EBUSY where the server has mapped it by then; otherwise it finds out at the first use."""
    fd = memory(page)
    client.map(0, page, fd)
    try:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    except OSError as refused:
        assert refused.errno == errno.EBUSY
    client.lives()
    client.unmap(0, page)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    client.refused(DMA_MAP, dma_map(0, page), fds=[fd])
    client.map(0, page, fd, flags=codec.map_read)


def test_a_hole_of_a_terabyte(client, memory):
    """Nothing is there, and nothing is touched."""
    size = 1 << 40
    fd = memory(size)
    client.map(0, size, fd)
    client.lives()
    assert client.unmap(0, size) == size


def change(chance: random.Random, fd: int) -> None:
    """Something that the owner of a file may do to it."""
    size = os.fstat(fd).st_size
    match chance.randrange(6):
        case 0:
            os.ftruncate(fd, chance.randrange(pages + 1) * page)
        case 1:
            os.ftruncate(fd, chance.randrange(pages * page))
        case 2:
            punch(fd, chance.randrange(pages) * page, chance.randrange(1, pages) * page)
        case 3:
            os.pwrite(fd, b"x" * chance.randrange(1, 3 * page), chance.randrange(pages * page))
        case 4 if size:
            with mmap.mmap(fd, size) as view:
                view[chance.randrange(size)] = 7
        case _:
            os.ftruncate(fd, pages * page)


def use(chance: random.Random, client, files: list[int]) -> None:
    """Something that a client does with it. What fails must say so, and why in an errno that fits."""
    iova, size = chance.randrange(pages) * page, chance.randrange(1, 9) * page
    match chance.randrange(3):
        case 0:
            offset = chance.randrange(pages) * page
            flags = chance.choice([codec.map_read, codec.map_write, codec.map_read | codec.map_write])
            reply = client.call(DMA_MAP, dma_map(iova, size, offset, flags), fds=[chance.choice(files)])
            assert reply.error in (None, errno.EEXIST, errno.EINVAL, errno.EFAULT)
        case 1:
            assert client.call(DMA_UNMAP, dma_unmap(iova, size)).error in (None, errno.EINVAL)
        case _:
            client.lives()


@pytest.mark.parametrize("seed", range(20))
def test_at_any_time(client, memory, seed):
    chance = random.Random(seed)
    files = [memory(pages * page) for _ in range(3)]
    for _ in range(300):
        change(chance, chance.choice(files))
        use(chance, client, files)
    client.unmap(0, 0, codec.unmap_all)


@pytest.mark.own
def test_all_of_it_is_given_back(server, connect, memory):
    client = connect()
    client.negotiate({})
    before = server.descriptors()
    for _ in range(10):
        fds = [os.memfd_create("guest") for _ in range(20)]
        for i, fd in enumerate(fds):
            os.ftruncate(fd, page)
            client.map(i * page, page, fd)
            os.ftruncate(fd, 0)
        close_fds(fds)
        client.unmap(0, 20 * page)
    assert eventually(lambda: server.descriptors() <= before)
    assert server.daemon.json("status")["memory"]["mapped_bytes"] == 0

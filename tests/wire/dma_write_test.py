"""DMA_WRITE: the server writes to memory that the client has lent without a file."""

import errno
import struct

import codec
import pytest
from board import World, guest, page
from codec import DMA_READ, DMA_WRITE, dma_access

pytestmark = pytest.mark.device("board")


@pytest.fixture(params=[False, True], ids=["main", "twin"])
def world(request, connect):
    world = World(connect(), request.param)
    world.lend()
    yield world
    world.close()


def done(world: World, request: codec.Message) -> None:
    world.reply(request, dma_access(*codec.unpack_dma_access(request.payload)))


def test_the_request_is_the_structure_and_the_data(world):
    world.start_fill(b"umdev")
    request = world.request(DMA_WRITE)
    assert request.payload == dma_access(guest, 5, b"umdev")
    done(world, request)
    assert world.result() == 0


@pytest.mark.parametrize("count", [1, 4, 100, 4095, 4096, 4097, 65536, 1 << 20])
def test_the_client_gets_the_data(world, count):
    data = bytes(i * 5 % 251 for i in range(count))
    world.client.unmap(guest, 16 * page)
    world.lend(1 << 20)
    world.start_fill(data)
    request = world.request(DMA_WRITE)
    assert request.payload == dma_access(guest, count, data)
    done(world, request)
    assert world.result() == 0


def test_it_is_not_done_before_the_client_says_so(world):
    world.start_fill(b"umdev")
    request = world.request(DMA_WRITE)
    for _ in range(5):
        assert world.is_under_way()
    done(world, request)
    assert world.result() == 0


def test_a_write_with_a_reply_is_answered_first(world):
    world.client.write(6, 0, struct.pack("=QQ", guest, 16))
    done(world, world.request(DMA_WRITE))
    assert world.result() == 0


@pytest.mark.parametrize("reply", [b"", struct.pack("=QI", guest, 16), struct.pack("=QQ", guest, 16)], ids=len)
def test_replies_as_clients_send_them(world, reply):
    """The specification's table gives the count four bytes, its text eight; QEMU before 11 sends a bare header."""
    world.start_fill(bytes(16))
    world.reply(world.request(DMA_WRITE), reply)
    assert world.result() == 0


@pytest.mark.parametrize(
    "reply",
    [
        struct.pack("=QI", guest, 15),
        struct.pack("=QQ", guest, 15),
        struct.pack("=QQ", guest, 17),
        struct.pack("=QQ", guest, 0),
        struct.pack("=QQ", guest, 16 + (1 << 32)),
        bytes(1),
        bytes(8),
        bytes(15),
        bytes(17),
        struct.pack("=QQ", guest, 16) + bytes(16),
    ],
)
def test_replies_that_do_not_fit(world, reply):
    world.start_fill(bytes(16))
    world.reply(world.request(DMA_WRITE), reply)
    assert world.result() == errno.EIO
    world.client.lives()


@pytest.mark.parametrize(
    "said, seen",
    [
        (errno.EFAULT, errno.EFAULT),
        (errno.ENODEV, errno.EFAULT),
        (errno.EPERM, errno.EPERM),
        (errno.ENOSYS, errno.EOPNOTSUPP),
        (errno.ENOSPC, errno.EIO),
        (0, errno.EIO),
    ],
)
def test_an_error_of_the_clients_is_the_devices(world, said, seen):
    world.start_fill(bytes(16))
    world.refuse(world.request(DMA_WRITE), said)
    assert world.result() == seen
    world.client.lives()


def test_a_reply_with_another_id_or_command_is_nothing(world):
    world.start_fill(bytes(16))
    request = world.request(DMA_WRITE)
    world.reply(request, id=request.header.id ^ 1)
    world.reply(request, command=DMA_READ)
    world.client.lives()
    assert world.is_under_way()
    done(world, request)
    assert world.result() == 0


def test_unmapped_while_it_is_under_way(world):
    world.start_fill(bytes(16))
    request = world.request(DMA_WRITE)
    assert world.client.unmap(guest, 16 * page) == 16 * page
    assert world.result() == errno.EFAULT
    done(world, request)
    world.client.lives()


def test_what_may_only_be_read_is_not_written(world):
    world.lend(page, flags=codec.map_read, iova=1 << 32)
    world.start_fill(bytes(16), 1 << 32)
    assert world.result() == errno.EPERM
    assert world.is_silent()


@pytest.mark.parametrize("iova, count", [(0, 16), (guest - 1, 1), (guest + 16 * page, 1), (guest + 16 * page - 1, 2)])
def test_what_is_not_lent_is_not_written(world, iova, count):
    world.start_fill(bytes(count), iova)
    assert world.result() != 0
    assert world.is_silent()


@pytest.mark.parametrize("most", [16, 1000, 4096])
def test_never_more_in_a_message_than_the_client_takes(connect, most):
    world = World(connect(), True, max_data_xfer_size=most)
    world.lend()
    pattern = bytes(i % 247 for i in range(10 * most))
    for begin in range(0, len(pattern), most):
        world.client.write(0, begin, pattern[begin : begin + most])
    world.client.post(6, 0, struct.pack("=QQ", guest, len(pattern)))
    for begin in range(0, len(pattern), most):
        request = world.request(DMA_WRITE)
        assert request.payload == dma_access(guest + begin, most, pattern[begin : begin + most])
        done(world, request)
    assert world.result() == 0
    world.close()


def test_a_client_that_goes_in_the_middle_of_the_data(connect):
    for twin in (False, True):
        world = World(connect(), twin)
        world.lend(4 << 20)
        world.client.post(6, 0, struct.pack("=QQ", guest, 4 << 20))
        world.asked.socket.recv(1000)
        world.close()
    following = World(connect(), False)
    following.client.read(0, 0, 4)
    following.close()

"""DMA_READ: the server asks the client for memory that it has lent without a file."""

import errno
import os
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


def answer(world: World, request: codec.Message, memory: bytes) -> None:
    """As a client should. `memory` begins at `guest`."""
    address, count = codec.unpack_dma_access(request.payload)
    world.reply(request, dma_access(address, count, memory[address - guest : address - guest + count]))


def test_the_request_is_the_structure(world):
    world.start_fetch(100)
    request = world.request(DMA_READ)
    assert request.payload == dma_access(guest, 100)
    world.refuse(request, errno.EFAULT)
    assert world.result() == errno.EFAULT


@pytest.mark.parametrize("count", [1, 4, 100, 4095, 4096, 4097, 65536])
def test_the_device_gets_the_data(world, count):
    memory = bytes(i * 7 % 251 for i in range(count))
    world.start_fetch(count)
    answer(world, world.request(DMA_READ), memory)
    assert world.result() == 0
    assert world.read_ram(count) == memory


def test_a_write_with_a_reply_is_answered_first(world):
    """QEMU serves the request on the thread that waits for the reply."""
    world.client.write(8, 0, struct.pack("=QQ", guest, 16))
    answer(world, world.request(DMA_READ), b"0123456789abcdef")
    assert world.result() == 0
    assert world.read_ram(16) == b"0123456789abcdef"


def test_the_client_may_ask_while_it_is_asked(world):
    world.start_fetch(16)
    request = world.request(DMA_READ)
    for _ in range(10):
        world.client.lives()
    assert world.is_under_way()
    answer(world, request, bytes(16))
    assert world.result() == 0


@pytest.mark.parametrize(
    "said, seen",
    [
        (errno.EFAULT, errno.EFAULT),
        (errno.ENODEV, errno.EFAULT),
        (errno.EPERM, errno.EPERM),
        (errno.ENOSYS, errno.EOPNOTSUPP),
        (errno.E2BIG, errno.EIO),
        (errno.EINVAL, errno.EIO),
        (0, errno.EIO),
        (4096, errno.EIO),
        (0xFFFFFFFF, errno.EIO),
    ],
)
def test_an_error_of_the_clients_is_the_devices(world, said, seen):
    world.start_fetch(16)
    world.refuse(world.request(DMA_READ), said)
    assert world.result() == seen
    world.client.lives()


@pytest.mark.parametrize("length", [0, 1, 12, 15, 16, 31, 33, 100])
def test_a_reply_of_another_length(world, length):
    """16 and 16 bytes of data would be right."""
    world.start_fetch(16)
    request = world.request(DMA_READ)
    world.reply(request, (dma_access(guest, 16, bytes(16)) + bytes(100))[:length])
    assert world.result() == errno.EIO
    world.client.lives()


@pytest.mark.parametrize("address, count", [(guest, 15), (guest, 17), (guest + 1, 16), (0, 16), (guest, 1 << 63)])
def test_a_reply_that_is_about_something_else(world, address, count):
    world.start_fetch(16)
    world.reply(world.request(DMA_READ), dma_access(address, count, bytes(16)))
    assert world.result() == errno.EIO
    world.client.lives()


def test_a_reply_with_another_id_is_nothing(world):
    world.start_fetch(16)
    request = world.request(DMA_READ)
    world.reply(request, dma_access(guest, 16, b"x" * 16), id=request.header.id ^ 0xFFFF)
    world.client.lives()
    assert world.is_under_way()
    answer(world, request, b"0123456789abcdef")
    assert world.result() == 0
    assert world.read_ram(16) == b"0123456789abcdef"


def test_a_reply_to_another_command_is_nothing(world):
    world.start_fetch(16)
    request = world.request(DMA_READ)
    world.reply(request, dma_access(guest, 16), command=DMA_WRITE)
    world.client.lives()
    assert world.is_under_way()
    answer(world, request, bytes(16))
    assert world.result() == 0


def test_a_second_reply_is_nothing(world):
    world.start_fetch(16)
    request = world.request(DMA_READ)
    answer(world, request, b"a" * 16)
    answer(world, request, b"b" * 16)
    assert world.result() == 0
    assert world.read_ram(16) == b"a" * 16


def test_a_reply_byte_by_byte(world):
    world.start_fetch(64)
    request = world.request(DMA_READ)
    reply = codec.message(DMA_READ, dma_access(guest, 64, b"z" * 64), request.header.id, codec.type_reply)
    for byte in reply:
        world.asked.send_bytes(bytes([byte]))
    assert world.result() == 0
    assert world.read_ram(64) == b"z" * 64


@pytest.mark.parametrize("cut", [1, 16, 31, 32, 33, 5000, 60_000])
def test_a_large_reply_in_two_pieces_with_a_request_behind_it(world, cut):
    memory = bytes(i % 253 for i in range(65536))
    world.start_fetch(len(memory))
    request = world.request(DMA_READ)
    reply = codec.message(DMA_READ, dma_access(guest, len(memory), memory), request.header.id, codec.type_reply)
    world.asked.send_bytes(reply[:cut])
    assert world.asked is world.client or world.is_under_way()
    world.asked.send_bytes(reply[cut:])
    assert world.result() == 0
    assert world.read_ram(len(memory)) == memory


def test_unmapped_while_it_is_asked_for(world):
    world.start_fetch(16)
    request = world.request(DMA_READ)
    assert world.client.unmap(guest, 16 * page) == 16 * page
    assert world.result() == errno.EFAULT
    answer(world, request, bytes(16))  # too late, and nothing any more
    world.client.lives()


@pytest.mark.parametrize("iova, count", [(0, 16), (guest - 1, 1), (guest + 16 * page, 1), (guest + 16 * page - 1, 2)])
def test_what_is_not_lent_is_not_asked_for(world, iova, count):
    world.start_fetch(count, iova)
    assert world.result() != 0
    assert world.is_silent()


def test_what_may_only_be_written_is_not_asked_for(world):
    world.lend(page, flags=codec.map_write, iova=1 << 32)
    world.start_fetch(16, 1 << 32)
    assert world.result() == errno.EPERM
    assert world.is_silent()


def test_what_has_a_file_is_not_asked_for(world, memory):
    fd = memory(page)
    os.pwrite(fd, b"file", 0)
    world.client.map(1 << 32, page, fd)
    world.start_fetch(4, 1 << 32)
    assert world.result() == 0
    assert world.read_ram(4) == b"file"
    assert world.is_silent()


@pytest.mark.parametrize("most", [16, 1000, 4096])
def test_never_more_in_a_message_than_the_client_takes(connect, most):
    world = World(connect(), True, max_data_xfer_size=most)
    world.lend()
    memory = bytes(i % 249 for i in range(10 * most))
    world.start_fetch(10 * most)
    for i in range(10):
        request = world.request(DMA_READ)
        assert request.payload == dma_access(guest + i * most, most)
        answer(world, request, memory)
    assert world.result() == 0
    pieces = range(0, 10 * most, most)
    assert b"".join(world.client.read(0, begin, most) for begin in pieces) == memory
    world.close()


def test_replies_may_come_in_another_order(connect):
    world = World(connect(), True, max_data_xfer_size=1024)
    world.lend()
    memory = bytes(i % 249 for i in range(3 * 1024))
    world.start_fetch(len(memory))
    requests = [world.request(DMA_READ) for _ in range(3)]
    assert len({request.header.id for request in requests}) == 3
    for request in reversed(requests):
        answer(world, request, memory)
    assert world.result() == 0
    assert b"".join(world.client.read(0, i * 1024, 1024) for i in range(3)) == memory
    world.close()


def test_a_limited_number_of_messages_is_under_way(connect):
    world = World(connect(), True, max_data_xfer_size=256)
    size = 1 << 20
    world.lend(size)
    world.start_fetch(size)
    requests = []
    while not world.is_silent():
        requests.append(world.request(DMA_READ))
    assert 1 <= len(requests) < size // 256
    answered = 0
    while answered < size // 256:
        answer(world, requests.pop(0) if requests else world.request(DMA_READ), bytes(size))
        answered += 1
    assert world.result() == 0
    world.close()


def test_one_of_several_messages_fails(connect):
    world = World(connect(), True, max_data_xfer_size=1024)
    world.lend()
    world.start_fetch(3 * 1024)
    requests = [world.request(DMA_READ) for _ in range(3)]
    answer(world, requests[0], bytes(4096))
    world.refuse(requests[1], errno.EPERM)
    assert world.result() == errno.EPERM
    answer(world, requests[2], bytes(4096))
    world.client.lives()
    world.close()


def test_a_client_that_goes_instead_of_answering(connect):
    for twin in (False, True):
        world = World(connect(), twin)
        world.lend()
        world.start_fetch(16)
        world.request(DMA_READ)
        world.close()
    following = World(connect(), False)
    following.client.read(0, 0, 4)
    following.close()


def test_a_megabyte_again_and_again(world):
    size = 1 << 20
    world.client.unmap(guest, 16 * page)
    world.lend(size)
    for round in range(20):
        memory = bytes([round]) * size
        world.start_fetch(size)
        answer(world, world.request(DMA_READ), memory)
        assert world.result() == 0
    assert world.read_ram(size) == memory

"""The points at which servers of this protocol have broken, each by its number and name.

More of each is in the files of the commands. What needs another device than there is (one that does DMA, one with
several vectors, one that does not become quiet) is in tests/integration/vfio_user.
"""

import contextlib
import errno
import os
import resource
import time

import codec
import pytest
from client import Closed, close_fds, eventually
from codec import DMA_MAP, GET_INFO, REGION_READ, REGION_WRITE, config_region, dma_map, message
from samples import bad, good, names, page

fixed = {command: size for command, size in codec.fixed_sizes.items() if command in good or command == codec.SET_IRQS}


def test_1_partial_reads_and_writes_both_ways(client):
    """Requests in pieces of a few bytes, replies that are fetched in such pieces."""
    size = client.region(config_region).size
    request = message(REGION_READ, codec.access(0, config_region, size), id=1) * 40
    for begin in range(0, len(request), 7):
        client.send_bytes(request[begin : begin + 7])
    whole = codec.header_size + 16 + size
    received = b""
    while len(received) < 40 * whole:
        received += client.socket.recv(11)
    replies = {received[i * whole : (i + 1) * whole] for i in range(40)}
    assert len(replies) == 1


@pytest.mark.parametrize("size", [0, 15, 4 << 20, 0xFFFFFFFF])
def test_2_nothing_is_parsed_behind_a_broken_frame(client, connect, size):
    """A mapping that follows it is not made, and a write is not done."""
    if client.region(0).size == 0:
        pytest.skip("the device has no BAR 0, which is what is written to here")
    client.write(config_region, 0x10, bytes(4))
    write = message(REGION_WRITE, codec.access(0x12, config_region, 2, b"\x55\x55"))
    with contextlib.suppress(Closed):
        client.send_bytes(message(GET_INFO, codec.get_info(), size=size) + write * 10)
    assert client.has_closed()
    following = connect()
    following.negotiate({})
    assert following.read(config_region, 0x12, 2) != b"\x55\x55"


@pytest.mark.own
def test_3_a_promise_of_bytes_costs_no_memory(server, connect):
    """Sessions that announce the largest message and send little of it."""
    server.warm_up(connect)
    before = server.memory_kib()
    clients = [connect() for _ in range(10)]
    for each in clients:
        each.send_bytes(message(codec.VERSION, b"\0\0\0\0{", size=(1 << 20) + 32))
    time.sleep(0.1)
    assert server.memory_kib() - before < 4096


@pytest.mark.own
@pytest.mark.parametrize("size", [0x7FFFFFFF, 0xFFFFFFF0, 0xFFFFFFFF])
def test_3_a_size_is_bounded_before_anything_is_allocated(server, connect, size):
    server.warm_up(connect)
    before = server.memory_kib()
    for _ in range(20):
        client = connect()
        client.negotiate({})
        client.send(GET_INFO, codec.get_info(), size=size)
        assert client.has_closed()
    assert server.memory_kib() - before < 4096


@pytest.mark.parametrize("command", fixed, ids=names)
def test_3_each_length_below_a_structures_is_refused(client, command):
    payload = good.get(command) or bytes(fixed[command])
    for length in range(fixed[command]):
        client.refused(command, payload[:length], errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("iova, size", [(0, 0), (page, 0), ((1 << 64) - page, 2 * page), (page, (1 << 64) - 1)])
def test_4_sums_that_wrap_and_sizes_of_0(client, iova, size):
    client.refused(DMA_MAP, dma_map(iova, size))
    client.refused(codec.DMA_UNMAP, codec.dma_unmap(iova, size))
    client.lives()


@pytest.mark.parametrize("command", [REGION_READ, REGION_WRITE], ids=names)
@pytest.mark.parametrize("count", [1, 4, 8])
def test_4_offsets_that_wrap(client, command, count):
    data = bytes(count) if command == REGION_WRITE else b""
    for offset in range((1 << 64) - count, 1 << 64):
        client.refused(command, codec.access(offset, config_region, count, data), errno.EINVAL)
    client.lives()


@pytest.mark.own
def test_5_unexpected_descriptors_are_closed(server, client, memory):
    client.lives()
    before = server.descriptors()
    for command in (GET_INFO, REGION_READ, codec.RESET, codec.VERSION, 0, 0xFFFF):
        client.refused(command, good.get(command, b""), fds=[memory(page)] * 100)
    assert eventually(lambda: server.descriptors() <= before)


@pytest.mark.own
def test_5_descriptors_are_closed_on_exec(server, client, memory, eventfd):
    client.map(0, page, memory(page))
    client.ok(codec.SET_IRQS, codec.set_irqs(codec.data_eventfd | codec.trigger, codec.req), fds=[eventfd()])
    folder = f"/proc/{server.daemon.process.pid}/fdinfo"
    inherited = []
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError), open(f"{folder}/{name}") as file:
            flags = int(file.read().partition("flags:")[2].split()[0], 8)
            if not flags & os.O_CLOEXEC and int(name) > 2:
                inherited.append(name)
    assert inherited == []


@pytest.mark.own
def test_5_descriptors_that_are_lost_on_the_way_are_an_error(server, client, memory):
    """The server has no number left for them (MSG_CTRUNC), and the session goes on."""
    pid = server.daemon.process.pid
    client.map(0, page, memory(page))
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir(f"/proc/{pid}/fd"))
    holes = highest + 1 - server.descriptors()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
    try:
        client.refused(GET_INFO, codec.get_info(), fds=[memory(page)] * (holes + 2))
        client.lives()
        client.refused(DMA_MAP, dma_map(page, page), fds=[memory(page)] * (holes + 2))
        client.lives()
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    client.map(page, page, memory(page))


@pytest.mark.parametrize("command", bad, ids=names)
def test_6_an_error_reply_is_a_header_and_nothing_else(client, command):
    """Said for all errors of this suite by client.check_reply()."""
    client.send(command, bad[command], id=7)
    assert client.socket.recv(4096)[:12] == codec.Header(7, command, 16, 0x21, 0).pack()[:12]


def test_7_config_space_is_written_byte_by_byte(client):
    if client.region(0).size == 0:
        pytest.skip("the device has no BAR 0, which is what is written to here")
    client.write(config_region, 0x10, b"\xff\xff\xff\xff")
    at_once = client.read(config_region, 0x10, 4)
    client.write(config_region, 0x10, bytes(4))
    for byte in range(4):
        client.write(config_region, 0x10 + byte, b"\xff")
    assert client.read(config_region, 0x10, 4) == at_once
    client.write(config_region, 0x10, bytes(4))
    for half in (0, 2):
        client.write(config_region, 0x10 + half, b"\xff\xff")
    assert client.read(config_region, 0x10, 4) == at_once
    client.write(config_region, 0x10, bytes(4))


def test_8_a_range_of_vectors_that_does_not_begin_at_0_is_taken_back(client, eventfd):
    vectors = {index: client.irq(index).count for index in (codec.msi, codec.msix)}
    index = max(vectors, key=vectors.get)
    if vectors[index] < 3:
        pytest.skip("the device has fewer than three vectors (tests/integration/vfio_user/checklist_test.cc has one)")
    events = [eventfd() for _ in range(3)]
    client.ok(codec.SET_IRQS, codec.set_irqs(codec.data_eventfd | codec.trigger, index, 0, 3), fds=events)
    client.ok(codec.SET_IRQS, codec.set_irqs(codec.data_eventfd | codec.trigger, index, 1, 2))
    client.ok(codec.SET_IRQS, codec.set_irqs(codec.data_none | codec.trigger, index, 0, 3))
    assert int.from_bytes(os.read(events[0], 8), "little") == 1
    for event in events[1:]:
        with pytest.raises(BlockingIOError):
            os.read(event, 8)


def test_9_memory_that_goes_away_harms_nobody(client, memory):
    """hostile_memory_test.py has more; a device that reads it then is in tests/integration/vfio_user."""
    fd = memory(64 * page)
    client.map(0, 64 * page, fd)
    os.ftruncate(fd, 0)
    client.lives()
    assert client.unmap(0, 64 * page) == 64 * page


@pytest.mark.own
def test_10_nobody_waits_for_a_half_sent_message_or_a_silent_client(server, client, connect, device):
    """hostile_neighbours_test.py has more."""
    half, mute = connect(), connect()
    half.send_bytes(message(codec.VERSION, codec.version(capabilities={}))[:20])
    for _ in range(200):
        client.lives()
    mute.close()
    half.close()
    client.lives()


def test_11_a_client_that_takes_no_data_is_refused(silent):
    try:
        silent.refused(codec.VERSION, codec.version(capabilities={"max_data_xfer_size": 0}))
    except Closed:
        return
    assert silent.has_closed()


def state_of(client) -> int:
    reply = client.ok(codec.FEATURE, codec.feature(codec.device_state_feature | codec.feature_get, bytes(8)))
    return int.from_bytes(codec.unpack_feature(reply.payload).data[:4], "little")


@pytest.mark.parametrize("how", ["reset", "a new client"])
def test_12_the_migration_state_ends_with_a_reset_and_with_the_client(client, connect, probe, how):
    probe(codec.device_state_feature | codec.feature_set)
    stopped = codec.feature(codec.device_state_feature | codec.feature_set, codec.device_state(codec.stop))
    client.ok(codec.FEATURE, stopped)
    assert state_of(client) == codec.stop
    if how == "reset":
        client.ok(codec.RESET)
    else:
        client.close()
        client = connect()
        client.negotiate({})
    assert state_of(client) == codec.running


def test_13_every_command_is_answered(client):
    """Whatever it is, there is an answer."""
    for command in range(1, 24):
        for payload in (b"", bytes(8), bytes(16), bytes(32), bytes(64)):
            close_fds(client.call(command, payload).fds)
    client.lives()


@pytest.mark.own
def test_afterwards_nothing_is_left(server, client, memory, device):
    for i in range(10):
        client.map(i * page, page, memory(page))
    client.close()
    status = server.daemon.json
    assert eventually(lambda: status("status")["sessions"] == [])
    left = status("status")["memory"]
    assert (left["mappings"], left["pins"], left["file_mappings"], left["mapped_bytes"]) == (0, 0, 0, 0)

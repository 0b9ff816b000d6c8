"""MIG_DATA_READ and MIG_DATA_WRITE: the stream in which a device's state goes over."""

import errno
import random

import codec
import pytest
from codec import (
    FEATURE,
    MIG_DATA_READ,
    MIG_DATA_WRITE,
    device_state,
    device_state_feature,
    feature,
    feature_get,
    feature_probe,
    feature_set,
    mig_data,
    migration_feature,
    pre_copy,
    resuming,
    running,
    stop,
    stop_copy,
)
from samples import limits_32


@pytest.fixture(autouse=True)
def migrates(client):
    if client.call(FEATURE, feature(migration_feature | feature_probe | feature_get)).error is not None:
        pytest.skip("the device does not migrate")
    client.ok(codec.RESET)


def set_state(client, state: int) -> int | None:
    return client.call(FEATURE, feature(device_state_feature | feature_set, device_state(state))).error


def state_of(client) -> int:
    reply = client.ok(FEATURE, feature(device_state_feature | feature_get, argsz=16))
    return int.from_bytes(codec.unpack_feature(reply.payload).data[:4], "little")


def read(client, size: int) -> bytes:
    reply = client.ok(MIG_DATA_READ, mig_data(size))
    answer = codec.unpack_mig_data(reply.payload)
    assert answer.size <= size
    assert answer.argsz == 8 + answer.size
    assert len(reply.payload) == 8 + answer.size
    return answer.data


def save(client, piece: int = 4096) -> bytes:
    """The whole stream of a device, which is then stopped."""
    assert set_state(client, stop_copy) is None
    pieces = []
    while len(pieces) == 0 or len(pieces[-1]) == piece:
        pieces.append(read(client, piece))
    assert set_state(client, stop) is None
    return b"".join(pieces)


def write(client, data: bytes) -> None:
    assert client.ok(MIG_DATA_WRITE, mig_data(len(data), data)).payload == b""


def load(client, stream: bytes, piece: int = 4096) -> int | None:
    """The errno of the end."""
    assert set_state(client, resuming) is None
    for begin in range(0, len(stream), piece):
        data = stream[begin : begin + piece]
        error = client.call(MIG_DATA_WRITE, mig_data(len(data), data)).error
        if error is not None:
            return error
    return set_state(client, running)


# --- Reading.


def test_there_is_something_to_read(client):
    assert save(client)


def test_the_end_comes_once_and_stays(client):
    assert set_state(client, stop_copy) is None
    while len(read(client, 4096)) == 4096:
        pass
    for _ in range(3):
        assert read(client, 4096) == b""


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 8, 16, 64, 1000, 65536, 1 << 20])
def test_pieces_make_the_same_whole(client, piece):
    whole = save(client)
    client.ok(codec.RESET)
    assert save(client, piece) == whole


def test_nothing_is_nothing(client):
    assert set_state(client, stop_copy) is None
    assert read(client, 0) == b""
    assert read(client, 16)


@pytest.mark.parametrize("state", [running, stop, resuming])
def test_there_is_nothing_to_read_in_other_states(client, state):
    assert set_state(client, state) is None
    client.refused(MIG_DATA_READ, mig_data(16), errno.EINVAL)
    client.lives()


def test_before_the_copy_it_is_read_while_it_runs(client):
    if set_state(client, pre_copy) is not None:
        pytest.skip("the device is only copied when it is stopped")
    first = read(client, 1 << 20)
    assert set_state(client, stop_copy) is None
    rest = b""
    while piece := read(client, 4096):
        rest += piece
    assert set_state(client, stop) is None
    client.ok(codec.RESET)
    assert load(client, first + rest) is None
    assert state_of(client) == running


@pytest.mark.parametrize("argsz", [0, 7, 8, 23])
def test_argsz_that_has_no_room_for_what_is_asked(client, argsz):
    assert set_state(client, stop_copy) is None
    client.refused(MIG_DATA_READ, mig_data(16, argsz=argsz), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("size", limits_32)
def test_more_than_a_message_takes(client, size):
    assert set_state(client, stop_copy) is None
    client.refused(MIG_DATA_READ, mig_data(size, argsz=0xFFFFFFFF))
    client.lives()


def test_never_more_than_the_client_takes(connect, client):
    client.close()
    small = connect()
    small.negotiate({"max_data_xfer_size": 16})
    assert set_state(small, stop_copy) is None
    read(small, 16)
    small.refused(MIG_DATA_READ, mig_data(17))
    small.lives()


# --- Writing.


@pytest.mark.parametrize("piece", [1, 3, 16, 1000, 1 << 20])
def test_what_was_read_can_be_written(client, piece):
    stream = save(client)
    client.ok(codec.RESET)
    assert load(client, stream, piece) is None
    assert state_of(client) == running


@pytest.mark.parametrize("state", [running, stop, stop_copy])
def test_nothing_is_written_in_other_states(client, state):
    assert set_state(client, state) is None
    client.refused(MIG_DATA_WRITE, mig_data(4, b"data"), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("size, length", [(4, 3), (4, 5), (0, 1), (16, 0), (0xFFFFFFFF, 4), (0xFFFFFFF8, 4)])
def test_data_that_are_not_as_many_as_said(client, size, length):
    assert set_state(client, resuming) is None
    client.refused(MIG_DATA_WRITE, mig_data(size, bytes(length), argsz=8 + length))
    client.lives()


@pytest.mark.parametrize("command", [MIG_DATA_READ, MIG_DATA_WRITE])
@pytest.mark.parametrize("length", range(8))
def test_a_payload_that_is_too_short(client, command, length):
    client.refused(command, bytes(length), errno.EINVAL)
    client.lives()


def test_a_stream_that_was_cut_off(client):
    stream = save(client)
    for length in {0, 1, 8, len(stream) // 2, len(stream) - 1}:
        client.ok(codec.RESET)
        assert load(client, stream[:length]) is not None
        client.ok(codec.RESET)
        assert state_of(client) == running


def test_a_stream_with_something_behind_it(client):
    stream = save(client)
    client.ok(codec.RESET)
    assert load(client, stream + b"\0") is not None
    client.ok(codec.RESET)


@pytest.mark.parametrize("seed", range(10))
def test_a_stream_with_a_wrong_byte(client, seed):
    """Refused, whichever it is: or the device is what it would have been."""
    chance = random.Random(seed)
    stream = save(client)
    for _ in range(20):
        client.ok(codec.RESET)
        at = chance.randrange(len(stream))
        spoilt = stream[:at] + bytes([stream[at] ^ 1 << chance.randrange(8)]) + stream[at + 1 :]
        if load(client, spoilt) is None:
            assert save(client) == stream
        client.ok(codec.RESET)
        assert state_of(client) == running


@pytest.mark.parametrize("seed", range(5))
def test_noise(client, seed):
    assert load(client, random.Random(seed).randbytes(10_000)) is not None
    client.ok(codec.RESET)
    assert state_of(client) == running


# --- What goes over.


def fill(port) -> None:
    """Something in mtty's registers and in its FIFO."""
    port.write(0, 2, b"\x01")
    port.write(0, 7, b"\x5a")
    port.write(1, 7, b"\xa5")
    port.write(1, 4, b"\x0b")
    for byte in b"on the way":
        port.write(0, 0, bytes([byte]))


@pytest.mark.device("mtty")
def test_mtty_loses_no_byte(client):
    fill(client)
    stream = save(client)
    client.ok(codec.RESET)
    assert client.read(0, 7, 1) == b"\0"
    assert load(client, stream) is None
    assert (client.read(0, 7, 1), client.read(1, 7, 1), client.read(1, 4, 1)) == (b"\x5a", b"\xa5", b"\x0b")
    assert bytes(client.read(0, 0, 1)[0] for _ in range(10)) == b"on the way"


@pytest.mark.device("mtty")
def test_mtty_goes_to_the_next_client(client, connect):
    fill(client)
    stream = save(client)
    client.close()
    following = connect()
    following.negotiate({})
    assert load(following, stream) is None
    assert bytes(following.read(0, 0, 1)[0] for _ in range(10)) == b"on the way"


@pytest.mark.own
@pytest.mark.device("mtty")
def test_mtty_goes_to_another_instance(server, client):
    from client import Client

    fill(client)
    stream = save(client)
    other = server.create("mtty")
    try:
        with Client(server.daemon.socket_of(other)) as there:
            there.negotiate({})
            assert load(there, stream) is None
            assert bytes(there.read(0, 0, 1)[0] for _ in range(10)) == b"on the way"
    finally:
        server.daemon.umdev("remove", "--force", other)

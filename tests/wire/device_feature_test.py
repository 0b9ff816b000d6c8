"""DEVICE_FEATURE: its rules, the states of migration, and the log of written memory."""

import errno

import codec
import pytest
from codec import (
    FEATURE,
    device_state,
    device_state_feature,
    feature,
    feature_get,
    feature_probe,
    feature_set,
    migration_feature,
    pre_copy,
    pre_copy_p2p,
    resuming,
    running,
    running_p2p,
    stop,
    stop_copy,
)

p2p_states = (running_p2p, pre_copy_p2p)
pre_copy_states = (pre_copy, pre_copy_p2p)
unknown = 0x7FFF


@pytest.fixture(autouse=True)
def known(request, client):
    """Whether the command is known is asked by a feature that nobody has: a kernel's ENOTTY."""
    if client.call(FEATURE, feature(migration_feature | feature_probe | feature_get)).error is not None:
        if "migration" in request.fixturenames:
            pytest.skip("the device does not migrate")


@pytest.fixture
def migration(client) -> int:
    """The flags of a device that migrates; it is RUNNING now."""
    client.ok(codec.RESET)
    return get_migration(client)


def get_migration(client) -> int:
    reply = client.ok(FEATURE, feature(migration_feature | feature_get, argsz=16))
    return int.from_bytes(codec.unpack_feature(reply.payload).data, "little")


def state_of(client) -> int:
    reply = client.ok(FEATURE, feature(device_state_feature | feature_get, argsz=16))
    return int.from_bytes(codec.unpack_feature(reply.payload).data[:4], "little")


def set_state(client, state: int) -> codec.Message:
    return client.call(FEATURE, feature(device_state_feature | feature_set, device_state(state)))


def is_supported(flags: int, state: int) -> bool:
    return not (state in p2p_states and not flags & codec.p2p_flag) and not (
        state in pre_copy_states and not flags & codec.pre_copy_flag
    )


# --- The rules of all features.


@pytest.mark.parametrize("length", range(8))
def test_a_payload_that_is_too_short(client, length):
    assert client.call(FEATURE, feature(migration_feature | feature_get)[:length]).error is not None
    client.lives()


@pytest.mark.parametrize("number", [0x100, unknown, 0xFFFF])
@pytest.mark.parametrize("op", [feature_get, feature_set, feature_probe, feature_probe | feature_get])
def test_a_feature_that_nobody_has(client, number, op):
    client.refused(FEATURE, feature(number | op, bytes(16)), errno.ENOTTY)
    client.lives()


@pytest.mark.parametrize("argsz", [0, 1, 7])
def test_argsz_that_has_no_room_for_the_structure(client, migration, argsz):
    client.refused(FEATURE, feature(migration_feature | feature_get, argsz=argsz), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("bit", [19, 20, 24, 31])
def test_flags_that_are_none(client, migration, bit):
    client.refused(FEATURE, feature(migration_feature | feature_get | 1 << bit, argsz=16), errno.EINVAL)
    client.lives()


def test_get_and_set_exclude_each_other(client, migration):
    both = device_state_feature | feature_get | feature_set
    client.refused(FEATURE, feature(both, device_state(stop)), errno.EINVAL)
    assert state_of(client) == running


def test_neither_get_nor_set_nor_probe(client, migration):
    client.refused(FEATURE, feature(device_state_feature, device_state(stop)), errno.EINVAL)
    assert state_of(client) == running


@pytest.mark.parametrize("number", [migration_feature, device_state_feature])
@pytest.mark.parametrize("op", [0, feature_get])
@pytest.mark.parametrize("data", [b"", bytes(8)], ids=len)
def test_a_probe_is_answered_with_what_was_asked(client, migration, number, op, data):
    payload = feature(number | feature_probe | op, data)
    assert client.ok(FEATURE, payload).payload == payload


def test_a_probe_for_both(client, migration):
    both = feature_probe | feature_get | feature_set
    client.ok(FEATURE, feature(device_state_feature | both))
    client.refused(FEATURE, feature(migration_feature | both), errno.EINVAL)


def test_a_probe_changes_nothing(client, migration):
    client.ok(FEATURE, feature(device_state_feature | feature_probe | feature_set, device_state(stop)))
    assert state_of(client) == running


def test_without_a_reply(client, migration):
    client.send(FEATURE, feature(device_state_feature | feature_set, device_state(stop)), flags=codec.no_reply)
    assert state_of(client) == stop


# --- MIGRATION.


def test_a_device_that_migrates_can_stop_and_copy(migration):
    assert migration & codec.stop_copy_flag
    assert not migration & ~7


def test_the_reply_brings_the_flags(client, migration):
    reply = client.ok(FEATURE, feature(migration_feature | feature_get, argsz=16))
    assert codec.unpack_feature(reply.payload)[:2] == (16, migration_feature | feature_get)
    assert len(reply.payload) == 16


@pytest.mark.parametrize("argsz", [17, 4096, 0xFFFFFFFF])
def test_argsz_that_has_more_room(client, migration, argsz):
    reply = client.ok(FEATURE, feature(migration_feature | feature_get, argsz=argsz))
    assert int.from_bytes(codec.unpack_feature(reply.payload).data, "little") == migration


@pytest.mark.parametrize("argsz", [8, 12, 15])
def test_argsz_that_has_no_room_for_the_flags(client, migration, argsz):
    client.refused(FEATURE, feature(migration_feature | feature_get, argsz=argsz), errno.EINVAL)


def test_whether_it_migrates_cannot_be_set(client, migration):
    client.refused(FEATURE, feature(migration_feature | feature_set, bytes(8)), errno.EINVAL)


# --- MIG_DEVICE_STATE.


def test_a_device_begins_running(client, migration):
    assert state_of(client) == running


@pytest.mark.parametrize("length", range(8))
def test_a_state_that_is_cut_off(client, migration, length):
    payload = feature(device_state_feature | feature_set, device_state(stop)[:length])
    client.refused(FEATURE, payload, errno.EINVAL)
    assert state_of(client) == running


@pytest.mark.parametrize("target", [0, 8, 9, 0x7FFFFFFF, 0xFFFFFFFF])
def test_states_that_cannot_be_asked_for(client, migration, target):
    data = target.to_bytes(4, "little") + bytes(4)
    client.refused(FEATURE, feature(device_state_feature | feature_set, data), errno.EINVAL)
    assert state_of(client) == running


def go(client, state: int) -> bool:
    """From RUNNING."""
    client.ok(codec.RESET)
    return set_state(client, state).error is None and state_of(client) == state


@pytest.mark.parametrize("target", range(1, 8))
@pytest.mark.parametrize("origin", range(1, 8))
def test_from_each_state_to_each(client, migration, origin, target):
    if not is_supported(migration, origin):
        pytest.skip("the device does not have the state")
    assert go(client, origin)
    reply = set_state(client, target)
    if not is_supported(migration, target) or (origin == stop_copy and target in pre_copy_states):
        assert reply.error == errno.EINVAL
        assert state_of(client) == origin
    elif origin == resuming and target != resuming:
        assert reply.error is not None  # there was no data
        assert state_of(client) in (resuming, codec.error_state)
    else:
        assert reply.error is None
        assert state_of(client) == target
        data = codec.unpack_feature(reply.payload).data
        assert int.from_bytes(data[:4], "little") == target
    client.ok(codec.RESET)
    assert state_of(client) == running


def test_a_reset_ends_every_state(client, migration):
    for state in range(1, 8):
        if is_supported(migration, state):
            assert go(client, state)
            client.ok(codec.RESET)
            assert state_of(client) == running


def test_the_next_client_finds_it_running(client, connect, migration):
    assert go(client, stop)
    client.close()
    following = connect()
    following.negotiate({})
    assert state_of(following) == running


def test_a_stopped_device_answers_its_other_questions(client, migration):
    """What is about the device, not by it: a client looks around before it copies."""
    assert go(client, stop)
    client.lives()
    client.region(codec.config_region)
    client.irq(codec.msi)


def test_descriptors_do_not_belong_to_it(client, migration, memory):
    payload = feature(device_state_feature | feature_set, device_state(stop))
    client.refused(FEATURE, payload, errno.EINVAL, fds=[memory(4096)])
    assert state_of(client) == running

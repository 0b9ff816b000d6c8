"""VERSION: how a session begins, and how it does not."""

import json
import os
import socket

import codec
import pytest
from client import Closed, close_fds
from codec import VERSION, version, version_text


def propose(client, payload: bytes) -> codec.Version:
    """A proposal that is taken; the session works."""
    reply = client.ok(VERSION, payload)
    close_fds(reply.fds)
    client.lives()
    return codec.unpack_version(reply.payload)


def refuse(client, payload: bytes) -> None:
    """A proposal that is not: an error or nothing at all, and then the end."""
    try:
        reply = client.call(VERSION, payload)
        assert reply.error is not None
    except Closed:
        pass
    assert client.has_closed()


def capability(name: str, value) -> bytes:
    return version(capabilities={name: value})


# --- The version.


@pytest.mark.parametrize("minor", [0, 1, 2, 100, 0xFFFF])
def test_the_answers_minor_is_not_above_the_proposed(silent, minor):
    answer = propose(silent, version(0, minor, {}))
    assert answer.major == 0
    assert answer.minor <= minor


def test_who_speaks_0_0_is_answered_in_0_0(silent):
    """QEMU does, and goes away otherwise."""
    assert propose(silent, version(0, 0, {}))[:2] == (0, 0)


@pytest.mark.parametrize("major", [1, 2, 0x100, 0x7FFF, 0xFFFF])
@pytest.mark.parametrize("minor", [0, 0xFFFF])
def test_another_major_is_refused(silent, major, minor):
    refuse(silent, version(major, minor, {}))


# --- The text.


def test_the_text_may_be_missing(silent):
    assert propose(silent, version()).major == 0


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b'{"capabilities":{}}',
        b' { "capabilities" : { } } ',
        b'\n{\t"capabilities":\r\n{}}\n',
        b'{"capabilities":{},"more":[1,2,{"three":null}]}',
        b'{"capabilities":{"nobody_knows_this":true}}',
        b'{"capabilities":{"nor":{"this":["at",{"all":1.5e3}]}}}',
        '{"name":"Gerät"}'.encode(),
        b'{"name":"\\u00e4\\ud83d\\ude00"}',
        b'{"capabilities":{"max_msg_fds":8}}' + b" " * 4000,
    ],
)
def test_texts_that_are_taken(silent, text):
    propose(silent, version_text(text + b"\0"))


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b'{"capabilities":{}}',
        b"{}\0\0",
        b"{}\0{}\0",
        b"\0{}\0",
        b"\0",
        b"{\0",
        b"}\0",
        b"{},\0",
        b"[]\0",
        b"null\0",
        b"true\0",
        b"1\0",
        b'"capabilities"\0',
        b"{'capabilities':{}}\0",
        b'{"capabilities"}\0',
        b'{"capabilities":}\0',
        b'{"capabilities":{}\0',
        b'{"capabilities":{},}\0',
        b'{"capabilities":{"max_msg_fds":8,}}\0',
        b'{"capabilities":{"max_msg_fds":08}}\0',
        b'{"capabilities":{"max_msg_fds":0x8}}\0',
        b'{"capabilities":{"max_msg_fds":NaN}}\0',
        b'{"capabilities":[]}\0',
        b'{"capabilities":null}\0',
        b'{"capabilities":true}\0',
        b'{"capabilities":""}\0',
        b'{"\xff\xfe":1}\0',
        b'{"a":"\xc3"}\0',
        b'{"a":"\n"}\0',
        b"//\0",
    ],
)
def test_texts_that_are_refused(silent, text):
    refuse(silent, version_text(text))


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_a_payload_that_is_too_short(silent, length):
    refuse(silent, bytes(length))


@pytest.mark.parametrize("depth", [100, 10_000, 100_000])
@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_text_that_nests_without_end(silent, depth, brackets):
    opening, closing = ("[", "]") if brackets == "[]" else ('{"a":', "}")
    text = '{"a":' + opening * depth + "1" + closing * depth + "}\0"
    refuse(silent, version_text(text.encode()))


@pytest.mark.parametrize("size", [20_000, 100_000, 1_000_000])
def test_text_that_is_long(silent, size):
    """Refused, or read: but not in the way of anybody."""
    silent.socket.settimeout(10)
    try:
        silent.call(VERSION, version_text(b'{"a":"' + b"x" * size + b'"}\0'))
    except Closed:
        pass


# --- The capabilities.

numbers = ["max_msg_fds", "max_data_xfer_size", "max_dma_maps", "pgsizes"]


@pytest.mark.parametrize("name", numbers)
@pytest.mark.parametrize("value", [4096, 65536, 1 << 20, (1 << 31) - 1])
def test_a_number(silent, name, value):
    propose(silent, capability(name, value))


@pytest.mark.parametrize("name", numbers)
@pytest.mark.parametrize("value", [1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, (1 << 64) - 1])
def test_a_number_that_is_large(silent, name, value):
    propose(silent, capability(name, value))


@pytest.mark.parametrize("name", numbers)
@pytest.mark.parametrize("value", [-1, -(1 << 63), 1.5, "8", True, None, [8], {"value": 8}])
def test_what_is_no_number(silent, name, value):
    refuse(silent, capability(name, value))


@pytest.mark.parametrize("name", ["max_msg_fds", "max_data_xfer_size", "max_dma_maps"])
def test_a_number_that_is_small(silent, name):
    propose(silent, capability(name, 1))


@pytest.mark.parametrize("value", [0, 1, 2048])
def test_pages_smaller_than_any(silent, value):
    """Refused, or answered with what the server has."""
    reply = silent.call(VERSION, capability("pgsizes", value))
    if reply.error is None:
        assert codec.unpack_version(reply.payload).capabilities.get("pgsizes", 4096) % 4096 == 0


@pytest.mark.parametrize("value", [True, False])
def test_write_multiple_is_true_or_false(silent, value):
    answer = propose(silent, capability("write_multiple", value))
    assert answer.capabilities.get("write_multiple", False) in ([False, True] if value else [False])


@pytest.mark.parametrize("name", ["write_multiple"])
@pytest.mark.parametrize("value", [0, 1, "true", None, [], {}])
def test_what_is_neither_true_nor_false(silent, name, value):
    refuse(silent, capability(name, value))


@pytest.mark.parametrize("name", ["twin_socket", "migration"])
@pytest.mark.parametrize("value", [True, 1, "", None, []])
def test_what_is_no_object(silent, name, value):
    refuse(silent, capability(name, value))


@pytest.mark.parametrize("value", [1, "true", None, [], {}])
def test_a_twin_socket_is_supported_or_not(silent, value):
    refuse(silent, capability("twin_socket", {"supported": value}))


def test_a_client_that_takes_no_data_at_all(silent):
    refuse(silent, capability("max_data_xfer_size", 0))


@pytest.mark.parametrize("name", ["max_msg_fds", "max_dma_maps"])
def test_a_client_that_takes_no_descriptors_or_maps(silent, name):
    propose(silent, capability(name, 0))


def test_a_name_that_comes_twice(silent):
    """JSON leaves open which counts."""
    propose(silent, version_text(b'{"capabilities":{"max_msg_fds":1,"max_msg_fds":2}}\0'))


# --- The answer.


def test_the_answer_is_text_with_a_zero_at_its_end(silent):
    reply = silent.ok(VERSION, version(capabilities={}))
    text = reply.payload[4:]
    assert text[-1:] == b"\0"
    assert b"\0" not in text[:-1]
    assert isinstance(json.loads(text[:-1].decode("utf-8")), dict)


def test_qemu_takes_what_the_server_says(silent):
    """QEMU 11 goes away otherwise."""
    said = codec.default_capabilities | silent.negotiate({})._asdict()["capabilities"]
    assert 1 <= said["max_msg_fds"] <= 16
    assert 256 <= said["max_data_xfer_size"] <= 64 << 20
    assert 1 <= said["max_dma_maps"] <= 65535
    assert said["pgsizes"] and said["pgsizes"] % 4096 == 0


def test_what_was_not_proposed_is_not_in_the_answer(silent):
    answer = silent.negotiate({})
    assert not answer.capabilities.get("write_multiple")
    assert not answer.capabilities.get("twin_socket", {}).get("supported")


def test_the_answer_to_no_text_promises_nothing_either(silent):
    answer = propose(silent, version())
    assert not answer.capabilities.get("write_multiple")
    assert not answer.capabilities.get("twin_socket", {}).get("supported")


def test_no_descriptor_comes_unless_a_twin_socket_was_asked_for(silent):
    reply = silent.ok(VERSION, version(capabilities={"max_msg_fds": 16}))
    assert reply.fds == []


def test_a_twin_socket_comes_with_its_descriptor_or_not_at_all(silent):
    reply = silent.ok(VERSION, version(capabilities={"max_msg_fds": 16, "twin_socket": {"supported": True}}))
    try:
        twin = codec.unpack_version(reply.payload).capabilities.get("twin_socket", {})
        if not twin.get("supported"):
            assert reply.fds == []
            return
        assert 0 <= twin["fd_index"] < len(reply.fds) == 1
        with socket.socket(fileno=os.dup(reply.fds[twin["fd_index"]])) as other:
            assert (other.family, other.type) == (socket.AF_UNIX, socket.SOCK_STREAM)
    finally:
        close_fds(reply.fds)
    silent.lives()


@pytest.mark.parametrize("twin", [{}, {"supported": False}, {"supported": False, "fd_index": 0}])
def test_a_twin_socket_that_nobody_wants(silent, twin):
    reply = silent.ok(VERSION, version(capabilities={"max_msg_fds": 16, "twin_socket": twin}))
    assert reply.fds == []
    assert not codec.unpack_version(reply.payload).capabilities.get("twin_socket", {}).get("supported")


def test_no_twin_socket_for_who_takes_no_descriptors(silent):
    reply = silent.ok(VERSION, version(capabilities={"max_msg_fds": 0, "twin_socket": {"supported": True}}))
    assert reply.fds == []
    assert not codec.unpack_version(reply.payload).capabilities.get("twin_socket", {}).get("supported")


# --- Once, and first.


def test_a_second_one_is_refused_and_the_session_goes_on(client):
    client.refused(VERSION, version(capabilities={}))
    client.lives()


def test_descriptors_are_refused(silent, memory):
    try:
        assert silent.call(VERSION, version(capabilities={}), fds=[memory(4096)]).error is not None
    except Closed:
        pass
    assert silent.has_closed()


@pytest.mark.parametrize("command", [c for c in range(20) if c != VERSION] + [0x7FFF, 0xFFFF])
def test_nothing_else_is_done_before_it(silent, command):
    try:
        assert silent.call(command, bytes(64)).error is not None
    except Closed:
        return
    silent.negotiate({})
    silent.lives()


def test_nothing_is_done_before_it_that_wants_no_reply(silent):
    silent.send(codec.RESET, flags=codec.no_reply)
    try:
        silent.negotiate({})
    except Closed:
        return
    silent.lives()


def test_a_reply_before_it_is_nothing(silent):
    silent.send(VERSION, version(capabilities={}), flags=codec.type_reply)
    try:
        silent.negotiate({})
    except Closed:
        return
    silent.lives()


def test_it_may_be_followed_at_once(silent):
    """QEMU waits; a client need not."""
    silent.send_bytes(
        codec.message(VERSION, version(capabilities={}), id=1) + codec.message(codec.GET_INFO, codec.get_info(), id=2)
    )
    assert [silent.receive().header.id for _ in range(2)] == [1, 2]

"""DEVICE_RESET."""

import os

import codec
import pytest
from codec import RESET, config_region


@pytest.fixture(autouse=True)
def can_reset(client):
    if not client.info().flags & codec.info_reset:
        pytest.skip("the device cannot be reset")


def test_neither_request_nor_reply_have_a_payload(client):
    assert client.ok(RESET).payload == b""


def test_a_payload_is_not_looked_at(client):
    client.ok(RESET, b"\xff" * 64)
    client.lives()


def test_a_hundred_in_a_row(client):
    client.send_bytes(b"".join(codec.message(RESET, id=i) for i in range(100)))
    assert [client.receive().header.id for _ in range(100)] == list(range(100))


def test_one_without_a_reply(client):
    client.send(RESET, flags=codec.no_reply)
    assert client.is_silent()
    client.lives()


# What a client has set up of the header stays, as a kernel restores it:
# DPDK makes a function bus master, and resets it.
def test_the_device_is_who_it_was_and_config_space_comes_to_rest(client):
    before = client.read(config_region, 0, 256)
    client.write(config_region, 0x10, b"\xff" * 24)
    client.ok(RESET)
    once = client.read(config_region, 0, 256)
    assert once[:4] == before[:4] and once[8:12] == before[8:12]
    client.ok(RESET)
    assert client.read(config_region, 0, 256) == once


def test_mappings_stay(client):
    client.map(0x10000, 4096)
    client.ok(RESET)
    assert client.unmap(0x10000, 4096) == 4096


@pytest.mark.device("mtty")
def test_mtty_forgets_what_it_held(client):
    client.write(0, 2, b"\x01")
    client.write(0, 0, b"x")
    client.write(0, 7, b"\x5a")
    client.ok(RESET)
    assert client.read(0, 5, 1) == b"\x60"
    assert client.read(0, 7, 1) == b"\0"


@pytest.mark.device("mtty")
def test_interrupts_stay_set_up(client, eventfd):
    event = eventfd()
    client.ok(codec.SET_IRQS, codec.set_irqs(codec.data_eventfd | codec.trigger, codec.msi), fds=[event])
    client.ok(RESET)
    client.ok(codec.SET_IRQS, codec.set_irqs(codec.data_none | codec.trigger, codec.msi))
    assert int.from_bytes(os.read(event, 8), "little") == 1

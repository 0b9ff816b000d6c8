"""DEVICE_GET_INFO: what kind of device it is."""

import errno

import codec
import pytest
from codec import GET_INFO
from samples import refuse_short, short_lengths


def test_the_reply_is_the_structure(client):
    reply = client.ok(GET_INFO, codec.get_info())
    assert len(reply.payload) == 16
    assert reply.fds == []


def test_argsz_of_the_reply_is_what_the_whole_reply_needs(client):
    assert client.info().argsz == 16


def test_it_is_a_pci_device(client):
    assert client.info().flags & codec.info_pci


def test_the_flags_are_known(client):
    assert not client.info().flags & ~(codec.info_pci | codec.info_reset)


def test_a_pci_device_has_its_nine_regions(client):
    assert 9 <= client.info().num_regions <= 100  # QEMU takes no more


def test_a_pci_device_has_its_five_interrupts(client):
    assert 5 <= client.info().num_irqs <= 50  # QEMU takes no more


@short_lengths(GET_INFO)
def test_a_payload_that_is_too_short(client, length):
    refuse_short(client, GET_INFO, length)


@pytest.mark.parametrize("argsz", [0, 1, 8, 15])
def test_argsz_that_has_no_room_for_the_structure(client, argsz):
    client.refused(GET_INFO, codec.get_info(argsz), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("argsz", [16, 17, 24, 4096, 0x80000000, 0xFFFFFFFF])
def test_argsz_that_has_room(client, argsz):
    reply = client.ok(GET_INFO, codec.get_info(argsz))
    assert codec.unpack_info(reply.payload) == client.info()


@pytest.mark.parametrize("fields", [{"flags": 0xFFFFFFFF}, {"regions": 0xFFFFFFFF}, {"irqs": 0xFFFFFFFF}])
def test_fields_that_only_the_reply_has_are_not_looked_at(client, fields):
    reply = client.ok(GET_INFO, codec.get_info(**fields))
    assert codec.unpack_info(reply.payload) == client.info()


@pytest.mark.parametrize("more", [1, 8, 4096])
def test_bytes_behind_the_structure_are_not_looked_at(client, more):
    reply = client.ok(GET_INFO, codec.get_info() + b"\xff" * more)
    assert codec.unpack_info(reply.payload) == client.info()


def test_it_never_changes(client):
    first = client.info()
    client.ok(codec.RESET)
    assert client.info() == first


@pytest.mark.device("null", "mtty")
def test_ours_can_be_reset(client):
    assert client.info() == (16, codec.info_pci | codec.info_reset, 9, 5)

"""DEVICE_GET_IRQ_INFO: which interrupts there are."""

import errno

import codec
import pytest
from codec import IRQ_INFO
from samples import limits_32, refuse_short, short_lengths

indexes = [codec.intx, codec.msi, codec.msix, codec.req]  # ERR is only there on PCI Express


@pytest.mark.parametrize("index", indexes)
def test_each_index_is_answered_with_the_structure(client, index):
    reply = client.ok(IRQ_INFO, codec.irq_info(index))
    assert len(reply.payload) == 16
    irq = codec.unpack_irq_info(reply.payload)
    assert (irq.argsz, irq.index) == (16, index)


@pytest.mark.parametrize("index", indexes)
def test_the_flags_are_known_and_eventfds_are_taken(client, index):
    irq = client.irq(index)
    assert not irq.flags & ~0xF
    if irq.count:
        assert irq.flags & codec.irq_eventfd


def test_intx_is_one_line_at_most(client):
    assert client.irq(codec.intx).count <= 1


def test_intx_masks_itself(client):
    irq = client.irq(codec.intx)
    if not irq.flags & codec.irq_automasked:
        pytest.skip("the server says nothing of masks")
    assert irq.flags & codec.irq_maskable


def test_msi_has_at_most_32_vectors(client):
    assert client.irq(codec.msi).count <= 32


def test_msix_has_at_most_2048_vectors(client):
    assert client.irq(codec.msix).count <= 2048


@pytest.mark.parametrize("index", [codec.msi, codec.msix])
def test_messages_do_not_mask_themselves(client, index):
    assert not client.irq(index).flags & codec.irq_automasked


def test_errors_are_told_by_one_vector_or_by_none(client):
    reply = client.call(IRQ_INFO, codec.irq_info(codec.err))
    if reply.error is None:
        assert codec.unpack_irq_info(reply.payload).count <= 1
    elif client.exact_errno:
        assert reply.error == errno.EINVAL  # as vfio-pci has it for a function that is not PCI Express


def test_requests_to_let_go_are_told_by_one_vector_at_most(client):
    assert client.irq(codec.req).count <= 1


@pytest.mark.parametrize("index", [5, 6, 100, *limits_32])
def test_an_index_that_is_not_there(client, index):
    client.refused(IRQ_INFO, codec.irq_info(index), errno.EINVAL)
    client.lives()


@short_lengths(IRQ_INFO)
def test_a_payload_that_is_too_short(client, length):
    refuse_short(client, IRQ_INFO, length)


@pytest.mark.parametrize("argsz", [0, 1, 12, 15])
def test_argsz_that_has_no_room_for_the_structure(client, argsz):
    client.refused(IRQ_INFO, codec.irq_info(codec.msi, argsz), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("argsz", [17, 4096, *limits_32])
def test_argsz_that_has_more_room(client, argsz):
    reply = client.ok(IRQ_INFO, codec.irq_info(codec.msi, argsz))
    assert codec.unpack_irq_info(reply.payload) == client.irq(codec.msi)


@pytest.mark.parametrize("fields", [{"flags": 0xFFFFFFFF}, {"count": 0xFFFFFFFF}])
def test_fields_that_only_the_reply_has_are_not_looked_at(client, fields):
    reply = client.ok(IRQ_INFO, codec.irq_info(codec.msi, **fields))
    assert codec.unpack_irq_info(reply.payload) == client.irq(codec.msi)


def test_bytes_behind_the_structure_are_not_looked_at(client):
    client.ok(IRQ_INFO, codec.irq_info(codec.msi) + b"\xff" * 100)
    client.lives()


@pytest.mark.device("mtty")
def test_mtty_has_a_line_a_message_and_the_request(client):
    assert [client.irq(index).count for index in indexes] == [1, 1, 0, 1]
    assert client.irq(codec.intx).flags == codec.irq_eventfd | codec.irq_maskable | codec.irq_automasked
    assert client.irq(codec.msi).flags & codec.irq_noresize


@pytest.mark.device("null")
def test_null_has_only_the_request(client):
    assert [client.irq(index).count for index in indexes] == [0, 0, 0, 1]

"""Commands that nobody knows, and those that are not the client's to send."""

import errno

import codec
import pytest
from codec import DIRTY_PAGES, DMA_READ, DMA_WRITE

unknown = [0, 19, 20, 63, 255, 256, 0x7FFF, 0x8000, 0xFFFF]


@pytest.mark.parametrize("command", unknown)
@pytest.mark.parametrize("payload", [b"", bytes(16), bytes(4096)], ids=len)
def test_a_number_without_a_command(client, command, payload):
    client.refused(command, payload, errno.ENOTTY)
    client.lives()


@pytest.mark.parametrize("command", unknown)
def test_one_that_wants_no_reply(client, command):
    client.send(command, bytes(16), flags=codec.no_reply)
    client.lives()


def test_one_as_large_as_may_be(client):
    client.refused(0xFFFF, bytes(client.capabilities["max_data_xfer_size"] + 16), errno.ENOTTY)
    client.lives()


@pytest.mark.parametrize("payload", [b"", bytes(16), bytes(32)], ids=len)
def test_dirty_pages_was_removed_from_the_protocol(client, payload):
    client.refused(DIRTY_PAGES, payload, errno.ENOTTY)
    client.lives()


@pytest.mark.parametrize("command", [DMA_READ, DMA_WRITE])
@pytest.mark.parametrize("count", [0, 1, 4096, 1 << 63])
def test_dma_is_the_servers_to_ask_for(client, command, count):
    client.refused(command, codec.dma_access(0x1000, count), errno.ENOTTY)
    client.lives()

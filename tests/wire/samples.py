"""Good requests, one of each command, and what spoils them in ways that all commands share."""

from __future__ import annotations

import errno

import codec
import pytest
from codec import (
    DMA_MAP,
    DMA_UNMAP,
    FEATURE,
    GET_INFO,
    IRQ_INFO,
    REGION_INFO,
    REGION_READ,
    REGION_WRITE,
    RESET,
    SET_IRQS,
)

page = 4096

# What every server answers with success, on any PCI device. It does not hurt to do them again, in this order.
good = {
    DMA_MAP: codec.dma_map(0x1000, page, flags=codec.map_read),
    DMA_UNMAP: codec.dma_unmap(0x1000, page),
    GET_INFO: codec.get_info(),
    REGION_INFO: codec.region_info(codec.config_region),
    IRQ_INFO: codec.irq_info(codec.msi),
    REGION_READ: codec.access(0, codec.config_region, 4),
    REGION_WRITE: codec.access(0, codec.config_region, 4, b"\0\0\0\0"),  # the ids, which are read-only
    RESET: b"",
}

# What every server refuses.
bad = {
    DMA_MAP: codec.dma_map(0x1000, 0),
    DMA_UNMAP: codec.dma_unmap(0x1000, 0),
    GET_INFO: codec.get_info(argsz=0),
    REGION_INFO: codec.region_info(1 << 31),
    IRQ_INFO: codec.irq_info(1 << 31),
    SET_IRQS: codec.set_irqs(0, codec.intx),
    REGION_READ: codec.access(0, 1 << 31, 4),
    REGION_WRITE: codec.access(0, 1 << 31, 4, b"\0\0\0\0"),
    FEATURE: codec.feature(0xFFFF | codec.feature_get),
}

# The answer's payload, where its size is known.
reply_sizes = {
    DMA_MAP: 0,
    DMA_UNMAP: 24,
    GET_INFO: 16,
    REGION_INFO: 32,
    IRQ_INFO: 16,
    REGION_READ: 20,
    REGION_WRITE: 16,
    RESET: 0,
}

names = codec.command_names.get

# All values of a number of so many bits that tend to be one too many or one too few.
limits_32 = [0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
limits_64 = [0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF]


def refuse_short(client, command: int, length: int) -> None:
    """A payload that ends inside of its structure."""
    payload = (good.get(command) or bytes(codec.fixed_sizes[command]))[:length]
    client.refused(command, payload, errno.EINVAL)
    client.lives()


def short_lengths(command: int):
    fixed = codec.fixed_sizes[command]
    return pytest.mark.parametrize("length", [0, 1, 4, fixed // 2, fixed - 1])


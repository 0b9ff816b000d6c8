"""The vfio-user wire format, written from its specification and nothing else: numbers, structures, messages.

Integers are in host byte order and packed. Sizes are bytes. Nothing here talks to anybody.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import NamedTuple

# --- Commands.

VERSION = 1
DMA_MAP = 2
DMA_UNMAP = 3
GET_INFO = 4
REGION_INFO = 5
REGION_IO_FDS = 6
IRQ_INFO = 7
SET_IRQS = 8
REGION_READ = 9
REGION_WRITE = 10
DMA_READ = 11  # server to client
DMA_WRITE = 12  # server to client
RESET = 13
DIRTY_PAGES = 14  # removed from the protocol
WRITE_MULTI = 15
FEATURE = 16
MIG_DATA_READ = 17
MIG_DATA_WRITE = 18

command_names = {
    VERSION: "VERSION",
    DMA_MAP: "DMA_MAP",
    DMA_UNMAP: "DMA_UNMAP",
    GET_INFO: "GET_INFO",
    REGION_INFO: "REGION_INFO",
    REGION_IO_FDS: "REGION_IO_FDS",
    IRQ_INFO: "IRQ_INFO",
    SET_IRQS: "SET_IRQS",
    REGION_READ: "REGION_READ",
    REGION_WRITE: "REGION_WRITE",
    DMA_READ: "DMA_READ",
    DMA_WRITE: "DMA_WRITE",
    RESET: "RESET",
    DIRTY_PAGES: "DIRTY_PAGES",
    WRITE_MULTI: "WRITE_MULTI",
    FEATURE: "FEATURE",
    MIG_DATA_READ: "MIG_DATA_READ",
    MIG_DATA_WRITE: "MIG_DATA_WRITE",
}

# --- Header.

header_size = 16
type_mask = 0xF
type_command = 0
type_reply = 1
no_reply = 1 << 4
error_bit = 1 << 5

_header = struct.Struct("=HHIII")


class Header(NamedTuple):
    id: int
    command: int
    size: int  # of the whole message
    flags: int
    error: int

    def pack(self) -> bytes:
        return _header.pack(*self)


def unpack_header(data: bytes) -> Header:
    return Header(*_header.unpack(data))


@dataclass
class Message:
    header: Header
    payload: bytes
    fds: list[int] = field(default_factory=list)

    @property
    def error(self) -> int | None:
        """The errno of an error reply; None for a success."""
        return self.header.error if self.header.flags & error_bit else None


def message(
    command: int, payload: bytes = b"", id: int = 0, flags: int = 0, error: int = 0, size: int | None = None
) -> bytes:
    """The bytes of a message; `size` replaces the true one in the header."""
    return Header(id, command, header_size + len(payload) if size is None else size, flags, error).pack() + payload


# --- VERSION.

default_capabilities = {"max_msg_fds": 1, "max_data_xfer_size": 1 << 20, "max_dma_maps": 65535, "pgsizes": 4096}


def version(major: int = 0, minor: int = 0, capabilities: dict | None = None) -> bytes:
    """With `capabilities` None there is no text at all."""
    fixed = struct.pack("=HH", major, minor)
    if capabilities is None:
        return fixed
    return fixed + json.dumps({"capabilities": capabilities}).encode() + b"\0"


def version_text(text: bytes, major: int = 0, minor: int = 0) -> bytes:
    return struct.pack("=HH", major, minor) + text


class Version(NamedTuple):
    major: int
    minor: int
    capabilities: dict  # as sent, without the defaults


def unpack_version(payload: bytes) -> Version:
    major, minor = struct.unpack_from("=HH", payload)
    if len(payload) == 4:
        return Version(major, minor, {})
    if payload[-1:] != b"\0" or b"\0" in payload[4:-1]:
        raise ValueError("the text of VERSION does not end with its zero")
    return Version(major, minor, json.loads(payload[4:-1].decode("utf-8")).get("capabilities", {}))


# --- Structures with a fixed part. Each has pack(), and unpack() where a reply brings it.

map_read = 1
map_write = 2


def dma_map(iova: int, size: int, offset: int = 0, flags: int = 3, argsz: int = 32) -> bytes:
    return struct.pack("=IIQQQ", argsz, flags, offset, iova, size)


unmap_dirty = 1
unmap_all = 2
unmap_vaddr = 4


def dma_unmap(iova: int, size: int, flags: int = 0, argsz: int = 24) -> bytes:
    return struct.pack("=IIQQ", argsz, flags, iova, size)


class DmaUnmap(NamedTuple):
    argsz: int
    flags: int
    iova: int
    size: int


def unpack_dma_unmap(payload: bytes) -> DmaUnmap:
    return DmaUnmap(*struct.unpack_from("=IIQQ", payload))


def dma_unmap_bitmap(iova: int, size: int, pgsize: int, bitmap_size: int, argsz: int | None = None) -> bytes:
    whole = 24 + 16 + bitmap_size if argsz is None else argsz
    return dma_unmap(iova, size, unmap_dirty, whole) + struct.pack("=QQ", pgsize, bitmap_size)


info_reset = 1
info_pci = 2


def get_info(argsz: int = 16, flags: int = 0, regions: int = 0, irqs: int = 0) -> bytes:
    return struct.pack("=IIII", argsz, flags, regions, irqs)


class DeviceInfo(NamedTuple):
    argsz: int
    flags: int
    num_regions: int
    num_irqs: int


def unpack_info(payload: bytes) -> DeviceInfo:
    return DeviceInfo(*struct.unpack("=IIII", payload))


bars = range(6)
rom_region = 6
config_region = 7
vga_region = 8
pci_regions = 9

region_readable = 1
region_writable = 2
region_mappable = 4
region_caps = 8


def region_info(
    index: int, argsz: int = 32, flags: int = 0, cap_offset: int = 0, size: int = 0, offset: int = 0
) -> bytes:
    return struct.pack("=IIIIQQ", argsz, flags, index, cap_offset, size, offset)


class RegionInfo(NamedTuple):
    argsz: int
    flags: int
    index: int
    cap_offset: int
    size: int
    offset: int


def unpack_region_info(payload: bytes) -> RegionInfo:
    return RegionInfo(*struct.unpack_from("=IIIIQQ", payload))


class Capability(NamedTuple):
    id: int
    version: int
    data: bytes


def unpack_capabilities(payload: bytes, offset: int) -> list[Capability]:
    """The chain that begins at `offset`. Raises ValueError when it leads outside, or backwards."""
    found = []
    while offset:
        if offset + 8 > len(payload):
            raise ValueError("a capability outside of the message")
        id, version, following = struct.unpack_from("=HHI", payload, offset)
        if following and following <= offset:
            raise ValueError("a chain of capabilities that goes back")
        found.append(Capability(id, version, payload[offset + 8 : following or len(payload)]))
        offset = following
    return found


def region_io_fds(index: int, argsz: int = 16, flags: int = 0, count: int = 0) -> bytes:
    return struct.pack("=IIII", argsz, flags, index, count)


class RegionIoFds(NamedTuple):
    argsz: int
    flags: int
    index: int
    count: int


def unpack_region_io_fds(payload: bytes) -> RegionIoFds:
    return RegionIoFds(*struct.unpack_from("=IIII", payload))


class IoFd(NamedTuple):
    offset: int
    size: int
    fd_index: int
    type: int
    flags: int
    datamatch: int


def unpack_io_fd(entry: bytes) -> IoFd:
    """An entry of the specification's 40 bytes."""
    return IoFd(*struct.unpack("=QQIII4xQ", entry))


intx, msi, msix, err, req = range(5)
pci_irqs = 5

irq_eventfd = 1
irq_maskable = 2
irq_automasked = 4
irq_noresize = 8


def irq_info(index: int, argsz: int = 16, flags: int = 0, count: int = 0) -> bytes:
    return struct.pack("=IIII", argsz, flags, index, count)


class IrqInfo(NamedTuple):
    argsz: int
    flags: int
    index: int
    count: int


def unpack_irq_info(payload: bytes) -> IrqInfo:
    return IrqInfo(*struct.unpack("=IIII", payload))


data_none = 1
data_bool = 2
data_eventfd = 4
mask = 8
unmask = 16
trigger = 32


def set_irqs(
    flags: int, index: int, start: int = 0, count: int = 1, data: bytes = b"", argsz: int | None = None
) -> bytes:
    whole = 20 + len(data) if argsz is None else argsz
    return struct.pack("=IIIII", whole, flags, index, start, count) + data


def access(offset: int, region: int, count: int, data: bytes = b"") -> bytes:
    return struct.pack("=QII", offset, region, count) + data


class Access(NamedTuple):
    offset: int
    region: int
    count: int


def unpack_access(payload: bytes) -> Access:
    return Access(*struct.unpack_from("=QII", payload))


def dma_access(address: int, count: int, data: bytes = b"") -> bytes:
    return struct.pack("=QQ", address, count) + data


class DmaAccess(NamedTuple):
    address: int
    count: int


def unpack_dma_access(payload: bytes) -> DmaAccess:
    return DmaAccess(*struct.unpack_from("=QQ", payload))


def write_entry(offset: int, region: int, data: bytes, count: int | None = None) -> bytes:
    """One write of WRITE_MULTI: always 8 bytes of data on the wire."""
    return struct.pack("=QII8s", offset, region, len(data) if count is None else count, data)


def write_multi(entries: list[bytes], count: int | None = None) -> bytes:
    return struct.pack("=Q", len(entries) if count is None else count) + b"".join(entries)


feature_get = 1 << 16
feature_set = 1 << 17
feature_probe = 1 << 18

migration_feature = 1
device_state_feature = 2
logging_start_feature = 6
logging_stop_feature = 7
logging_report_feature = 8

stop_copy_flag = 1
p2p_flag = 2
pre_copy_flag = 4

error_state, stop, running, stop_copy, resuming, running_p2p, pre_copy, pre_copy_p2p = range(8)


def feature(flags: int, data: bytes = b"", argsz: int | None = None) -> bytes:
    return struct.pack("=II", 8 + len(data) if argsz is None else argsz, flags) + data


class Feature(NamedTuple):
    argsz: int
    flags: int
    data: bytes


def unpack_feature(payload: bytes) -> Feature:
    return Feature(*struct.unpack_from("=II", payload), payload[8:])


def device_state(state: int, data_fd: int = 0) -> bytes:
    return struct.pack("=Ii", state, data_fd)


def logging_start(page_size: int, ranges: list[tuple[int, int]], count: int | None = None) -> bytes:
    fixed = struct.pack("=QII", page_size, len(ranges) if count is None else count, 0)
    return fixed + b"".join(struct.pack("=QQ", iova, length) for iova, length in ranges)


def logging_report(iova: int, length: int, page_size: int) -> bytes:
    return struct.pack("=QQQ", iova, length, page_size)


def mig_data(size: int, data: bytes = b"", argsz: int | None = None) -> bytes:
    return struct.pack("=II", 8 + size if argsz is None else argsz, size) + data


class MigData(NamedTuple):
    argsz: int
    size: int
    data: bytes


def unpack_mig_data(payload: bytes) -> MigData:
    return MigData(*struct.unpack_from("=II", payload), payload[8:])


# --- One good request of each command that a client sends: what a case then spoils.

fixed_sizes = {
    DMA_MAP: 32,
    DMA_UNMAP: 24,
    GET_INFO: 16,
    REGION_INFO: 32,
    REGION_IO_FDS: 16,
    IRQ_INFO: 16,
    SET_IRQS: 20,
    REGION_READ: 16,
    REGION_WRITE: 16,
    WRITE_MULTI: 8,
    FEATURE: 8,
    MIG_DATA_READ: 8,
    MIG_DATA_WRITE: 8,
}

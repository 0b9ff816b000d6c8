"""A client that says whatever a case wants it to say, and looks closely at what comes back."""

from __future__ import annotations

import array
import contextlib
import errno
import os
import select
import socket
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import codec
from codec import Message
from deviations import deviates

# How long a server may take for anything at all, and how long a silence has to last to be one.
patience = 20.0
silence = 0.05
fds_per_message = 253  # Linux


class Closed(Exception):
    """The server has closed the connection."""


class Client:
    # An error must be the right one. (An option of the suite.)
    exact_errno = True

    def __init__(self, path: Path | str | socket.socket):
        self.socket = path if isinstance(path, socket.socket) else connect(path)
        self._next_id = 0x100
        self.capabilities: dict = {}

    @classmethod
    def over(cls, fd: int) -> Client:
        """On a connected socket, whose descriptor it takes."""
        connected = socket.socket(fileno=fd)
        connected.settimeout(patience)
        return cls(connected)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    # --- out

    def send_bytes(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """All of it; the descriptors go with the first byte. Raises Closed."""
        try:
            if fds:
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
                data = data[self.socket.sendmsg([data], rights) :]
            if data:
                self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed from error

    def send(self, command: int, payload: bytes = b"", *, fds: Sequence[int] = (), **header) -> int:
        """The id of the message. `header`: id, flags, error, size."""
        self._next_id = (self._next_id + 1) & 0xFFFF
        header.setdefault("id", self._next_id)
        self.send_bytes(codec.message(command, payload, **header), fds)
        return header["id"]

    # --- in

    def receive(self) -> Message:
        """The next message, whatever it is. Raises Closed, or TimeoutError."""
        data, fds = self._receive_exactly(codec.header_size)
        header = codec.unpack_header(data)
        assert header.size >= codec.header_size, f"a message of {header.size} bytes"
        payload, more = self._receive_exactly(header.size - codec.header_size)
        return Message(header, payload, fds + more)

    def _receive_exactly(self, size: int) -> tuple[bytes, list[int]]:
        pieces, fds = [], []
        while size:
            try:
                room = socket.CMSG_SPACE(fds_per_message * 4)
                data, ancillary, flags, _ = self.socket.recvmsg(min(size, 1 << 20), room, socket.MSG_CMSG_CLOEXEC)
            except ConnectionResetError as error:
                raise Closed from error
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds += array.array("i", content[: len(content) // 4 * 4])
            assert not flags & socket.MSG_CTRUNC, "descriptors were lost on the way"
            if not data:
                raise Closed
            pieces.append(data)
            size -= len(data)
        return b"".join(pieces), fds

    # --- questions and answers

    def call(self, command: int, payload: bytes = b"", *, fds: Sequence[int] = (), **header) -> Message:
        """The reply, whose header is what every reply's must be."""
        id = self.send(command, payload, fds=fds, **header)
        reply = self.receive()
        check_reply(reply, id, command)
        return reply

    def ok(self, command: int, payload: bytes = b"", *, fds: Sequence[int] = (), **header) -> Message:
        reply = self.call(command, payload, fds=fds, **header)
        assert reply.error is None, f"{name_of(command)}: {errno_name(reply.error)}"
        return reply

    def refused(
        self, command: int, payload: bytes = b"", code: int | None = None, *, fds: Sequence[int] = (), **header
    ) -> None:
        """It is answered with an error: `code`, or any."""
        reply = self.call(command, payload, fds=fds, **header)
        assert reply.error is not None, f"{name_of(command)} was to fail"
        if code is not None and self.exact_errno:
            assert errno_name(reply.error) == errno_name(code)

    def negotiate(self, capabilities: dict | None = None, minor: int = 0) -> codec.Version:
        reply = self.ok(codec.VERSION, codec.version(0, minor, capabilities or {}))
        close_fds(reply.fds)
        answer = codec.unpack_version(reply.payload)
        self.capabilities = codec.default_capabilities | answer.capabilities
        return answer

    # --- the stream

    def is_silent(self, seconds: float = silence) -> bool:
        """Nothing comes, and the connection stays."""
        return not select.select([self.socket], [], [], seconds)[0]

    def has_closed(self) -> bool:
        """The server closes the connection; what it says before does not matter."""
        with contextlib.suppress(Closed):
            while True:
                close_fds(self.receive().fds)
        return True

    def lives(self) -> None:
        """The session goes on, and nothing was left over in the stream."""
        assert codec.unpack_info(self.ok(codec.GET_INFO, codec.get_info()).payload).argsz == 16

    # --- what many cases need

    def info(self) -> codec.DeviceInfo:
        return codec.unpack_info(self.ok(codec.GET_INFO, codec.get_info()).payload)

    def region(self, index: int) -> codec.RegionInfo:
        reply = self.ok(codec.REGION_INFO, codec.region_info(index, argsz=4096))
        close_fds(reply.fds)
        return codec.unpack_region_info(reply.payload)

    def irq(self, index: int) -> codec.IrqInfo:
        return codec.unpack_irq_info(self.ok(codec.IRQ_INFO, codec.irq_info(index)).payload)

    def read(self, region: int, offset: int, count: int) -> bytes:
        reply = self.ok(codec.REGION_READ, codec.access(offset, region, count))
        assert codec.unpack_access(reply.payload) == (offset, region, count)
        assert len(reply.payload) == 16 + count
        return reply.payload[16:]

    def write(self, region: int, offset: int, data: bytes) -> None:
        reply = self.ok(codec.REGION_WRITE, codec.access(offset, region, len(data), data))
        assert reply.payload == codec.access(offset, region, len(data))

    def post(self, region: int, offset: int, data: bytes) -> None:
        self.send(codec.REGION_WRITE, codec.access(offset, region, len(data), data), flags=codec.no_reply)

    def map(self, iova: int, size: int, fd: int | None = None, **fields) -> None:
        self.ok(codec.DMA_MAP, codec.dma_map(iova, size, **fields), fds=[] if fd is None else [fd])

    def unmap(self, iova: int, size: int, flags: int = 0) -> int:
        """How many bytes went."""
        reply = self.ok(codec.DMA_UNMAP, codec.dma_unmap(iova, size, flags))
        return codec.unpack_dma_unmap(reply.payload).size


def check_reply(reply: Message, id: int, command: int) -> None:
    header = reply.header
    assert (header.id, header.command) == (id, command), f"a reply to something else: {header}"
    assert header.flags & codec.type_mask == codec.type_reply, f"a reply without the type of one: {header}"
    assert not header.flags & ~(codec.type_mask | codec.error_bit), f"flags that no reply has: {header}"
    if reply.error is None:
        assert header.error == 0, f"a success with an errno: {header}"
        return
    if not deviates("error-payload"):
        assert header.size == codec.header_size, f"an error reply that is more than its header: {header}"
    assert reply.fds == [], "an error reply with descriptors"
    assert 0 < header.error < 4096, f"an errno that is none: {header}"


def connect(path: Path | str) -> socket.socket:
    """Connects to a UNIX socket by a path of any length."""
    path = Path(path)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        connection.connect(f"/proc/self/fd/{directory}/{path.name}")  # waits while too many do so already
        connection.settimeout(patience)
    except OSError:
        connection.close()
        raise
    finally:
        os.close(directory)
    return connection


def close_fds(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


def errno_name(code: int) -> str:
    return errno.errorcode.get(code, str(code))


def name_of(command: int) -> str:
    return codec.command_names.get(command, f"command {command}")


def eventually(condition, seconds: float = patience) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True

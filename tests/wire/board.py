"""The board of tests/integration/vfio_user/board.h, as a client sees it: its regions and interrupts, and its DMA."""

from __future__ import annotations

import errno
import struct

import codec
from client import Client, close_fds, eventually

ram, shared, slow, stuck, dma, irq, fill, hold, fetch = range(9)
ram_size = 4 << 20
page = 4096
line, block = 0, 1  # interrupt indexes, with one vector and with three

guest = 0x100000  # where cases lend memory that has no file


class World:
    """A client of the board, and where the server's requests to it come: the same socket, or the twin."""

    def __init__(self, client: Client, twin: bool, **capabilities):
        self.client = client
        proposed = {"max_msg_fds": 16, "twin_socket": {"supported": twin}} | capabilities
        reply = client.ok(codec.VERSION, codec.version(capabilities=proposed))
        client.capabilities = codec.default_capabilities | codec.unpack_version(reply.payload).capabilities
        self.asked = client
        if twin:
            self.asked = Client.over(reply.fds[client.capabilities["twin_socket"]["fd_index"]])
        else:
            assert reply.fds == []

    def close(self) -> None:
        self.asked.close()
        self.client.close()

    def lend(self, size: int = 16 * page, flags: int = 3, iova: int = guest) -> None:
        self.client.map(iova, size, flags=flags)

    # --- what the device is told to do

    def start_fetch(self, count: int, iova: int = guest) -> None:
        """Posted: nobody waits for the device then."""
        self.client.post(fetch, 0, struct.pack("=QQ", iova, count))

    def start_fill(self, data: bytes, iova: int = guest) -> None:
        for begin in range(0, len(data), 1 << 20):
            self.client.write(ram, begin, data[begin : begin + (1 << 20)])
        self.client.post(fill, 0, struct.pack("=QQ", iova, len(data)))

    def result(self) -> int:
        """The errno of the last transfer, 0 for a success."""
        assert eventually(lambda: self._code() != errno.EINPROGRESS)
        return self._code()

    def is_under_way(self) -> bool:
        return self._code() == errno.EINPROGRESS

    def _code(self) -> int:
        return int.from_bytes(self.client.read(dma, 0, 4), "little")

    def read_ram(self, count: int) -> bytes:
        pieces = range(0, count, 1 << 20)
        return b"".join(self.client.read(ram, begin, min(1 << 20, count - begin)) for begin in pieces)

    # --- what the server asks

    def request(self, command: int) -> codec.Message:
        """The next one, which must be `command`."""
        message = self.asked.receive()
        close_fds(message.fds)
        header = message.header
        assert (header.command, header.flags, header.error) == (command, codec.type_command, 0)
        assert message.fds == []
        return message

    def reply(self, request: codec.Message, payload: bytes = b"", command: int | None = None, **header) -> None:
        """`header`: what is other than it should be."""
        fields = {"id": request.header.id, "flags": codec.type_reply} | header
        self.asked.send(request.header.command if command is None else command, payload, **fields)

    def refuse(self, request: codec.Message, code: int, payload: bytes = b"") -> None:
        self.reply(request, payload, flags=codec.type_reply | codec.error_bit, error=code)

    def is_silent(self) -> bool:
        return self.asked.is_silent()

"""Who is talked to: a server that somebody else runs, or a daemon of our own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

repository = Path(__file__).resolve().parents[2]


class Given:
    """A server that listens at a path."""

    def __init__(self, path: Path):
        self._path = path

    def socket_of(self, device: str) -> Path:
        return self._path


class Own:
    """umdevd in a scratch directory, with one instance of each device; and a server with a board, once it is wanted."""

    types = {"null": ("null", "null-1"), "mtty": ("mtty", "mtty-2")}

    def __init__(self, devices: tuple[str, ...]):
        import harness

        self._build = Path(os.environ.get("UMDEV_BUILD_DIR", str(repository / "build" / "dev"))).resolve()
        self.daemon = harness.Daemon(self._build)
        self._devices = devices
        self._board: subprocess.Popen | None = None
        self._board_socket = Path()
        self.uuids: dict[str, str] = {}

    def __enter__(self) -> Own:
        self.daemon.start()
        try:
            for device in self._devices:
                self.uuids[device] = self.create(device)
        except BaseException:
            self.daemon.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        try:
            assert self.daemon.is_running(), self.daemon.said()
            assert self.daemon.stop() == 0, self.daemon.said()
        finally:
            self.daemon.close()
            self._stop_board()

    def create(self, device: str) -> str:
        return self.daemon.umdev("create", *self.types[device]).strip()

    def socket_of(self, device: str) -> Path:
        if device == "board":
            return self._start_board()
        return self.daemon.socket_of(self.uuids[device])

    def _start_board(self) -> Path:
        if self._board is None:
            program = self._build / "tests" / "wire" / "wire_board_server"
            self._board = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self._board_socket = Path(self._board.stdout.readline().strip())
        return self._board_socket

    def _stop_board(self) -> None:
        """It ends with its input, and says by its status whether all was well."""
        if self._board is not None:
            self._board.communicate(timeout=60)
            assert self._board.returncode == 0

    def descriptors(self) -> int:
        """How many the daemon has open."""
        return len(os.listdir(f"/proc/{self.daemon.process.pid}/fd"))

    def warm_up(self, connect) -> None:
        """As many sessions as a test counts, so that what is allocated once has been."""
        for _ in range(20):
            with connect() as client:
                client.negotiate({})
                client.lives()

    def memory_kib(self) -> int:
        """What the daemon has resident."""
        status = Path(f"/proc/{self.daemon.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

"""Who is talked to: a server that somebody else runs, or a daemon of our own."""

from __future__ import annotations

import os
from pathlib import Path

repository = Path(__file__).resolve().parents[2]


class Given:
    """A server that listens at a path."""

    def __init__(self, path: Path):
        self._path = path

    def socket_of(self, device: str) -> Path:
        return self._path


class Own:
    """umdevd in a scratch directory, with one instance of each device."""

    types = {"null": ("null", "null-1"), "mtty": ("mtty", "mtty-2")}

    def __init__(self, devices: tuple[str, ...]):
        import harness

        build = os.environ.get("UMDEV_BUILD_DIR", str(repository / "build" / "dev"))
        self.daemon = harness.Daemon(Path(build).resolve())
        self._devices = devices
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

    def create(self, device: str) -> str:
        return self.daemon.umdev("create", *self.types[device]).strip()

    def socket_of(self, device: str) -> Path:
        return self.daemon.socket_of(self.uuids[device])

    def descriptors(self) -> int:
        """How many the daemon has open."""
        return len(os.listdir(f"/proc/{self.daemon.process.pid}/fd"))

    def warm_up(self, connect) -> None:
        """A few sessions, so that what is allocated once has been."""
        for _ in range(3):
            with connect() as client:
                client.negotiate({})
                client.lives()

    def memory_kib(self) -> int:
        """What the daemon has resident."""
        status = Path(f"/proc/{self.daemon.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

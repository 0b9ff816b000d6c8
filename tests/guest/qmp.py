"""QEMU's monitor: commands and events.

    with Monitor(path) as monitor:
        monitor.command("device_del", id="card")
        monitor.event("DEVICE_DELETED", device="card")
"""

from __future__ import annotations

import json
import socket
from pathlib import Path


class Refused(Exception):
    """QEMU has answered a command with an error."""


class Monitor:
    def __init__(self, path: Path, timeout: float = 60.0):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("r", encoding="utf-8")
        self._events: list[dict] = []
        json.loads(self._lines.readline())  # QEMU's greeting
        self.command("qmp_capabilities")

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_) -> None:
        self._lines.close()
        self._socket.close()

    @staticmethod
    def arguments(path: Path) -> list[str]:
        """For QEMU's command line."""
        return ["-qmp", f"unix:{path},server=on,wait=off"]

    def command(self, name: str, **arguments):
        """The answer. Raises Refused."""
        self._socket.sendall(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        while True:
            message = self._read()
            if "error" in message:
                raise Refused(f"{name}: {message['error']}")
            if "return" in message:
                return message["return"]
            self._events.append(message)

    def event(self, name: str, **data) -> dict:
        """The first event of that name with that data, whether it came already or is to come."""
        while True:
            for event in self._events:
                if event["event"] == name and data.items() <= event.get("data", {}).items():
                    self._events.remove(event)
                    return event
            self._events.append(self._read())

    def _read(self) -> dict:
        line = self._lines.readline()
        if not line:
            raise Refused("QEMU has closed its monitor")
        return json.loads(line)

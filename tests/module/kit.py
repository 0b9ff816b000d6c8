"""Modules compiled by `umdev cc`, daemons that load them, and a vfio-user client to their devices."""

from __future__ import annotations

import mmap
import subprocess
import sys
from pathlib import Path

here = Path(__file__).resolve().parent
for neighbour in ("e2e", "wire", "guest"):
    sys.path.insert(0, str(here.parent / neighbour))
import client  # noqa: E402
import codec  # noqa: E402
import harness  # noqa: E402

drivers = here / "drivers"
time_limit = 120.0


class NotCompiled(Exception):
    """The compiler's words."""


def compile_module(source: Path, output: Path, *options: str) -> str:
    """umdev cc; what it said. Raises NotCompiled."""
    command = [harness.build_dir() / "bin" / "umdev", "cc", source, "-o", output, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=time_limit)
    if done.returncode != 0:
        raise NotCompiled(done.stderr)
    return done.stderr


def warnings_in(said: str) -> list[str]:
    return [line for line in said.splitlines() if "warning:" in line or "error:" in line]


def daemon_with(*modules: Path, parameters: tuple[str, ...] = (), **environment: str) -> harness.Daemon:
    words = [word for module in modules for word in ("--module", str(module))]
    words += [word for parameter in parameters for word in ("--module-param", parameter)]
    return harness.Daemon(harness.build_dir(), arguments=("--no-tree", *words), **environment)


def open_client(daemon: harness.Daemon, uuid: str) -> client.Client:
    """A client that has the instance's device."""
    connected = client.Client(daemon.socket_of(uuid))
    connected.negotiate()
    return connected


def map_region(connected: client.Client, region: int) -> mmap.mmap:
    """A region that the device lets its user map."""
    reply = connected.ok(codec.REGION_INFO, codec.region_info(region, argsz=4096))
    info = codec.unpack_region_info(reply.payload)
    try:
        (number,) = reply.fds
        return mmap.mmap(number, info.size, offset=info.offset)
    finally:
        client.close_fds(reply.fds)


def error_of_read(connected: client.Client, region: int, offset: int, count: int) -> int:
    """The errno of REGION_READ; 0 for none."""
    return connected.call(codec.REGION_READ, codec.access(offset, region, count)).error or 0

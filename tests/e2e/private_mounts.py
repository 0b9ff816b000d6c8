"""A test program in a mount namespace of its own, so that it may arrange /dev and nobody else sees it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

entered = "UMDEV_TEST_PRIVATE_MOUNTS"


def open_fuse_to_everybody() -> None:
    """Where only root may open /dev/fuse: starts this program anew in a mount namespace in which all may, as on a
    machine with udev. Only root can do that; where it cannot be done, /dev/fuse stays as it is."""
    if os.environ.get(entered):
        replace_node()
        return
    node = Path("/dev/fuse")
    if os.geteuid() != 0 or not node.exists() or stat.S_IMODE(node.stat().st_mode) == 0o666:
        return
    unshare = ["unshare", "--mount", "--propagation", "slave"]
    if subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
        os.environ[entered] = "1"
        os.execvp(unshare[0], [*unshare, sys.executable, "-B", *sys.argv])


def replace_node() -> None:
    scratch = tempfile.mkdtemp(prefix="umdev-")
    commands = (
        ["mount", "-t", "tmpfs", "-o", "mode=0755,dev", "umdev-test", scratch],
        ["mknod", "-m", "0666", f"{scratch}/fuse", "c", "10", "229"],
        ["mount", "--bind", f"{scratch}/fuse", "/dev/fuse"],
        ["umount", "-l", scratch],
    )
    for command in commands:
        subprocess.run(command, stderr=subprocess.DEVNULL, check=False)
    os.rmdir(scratch)

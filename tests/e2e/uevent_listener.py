#!/usr/bin/env python3
"""Listens for uevents as udev does, while `umdev watch --uevents` sends them into this network namespace.

    uevent_listener.py RUNTIME COMMAND...

Says "ready", then one JSON object for each uevent: {"keys": {...}, "complete": whether the tree had then what an
added device consists of}. Ends with the event "remove" of an mdev.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

netlink_kobject_uevent = 15
# The kernel tells every network namespace of its own devices too; each FUSE mount of this machine makes one.
ours = ("mdev", "vfio", "vfio-dev", "mtty", "null")


def is_complete(tree: Path, keys: dict[str, str]) -> bool | None:
    """None where there is nothing to be seen: the tree is not mounted, or the event is not about a new mdev."""
    if keys["ACTION"] not in ("add", "bind") or keys["SUBSYSTEM"] != "mdev" or not (tree / "bus").is_dir():
        return None
    device = tree / keys["DEVPATH"].lstrip("/")
    links = ["mdev_type", "iommu_group", "driver", "subsystem"]
    uuid = device.name
    return (
        all((device / link).exists() for link in links)
        and (device / "mdev_type" / "devices" / uuid).exists()
        and (tree / "bus/mdev/devices" / uuid).exists()
    )


def main() -> None:
    runtime, command = Path(sys.argv[1]), sys.argv[2:]
    listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, netlink_kobject_uevent)
    listener.bind((0, 1))
    listener.settimeout(60)
    watch = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        if "watching" not in watch.stdout.readline():
            sys.exit(watch.wait())
        print("ready", flush=True)
        while True:
            message, (sender, groups) = listener.recvfrom(8192)
            head, *entries = message.rstrip(b"\0").decode().split("\0")
            keys = dict(entry.split("=", 1) for entry in entries)
            assert head == f"{keys['ACTION']}@{keys['DEVPATH']}", head
            assert sender == 0, "not from the kernel"
            if keys["SUBSYSTEM"] not in ours:
                continue
            print(json.dumps({"keys": keys, "complete": is_complete(runtime / "sys", keys)}), flush=True)
            if keys["ACTION"] == "remove" and keys["SUBSYSTEM"] == "mdev":
                break
    finally:
        watch.terminate()
        watch.wait()


if __name__ == "__main__":
    main()

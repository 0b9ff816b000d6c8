#!/usr/bin/env python3
"""Everything that mdevctl does, errors included, by an unmodified mdevctl on a running daemon; each step is printed.

  life_cycle.py env_root 1.4    MDEVCTL_ENV_ROOT names the runtime directory
  life_cycle.py root 1.2|1.4    umdev run mdevctl, as root
  life_cycle.py user 1.2|1.4    umdev run mdevctl, as another user with a daemon of its own

Exit status 77: this way cannot be gone here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

here = Path(__file__).resolve().parent
sys.path[:0] = [str(here), str(here.parent), str(here.parents[1] / "guest")]
import debian  # noqa: E402
import fetch_mdevctl  # noqa: E402
import harness  # noqa: E402
import private_mounts  # noqa: E402

nobody = 65534
first, second, third, fourth = (f"83b8f4f2-509f-382f-3c1e-e6bfe0fa100{number}" for number in range(4))
parent, small, large = "mtty", "mtty-1", "mtty-2"


class Wrong(Exception):
    """A step that did not go as it should."""


class Way:
    """One way to run mdevctl, with a daemon to run it on."""

    def __init__(self, name: str, version: str, scratch: Path):
        self.version = version
        self.scratch = scratch
        self.is_user = name == "user" and os.geteuid() == 0
        if name == "root" and os.geteuid() != 0:
            raise debian.Unavailable("this way is root's, and this is not root")
        program = fetch_mdevctl.fetch(debian.default_cache(), version)
        copied = shutil.copytree(program.parent, scratch / "mdevctl", dirs_exist_ok=True) / "mdevctl"
        self.daemon = harness.Daemon(harness.build_dir(), user=nobody if self.is_user else None).start()
        self.environment = {"PATH": os.environ["PATH"], "RUST_BACKTRACE": "0"}
        self.command = [str(self.daemon.programs / "umdev"), "--runtime-dir", str(self.daemon.directory), "run",
                        str(copied)]
        if name == "env_root":
            self.command = [str(copied)]
            self.environment["MDEVCTL_ENV_ROOT"] = str(self.daemon.directory)
        self.steps = 0

    def need(self) -> None:
        """Raises Unavailable when this way cannot be gone."""
        if not self.daemon.has_tree():
            reason = [line for line in self.daemon.said().splitlines() if "tree" in line or "FUSE" in line]
            raise debian.Unavailable(f"the daemon mounts no tree: {' '.join(reason)}")
        tried = self.run("--version")
        if tried.returncode == 125 and "namespace" in tried.stderr:
            raise debian.Unavailable(tried.stderr.strip())

    def run(self, *words: str, text: str = "") -> subprocess.CompletedProcess:
        # A file, not a pipe: opening /dev/stdin asks for permission once more, and a pipe would be root's.
        given = self.scratch / "stdin"
        given.write_text(text)
        with open(given) as stdin:
            return subprocess.run([*self.command, *words], stdin=stdin, capture_output=True, text=True, timeout=120,
                                  env=self.environment, cwd="/", **self.daemon.identity)

    def begin(self, *words: str) -> subprocess.Popen:
        return subprocess.Popen([*self.command, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True, env=self.environment, **self.daemon.identity)

    def step(self, what: str) -> None:
        self.steps += 1
        print(f"{self.steps:3}  {what}", flush=True)

    def does(self, *words: str, text: str = "") -> str:
        """mdevctl succeeds; what it prints."""
        run = self.run(*words, text=text)
        self.step(f"mdevctl {' '.join(words)}")
        if run.returncode != 0:
            raise Wrong(f"status {run.returncode}: {run.stderr}")
        return run.stdout

    def refuses(self, reason: str, *words: str, text: str = "") -> None:
        run = self.run(*words, text=text)
        self.step(f"mdevctl {' '.join(words)}: {' '.join(run.stderr.split())}")
        if run.returncode in (0, 125, 126, 127):
            raise Wrong(f"status {run.returncode}, {run.stderr}")
        expect(reason in run.stderr, f'"{reason}" is not said: {run.stderr}')

    def dump(self, *words: str):
        return json.loads(self.does(*words, "--dumpjson"))

    def active(self) -> dict[str, tuple[str, str]]:
        """Type and start mode of each."""
        return {uuid: (device["mdev_type"], device["start"])
                for parents in self.dump("list") for devices in parents.values() for entry in devices
                for uuid, device in entry.items()}

    def available(self) -> dict[str, int]:
        return {name: facts["available_instances"]
                for parents in self.dump("types", "-p", parent) for types in parents.values() for entry in types
                for name, facts in entry.items()}

    def definition(self, uuid: str) -> dict:
        """What lies in the daemon's state directory."""
        return json.loads((self.daemon.directory / "etc" / "mdevctl.d" / parent / uuid).read_text())

    def scripts(self) -> Path:
        """Where this mdevctl looks for callouts."""
        place = "etc/mdevctl.d" if self.version == "1.2" else "usr/lib/mdevctl"
        return self.daemon.directory / place / "scripts.d"


def expect(condition: bool, text: str) -> None:
    if not condition:
        raise Wrong(text)


def equal(seen, expected) -> None:
    expect(seen == expected, f"seen {seen}\n  expected {expected}")


# --- the life cycle, part by part; each leaves what it found


def types(way: Way) -> None:
    expect(way.version in way.does("--version"), "another version than asked for")
    text = way.does("types")
    for line in ("Available instances: 24", "Available instances: 12", "Device API: vfio-pci",
                 "Name: Dual port serial"):
        expect(line in text, text)
    dumped = {name: [list(entry)[0] for entry in kinds] for item in way.dump("types") for name, kinds in item.items()}
    equal(dumped, {"ioat": ["ioat-1", "ioat-4", "ioat-sriov"], "mtty": [small, large], "null": ["null-1"]})
    equal(list(way.dump("types", "-p", "null")[0]), ["null"])
    equal(way.does("types", "-p", "nonsense").strip(), "")
    equal(way.does("list").strip(), "")
    equal(way.dump("list"), [])
    equal(way.dump("list", "-d"), [])


def start_and_stop(way: Way) -> None:
    way.does("start", "-u", first, "-p", parent, "-t", large)
    equal(way.does("list").split(), [first, parent, large, "manual"])
    equal(way.available(), {small: 22, large: 11})
    seen = way.daemon.json("list")
    equal([(device["uuid"], device["type"], device["state"]) for device in seen], [(first, large, "active")])
    equal(way.dump("list", "-u", first), {"mdev_type": large, "start": "manual", "attrs": []})
    way.refuses("already exists", "start", "-u", first, "-p", parent, "-t", large)
    way.refuses("exists under different parent", "start", "-u", first, "-p", "null", "-t", "null-1")
    made = way.does("start", "-p", parent, "-t", small).strip()
    equal(way.active(), {first: (large, "manual"), made: (small, "manual")})
    way.does("stop", "-u", made)
    way.does("stop", "-u", first)
    way.refuses("", "stop", "-u", first)
    equal(way.does("list", "-u", first).strip(), "")
    equal(way.daemon.json("list"), [])


def bad_starts(way: Way) -> None:
    way.refuses("insufficiently specified", "start", "-p", parent)
    way.refuses("insufficiently specified", "start", "-u", first)
    way.refuses("Unable to find parent", "start", "-p", "nonsense", "-t", small)
    way.refuses("does not support mdev type", "start", "-p", parent, "-t", "nonsense")
    way.refuses("does not support mdev type", "start", "-p", "null", "-t", small)
    way.refuses("nonsense", "start", "-u", "nonsense", "-p", parent, "-t", small)
    equal(way.active(), {})


def define_and_modify(way: Way) -> None:
    way.does("define", "-u", second, "-p", parent, "-t", small)
    equal(way.definition(second), {"mdev_type": small, "start": "manual", "attrs": []})
    way.refuses("already defined", "define", "-u", second, "-p", parent, "-t", large)
    equal(way.does("list", "-d").split(), [second, parent, small, "manual"])
    way.does("modify", "-u", second, "--auto")
    way.does("modify", "-u", second, "--auto", "--type", large)
    equal(way.does("list", "-d").split(), [second, parent, large, "auto"])
    for value in ("change", "add", "remove"):
        way.does("modify", "-u", second, "--addattr", "uevent", "--value", value)
    way.does("modify", "-u", second, "--delattr", "--index", "1")
    way.does("modify", "-u", second, "--addattr", "uevent", "--value", "bind", "--index", "0")
    equal([attribute["uevent"] for attribute in way.dump("list", "-d", "-u", second)["attrs"]],
          ["bind", "change", "remove"])
    way.refuses("", "modify", "-u", third, "--auto")
    way.refuses("", "modify", "-u", second, "--delattr", "--index", "9")
    way.does("start", "-u", second)
    equal(way.active(), {second: (large, "auto")})
    way.does("modify", "-u", second, "--manual")
    way.does("undefine", "-u", second)
    equal(way.active(), {second: (large, "manual")})
    way.refuses("No devices match", "undefine", "-u", second)
    way.does("stop", "-u", second)
    equal(way.dump("list", "-d"), [])


def attributes(way: Way) -> None:
    """An attribute that cannot be written: the device that was made for it goes again."""
    way.does("define", "-u", second, "-p", parent, "-t", small)
    for name, value, reason in (("none", "1", "Invalid attribute 'none'"),
                                ("vendor/sample_mdev_dev", "1", "Failed to write"),
                                ("uevent", "nonsense", "Failed to write")):
        way.does("modify", "-u", second, "--addattr", name, "--value", value)
        way.refuses(reason, "start", "-u", second)
        equal(way.daemon.json("list"), [])
        way.does("modify", "-u", second, "--delattr", "--index", "0")
    way.does("undefine", "-u", second)


def definitions_from_elsewhere(way: Way) -> None:
    """Of an active device, and from a file."""
    way.does("start", "-u", third, "-p", parent, "-t", small)
    way.does("define", "-u", third)
    equal(way.definition(third)["mdev_type"], small)
    way.does("undefine", "-u", third)
    way.does("stop", "-u", third)
    text = json.dumps({"mdev_type": large, "start": "auto", "attrs": [{"uevent": "change"}]})
    way.does("define", "-u", third, "-p", parent, "--jsonfile", "/dev/stdin", text=text)
    equal(way.definition(third), json.loads(text))
    way.does("undefine", "-u", third)
    way.refuses("", "define", "-u", third, "-p", parent, "--jsonfile", "/dev/stdin", text="nonsense")
    way.does("start", "-u", third, "-p", parent, "--jsonfile", "/dev/stdin", text=text)
    equal(way.active(), {third: (large, "manual")})
    way.does("stop", "-u", third)


def autostart(way: Way) -> None:
    way.does("define", "-u", first, "-p", parent, "-t", small, "--auto")
    way.does("define", "-u", second, "-p", parent, "-t", large, "--auto")
    way.does("define", "-u", third, "-p", parent, "-t", small)
    way.does("define", "-u", fourth, "-p", "null", "-t", "null-1", "--auto")
    way.does("start-parent-mdevs", parent)
    equal(sorted(way.active()), [first, second])
    way.does("start-parent-mdevs", parent)  # those that run are left alone
    way.does("start-parent-mdevs", "null")
    equal(sorted(way.active()), [first, second, fourth])
    for uuid in (first, second, fourth):
        way.does("stop", "-u", uuid)
    for uuid in (first, second, third, fourth):
        way.does("undefine", "-u", uuid)


def exhaustion(way: Way) -> None:
    made = [way.does("start", "-p", parent, "-t", large).strip() for _ in range(12)]
    equal(way.available(), {small: 0, large: 0})
    way.refuses("", "start", "-p", parent, "-t", large)
    way.refuses("", "start", "-p", parent, "-t", small)
    way.does("stop", "-u", made[0])
    equal(way.available(), {small: 2, large: 1})
    made[0] = way.does("start", "-p", parent, "-t", large).strip()
    for uuid in made:
        way.does("stop", "-u", uuid)
    equal(way.available(), {small: 24, large: 12})


def races(way: Way) -> None:
    """Of several starts of one device one succeeds; of several stops too, and nothing stays."""
    for words in (("start", "-u", first, "-p", parent, "-t", small), ("stop", "-u", first)):
        running = [way.begin(*words) for _ in range(6)]
        errors = [process.communicate(timeout=120)[1] for process in running]
        way.step(f"six times at once: mdevctl {' '.join(words)}")
        equal(sum(process.returncode == 0 for process in running), 1)
        expect(all("already exists" in text or "File exists" in text or words[0] == "stop"
                   for text in errors if text), str(errors))
    equal(way.active(), {})


def callouts(way: Way) -> None:
    """A script that refuses is heard. (It reads what it is given: mdevctl 1.2 passes over one that does not.)"""
    folder = way.scripts() / "callouts"
    script = folder / "refuse.sh"
    text = 'cat > /dev/null; case "$*" in *"-e pre -a start"*) echo refused >&2; exit 1 ;; esac'
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    way.refuses("", "start", "-u", first, "-p", parent, "-t", small)
    equal(way.daemon.json("list"), [])
    script.unlink()
    way.does("start", "-u", first, "-p", parent, "-t", small)
    way.does("stop", "-u", first)


def live_in_both(way: Way) -> None:
    """What one manager makes, the other sees and ends."""
    way.daemon.umdev("create", parent, large, "--uuid", first)
    equal(way.active(), {first: (large, "manual")})
    way.does("stop", "-u", first)
    way.does("start", "-u", second, "-p", parent, "-t", small)
    way.step("umdev probe, remove")
    expect("256 bytes out and back" in way.daemon.umdev("probe", second), "the device does not work")
    way.daemon.umdev("remove", second)
    equal(way.active(), {})


def life_cycle(way: Way) -> None:
    for part in (types, start_and_stop, bad_starts, define_and_modify, attributes, definitions_from_elsewhere,
                 autostart, exhaustion, races, callouts, live_in_both):
        print(f"{part.__name__.replace('_', ' ')}:", flush=True)
        try:
            part(way)
        except Wrong as reason:
            raise SystemExit(f"wrong in step {way.steps}: {reason}\nthe daemon said:\n{way.daemon.said()}") from None
    if way.daemon.stop() != 0:
        raise SystemExit(f"the daemon did not end well: {way.daemon.said()}")
    print(f"{way.steps} steps went as they should", flush=True)


def main() -> None:
    if len(sys.argv) != 3 or sys.argv[1] not in ("env_root", "root", "user"):
        raise SystemExit(__doc__)
    private_mounts.open_fuse_to_everybody()
    with tempfile.TemporaryDirectory(prefix="umdev-") as scratch:
        os.chmod(scratch, 0o755)
        way = Way(sys.argv[1], sys.argv[2], Path(scratch))
        try:
            way.need()
            life_cycle(way)
        finally:
            way.daemon.close()


if __name__ == "__main__":
    debian.run_command(main)

#!/usr/bin/env python3
"""Kills a daemon (SIGKILL) at random moments of define, modify, undefine, start, stop and apply, and starts it again.

After each start: every change that was acknowledged is there; of those that were not, each is made or not made, never
half; what is to start by itself has been started, and nothing else; no socket, mount or half-written file is left over
that somebody would have to remove.

UMDEV_STRESS_SEED repeats a run (as far as the machine's timing goes), UMDEV_STRESS_ROUNDS and UMDEV_STRESS_DEVICES
make it longer or shorter.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import uuid as uuids
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "e2e"))

import harness
from harness import Daemon, Failed

rounds = int(os.environ.get("UMDEV_STRESS_ROUNDS", "100"))
devices = int(os.environ.get("UMDEV_STRESS_DEVICES", "500"))
seed = int(os.environ.get("UMDEV_STRESS_SEED", str(random.SystemRandom().randrange(1 << 32))))
operations = 40  # that a round begins, at most
absent = "absent"


class Stress:
    def __init__(self, scratch: Path):
        self.random = random.Random(seed)
        self.daemon = Daemon(harness.build_dir(), scratch / "run", ("--state-dir", str(scratch / "state")))
        self.state = scratch / "state"
        # What was acknowledged: UUID -> "auto" or "manual". Those of the set are counted, not named.
        self.defined: dict[str, str] = {}
        # What may have been made: UUID -> the states that it may be in.
        self.uncertain: dict[str, set[str]] = {}
        self.set_sizes = {0}
        self.acknowledged = 0

    def fresh(self) -> str:
        return str(uuids.UUID(int=self.random.getrandbits(128), version=4))

    def define_many(self) -> None:
        """As mdevctl leaves them, so that nobody has to wait for the disk 500 times."""
        folder = self.state / "mdevctl.d" / "null"
        folder.mkdir(parents=True)
        for number in range(devices):
            name, start = self.fresh(), "manual" if number % 10 == 0 else "auto"
            (folder / name).write_text(json.dumps({"mdev_type": "null-1", "start": start, "attrs": []}, indent=2))
            self.defined[name] = start

    # --- one round

    def round(self) -> None:
        if self.random.random() < 0.2:
            self.kill_while_starting()
        self.daemon.start()
        self.check()
        with contextlib.closing(self.daemon.control()) as control:
            self.collect(control, [self.begin(control) for _ in range(self.random.randrange(1, operations))])

    def kill_while_starting(self) -> None:
        process = subprocess.Popen(self.daemon.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(self.random.random() * 0.3)
        process.kill()
        process.wait()

    def collect(self, control: harness.Control, calls: list) -> None:
        """Takes the answers until the daemon is killed, and those that it had sent by then."""
        kill = self.daemon.process.kill
        # At a moment of the clock, or of the work: a busy machine does little in a moment of the clock.
        killer = threading.Timer(self.random.random() * 0.08, kill)
        answers = self.random.randrange(len(calls) + 1)
        if self.random.random() < 0.5:
            killer.start()
            answers = len(calls) + 1
        for acknowledge, number in calls:
            if answers == 0:
                kill()
            answers -= 1
            try:
                answer = control.answer(number)
            except (Failed, OSError, ValueError):  # the end, or half a line
                continue
            acknowledge(answer)
        killer.cancel()
        self.daemon.kill()

    def begin(self, control: harness.Control):
        """Sends one call; what is to be remembered of its answer (none: it may have happened)."""
        free = [name for name in self.defined if name not in self.uncertain]
        kind = self.random.choice(["define", "define", "modify", "undefine", "start", "stop", "apply"])
        if kind == "apply" and len(self.set_sizes) > 1:
            kind = "define"  # one at a time
        if kind == "apply":
            size = self.random.randrange(0, 6)
            desired = {"set": "stress", "instances": [{"parent": "null", "type": "null-1", "count": size}]}
            self.set_sizes = set(range(12))
            return self.sent(control, lambda: self.settle_set(size), "apply", desired=desired)
        if kind == "define":
            name, start = self.fresh(), self.random.choice(["auto", "manual"])
            self.uncertain[name] = {absent, start}
            what = {"parent": "null", "type": "null-1", "uuid": name, "start": start}
            return self.sent(control, lambda: self.settle(name, start), "define", **what)
        name = self.random.choice(free)
        before = self.defined[name]
        if kind == "modify":
            start = "manual" if before == "auto" else "auto"
            self.uncertain[name] = {before, start}
            return self.sent(control, lambda: self.settle(name, start), "modify", uuid=name, start=start)
        if kind == "undefine":
            self.uncertain[name] = {before, absent}
            return self.sent(control, lambda: self.settle(name, absent), "undefine", uuid=name)
        # No definition changes by being started or stopped, and it may be neither now.
        self.uncertain[name] = {before}
        return self.sent(control, lambda: self.settle(name, before), kind, uuid=name)

    def sent(self, control: harness.Control, remember, method: str, **parameters):
        def acknowledge(answer: dict) -> None:
            if method not in ("start", "stop") or "error" not in answer:
                assert "error" not in answer, (method, answer)
                assert method != "apply" or answer["result"]["failed"] == 0, answer
                self.acknowledged += 1
            remember()

        return acknowledge, control.send(method, **parameters)

    def settle(self, name: str, state: str) -> None:
        self.uncertain.pop(name, None)
        self.defined.pop(name, None)
        if state != absent:
            self.defined[name] = state

    def settle_set(self, size: int) -> None:
        self.set_sizes = {size}

    # --- what must be so after each start

    def check(self) -> None:
        with contextlib.closing(self.daemon.control()) as control:
            reports, active = control.call("definitions"), {one["uuid"] for one in control.call("list")}
        wrong = [one for one in reports if one["state"] in ("failed", "orphaned", "unreadable")]
        assert not wrong, wrong
        members = {one["uuid"]: one for one in reports if one.get("set") == "stress"}
        others = {one["uuid"]: one["start"] for one in reports if "set" not in one}
        for name, states in self.uncertain.items():
            assert others.get(name, absent) in states, (name, others.get(name, absent), states)
            self.defined.pop(name, None)
            if name in others:
                self.defined[name] = others[name]
        self.uncertain.clear()
        missing, surplus = self.defined.keys() - others.keys(), others.keys() - self.defined.keys()
        assert others == self.defined, f"missing {missing}, surplus {surplus}"
        assert len(members) in self.set_sizes, (len(members), self.set_sizes)
        self.set_sizes = {len(members)}
        self.check_devices(reports, active)
        self.check_leftovers({one["uuid"] for one in reports})

    def check_devices(self, reports: list, active: set[str]) -> None:
        automatic = {one["uuid"] for one in reports if one["start"] == "auto"}
        assert active == automatic, f"not started {automatic - active}, started {active - automatic}"
        sockets = {path.stem for path in (self.daemon.directory / "vfio-user").iterdir()}
        assert sockets == active, f"sockets without {sockets - active}, devices without {active - sockets}"

    def check_leftovers(self, names: set[str]) -> None:
        assert list((self.state / "scratch.d").iterdir()) == []
        owners = {path.name for path in (self.state / "owners.d").glob("*/*")}
        assert owners <= names, f"owners of nothing: {owners - names}"
        run = f"{self.daemon.directory.resolve()}/"
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        ours = sorted(path.removeprefix(run) for path in mounts if path.startswith(run))
        assert ours in ([], ["dev", "sys"]), ours


def main() -> int:
    print(f"seed {seed}, {rounds} rounds, {devices} devices", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="umdev-", ignore_cleanup_errors=True) as scratch:
        stress = Stress(Path(scratch))
        try:
            stress.define_many()
            for number in range(rounds):
                try:
                    stress.round()
                except Exception:
                    print(f"round {number}; repeat with UMDEV_STRESS_SEED={seed}\n{stress.daemon.said()}", flush=True)
                    raise
            stress.daemon.start()
            stress.check()
            assert stress.daemon.stop() == 0, stress.daemon.said()
        finally:
            stress.daemon.close()
    print(f"{stress.acknowledged} acknowledged changes, {len(stress.defined)} definitions at the end, "
          f"{time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())

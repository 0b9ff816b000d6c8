"""The cases of the VFIO user API (tests/uapi) as a program under `umdev run`."""

from __future__ import annotations

import unittest

import harness


def run_cases(test: unittest.TestCase, daemon: harness.Daemon, uuid: str) -> list[str]:
    """With the daemon's only device; a line a case: "ok 1 - what", "not ok 2 - what: this instead of that # whose"."""
    if not daemon.has_mount("dev"):
        test.skipTest("no device nodes are mounted here: " + daemon.said())
    tried = daemon.run("run", "true")
    if tried.returncode == 125:
        test.skipTest(tried.stderr)
    check = harness.build_dir() / "tests" / "uapi" / "uapi_check"
    run = daemon.run("run", "--", str(check), "0", uuid, "/dev/vfio/devices/vfio0", timeout=300)
    test.assertIn(run.returncode, (0, 1), run.stderr)
    cases = [line for line in run.stdout.splitlines() if line.startswith(("ok ", "not ok "))]
    test.assertGreater(sum(line.startswith("ok ") for line in cases), 600)
    return cases

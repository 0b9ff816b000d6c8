"""The units are what systemd accepts, and keep what the daemon's job asks of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

repository = Path(__file__).resolve().parents[2]
build = Path(os.environ["UMDEV_BUILD_DIR"])
units = build / "packaging" / "systemd"

# Each of these gives a service a mount namespace of its own: RUNTIME/sys would be seen in it alone.
namespace_makers = (
    "PrivateTmp PrivateDevices PrivateMounts ProtectSystem ProtectHome ProtectKernelTunables ProtectKernelModules "
    "ProtectKernelLogs ProtectControlGroups ProtectProc ProcSubset ReadWritePaths ReadOnlyPaths InaccessiblePaths "
    "ExecPaths NoExecPaths BindPaths BindReadOnlyPaths TemporaryFileSystem RootDirectory RootImage MountAPIVFS "
    "MountFlags DynamicUser PrivateIPC PrivateNetwork NetworkNamespacePath LogNamespace MountImages ExtensionImages"
).split()


def settings(text: str) -> list[tuple[str, str]]:
    return re.findall(r"^([A-Za-z]+)=(.*)$", text, re.MULTILINE)


class Units(unittest.TestCase):
    def verify(self, name: str, *arguments: str) -> None:
        if shutil.which("systemd-analyze") is None:
            self.skipTest("systemd-analyze is not installed")
        text = (units / name).read_text()
        # systemd-analyze looks for the program, which is not installed here.
        program = re.search(r"^ExecStart=(\S+)", text, re.MULTILINE)[1]
        with tempfile.TemporaryDirectory(prefix="umdev-units-") as folder:
            unit = Path(folder) / "umdevd.service"
            unit.write_text(text.replace(program, str(build / "bin" / "umdevd")))
            result = subprocess.run(
                ["systemd-analyze", *arguments, "--man=no", "verify", str(unit)],
                capture_output=True,
                text=True,
                timeout=60,
                env=os.environ | {"SYSTEMD_LOG_LEVEL": "warning", "XDG_RUNTIME_DIR": folder},
            )
        said = [line for line in (result.stdout + result.stderr).splitlines() if "umdevd" in line]
        self.assertEqual((result.returncode, said), (0, []), result.stderr)

    def test_system_unit_is_what_systemd_accepts(self):
        self.verify("umdevd.service", "--system")

    def test_user_unit_is_what_systemd_accepts(self):
        self.verify("umdevd-user.service", "--user")

    def test_system_unit_sees_the_mounts_of_everybody(self):
        names = {name for name, _ in settings((units / "umdevd.service").read_text())}
        self.assertEqual(names & set(namespace_makers), set())

    def test_user_unit_may_run_fusermount(self):
        names = {name for name, _ in settings((units / "umdevd-user.service").read_text())}
        barred = {"NoNewPrivileges", "SystemCallFilter", "RestrictSUIDSGID", "LockPersonality", "RestrictNamespaces"}
        self.assertEqual(names & (barred | set(namespace_makers)), set())

    def test_no_more_capabilities_than_the_daemon_needs(self):
        given = " ".join(v for n, v in settings((units / "umdevd.service").read_text()) if n == "CapabilityBoundingSet")
        self.assertNotIn("~", given)
        unneeded = {"CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_BOOT", "CAP_SYS_TIME", "CAP_NET_RAW", "CAP_MKNOD"}
        self.assertEqual(set(given.split()) & unneeded, set())


if __name__ == "__main__":
    unittest.main()

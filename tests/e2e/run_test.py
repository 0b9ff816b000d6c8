#!/usr/bin/env python3
"""`umdev run`: the program sees the tree in /sys, and nobody else sees anything; as root and as another user."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import shutil
import signal
import subprocess
import tempfile
import termios
import time
import unittest
from pathlib import Path

import harness
import private_mounts
from harness import Daemon

nobody = 65534
hidden_or_shown = ("/sys/class/mdev_bus", "/sys/class/vfio", "/sys/class/mtty", "/sys/class/null", "/sys/class/ioat",
                   "/sys/bus/mdev", "/sys/devices/virtual/mtty", "/sys/devices/virtual/null",
                   "/sys/devices/virtual/ioat", "/sys/devices/virtual/vfio", "/sys/kernel/iommu_groups")


def stand_in(directory: Path) -> None:
    """A plain directory that looks like the tree, for a machine on which the daemon can mount none."""
    tree = directory / "sys"
    for name in ("class/mdev_bus", "class/vfio", "class/vfio-dev", "class/mtty", "bus/mdev/devices",
                 "kernel/iommu_groups", "devices/virtual/mtty/mtty/mdev_supported_types/mtty-2"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    for name in ("class/mdev_bus/mtty", "class/mtty/mtty"):
        (tree / name).symlink_to("../../devices/virtual/mtty/mtty")


def mounts() -> list[str]:
    """Those of this process, without what other tests do in their scratch directories."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if not line.split()[4].startswith(tempfile.gettempdir())]


def names_in_sys() -> set[str]:
    return {str(path) for top in ("class", "bus", "devices/virtual", "kernel/mm", "devices/system/cpu")
            for path in Path("/sys", top).iterdir()}


class Run:
    """The tests of both users."""

    user: int | None = None

    @classmethod
    def setUpClass(cls) -> None:
        cls.daemon = Daemon(harness.build_dir(), user=cls.user).start()
        cls.addClassCleanup(cls.daemon.close)
        if not cls.daemon.has_tree():
            print("no tree is mounted here: a directory stands in", flush=True)
            stand_in(cls.daemon.directory)
        definitions = cls.daemon.directory / "etc" / "mdevctl.d"
        if not definitions.exists():
            (cls.daemon.directory / "state").mkdir()
            definitions.parent.mkdir(exist_ok=True)
            definitions.symlink_to(cls.daemon.directory / "state")
        (definitions / "a-definition").touch()
        (cls.daemon.directory / "usr" / "lib" / "mdevctl" / "scripts.d").mkdir(parents=True, exist_ok=True)
        tried = cls.daemon.run("run", "true")
        if tried.returncode == 125 and "namespace" in tried.stderr:
            raise unittest.SkipTest(tried.stderr)

    def command(self, *words: str) -> list[str]:
        return [str(self.daemon.programs / "umdev"), "--runtime-dir", str(self.daemon.directory), "run", *words]

    def start(self, *words: str, **more) -> subprocess.Popen:
        process = subprocess.Popen(self.command(*words), **self.daemon.identity, **more)
        self.addCleanup(end, process)
        return process

    def out(self, *words: str, **more) -> str:
        run = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=60,
                             stdin=subprocess.DEVNULL, **self.daemon.identity, **more)
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        return run.stdout

    def shell(self, script: str, **more) -> str:
        return self.out("sh", "-c", script, **more)

    def status(self, *words: str) -> tuple[int, str]:
        run = self.daemon.run("run", *words)
        return run.returncode, run.stderr

    # --- what is seen

    def test_the_tree_is_seen_in_its_places(self) -> None:
        parent = "/sys/devices/virtual/mtty/mtty"
        self.assertEqual(self.shell("readlink -f /sys/class/mdev_bus/mtty /sys/class/mtty/mtty").split(), [parent] * 2)
        self.assertIn("mtty-2", self.shell(f"ls {parent}/mdev_supported_types"))
        for path in ("/sys/bus/mdev/devices", "/sys/class/vfio", "/sys/class/vfio-dev", "/sys/kernel/iommu_groups"):
            self.shell(f"ls {path}")

    def test_what_was_there_is_there(self) -> None:
        for _ in range(5):  # devices of the machine may come and go meanwhile
            before = names_in_sys()
            seen = set(self.shell("ls -d /sys/class/* /sys/bus/* /sys/devices/virtual/* /sys/kernel/mm/*"
                                  " /sys/devices/system/cpu/*").split())
            if before == names_in_sys():
                break
        self.assertEqual(before - seen, set())
        self.assertEqual({path for path in seen - before if not path.startswith(hidden_or_shown)}, set())

    def test_links_of_the_machine_s_own_devices_lead_where_they_led(self) -> None:
        for path in sorted(Path("/sys/class/net").iterdir()) + sorted(Path("/sys/class/mem").iterdir()):
            self.assertEqual(self.out("readlink", "-f", str(path)).strip(), str(path.resolve()))

    def test_unrelated_directories_are_the_machine_s_own(self) -> None:
        def file_systems(path: str) -> str:
            return f"stat -f -c %T {path}"

        for path in ("/sys", "/sys/kernel", "/sys/module", "/sys/devices", "/sys/class/net", "/sys/class/net/lo/"):
            self.assertEqual(self.shell(file_systems(path)).strip(), "sysfs", path)

    def test_real_attributes_are_written_as_ever(self) -> None:
        def attempts(run) -> list[str]:
            return run("for text in nonsense $(cat /sys/class/net/lo/mtu); do echo $text |"
                       " tee /sys/class/net/lo/mtu 2>&1 >&2 | grep -o '[A-Z][a-z ]*$' || echo done; done").split("\n")

        is_root = (os.getuid() if self.user is None else self.user) == 0
        expected = ["Invalid argument", "done", ""] if is_root else ["Permission denied", "Permission denied", ""]
        self.assertEqual(attempts(self.shell), expected)

    def test_no_name_can_be_made_where_it_would_get_lost(self) -> None:
        result = self.shell("for d in class bus devices/virtual; do mkdir /sys/$d/x 2>&1 | grep -c Read-only; done")
        self.assertEqual(result.split(), ["1", "1", "1"])

    def test_a_device_made_later_is_seen(self) -> None:
        if not self.daemon.has_tree():
            self.skipTest("no tree is mounted here")
        script = ("echo ready; read line; ls /sys/bus/mdev/devices;"
                  " readlink -e /sys/class/vfio/* /sys/bus/mdev/devices/*/iommu_group")
        process = self.start("sh", "-c", script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.assertEqual(process.stdout.readline(), "ready\n")
        uuid = self.daemon.umdev("create", "mtty", "mtty-1").strip()
        self.addCleanup(self.daemon.umdev, "remove", uuid)
        seen = process.communicate("go\n")[0].split()
        self.assertEqual(seen, [uuid, "/sys/devices/virtual/vfio/0", "/sys/kernel/iommu_groups/0"])

    def test_a_device_can_be_made_by_hand(self) -> None:
        if not self.daemon.has_tree():
            self.skipTest("no tree is mounted here")
        uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
        self.shell(f"echo {uuid} > /sys/class/mdev_bus/mtty/mdev_supported_types/mtty-1/create")
        self.assertEqual([device["uuid"] for device in self.daemon.json("list")], [uuid])
        self.shell(f"echo 1 > /sys/bus/mdev/devices/{uuid}/remove")
        self.assertEqual(self.daemon.json("list"), [])

    def test_the_working_directory_is_what_its_name_says(self) -> None:
        self.assertIn("mdev_bus", self.out("ls", cwd="/sys/class"))

    def test_definitions_are_seen_where_mdevctl_looks(self) -> None:
        seen = self.out("--cover", "sh", "-c", "ls /etc/mdevctl.d; cat /etc/hostname; ls -d /usr/lib/mdevctl/scripts.d")
        self.assertIn("a-definition", seen)
        self.assertIn(Path("/etc/hostname").read_text(), seen)
        if not os.path.exists("/etc/mdevctl.d"):
            self.assertIn("lacks /etc/mdevctl.d", self.out("--explain"))
            self.assertNotIn("lacks /etc/mdevctl.d", self.out("--explain", "--cover"))
            self.assertNotIn("lacks /etc/mdevctl.d", self.out("--explain", "/opt/mdevctl"))

    def test_explain_starts_nothing(self) -> None:
        self.assertIn("show  /sys/bus/mdev from", self.out("--explain", "sh", "-c", "exit 3"))

    # --- nothing is changed for anybody else

    def test_the_mounts_of_everybody_else_stay_as_they_are(self) -> None:
        before = mounts()
        process = self.start("sh", "-c", "echo ready; read line", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        self.assertEqual(mounts(), before)
        self.assertNotEqual(os.readlink(f"/proc/{process.pid}/ns/mnt"), os.readlink("/proc/self/ns/mnt"))
        process.communicate(b"go\n")
        self.assertEqual(mounts(), before)

    # --- umdev becomes the program

    def test_the_exit_status_is_the_program_s(self) -> None:
        for status in (0, 1, 7, 125, 255):
            self.assertEqual(self.status("sh", "-c", f"exit {status}")[0], status)

    def test_a_signal_ends_it_as_it_ends_the_program(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGPIPE, signal.SIGINT):
            self.assertEqual(self.status("sh", "-c", f"kill -{number} $$")[0], -number)

    def test_signals_reach_the_program_itself(self) -> None:
        process = self.start("sh", "-c", "trap 'exit 42' USR1; echo $$; while :; do sleep 0.05; done",
                             stdout=subprocess.PIPE, text=True)
        self.assertEqual(process.stdout.readline().strip(), str(process.pid))
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(process.wait(60), 42)

    def test_an_ignored_sigpipe_stays_ignored(self) -> None:
        def ignore() -> None:
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)

        # sh cannot show it: it resets what it can.
        for prepare, expected in ((ignore, "1"), (lambda: signal.signal(signal.SIGPIPE, signal.SIG_DFL), "0")):
            text = self.out("cat", "/proc/self/status", preexec_fn=prepare)
            ignored = next(line for line in text.splitlines() if line.startswith("SigIgn"))
            self.assertEqual(str(int(ignored.split()[1], 16) >> (signal.SIGPIPE - 1) & 1), expected)

    def test_the_program_has_no_descriptor_of_ours(self) -> None:
        self.assertEqual(self.out("ls", "/proc/self/fd").split(), ["0", "1", "2", "3"])  # 3: the listing itself

    def test_user_and_group_stay(self) -> None:
        user = os.getuid() if self.user is None else self.user
        group = os.getgid() if self.user is None else self.user
        self.assertEqual(self.shell("id -u; id -g; touch $0 && stat -c %u $0".replace(
            "$0", str(self.daemon.directory / f"file-{self.id()}"))).split(), [str(user), str(group), str(user)])

    def test_what_it_starts_sees_the_same(self) -> None:
        self.assertEqual(self.shell("(ls /sys/class/mdev_bus) & wait; sh -c 'ls /sys/class/mdev_bus'").split().count(
            "mtty"), 2)

    def test_a_static_program_sees_it_too(self) -> None:
        if shutil.which("busybox") is None:
            self.skipTest("busybox is not installed")
        self.assertIn("mtty", self.out("busybox", "ls", "/sys/class/mdev_bus").split())

    def test_umdev_in_it_reaches_the_same_daemon(self) -> None:
        umdev = self.daemon.programs / "umdev"
        self.assertIn("mtty", self.shell(f"{umdev} parents"))
        self.assertEqual(self.shell("echo $UMDEV_RUNTIME_DIR").strip(), str(self.daemon.directory.resolve()))
        self.assertIn("mtty", self.shell(f"{umdev} run ls /sys/class/mdev_bus"))

    # --- the terminal

    def on_terminal(self, *words: str):
        """The program on a terminal of its own: its process, and the terminal's other end."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        process = self.start(*words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                             preexec_fn=lambda: set_terminal(theirs))
        os.close(theirs)
        return process, ours

    def expect(self, terminal: int, text: str) -> str:
        seen = ""
        deadline = time.monotonic() + 60
        while text not in seen and time.monotonic() < deadline:
            if select.select([terminal], [], [], 1)[0]:
                seen += os.read(terminal, 4096).decode()
        self.assertIn(text, seen)
        return seen

    def test_the_terminal_is_the_program_s(self) -> None:
        process, terminal = self.on_terminal("sh", "-c", "test -t 0 && tty > /dev/null && read x && echo got $x")
        os.write(terminal, b"something\n")
        self.expect(terminal, "got something")
        self.assertEqual(process.wait(60), 0)

    def test_the_interrupt_key_interrupts_the_program(self) -> None:
        process, terminal = self.on_terminal("sh", "-c", "echo ready; exec sleep 60")
        self.expect(terminal, "ready")
        os.write(terminal, b"\x03")
        self.assertEqual(process.wait(60), -signal.SIGINT)

    def test_the_program_can_be_stopped_and_continued(self) -> None:
        # A group of its own: in an orphaned one, as below a container's first process, SIGTSTP stops nothing.
        process = self.start("sh", "-c", "echo ready; read x; echo $x", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             process_group=0)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        process.send_signal(signal.SIGTSTP)
        self.assertTrue(os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1]))
        process.send_signal(signal.SIGCONT)
        self.assertEqual(process.communicate(b"on\n")[0], b"on\n")

    def test_a_shell_has_job_control(self) -> None:
        process, terminal = self.on_terminal("bash", "--norc", "--noediting", "-i")
        os.write(terminal, b"sleep 60\n")
        self.assertTrue(harness.wait_until(lambda: has_terminal(terminal, "sleep")))
        os.write(terminal, b"\x1a")
        self.expect(terminal, "Stopped")
        os.write(terminal, b"kill -KILL %1; sleep 0.1; :\n")
        self.expect(terminal, "Killed")
        os.write(terminal, b"exit 5\n")
        self.assertEqual(process.wait(60), 5)

    # --- what is refused

    def test_what_is_no_program_has_env_s_exit_status(self) -> None:
        for word, expected in (("no-such-program", 127), ("/nowhere/program", 127), ("/etc/os-release", 126),
                               ("/etc", 126), ("list", 127)):
            run = subprocess.run(self.command(word), env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
                                 **self.daemon.identity)
            self.assertEqual(run.returncode, expected, run.stderr)
            self.assertTrue(run.stderr.startswith(f"umdev: {word}: "), run.stderr)

    def test_wrong_arguments_are_status_125(self) -> None:
        for words in ([], ["--"], ["--nonsense", "ls"]):
            self.assertEqual(self.status(*words)[0], 125)

    def test_arguments_of_the_program_are_left_alone(self) -> None:
        words = ["--json", "--help", "--", "--runtime-dir", "/x", "run"]
        for dashes in ([], ["--"]):
            seen = self.out(*dashes, "sh", "-c", 'printf "%s\\n" "$@"', "sh", *words)
            self.assertEqual(seen.split("\n")[:-1], words)

    def test_the_runtime_directory_may_stand_behind_run(self) -> None:
        command = [str(self.daemon.programs / "umdev"), "run", f"--runtime-dir={self.daemon.directory}", "true"]
        self.assertEqual(subprocess.run(command, **self.daemon.identity).returncode, 0)

    def test_help_teaches(self) -> None:
        text = self.daemon.umdev("run", "--help")
        for word in ("umdev run mdevctl", "125", "126", "127", "user namespaces", "--explain"):
            self.assertIn(word, text)

    def test_without_a_daemon_nothing_is_run(self) -> None:
        command = [str(self.daemon.programs / "umdev"), "--runtime-dir", "/nonexistent", "run", "echo", "wrong"]
        run = subprocess.run(command, capture_output=True, text=True, **self.daemon.identity)
        self.assertEqual((run.returncode, run.stdout), (125, ""))
        self.assertIn("umdevd --runtime-dir /nonexistent", run.stderr)

    def test_a_dead_daemon_s_tree_is_not_used(self) -> None:
        with Daemon(harness.build_dir(), user=self.user) as daemon:
            daemon.kill()
            run = daemon.run("run", "echo", "wrong")
            self.assertEqual((run.returncode, run.stdout), (125, ""))
            self.assertIn("no daemon serves", run.stderr)
            daemon.start()  # takes over what the dead one has left, so that nothing stays

    def test_a_daemon_without_a_tree_is_told(self) -> None:
        with Daemon(harness.build_dir(), user=self.user, arguments=no_tree()) as daemon:
            run = daemon.run("run", "echo", "wrong")
            self.assertEqual((run.returncode, run.stdout), (125, ""))
            self.assertIn("shows no tree", run.stderr)


def end(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def no_tree() -> tuple[str, ...]:
    command = [str(harness.build_dir() / "bin" / "umdevd"), "--help"]
    said = subprocess.run(command, capture_output=True, text=True).stdout
    return ("--no-tree",) if "--no-tree" in said else ()


def set_terminal(descriptor: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)


def has_terminal(terminal: int, name: str) -> bool:
    """Whether that program is in the foreground. (Between fork and exec it would not heed the keys yet.)"""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{os.tcgetpgrp(terminal)}/comm").read_text() == f"{name}\n"
    return False


class AsThisUser(Run, unittest.TestCase):
    pass


@unittest.skipUnless(os.getuid() == 0, "takes root to become another user")
class AsNobody(Run, unittest.TestCase):
    user = nobody


if __name__ == "__main__":
    private_mounts.open_fuse_to_everybody()
    unittest.main(verbosity=2)

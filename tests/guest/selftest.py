#!/usr/bin/env python3
"""Proves the guest kit with QEMU's own PCI serial card, whose lines an echo of ours loops back.

Boots are few, since they cost seconds: where a boot has nothing to add, a stand-in for QEMU shows that a
failure is seen.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys
import tempfile
import threading
import time
import unittest
from dataclasses import replace
from pathlib import Path
from typing import Callable, Iterator

import debian
import fetch_kernel
import guest
import initramfs

# QEMU's pci-serial-2x
card_ids = {"vendor": "0x1b36", "device": "0x0003", "subvendor": "0x1af4", "subdevice": "0x1100"}
kit: guest.Kit


# (what came, how many bytes of the port came before it) -> what goes back
Change = Callable[[bytes, int], bytes]


def as_it_is(data: bytes, begin: int) -> bytes:
    return data


def with_one_bit_wrong(data: bytes, begin: int) -> bytes:
    """Byte 1000 of a port comes back with a bit flipped."""
    at = 1000 - begin
    return data if not 0 <= at < len(data) else data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def with_one_byte_lost(data: bytes, begin: int) -> bytes:
    at = 1000 - begin
    return data if not 0 <= at < len(data) else data[:at] + data[at + 1 :]


def echo(server: socket.socket, change: Change) -> None:
    with contextlib.suppress(OSError):
        connection = server.accept()[0]
        with connection:
            begin = 0
            while data := connection.recv(4096):
                connection.sendall(change(data, begin))
                begin += len(data)


@contextlib.contextmanager
def looped_card(first: Change = as_it_is, second: Change = as_it_is) -> Iterator[list[str]]:
    """QEMU's arguments for a card of two ports, each of which gets back what it sends, changed as told."""
    with tempfile.TemporaryDirectory(prefix="umdev-echo-") as folder, contextlib.ExitStack() as stack:
        arguments = []
        for port, change in ((1, first), (2, second)):
            server = stack.enter_context(socket.socket(socket.AF_UNIX))
            server.bind(f"{folder}/{port}")
            server.listen(1)
            thread = threading.Thread(target=echo, args=(server, change), daemon=True)
            thread.start()
            arguments += ["-chardev", f"socket,id=line{port},path={folder}/{port}"]
        yield arguments + ["-device", "pci-serial-2x,chardev1=line1,chardev2=line2"]


def plain_boot(script: str, **options) -> guest.Result:
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as check:
        check.write("#!/bin/sh\n" + script)
        check.flush()
        return guest.boot(options.pop("kit", kit), Path(check.name), **options)


def stand_in(script: str) -> guest.Kit:
    """A kit whose QEMU is a shell script. It lies in the cache until the test has ended."""
    handle, name = tempfile.mkstemp(prefix="stand-in-", dir=kit.cache)
    os.write(handle, b"#!/bin/sh\n" + script.encode())
    os.close(handle)
    path = Path(name)
    path.chmod(0o755)
    unittest.addModuleCleanup(path.unlink)
    return replace(kit, qemu=path)


def ends_soon(pid: int) -> bool:
    """A killed process that is nobody's child here takes a moment to go, and may stay as a zombie."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state in "ZX":
            return True
        time.sleep(0.02)
    return False


class Boots(unittest.TestCase):
    def check_loop(self, **options) -> None:
        seen = []
        with looped_card() as card:
            result = guest.check_serial(kit, card, **card_ids, count=65536, on_step=seen.append, **options)
        self.assertTrue(result.ok, result.report())
        self.assertEqual(seen, result.steps)
        self.assertEqual(len(result.values("pci")), 1)
        self.assertEqual(len(result.values("port")), 2)
        loops = result.values("loop")
        self.assertEqual(len(loops), 2)
        for loop in loops:
            self.assertIn("sent 65536 bytes, received 65536 bytes, all equal", loop)
        print(
            f"64 KiB through each of two ports {options}: {result.seconds:.2f} s",
            *loops,
            sep="\n  ",
            flush=True,
        )

    def test_every_byte_comes_back_on_q35(self):
        self.check_loop(machine=guest.Machine("q35"))

    def test_every_byte_comes_back_on_pc_with_flow_control(self):
        self.check_loop(machine=guest.Machine("pc"), flow="rtscts")


class FailuresInTheGuest(unittest.TestCase):
    def check_failures(
        self, *expected: str, first: Change = as_it_is, second: Change = as_it_is, **options
    ) -> None:
        """Each boot that must fail is used for several failures. All of them must be seen, and no others."""
        with looped_card(first, second) as card:
            result = guest.check_serial(kit, card, **(card_ids | {"count": 2048} | options))
        self.assertEqual((result.code, result.qemu_status, result.timed_out), (1, 0, False), result.report())
        self.assertEqual(len(result.failures), len(expected), result.report())
        for failure, words in zip(result.failures, expected):
            self.assertIn(words, failure)
        self.assertFalse(result.ok)

    def test_a_card_with_other_ids_is_not_found(self):
        self.check_failures(
            "number of cards with ids 4348:3253 is 0, expected 1", vendor="0x4348", device="0x3253"
        )

    def test_wrong_and_lost_bytes_wrong_subsystem_and_number_of_ports_are_seen(self):
        self.check_failures(
            "subsystem vendor of 0000:00:01.0 is 0x1af4, expected 0x4348",
            "number of ports of 0000:00:01.0 is 2, expected 1",
            "ttyS1 byte 1000: sent",
            "ttyS2 byte 1000: sent",
            first=with_one_bit_wrong,
            second=with_one_byte_lost,
            subvendor="0x4348",
            ports="1",
        )

    def test_a_silent_line_and_bytes_that_come_twice_are_seen(self):
        self.check_failures(
            "ttyS1 nothing came back for 2000 ms",
            "ttyS2 more came back than was sent",
            first=lambda data, begin: b"",
            second=lambda data, begin: data + data,
            count=8,
            patience=2.0,
        )


class FailuresAroundTheGuest(unittest.TestCase):
    def test_a_guest_that_hangs_is_killed_in_time(self):
        result = plain_boot("echo '@@STEP asleep'; sleep 1000", timeout=6.0)
        self.assertTrue(result.timed_out)
        self.assertFalse(result.ok)
        self.assertLess(result.seconds, 6.0 + guest.kill_grace)

    def test_a_guest_that_panics_is_seen(self):
        result = plain_boot("echo c >/proc/sysrq-trigger")
        self.assertFalse(result.timed_out, result.report())
        self.assertIn("the guest ended before its check did", result.problems)

    def test_the_status_of_the_check_is_seen(self):
        result = plain_boot("", kit=stand_in("echo '@@END 7'"))
        self.assertEqual(result.problems, ["the guest's check ended with status 7"])

    def test_arguments_that_qemu_refuses_are_seen(self):
        result = plain_boot("exit 0", qemu_args="-device no-such-device")
        self.assertEqual(result.qemu_status, 1)
        self.assertIn("no-such-device", result.stderr)
        self.assertFalse(result.ok)

    def test_a_vfio_user_socket_that_is_not_there_is_seen(self):
        device = (
            """-device '{"driver": "vfio-user-pci", "socket": {"type": "unix", "path": "/no/such/socket"}}'"""
        )
        result = plain_boot("exit 0", qemu_args=device)
        self.assertEqual(result.qemu_status, 1)
        self.assertIn("/no/such/socket", result.stderr)

    def test_a_complaint_of_qemu_fails_a_boot_that_went_well_otherwise(self):
        for complaint in (
            "qemu-system-x86_64: vfio_region_read(0000:00:02.0:region0+0x5, 1) failed: EIO",
            "error reply on async request command 2",
            "bad header size",
            "timed out waiting for reply",
        ):
            with self.subTest(complaint):
                result = plain_boot("", kit=stand_in(f"echo '@@END 0'; echo '{complaint}' >&2"))
                self.assertEqual(result.problems, [f"QEMU says: {complaint}"])

    def test_a_harmless_message_of_qemu_does_not(self):
        result = plain_boot("", kit=stand_in("echo '@@END 0'; echo 'Could not enable error recovery' >&2"))
        self.assertTrue(result.ok, result.report())

    def test_a_status_of_qemu_fails_a_boot_that_went_well_otherwise(self):
        self.assertEqual(
            plain_boot("", kit=stand_in("echo '@@END 0'; exit 3")).problems, ["QEMU ended with status 3"]
        )

    def test_a_flood_is_bounded_in_time_and_size(self):
        result = plain_boot("", kit=stand_in("exec yes"), timeout=1.0)
        self.assertTrue(result.timed_out)
        self.assertLess(result.seconds, 1.0 + guest.kill_grace)
        self.assertLessEqual(len(result.console), guest.console_limit)

    def test_no_process_is_left_when_the_caller_fails(self):
        def give_up(step: guest.Step) -> None:
            pids.append(int(step.value))
            raise RuntimeError("given up")

        for script in ("echo @@STEP pid $$; exec sleep 100", "sleep 100 & echo @@STEP pid $!; wait"):
            pids: list[int] = []
            with self.subTest(script), self.assertRaisesRegex(RuntimeError, "given up"):
                plain_boot("", kit=stand_in(script), on_step=give_up)
            self.assertTrue(ends_soon(pids[0]))

    def test_what_starts_on_one_cpu_stays_there_and_the_caller_does_not(self):
        before = os.sched_getaffinity(0)
        with guest.one_cpu():
            result = plain_boot("", kit=stand_in("echo @@STEP cpus $(nproc); echo '@@END 0'"))
        self.assertEqual(result.values("cpus"), ["1"])
        self.assertEqual(os.sched_getaffinity(0), before)

    def test_a_child_that_outlives_qemu_is_killed(self):
        result = plain_boot(
            "", kit=stand_in("sleep 100 >/dev/null 2>&1 & echo @@STEP pid $!; echo '@@END 0'")
        )
        self.assertTrue(result.ok, result.report())
        self.assertTrue(ends_soon(int(result.values("pid")[0])))


class Sources(unittest.TestCase):
    one_line = """# deb http://commented.example/debian bookworm main
deb [signed-by=/k.gpg arch=amd64] http://tools.example/apt tools-bookworm main
deb http://security.example/debian-security bookworm-security main
deb-src http://sources.example/debian bookworm main
deb [trusted=yes] http://one.example/debian bookworm main contrib # words
"""
    deb822 = """Types: deb
Enabled: no
URIs: http://disabled.example/debian
Suites: bookworm
Components: main

# words
Types: deb deb-src
URIs: http://two.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
"""

    def test_the_archive_is_found_in_one_line_sources(self):
        source = debian.debian_archive(debian.parse_one_line(self.one_line))
        self.assertEqual((source.uri, source.trusted), ("http://one.example/debian", "yes"))

    def test_the_archive_is_found_in_deb822_sources_with_its_key(self):
        source = debian.debian_archive(debian.parse_deb822(self.deb822))
        self.assertEqual(source.uri, "http://two.example/debian")
        self.assertEqual(source.signed_by, "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc")

    def test_a_machine_without_the_archive_is_unavailable(self):
        with self.assertRaises(guest.Unavailable):
            debian.debian_archive(debian.parse_one_line("deb http://other.example/ubuntu noble main"))


class Cache(unittest.TestCase):
    def test_a_failed_fetch_leaves_nothing_and_a_finished_one_is_found(self):
        def fail(folder: Path):
            (folder / "half").write_text("")
            raise guest.Unavailable("no")

        with tempfile.TemporaryDirectory() as name:
            cache = Path(name)
            with self.assertRaises(guest.Unavailable):
                debian.make_folder(cache, "thing", 1, fail)
            self.assertEqual(os.listdir(cache), [])
            made = debian.make_folder(
                cache, "thing", 1, lambda folder: ("1.0", [debian.Package("thing", "1.0")])
            )
            self.assertEqual(made.name, "thing-1.0")
            self.assertEqual(debian.finished(cache, "thing", 1), made)
            self.assertIsNone(debian.finished(cache, "thing", 2))
            self.assertIsNone(debian.finished(cache, "th", 1))

    def test_a_program_with_a_loader_is_not_taken_for_static(self):
        self.assertFalse(initramfs.is_static(Path(sys.executable).read_bytes()))
        self.assertFalse(initramfs.is_static(b"#!/bin/sh\n"))
        self.assertTrue(initramfs.is_static(initramfs.read_busybox()))

    def test_what_is_no_kernel_is_refused(self):
        for data in (b"", bytes(4096), b"\x7fELF" + bytes(4096)):
            with self.subTest(data[:4]), self.assertRaises(guest.Unavailable):
                fetch_kernel.extract_vmlinux(data)


def main() -> None:
    global kit
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, default=debian.default_cache(), help="default: %(default)s")
    parser.add_argument("--suite", choices=list(fetch_kernel.suites), default=fetch_kernel.default_suite)
    arguments, rest = parser.parse_known_args()
    kit = guest.fetch_kit(arguments.cache, arguments.suite)
    unittest.main(argv=[sys.argv[0], "-v", *rest])


if __name__ == "__main__":
    debian.run_command(main)

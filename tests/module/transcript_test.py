#!/usr/bin/env python3
"""One small driver, written as a C module (gauge.c) and as a native C++ driver (gauge.cc): at every door its user sees
the same, byte for byte, and what tests/module/transcripts says.

With UMDEV_WRITE_TRANSCRIPTS=1 the transcripts are written anew."""

from __future__ import annotations

import errno
import json
import mmap
import os
import re
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

import kit
from kit import client, codec, harness

transcripts = kit.here / "transcripts"
steps = [line for line in (transcripts / "device.script").read_text().splitlines() if line and line[0] != "#"]
programs = harness.build_dir() / "tests/module/gauge"
module = programs / "gauge.so"
uuids = [f"0000000{n}-0000-4000-8000-000000000000" for n in range(1, 7)]
drivers = ("module", "native")


class NativeDaemon(harness.Daemon):
    def command(self) -> list[str]:
        return [str(programs / "gauge_daemon"), str(self.directory)]


def daemon_of(driver: str, scratch: Path) -> harness.Daemon:
    if driver == "native":
        return NativeDaemon(harness.build_dir())
    configuration = scratch / "umdevd.toml"
    configuration.write_text('[[parent]]\ndriver = "null"\ninstances = 1\n')
    return harness.Daemon(harness.build_dir(), arguments=("--module", str(module), "--config", str(configuration)))


def named(call) -> str:
    """What it answers, or the error's name."""
    try:
        return call()
    except OSError as error:
        return errno.errorcode[error.errno]


class Refused(Exception):
    pass


class Use:
    """An open vfio-user session that does the steps of the script."""

    def __init__(self, session: client.Client, test: unittest.TestCase):
        self.session = session
        self.guest = os.memfd_create("guest")
        test.addCleanup(os.close, self.guest)
        os.ftruncate(self.guest, 0x3000)
        self.event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        test.addCleanup(os.close, self.event)
        self.lent = 0
        self.memory: mmap.mmap | None = None

    def do(self, line: str) -> str:
        verb, *words = line.split()
        values = [word if verb in ("write", "poke", "fill", "map") and at == len(words) - 1 else int(word, 0)
                  for at, word in enumerate(words)]
        try:
            return getattr(self, f"do_{verb}")(*values)
        except Refused as refused:
            return str(refused)

    def call(self, command: int, payload: bytes = b"", fds: tuple[int, ...] = ()) -> codec.Message:
        reply = self.session.call(command, payload, fds=fds)
        if reply.error is not None:
            raise Refused(errno.errorcode[reply.error])
        return reply

    def do_info(self) -> str:
        info = codec.unpack_info(self.call(codec.GET_INFO, codec.get_info()).payload)
        return f"flags {info.flags:#x}, {info.num_regions} regions, {info.num_irqs} interrupts"

    def do_region(self, index: int) -> str:
        reply = self.call(codec.REGION_INFO, codec.region_info(index, argsz=4096))
        client.close_fds(reply.fds)
        info = codec.unpack_region_info(reply.payload)
        return f"flags {info.flags:#x}, size {info.size:#x}"

    def do_irq(self, index: int) -> str:
        info = codec.unpack_irq_info(self.call(codec.IRQ_INFO, codec.irq_info(index)).payload)
        return f"flags {info.flags:#x}, count {info.count}"

    def do_read(self, region: int, offset: int, count: int) -> str:
        return self.call(codec.REGION_READ, codec.access(offset, region, count)).payload[16:].hex()

    def do_write(self, region: int, offset: int, text: str) -> str:
        data = bytes.fromhex(text)
        reply = self.call(codec.REGION_WRITE, codec.access(offset, region, len(data), data))
        return str(codec.unpack_access(reply.payload).count)

    def do_irqs(self, flags: int, index: int, start: int, count: int) -> str:
        self.call(codec.SET_IRQS, codec.set_irqs(flags, index, start, count))
        return "ok"

    def do_listen(self) -> str:
        self.call(codec.SET_IRQS, codec.set_irqs(0x24, 0, 0, 1), fds=(self.event,))
        return "ok"

    def do_event(self) -> str:
        try:
            return str(os.eventfd_read(self.event))
        except BlockingIOError:
            return "0"

    def do_map(self, iova: int, size: int, access: str) -> str:
        flags = {"r": 1, "rw": 3}[access]
        self.call(codec.DMA_MAP, codec.dma_map(iova, size, offset=self.lent, flags=flags), fds=(self.guest,))
        self.lent += size
        return "ok"

    def do_unmap(self, iova: int, size: int) -> str:
        self.call(codec.DMA_UNMAP, codec.dma_unmap(iova, size))
        return "ok"

    def do_fill(self, offset: int, text: str) -> str:
        os.pwrite(self.guest, bytes.fromhex(text), offset)
        return "ok"

    def do_guest(self, offset: int, count: int) -> str:
        return os.pread(self.guest, count, offset).hex()

    def do_mmap(self, region: int) -> str:
        reply = self.call(codec.REGION_INFO, codec.region_info(region, argsz=4096))
        info = codec.unpack_region_info(reply.payload)
        self.memory = mmap.mmap(reply.fds[0], info.size, offset=info.offset)
        client.close_fds(reply.fds)
        return "ok"

    def do_peek(self, offset: int, count: int) -> str:
        return self.memory[offset : offset + count].hex()

    def do_poke(self, offset: int, text: str) -> str:
        data = bytes.fromhex(text)
        self.memory[offset : offset + len(data)] = data
        return "ok"

    def do_reset(self) -> str:
        self.call(codec.RESET)
        return "ok"


class Transcripts(unittest.TestCase):
    maxDiff = None

    def setUp(self) -> None:
        self.scratch = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="umdev-transcript-")))

    def check(self, name: str, said: dict[str, str]) -> None:
        """What each driver's user has seen is the same, and the text of that name."""
        path = transcripts / f"{name}.txt"
        if os.environ.get("UMDEV_WRITE_TRANSCRIPTS"):
            path.write_text(said["native"])
        self.assertMultiLineEqual(said["module"], said["native"])
        self.assertMultiLineEqual(said["native"], path.read_text())

    def daemon(self, driver: str, mount: str | None = None) -> harness.Daemon:
        daemon = self.enterContext(daemon_of(driver, self.scratch))
        if mount is not None and not daemon.has_mount(mount):
            self.skipTest(f"no FUSE here: {mount} is not mounted")
        return daemon

    def test_vfio_user_client(self) -> None:
        def talk(driver: str) -> str:
            daemon = self.daemon(driver)
            daemon.umdev("create", "gauge", "gauge-1", "--uuid", uuids[0])
            with kit.open_client(daemon, uuids[0]) as session:
                use = Use(session, self)
                text = "".join(f"{line}: {use.do(line)}\n" for line in steps)
                if use.memory is not None:
                    use.memory.close()
            self.assertEqual(daemon.stop(), 0, daemon.said())
            return text

        self.check("device", {driver: talk(driver) for driver in drivers})

    def test_ioctls_under_umdev_run(self) -> None:
        def talk(driver: str) -> str:
            daemon = self.daemon(driver, mount="dev")
            tried = daemon.run("run", "true")
            if tried.returncode == 125:
                self.skipTest(tried.stderr)
            daemon.umdev("create", "gauge", "gauge-1", "--uuid", uuids[0])
            command = [daemon.programs / "umdev", "--runtime-dir", daemon.directory, "run", "--",
                       programs / "gauge_program", "0", uuids[0]]
            done = subprocess.run(command, input="\n".join(steps) + "\n", capture_output=True, text=True, timeout=120)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual(daemon.stop(), 0, daemon.said())
            return done.stdout

        self.check("device", {driver: talk(driver) for driver in drivers})

    def test_cxx_core_in_process(self) -> None:
        def talk(driver: str) -> str:
            word = str(module) if driver == "module" else driver
            done = subprocess.run([programs / "gauge_core", word], input="\n".join(steps) + "\n", capture_output=True,
                                  text=True, timeout=120)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            return done.stdout

        self.check("device", {driver: talk(driver) for driver in drivers})

    def test_tree(self) -> None:
        self.check("tree", {driver: self.use_tree(driver) for driver in drivers})

    def use_tree(self, driver: str) -> str:
        daemon = self.daemon(driver, mount="sys")
        root = daemon.directory / "sys"
        parent = root / "class/mdev_bus/gauge"
        kind = parent / "mdev_supported_types/gauge-1"
        instance = root / "bus/mdev/devices" / uuids[0]
        said = ""

        def say(what: str, answer: str) -> None:
            nonlocal said
            said += f"{what}: {answer}\n"

        def read(path: Path) -> None:
            say(f"cat {path.relative_to(root)}", repr(named(path.read_text)))

        def write(path: Path, text: str) -> None:
            say(f"echo -n {text!r} > {path.relative_to(root)}", named(lambda: path.write_text(text) >= 0 and "ok"))

        def show(path: Path) -> None:
            names = sorted(entry.name for entry in path.iterdir())
            say(f"ls {path.relative_to(root)}", " ".join(names))

        show(kind)
        for name in ("name", "description", "device_api", "available_instances"):
            read(kind / name)
        for text in ("nonsense", uuids[0], uuids[0], *uuids[1:5]):
            write(kind / "create", text)
        read(kind / "available_instances")
        show(kind / "devices")
        show(instance / "gauge")
        for name in ("level", "count"):
            read(instance / "gauge" / name)
            say(f"mode of {name}", oct((instance / "gauge" / name).stat().st_mode & 0o777))
        for text in ("42", "7\n", "101", "-1", "many", "", "99999999999999999999", "12 "):
            write(instance / "gauge/level", text)
            read(instance / "gauge/level")
        write(instance / "gauge/count", "1")
        with kit.open_client(daemon, uuids[0]) as session:
            say("level register", Use(session, self).do("read 0 0x0c 4"))
        for number in (1, 0, 2, 3):
            write(root / "bus/mdev/devices" / uuids[number] / "remove", "1")
        read(kind / "available_instances")
        show(kind / "devices")
        self.assertEqual(daemon.stop(), 0, daemon.said())
        return said

    def test_control_socket(self) -> None:
        self.check("control", {driver: self.use_command_line(driver) for driver in drivers})

    def use_command_line(self, driver: str) -> str:
        daemon = self.daemon(driver)
        said = ""

        def run(*words: str) -> None:
            nonlocal said
            done = daemon.run(*words)
            said += f"$ umdev {' '.join(words)}\n{done.stdout}{done.stderr}"
            said += f"exit status {done.returncode}\n" if done.returncode else ""

        run("parents")
        run("types")
        run("types", "--json")
        for kind, uuid in (("1", uuids[0]), ("1", uuids[0]), ("2", uuids[1]), ("1", "nonsense")):
            run("create", "gauge", f"gauge-{kind}", "--uuid", uuid)
        run("list")
        run("list", "--json")
        # What a module's device is, it is asked when it is opened.
        with kit.open_client(daemon, uuids[0]):
            run("show", uuids[0])
        for words in (("remove", uuids[0]), ("remove", uuids[0]), ("list",)):
            run(*words)
        answer = daemon.control().call("types")
        said += json.dumps(answer, sort_keys=True, indent=1) + "\n"
        self.assertEqual(daemon.stop(), 0, daemon.said())
        # Where it runs, and who asks, is another thing each time; so is how wide that makes a table.
        said = re.sub(r"(\S) +", r"\1 ", said.replace(str(daemon.directory), "RUNTIME"))
        said = re.sub(r"(uid |process |\"uid\": |\"pid\": )\d+", r"\1N", said)
        return re.sub(r"(active \d+ )\d+|\d+( true )", r"\1N\2", said)


if __name__ == "__main__":
    unittest.main(verbosity=2)

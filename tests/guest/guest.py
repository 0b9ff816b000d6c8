#!/usr/bin/env python3
"""Boots a Linux guest in an unmodified QEMU, and tells what a check in it has seen. See README.md.

    kit = guest.fetch_kit()
    result = guest.check_serial(kit, "-device ...", ports="2")
    if not result.ok: print(result.report())
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import re
import selectors
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Callable, Iterator, Sequence

import debian
import fetch_generic_kernel
import fetch_kernel
import fetch_qemu
import initramfs
from debian import Unavailable

here = Path(__file__).resolve().parent
exit_unavailable = debian.exit_unavailable
default_timeout = 120.0
kill_grace = 5.0
console_limit = 4 << 20

# no_timer_check: on a busy machine QEMU's timer can be so late that the kernel takes it for dead, and panics.
kernel_arguments = "console=ttyS0 quiet panic=-1 oops=panic no_timer_check"

# QEMU prints these when its vfio-user device has gone wrong, and then goes on as if nothing were.
complaint_patterns = [
    r"error reply on async",
    r"timed out waiting for reply",
    r"unexpected reply",
    r"bad header size",
    r"failed to read header: EOF",
    r"vfio_region_read\(.*failed",
    r"vfio_region_write\(.*failed",
    r"vfio_pci_(read|write)_config\(.*failed",
    r"spurious capabilities",
    r"reset reply error",
    r"hardware error",
]
complaint = re.compile("|".join(complaint_patterns))
protocol = re.compile(r"@@(STEP|FAIL|END)\b ?(.*)")


@dataclass(frozen=True)
class Kit:
    """What a guest is made of. All of it is in the cache, or comes from the machine's busybox-static."""

    qemu: Path
    kernel: Path
    cache: Path


@dataclass(frozen=True)
class Step:
    """One `@@STEP name value` or `@@FAIL text` line of the guest."""

    seconds: float  # since QEMU was started
    ok: bool
    name: str
    value: str

    def __str__(self) -> str:
        return f"{self.seconds:6.2f} s  {'ok  ' if self.ok else 'FAIL'}  {self.name} {self.value}"


@dataclass
class Result:
    """What came of a boot. `problems` is empty exactly if all went well."""

    steps: list[Step] = field(default_factory=list)
    code: int | None = None  # of the guest's check; None: it did not get to its end
    timed_out: bool = False
    qemu_status: int | None = None
    stderr: str = ""
    console: str = ""
    seconds: float = 0.0

    @property
    def complaints(self) -> list[str]:
        return [line for line in self.stderr.splitlines() if complaint.search(line)]

    @property
    def failures(self) -> list[str]:
        return [f"{step.name} {step.value}" for step in self.steps if not step.ok]

    @property
    def problems(self) -> list[str]:
        problems = list(self.failures)
        if self.timed_out:
            problems.append(f"the guest was killed after {self.seconds:.1f} s")
        elif self.code is None:
            problems.append("the guest ended before its check did")
        elif self.code != 0:
            problems.append(f"the guest's check ended with status {self.code}")
        if self.qemu_status != 0 and not self.timed_out:
            problems.append(f"QEMU ended with status {self.qemu_status}")
        return problems + [f"QEMU says: {line}" for line in self.complaints]

    @property
    def ok(self) -> bool:
        return not self.problems

    def values(self, name: str) -> list[str]:
        """The values of all steps of that name."""
        return [step.value for step in self.steps if step.ok and step.name == name]

    def report(self) -> str:
        """For a person: the steps and the problems; if there are any, what was last said, too."""
        lines = [str(step) for step in self.steps] + [f"problem: {problem}" for problem in self.problems]
        if not self.ok:
            lines += [
                "--- console (end)",
                *self.console.splitlines()[-30:],
                "--- QEMU",
                *self.stderr.splitlines()[-30:],
            ]
        return "\n".join(lines)


def fetch_kit(cache: Path | None = None, suite: str = fetch_kernel.default_suite) -> Kit:
    """The kit from the cache; what is not there is fetched. Raises Unavailable."""
    cache = Path(cache or debian.default_cache())
    initramfs.read_busybox()
    return Kit(fetch_qemu.fetch(cache), fetch_kernel.fetch(cache, suite), cache)


def fetch_generic_kit() -> tuple[Kit, Path]:
    """The kit with Debian's generic kernel, and the folder of that kernel's modules. Raises Unavailable."""
    generic = fetch_generic_kernel.fetch(debian.default_cache())
    return replace(fetch_kit(), kernel=generic / "vmlinux"), generic / "modules"


def compile_static(source: Path, cache: Path) -> bytes:
    """A C program for the guest, compiled once for each content of its source. Raises Unavailable."""
    debian.need_tools("cc")
    name = f"{source.stem}-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}"
    program = cache / "programs" / name
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=program.parent, delete=False) as output:
            pass
        run = subprocess.run(
            ["cc", "-static", "-O2", "-s", "-Wall", "-Wextra", "-o", output.name, str(source)],
            capture_output=True,
            text=True,
        )
        if run.returncode != 0:
            os.unlink(output.name)
            raise Unavailable(f"cannot compile {source.name}: {run.stderr.strip()}")
        os.rename(output.name, program)
    return program.read_bytes()


@contextlib.contextmanager
def one_cpu() -> Iterator[None]:
    """What the calling thread starts meanwhile stays on one CPU, as the thread itself does.

    For a device in another process, on a busy machine: each access of the guest is a message and its answer,
    and the three threads between which it goes never run at the same time. To hand over on one CPU costs less
    than to wait for another. Start the device's server inside too.
    """
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(before)[os.getpid() % len(before)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


# --- a boot ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Machine:
    """What QEMU emulates around the devices. Without shared memory a device reaches it by messages only."""

    kind: str = "q35"
    memory: str = "256M"
    shared: bool = True
    kernel_arguments: str = ""  # more of them


def command_line(kit: Kit, archive: Path, qemu_args: str | Sequence[str], machine: Machine) -> list[str]:
    extra = shlex.split(qemu_args) if isinstance(qemu_args, str) else list(qemu_args)
    backend = "memory-backend-memfd,share=on" if machine.shared else "memory-backend-ram"
    fixed = "-nodefaults -no-user-config -display none -no-reboot -accel tcg -run-with exit-with-parent=on"
    console = "-chardev stdio,id=console,signal=off -serial chardev:console"
    return [str(kit.qemu), *fixed.split(), *console.split()] + [
        *("-object", f"{backend},id=guest-memory,size={machine.memory}"),
        *("-machine", f"{machine.kind},memory-backend=guest-memory", "-m", machine.memory),
        *("-kernel", str(kit.kernel), "-initrd", str(archive)),
        *("-append", f"{kernel_arguments} {machine.kernel_arguments}".rstrip()),
        *extra,
    ]


def kill_group(process: subprocess.Popen) -> None:
    """QEMU is gone when this returns, and whatever it may have started has got its SIGKILL."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(kill_grace)


class Watch:
    """Reads a QEMU's output until it ends or its time is over."""

    def __init__(self, process: subprocess.Popen, timeout: float, on_step: Callable[[Step], None] | None):
        self.result = Result()
        self._process = process
        self._begin = time.monotonic()
        self._deadline = self._begin + timeout
        self._on_step = on_step
        self._line = b""
        self._console = bytearray()
        self._errors = bytearray()

    def run(self) -> Result:
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ, self._take_console)
            selector.register(self._process.stderr, selectors.EVENT_READ, self._take_errors)
            while selector.get_map() and not self.result.timed_out:
                for key, _ in selector.select(max(0.0, self._deadline - time.monotonic())):
                    data = os.read(key.fd, 65536)
                    key.data(data) if data else selector.unregister(key.fileobj)
                self.result.timed_out = time.monotonic() >= self._deadline
        return self._finish()

    def _finish(self) -> Result:
        if not self.result.timed_out:
            try:
                self.result.qemu_status = self._process.wait(max(0.1, self._deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.result.timed_out = True
        self.result.seconds = time.monotonic() - self._begin
        self.result.console = self._console.decode(errors="replace").replace("\r\n", "\n")
        self.result.stderr = self._errors.decode(errors="replace")
        return self.result

    def _take_errors(self, data: bytes) -> None:
        self._errors += data[: console_limit - len(self._errors)]

    def _take_console(self, data: bytes) -> None:
        self._console += data[: console_limit - len(self._console)]
        *lines, self._line = (self._line + data).split(b"\n")
        self._line = self._line[-console_limit:]
        for line in lines:
            self._take_line(line.decode(errors="replace").rstrip("\r"))

    def _take_line(self, line: str) -> None:
        match = protocol.search(line)  # a message of the kernel may stand before it
        if match is None:
            return
        if match[1] == "END":
            self.result.code = int(match[2]) if match[2].strip().isdigit() else None
            return
        name, _, value = match[2].partition(" ")
        step = Step(time.monotonic() - self._begin, match[1] == "STEP", name, value)
        self.result.steps.append(step)
        if self._on_step is not None:
            self._on_step(step)


def boot(
    kit: Kit,
    check: Path,
    *,
    qemu_args: str | Sequence[str] = "",
    files: dict[str, bytes] | None = None,
    environment: dict[str, str] | None = None,
    machine: Machine = Machine(),
    timeout: float = default_timeout,
    on_step: Callable[[Step], None] | None = None,
    user: int | None = None,
) -> Result:
    """Boots a guest that runs the script `check`; returns when its QEMU is gone, `timeout` seconds at most.

    `files` (path in the guest: content; all executable) and `environment` are what the script finds.
    `qemu_args` is a list, or one line as a shell would read it. `on_step` sees each step as it comes.
    `user`: QEMU runs as that user and group, who can read the kit.
    Whatever ends this call, an exception too, no process is left behind. Raises Unavailable.
    """
    variables = "".join(f"{name}={shlex.quote(value)}\n" for name, value in (environment or {}).items())
    archive = initramfs.build(check.read_bytes(), {"environment": variables.encode()} | (files or {}))
    with tempfile.NamedTemporaryFile(prefix="umdev-guest-", suffix=".cpio") as file:
        file.write(archive)
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        identity = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        process = subprocess.Popen(
            command_line(kit, Path(file.name), qemu_args, machine),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            **identity,
        )
        with process.stdout, process.stderr:
            try:
                return Watch(process, timeout, on_step).run()
            finally:
                kill_group(process)


def check_serial(
    kit: Kit,
    qemu_args: str | Sequence[str],
    *,
    vendor: str = "0x4348",
    device: str = "0x3253",
    class_code: str = "0x070002",
    subvendor: str = "0x4348",
    subdevice: str = "0x3253",
    ports: str = "2",
    count: int = 65536,
    chunk: int = 16,
    flow: str = "",
    patience: float = 5.0,
    **options,
) -> Result:
    """Boots a guest with the PCI serial cards that `qemu_args` plug; loops `count` bytes through each port.

    An empty class_code, subvendor or subdevice is not checked. `ports`: the ports of each card in PCI order,
    "1 2" for two cards. Further options are those of boot().
    """
    environment = {
        "VENDOR": vendor,
        "DEVICE": device,
        "CLASS": class_code,
        "SUBVENDOR": subvendor,
        "SUBDEVICE": subdevice,
        "PORTS": ports,
        "BYTES": str(count),
        "CHUNK": str(chunk),
        "FLOW": flow,
        "PATIENCE": str(int(patience * 1000)),
    }
    files = {"serial_loop": compile_static(here / "serial_loop.c", kit.cache)}
    return boot(
        kit, here / "serial_check.sh", qemu_args=qemu_args, files=files, environment=environment, **options
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, default=debian.default_cache(), help="default: %(default)s")
    parser.add_argument("--suite", choices=list(fetch_kernel.suites), default=fetch_kernel.default_suite)
    parser.add_argument("--machine", default="q35")
    parser.add_argument("--memory", default="256M")
    parser.add_argument(
        "--timeout", type=float, default=default_timeout, help="seconds; default: %(default)s"
    )
    parser.add_argument("--vendor", default="0x4348")
    parser.add_argument("--device", default="0x3253")
    parser.add_argument("--class", dest="class_code", default="0x070002")
    parser.add_argument("--subvendor", default="0x4348")
    parser.add_argument("--subdevice", default="0x3253")
    parser.add_argument("--ports", default="2", help='of each card in PCI order, e.g. "2" or "1 2"')
    parser.add_argument(
        "--count", type=int, default=65536, help="bytes through each port; default: %(default)s"
    )
    parser.add_argument("--chunk", type=int, default=16)
    parser.add_argument("--flow", choices=["", "rtscts"], default="")
    parser.add_argument("qemu_args", nargs="*", help="after --: arguments for QEMU that plug the cards")
    arguments = vars(parser.parse_args())
    kit = fetch_kit(arguments.pop("cache"), arguments.pop("suite"))
    arguments["machine"] = Machine(arguments["machine"], arguments.pop("memory"))
    result = check_serial(
        kit, arguments.pop("qemu_args"), on_step=lambda step: print(step, flush=True), **arguments
    )
    if not result.ok:
        print(result.report(), file=sys.stderr)
    print(f"{'passed' if result.ok else 'failed'} in {result.seconds:.2f} s")
    sys.exit(0 if result.ok else 1)


if __name__ == "__main__":
    debian.run_command(main)

"""A daemon of one's own, and the ways to talk to it: its command line, its control socket, a device's socket.

    with Daemon(build_dir()) as daemon:
        uuid = daemon.umdev("create", "mtty", "mtty-2").strip()
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

start_timeout = 60.0
stop_timeout = 60.0


def build_dir() -> Path:
    """$UMDEV_BUILD_DIR: where bin/umdevd lies below."""
    return Path(os.environ["UMDEV_BUILD_DIR"]).resolve()


class Failed(Exception):
    """A command that was to succeed did not; the text is all that it said."""


class Daemon:
    """umdevd in a scratch runtime directory (or a given one, which then stays). `user`: it and umdev run as that
    user and group, from copies of the programs that everybody may execute."""

    def __init__(
        self,
        build: Path,
        directory: Path | None = None,
        arguments: tuple[str, ...] = (),
        user: int | None = None,
        descriptors: tuple[int, ...] = (),
        **environment: str,
    ):
        self.programs = build / "bin"
        self._scratch = None if directory else Path(tempfile.mkdtemp(prefix="umdev-"))
        self.directory = directory or self._scratch / "run"
        self.identity = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        if user is not None:
            self._hand_over(user)
        self._arguments = arguments
        self._descriptors = descriptors
        self._environment = os.environ | environment
        self._log = tempfile.TemporaryFile("w+")
        self.process: subprocess.Popen | None = None
        self.ready_line = ""

    def _hand_over(self, user: int) -> None:
        os.chown(self._scratch, user, user)
        for name in ("umdev", "umdevd"):
            copied = shutil.copy(self.programs / name, self._scratch / name)
            os.chmod(copied, 0o755)
        self.programs = self._scratch

    def __enter__(self) -> Daemon:
        return self.start()

    def __exit__(self, *_) -> None:
        self.close()

    # --- life

    def start(self) -> Daemon:
        """Returns when it is ready. Raises Failed when it ends instead."""
        self.process = subprocess.Popen(
            self.command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=self._environment,
            start_new_session=True,
            pass_fds=self._descriptors,
            **self.identity,
        )
        if select.select([self.process.stdout], [], [], start_timeout)[0]:
            self.ready_line = self.process.stdout.readline()
        if "ready" not in self.ready_line:
            self.kill()
            raise Failed(f"umdevd did not start: {self.said()}")
        return self

    def command(self) -> list[str]:
        return [str(self.programs / "umdevd"), "--runtime-dir", str(self.directory), *self._arguments]

    def said(self) -> str:
        """The log so far."""
        if self._log.closed:
            return ""
        self._log.seek(0)
        return self._log.read()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Asks it to end; its exit status. Kills it when it does not."""
        self.process.send_signal(number)
        try:
            return self.process.wait(stop_timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"umdevd did not end: {self.said()}")
        finally:
            self.process.stdout.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def close(self) -> None:
        """Ends what is left, and removes the scratch directory."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(Failed):
                self.stop()
        self._log.close()
        self.unmount_left_behind()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def unmount_left_behind(self) -> None:
        """What a daemon that was killed leaves: the next one in its directory takes it over, the last one's stays."""
        for name in ("sys", "dev"):
            if self.has_mount(name):
                path = f"{self.directory.resolve()}/{name}"
                command = ["umount", "-l", path] if os.geteuid() == 0 else ["fusermount3", "-u", "-z", path]
                subprocess.run(command, check=False, stderr=subprocess.DEVNULL)

    def has_tree(self) -> bool:
        return self.has_mount("sys")

    def has_mount(self, name: str) -> bool:
        """Whether something is mounted at RUNTIME/NAME. (Another user's is closed to root too, so it is not asked.)"""
        path = f"{self.directory.resolve()}/{name}"
        return any(line.split()[4] == path for line in Path("/proc/self/mountinfo").read_text().splitlines())

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def cpu_seconds(self) -> float:
        """User and system time that the process has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # --- command line

    def run(self, *arguments: str, timeout: float = 60.0) -> subprocess.CompletedProcess:
        """umdev, whatever comes of it."""
        command = [str(self.programs / "umdev"), "--runtime-dir", str(self.directory), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, **self.identity
        )

    def program(self, name: str, *words: str | Path) -> Path:
        """`umdev run` with these words, and whatever it is given, as one program in the scratch directory."""
        script = self.directory.parent / name
        command = [self.programs / "umdev", "--runtime-dir", self.directory, "run", "--", *words]
        script.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, command))} "$@"\n')
        script.chmod(0o755)
        return script

    def umdev(self, *arguments: str) -> str:
        """What umdev prints. Raises Failed when it does not succeed."""
        result = self.run(*arguments)
        if result.returncode != 0:
            raise Failed(f"umdev {' '.join(arguments)}: status {result.returncode}: {result.stderr}")
        return result.stdout

    def json(self, *arguments: str):
        return json.loads(self.umdev(*arguments, "--json"))

    # --- sockets

    def control(self) -> Control:
        return Control(connect(self.directory / "control.sock"))

    def socket_of(self, uuid: str) -> Path:
        return self.directory / "vfio-user" / f"{uuid}.sock"


def connect(path: Path) -> socket.socket:
    """Connects to a UNIX socket by a path of any length."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(60.0)
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        connection.connect(f"/proc/self/fd/{directory}/{path.name}")
    except OSError:
        connection.close()
        raise
    finally:
        os.close(directory)
    return connection


class Control:
    """The control socket: calls may be sent without waiting for the answers of those before."""

    def __init__(self, connection: socket.socket):
        self._connection = connection
        self._lines = connection.makefile("r", encoding="utf-8", newline="\n")
        self._last_id = 0
        self._answers: dict[int, dict] = {}

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self._lines.close()
        self._connection.close()

    def send(self, method: str, **parameters: str) -> int:
        """The call's id."""
        self._last_id += 1
        request = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": parameters}
        self._connection.sendall(json.dumps(request).encode() + b"\n")
        return self._last_id

    def answer(self, number: int) -> dict:
        while number not in self._answers:
            line = self._lines.readline()
            if not line:
                raise Failed("the daemon has closed the connection")
            answer = json.loads(line)
            self._answers[answer["id"]] = answer
        return self._answers.pop(number)

    def has_answer(self, number: int, seconds: float) -> bool:
        """Whether it comes within that time."""
        before = self._connection.gettimeout()
        self._connection.settimeout(seconds)
        try:
            self._answers[number] = self.answer(number)
            return True
        except (TimeoutError, OSError):
            # A file object that has run into its timeout once reads no more.
            self._lines = self._connection.makefile("r", encoding="utf-8", newline="\n")
            return False
        finally:
            self._connection.settimeout(before)

    def call(self, method: str, **parameters: str):
        answer = self.answer(self.send(method, **parameters))
        if "error" in answer:
            raise Failed(f"{method}: {answer['error']}")
        return answer["result"]


def open_device(path: Path) -> socket.socket:
    """A vfio-user client that has the device, and does nothing with it."""
    connection = connect(path)
    payload = struct.pack("<HH", 0, 0) + b'{"capabilities":{}}\0'
    connection.sendall(struct.pack("<HHIII", 1, 1, 16 + len(payload), 0, 0) + payload)
    number, command, size, flags, code = struct.unpack("<HHIII", connection.recv(16, socket.MSG_WAITALL))
    assert (number, command) == (1, 1), "not the answer to VERSION"
    if flags & 0x20:
        connection.close()
        raise OSError(code, os.strerror(code))
    connection.recv(size - 16, socket.MSG_WAITALL)
    return connection


def wait_until(condition, seconds: float = 30.0) -> bool:
    """Whether it became true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True

#!/usr/bin/env python3
"""The main job, step by step: a mediated serial card is made, a Linux guest uses it, and it is removed.

With --no-guest the guest's part is played by our own client, and nothing is downloaded.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

repository = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(repository / "tests" / "e2e"), str(repository / "tests" / "guest")]
import guest  # noqa: E402
import harness  # noqa: E402

# So that the demo ends soon on a slow machine too; the end-to-end test sends 64 KiB through each port.
guest_bytes = 8192
guest_timeout = 180.0
begin = time.monotonic()


def heading(text: str) -> None:
    print(f"\n[{time.monotonic() - begin:5.1f} s] {text}", flush=True)


def show(text: str) -> None:
    print("".join(f"    {line}\n" for line in text.splitlines()), end="", flush=True)


class Demo:
    def __init__(self, daemon: harness.Daemon):
        self.daemon = daemon
        self.uuid = ""

    def umdev(self, *arguments: str) -> str:
        """Runs a command as a user would, and shows it with its output."""
        print(f"  $ umdev {' '.join(arguments)}", flush=True)
        output = self.daemon.umdev(*arguments)
        show(output)
        return output

    def make_a_card(self) -> None:
        heading("What can be made")
        self.umdev("parents")
        self.umdev("types")
        heading("A serial card with two ports")
        self.uuid = self.umdev("create", "mtty", "mtty-2").strip()
        self.umdev("list")
        self.umdev("show", self.uuid)

    def use_it_by_our_client(self) -> None:
        heading("Our own client takes it over vfio-user: registers, bytes, interrupts")
        self.umdev("probe", self.uuid)

    def use_it_in_a_guest(self, kit: guest.Kit) -> None:
        heading("A Linux guest in an unmodified QEMU takes it over vfio-user")
        arguments = self.umdev("qemu-args", self.uuid).strip()
        print(f"  $ qemu-system-x86_64 -machine q35 -kernel {kit.kernel.name} ... {arguments}", flush=True)
        result = guest.check_serial(
            kit, arguments, ports="2", count=guest_bytes, patience=30.0, timeout=guest_timeout, on_step=self.tell
        )
        if not result.ok:
            raise harness.Failed(result.report())
        show(f"powered off after {result.seconds:.1f} s, and QEMU had nothing to complain of")

    def tell(self, step: guest.Step) -> None:
        """What the guest has seen, in words."""
        meanings = {
            "kernel": "the guest's kernel:",
            "cards": "PCI cards found:",
            "pci": "lspci:",
            "driver": "the guest's own driver has it:",
            "port": "a serial port:",
            "loop": "bytes out and back:",
            "interrupts": "interrupts taken:",
        }
        show(f"{step.seconds:5.1f} s  {meanings.get(step.name, step.name)} {step.value}")

    def what_the_daemon_saw(self) -> None:
        heading("What the daemon has seen of it")
        # The guest is gone a moment before its session is.
        harness.wait_until(lambda: not self.daemon.json("status")["sessions"])
        status = self.daemon.json("status")
        messages = ", ".join(f"{number} {name}" for name, number in status["messages"].items())
        show(f"messages: {messages}")
        show(f"sessions left: {len(status['sessions'])}, mappings: {status['memory']['mappings']}")

    def take_it_away(self) -> None:
        heading("Removed")
        self.umdev("remove", self.uuid)
        self.umdev("list")
        status = self.daemon.stop()
        show(f"the daemon has ended with status {status}")
        if status != 0:
            raise harness.Failed(self.daemon.said())


def run(build: Path, kit: guest.Kit | None) -> None:
    with harness.Daemon(build) as daemon:
        heading("The daemon, in a directory of its own")
        print(f"  $ {' '.join(daemon.command())} &", flush=True)
        show(daemon.ready_line)
        demo = Demo(daemon)
        demo.make_a_card()
        demo.use_it_in_a_guest(kit) if kit else demo.use_it_by_our_client()
        demo.what_the_daemon_saw()
        demo.take_it_away()
    heading("Done")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    build = Path(os.environ.get("UMDEV_BUILD_DIR", repository / "build" / "dev"))
    build_help = "where bin/umdevd lies below; default: %(default)s"
    parser.add_argument("--build-dir", type=Path, default=build, help=build_help)
    parser.add_argument("--no-guest", action="store_true", help="use our own client instead of a guest")
    arguments = parser.parse_args()
    try:
        if arguments.no_guest:
            run(arguments.build_dir, None)
            return 0
        print("QEMU and a Debian kernel (fetched once, about 80 MB, into the cache folder)", flush=True)
        kit = guest.fetch_kit()
        global begin
        begin = time.monotonic()
        # The device's server and the guest on one processor: see there.
        with guest.one_cpu():
            run(arguments.build_dir, kit)
    except guest.Unavailable as reason:
        print(f"demo: no guest can be booted here: {reason}\ndemo: try ./dev demo --no-guest", file=sys.stderr)
        return 1
    except harness.Failed as reason:
        print(f"demo: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Real guests in QEMU with several devices: of one parent and of two, unplugged and plugged again, behind a virtual
IOMMU, and in memory that has no shared file."""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "guest"))
import debian  # noqa: E402
import guest  # noqa: E402
import harness  # noqa: E402
import qmp  # noqa: E402
from harness import Daemon  # noqa: E402

kit: guest.Kit
count = 2048  # bytes through each port
patience = 30.0


class GuestDevices(unittest.TestCase):
    def setUp(self) -> None:
        self.enterContext(guest.one_cpu())
        self.daemon = self.enterContext(Daemon(harness.build_dir()))
        self.seen: dict[str, dict] = {}  # the daemon's status at steps of the guest

    def create(self, parent: str, kind: str) -> str:
        return self.daemon.umdev("create", parent, kind).strip()

    def properties(self, uuid: str, **more: str) -> dict:
        """What `umdev qemu-args` says, as QMP's device_add takes it."""
        option, value = shlex.split(self.daemon.umdev("qemu-args", uuid))
        self.assertEqual(option, "-device")
        return json.loads(value) | more

    def boot(self, devices: list[dict], ports: str, on_step=None, **options) -> guest.Result:
        """Boots a guest that looks at all of them; `options` are the machine, more arguments of QEMU, environment."""

        def show(step: guest.Step) -> None:
            print(step, flush=True)
            self.seen[f"{step.name} {step.value}".strip()] = self.daemon.json("status")
            if on_step is not None:
                on_step(step)

        arguments = [word for device in devices for word in ("-device", json.dumps(device))]
        environment = {
            "PORTS": ports,
            "BYTES": str(count),
            "PATIENCE": str(int(patience * 1000)),
        } | options.pop("environment", {})
        here = Path(guest.__file__).parent
        files = {
            "serial_check": (here / "serial_check.sh").read_bytes(),
            "serial_loop": guest.compile_static(here / "serial_loop.c", kit.cache),
        }
        return guest.boot(
            kit,
            here / "devices_check.sh",
            qemu_args=options.pop("arguments", []) + arguments,
            files=files,
            environment=environment,
            timeout=300.0,
            on_step=show,
            **options,
        )

    def check(self, result: guest.Result, cards: int, loops: int) -> None:
        self.assertTrue(result.ok, result.report())
        self.assertEqual(result.values("cards")[0], f"{cards} with ids 4348:3253")
        self.assertEqual(len(result.values("loop")), loops)
        for loop in result.values("loop"):
            self.assertIn(str(count), loop.split())

    def check_errors(self, devices: int) -> None:
        """Only that QEMU asks for the error interrupt, which nothing but PCI Express has."""
        self.assertEqual(self.daemon.json("status")["errors"], {"EINVAL": devices})

    def check_all_given_back(self) -> None:
        self.assertTrue(self.daemon.is_running(), self.daemon.said())
        self.assertTrue(harness.wait_until(lambda: self.daemon.json("status")["sessions"] == []))
        status = self.daemon.json("status")
        self.assertEqual((status["memory"]["mappings"], status["memory"]["pins"]), (0, 0))
        self.assertEqual(status["memory"]["file_mappings"], 0)
        self.assertEqual((status["vfio"]["containers"], status["vfio"]["open_files"]), (0, 0))

    def probe(self, uuid: str) -> None:
        """It is free, and works."""
        self.assertIn("256 bytes out and back", self.daemon.umdev("probe", uuid))

    def test_two_cards_and_a_device_of_another_parent_one_of_them_unplugged_and_plugged_again(self) -> None:
        first, second = self.create("mtty", "mtty-2"), self.create("mtty", "mtty-1")
        other = self.create("null", "null-1")
        scratch = self.enterContext(tempfile.TemporaryDirectory(prefix="umdev-guest-"))
        path = Path(scratch) / "monitor"

        def move(step: guest.Step) -> None:
            if step.name == "take":
                self.assertEqual(len(self.seen["take one"]["sessions"]), 3)
                with qmp.Monitor(path) as monitor:
                    monitor.command("device_del", id="second")
                    monitor.event("DEVICE_DELETED", device="second")
                self.assertTrue(harness.wait_until(lambda: len(self.daemon.json("status")["sessions"]) == 2))
                self.probe(second)
            if step.name == "bring":
                with qmp.Monitor(path) as monitor:
                    monitor.command("device_add", **self.properties(second, id="second", addr="0x8"))
                self.assertEqual(len(self.daemon.json("status")["sessions"]), 3)

        devices = [
            self.properties(first, addr="0x5"),
            self.properties(other, addr="0x6"),
            self.properties(second, id="second", addr="0x8"),
        ]
        result = self.boot(
            devices,
            "2 1",
            move,
            machine=guest.Machine("pc"),
            arguments=qmp.Monitor.arguments(path),
            environment={"NULLS": "1", "HOTPLUG": "2"},
        )
        self.check(result, cards=2, loops=3 + 2 + 3)
        self.assertEqual(len(result.values("null")), 1)
        self.assertIn("class 0xff0000 size 4096", result.values("null")[0])
        self.assertEqual((len(result.values("gone")), len(result.values("back"))), (1, 1))
        self.check_errors(4)
        self.check_all_given_back()
        self.probe(first)
        self.probe(second)

    def test_memory_without_a_shared_file(self) -> None:
        """Each DMA_MAP comes without a descriptor. (None of these devices does DMA: the maps must be taken.)"""
        card, other = self.create("mtty", "mtty-2"), self.create("null", "null-1")
        result = self.boot(
            [self.properties(card), self.properties(other)],
            "2",
            machine=guest.Machine(shared=False),
            environment={"NULLS": "1"},
        )
        self.check(result, cards=1, loops=2)
        memory = self.seen[f"loop {result.values('loop')[-1]}"]["memory"]
        self.assertGreater(memory["mappings"], 2)
        self.assertEqual(memory["file_mappings"], 0)
        self.check_errors(2)
        self.check_all_given_back()

    def test_behind_a_virtual_iommu(self) -> None:
        """The guest's kernel gives each device a domain of its own, so what is mapped comes and goes."""
        card, other = self.create("mtty", "mtty-2"), self.create("null", "null-1")
        result = self.boot(
            [self.properties(card), self.properties(other)],
            "2",
            machine=guest.Machine(kernel_arguments="intel_iommu=on iommu.strict=1"),
            arguments=["-device", "intel-iommu,intremap=on,caching-mode=on"],
            environment={"NULLS": "1", "IOMMU": "1"},
        )
        self.check(result, cards=1, loops=2)
        self.assertEqual(len(result.values("iommu")), 2, result.report())
        messages = self.daemon.json("status")["messages"]
        self.assertGreater(messages["DMA_MAP"], 2)
        self.assertGreater(messages["DMA_UNMAP"], 2)
        self.check_errors(2)
        self.check_all_given_back()


def main() -> None:
    global kit
    kit = guest.fetch_kit()
    unittest.main(verbosity=2)


if __name__ == "__main__":
    debian.run_command(main)

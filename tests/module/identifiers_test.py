#!/usr/bin/env python3
"""The headers declare what identifiers.txt names, in the kernels that have it and in no others."""

from __future__ import annotations

import re
import subprocess
import sys
import unittest
from dataclasses import dataclass
from pathlib import Path

root = Path(__file__).resolve().parents[2]
headers = root / "include" / "umdev" / "kernel"
everything = '#include "tests/unit/kernel/modules/all_headers.h"\n'

VINTAGES = ("4.10 4.13 5.7 5.8 5.10 5.12 5.13-rc 5.13 5.15 5.16 5.18 5.19 6.0 6.1 6.2 6.6 6.12 7.0").split()
FOREVER = "999.0"


def api_of(version: str) -> int:
    """As UMDEV_KERNEL_API; the form between two releases comes before the second."""
    major, minor = (int(part) for part in version.removesuffix("-rc").split("."))
    code = (major << 16) + (minor << 8)
    return code - 1 if version.endswith("-rc") else code


@dataclass(frozen=True)
class Row:
    kind: str
    name: str
    since: str = "4.10"
    until: str = FOREVER

    def is_in(self, vintage: str) -> bool:
        return api_of(self.since) <= api_of(vintage) < api_of(self.until)


def rows() -> list[Row]:
    lines = (Path(__file__).parent / "identifiers.txt").read_text().splitlines()
    return [Row(*line.split()) for line in lines if line and not line.startswith("#")]


def probe(number: int, row: Row) -> str:
    """C that compiles where there is such a thing."""
    name = row.name
    if row.kind == "macro":
        return f"#ifndef {name}\n#error {name} is missing\n#endif\n"
    if row.kind == "function":
        return f"#ifndef {name}\nstatic const void* const probe_{number} = (const void*)&{name};\n#endif\n"
    if row.kind in ("struct", "enum"):
        return f"static char probe_{number}[sizeof({row.kind} {name})];\n"
    if row.kind == "member":
        structure, member = name.split(".")
        return f"static char probe_{number}[sizeof(((struct {structure}*)0)->{member})];\n"
    if row.kind == "type":
        return f"static char probe_{number}[sizeof({name})];\n"
    if row.kind == "constant":
        return f"static long probe_{number} = (long)({name});\n"
    raise AssertionError(f"{row.kind} is no kind")


def absence(row: Row) -> str:
    """C that compiles where there is none. Of members, constants and types that is not asked."""
    name = row.name
    undefined = f"#ifdef {name}\n#error {name} is there\n#endif\n"
    if row.kind == "macro":
        return undefined
    if row.kind == "function":
        return undefined + f"struct umdev_nobody* {name}(struct umdev_nobody* (*)[7]);\n"
    if row.kind == "struct":
        return f"struct {name} {{ int umdev_nothing; }};\n"
    if row.kind == "enum":
        return f"enum {name} {{ umdev_nothing_{name} }};\n"
    return ""


def compile_errors(vintage: str, source: str) -> str:
    command = ["gcc", "-std=gnu11", "-w", "-fsyntax-only", f"-I{headers}", f"-I{root}", "-x", "c", "-",
               '-DKBUILD_MODNAME="identifiers"', f"-DUMDEV_KERNEL_API={api_of(vintage):#x}"]
    done = subprocess.run(command, input=everything + source, capture_output=True, text=True, timeout=60)
    return "" if done.returncode == 0 else "\n".join(done.stderr.splitlines()[:20])


class Identifiers(unittest.TestCase):
    def test_each_is_declared_in_the_kernels_that_have_it(self) -> None:
        for vintage in VINTAGES:
            probes = (probe(number, row) for number, row in enumerate(rows())
                      if row.kind != "out" and row.is_in(vintage))
            with self.subTest(vintage=vintage):
                self.assertEqual(compile_errors(vintage, "".join(probes)), "")

    def test_none_is_declared_in_another(self) -> None:
        for vintage in VINTAGES:
            there = {row.name for row in rows() if row.kind != "out" and row.is_in(vintage)}
            absences = (absence(row) for row in rows() if row.kind != "out" and row.name not in there)
            with self.subTest(vintage=vintage):
                self.assertEqual(compile_errors(vintage, "".join(dict.fromkeys(absences))), "")

    def test_what_is_missing_is_noticed(self) -> None:
        self.assertIn("is missing", compile_errors("7.0", probe(0, Row("macro", "UMDEV_NO_SUCH"))))
        for kind in ("function", "struct", "constant", "type", "enum"):
            with self.subTest(kind=kind):
                self.assertNotEqual(compile_errors("7.0", probe(0, Row(kind, "umdev_no_such"))), "")
        for there in (Row("function", "kfree"), Row("struct", "vfio_device"), Row("macro", "PAGE_SIZE"),
                      Row("enum", "vfio_group_type")):
            with self.subTest(there=there.name):
                self.assertNotEqual(compile_errors("7.0", absence(there)), "")

    def test_what_stays_out_has_its_reason(self) -> None:
        told = (root / "docs" / "kernel-drivers.md").read_text()
        for row in rows():
            if row.kind == "out":
                with self.subTest(name=row.name):
                    self.assertTrue(re.search(rf"\b{re.escape(row.name)}\b", told), "no reason is given")
                    self.assertNotEqual(compile_errors("7.0", probe(0, Row("function", row.name))), "",
                                        "it is there after all")


if __name__ == "__main__":
    sys.exit(not unittest.main(exit=False).result.wasSuccessful())

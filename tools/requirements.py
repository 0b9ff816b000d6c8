#!/usr/bin/env python3
"""Keeps docs/requirements.md true: every requirement row has a test that names it.

A test names its rows at the front of its name: TEST(GroupOpen, C23_second_open_is_ebusy), several as C27_C28_...;
in Python test_C27_..., in CMake add_test(NAME e2e_D44_...). The document is one or more tables whose first column
is the row and whose last column is "tests":

  | row | what | tests |
  |---|---|---|
  | C23 | one open of a group at a time | `GroupOpen.C23_second_open_is_ebusy` |
  | C40 | compat ioctls | left: the wire has fixed widths |

  tools/requirements.py           check: each row is there, with exactly the tests that name it
  tools/requirements.py --write   fill the "tests" column; a text that begins with "left:" stays
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from house.repository import CPP, Finding, Repository, Skip

DOCUMENT = "docs/requirements.md"


def span(letter: str, first: int, last: int) -> list[str]:
    return [f"{letter}{number}" for number in range(first, last + 1)]


REQUIRED = [
    *span("A", 4, 16), "B1", "B2", *span("B", 4, 14), *span("C", 1, 38), *span("D", 1, 3), *span("D", 7, 46),
]
# Rows that belong wholly or partly to other work; each still says so in the document.
MAY_BE_LEFT = {
    *span("A", 1, 3), "A17", "B3", "B15", "C34", "C40", "C42", "C43", *span("D", 4, 6), "D47", "D48",
}

CPP_TEST = re.compile(
    r"^\s*(?:TYPED_TEST(?:_P)?|TEST(?:_[FP])?|RC_GTEST_(?:TYPED_)?(?:FIXTURE_)?PROP)\s*\(\s*(\w+)\s*,\s*(\w+)",
    re.MULTILINE,
)
PYTHON_TEST = re.compile(r"^\s*(?:async\s+)?def\s+(test_\w+)\s*\(", re.MULTILINE)
CMAKE_TEST = re.compile(r"\badd_test\s*\(\s*NAME\s+(\w+)")
ROW = re.compile(r"[A-D][1-9]\d?")


def rows_in_front(name: str) -> list[str]:
    rows = []
    for part in name.split("_"):
        if not ROW.fullmatch(part):
            break
        rows.append(part)
    return rows


def tests_by_row(repository: Repository) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}

    def add(rows: list[str], name: str) -> None:
        for row in rows:
            found.setdefault(row, set()).add(name)

    for path in repository.having(*CPP, under=("tests/",)):
        for suite, name in CPP_TEST.findall(repository.code(path)):
            if not (suite + name).count("DISABLED_"):
                add(rows_in_front(name), f"{suite}.{name}")
    for path in repository.having(".py", under=("tests/",)):
        for name in PYTHON_TEST.findall(repository.text(path)):
            add(rows_in_front(name.removeprefix("test_")), f"{Path(path).stem}.{name}")
    for path in repository.having("CMakeLists.txt", under=("tests/",)):
        for name in CMAKE_TEST.findall(repository.text(path)):
            add([part for part in name.split("_") if ROW.fullmatch(part)], f"ctest.{name}")
    return {row: sorted(names) for row, names in found.items()}


def table_rows(text: str):
    """Each row of a requirements table: (line number, cells)."""
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        if len(cells) < 2:
            inside = False
        elif cells[0].lower() == "row" and cells[-1].lower() == "tests":
            inside = True
        elif inside and ROW.fullmatch(cells[0]):
            yield number, cells


def left_text(cell: str) -> str:
    match = re.search(r"\bleft: \S.*", cell)
    return match.group(0) if match else ""


def check_row(row: str, cell: str, number: int, tests: list[str]) -> list[Finding]:
    findings = []
    named = re.findall(r"`(\w+\.\w+)`", cell)
    for name in sorted(set(named) - set(tests)):
        findings.append(Finding(DOCUMENT, number, f"{row}: no test is called {name}"))
    for name in sorted(set(tests) - set(named)):
        message = f"{row}: {name} is not in the table: run tools/requirements.py --write"
        findings.append(Finding(DOCUMENT, number, message))
    if not tests and not left_text(cell):
        findings.append(Finding(DOCUMENT, number, f"{row}: no test names it"))
    if not tests and left_text(cell) and row in REQUIRED and row not in MAY_BE_LEFT:
        findings.append(Finding(DOCUMENT, number, f"{row} may not be left: it needs a test"))
    return findings


def check(repository: Repository) -> list[Finding]:
    if not repository.exists(DOCUMENT):
        raise Skip(f"there is no {DOCUMENT} yet")
    tests = tests_by_row(repository)
    findings, seen = [], set()
    for number, cells in table_rows(repository.text(DOCUMENT)):
        row = cells[0]
        if row in seen:
            findings.append(Finding(DOCUMENT, number, f"{row} is there twice"))
        seen.add(row)
        findings += check_row(row, cells[-1], number, tests.get(row, []))
    expected = set(REQUIRED) | MAY_BE_LEFT | set(tests)
    missing = sorted(expected - seen, key=lambda row: (row[0], int(row[1:])))
    return findings + [Finding(DOCUMENT, 1, f"{row} has no row in any table") for row in missing]


def write(repository: Repository) -> None:
    tests = tests_by_row(repository)
    text = repository.text(DOCUMENT)
    lines = text.splitlines()
    for number, cells in table_rows(text):
        names = ", ".join(f"`{name}`" for name in tests.get(cells[0], []))
        cells[-1] = "; ".join(part for part in (names, left_text(cells[-1])) if part)
        lines[number - 1] = "| " + " | ".join(cells) + " |"
    (repository.root / DOCUMENT).write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--write", action="store_true", help='fill the "tests" column')
    arguments = parser.parse_args()
    if not (arguments.root / DOCUMENT).is_file():
        print(f"there is no {DOCUMENT} yet")
        return 77
    if arguments.write:
        write(Repository(arguments.root))
    findings = check(Repository(arguments.root))
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())

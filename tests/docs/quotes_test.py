"""Code in the documents is quoted, not retold: a block that names a file stands in that file, line by line.

    ```cpp drivers/null/null.cc
    ...
    ```
"""

from __future__ import annotations

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
QUOTE = re.compile(r"^```\w+ (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
UNNAMED = re.compile(r"^```(?:cpp|c|cmake)\n", re.MULTILINE)


def stands_in(quote: str, text: str) -> bool:
    """Is `quote` a run of whole lines of `text`?"""
    return f"\n{quote}" in f"\n{text}"


def quotes() -> list[tuple[str, str, str]]:
    documents = [*ROOT.glob("docs/*.md"), *ROOT.glob("drivers/*/README.md")]
    return [
        (document.name, path, code)
        for document in documents
        for path, code in QUOTE.findall(document.read_text())
    ]


class Quotes(unittest.TestCase):
    def test_every_quote_stands_in_its_file(self):
        for document, path, code in quotes():
            with self.subTest(document=document, path=path):
                self.assertTrue((ROOT / path).is_file(), f"{path} does not exist")
                self.assertTrue(stands_in(code, (ROOT / path).read_text()), f"this is not in {path}:\n{code}")

    def test_the_walk_through_quotes_the_driver_the_tests_and_the_table(self):
        paths = {path for document, path, _ in quotes() if document == "writing-a-driver.md"}
        for path in ("drivers/null/null.cc", "drivers/null/parent.cc", "tests/unit/null/null_test.cc",
                     "tests/conformance/devices.cc", "apps/umdevd/drivers.cc"):
            self.assertIn(path, paths)

    def test_the_walk_through_has_no_code_of_its_own(self):
        self.assertIsNone(UNNAMED.search((ROOT / "docs/writing-a-driver.md").read_text()))

    def test_the_walk_through_is_short(self):
        self.assertLess(len((ROOT / "docs/writing-a-driver.md").read_text().splitlines()), 250)

    def test_the_check_itself(self):
        text = "one\n  two\nthree\n"
        self.assertTrue(stands_in("  two\n", text))
        self.assertTrue(stands_in("one\n  two\n", text))
        self.assertFalse(stands_in("two\n", text), "indentation counts")
        self.assertFalse(stands_in("one\nthree\n", text), "a line was left out")
        self.assertFalse(stands_in("  tw\n", text), "half a line")


if __name__ == "__main__":
    unittest.main()

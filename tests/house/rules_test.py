"""Every rule is run by ctest and explained to people."""

import re
import unittest
from pathlib import Path

from fixture import RuleTest
from house_rules import RULES

ROOT = Path(__file__).resolve().parents[2]


class Rules(RuleTest):
    def test_every_rule_is_a_ctest_case(self):
        text = (ROOT / "tests/house/CMakeLists.txt").read_text()
        self.assertEqual(re.search(r"foreach\(rule ([^)]*)\)", text).group(1).split(), list(RULES))

    def test_every_rule_is_explained(self):
        text = (ROOT / "CONTRIBUTING.md").read_text()
        self.assertEqual(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE), list(RULES))


if __name__ == "__main__":
    unittest.main()

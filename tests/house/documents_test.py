"""Words, code map, links and requirements."""

import unittest

from fixture import RuleTest
from house.documents import code_map, links
from house.repository import Skip
from house.words import FOREIGN, digest, words
from requirements import DOCUMENT, MAY_BE_LEFT, REQUIRED, check, tests_by_row, write


class Words(RuleTest):
    def test_paths_of_a_machine_are_caught(self):
        for path in ("/ho" + "me/ann/umdev", "/wo" + "rk/main", "/tm" + "p/umdev"):
            self.caught(words, {"docs/a.md": f"See {path}.\n"}, "path of one machine")
        self.clean(words, {"docs/a.md": "drivers/home/x, $HOME/x, /run/umdev, a/work/b, ~/work\n"})

    def test_foreign_words_are_caught_alone_and_in_pairs(self):
        word, pair = "frob" + "nicator", "frob/" + "nicator"
        FOREIGN.update({digest(word), digest(pair)})
        self.addCleanup(FOREIGN.difference_update, {digest(word), digest(pair)})
        self.caught(words, {"umdev/a.cc": f"// the {word.title()}'s note\n"}, "does not belong")
        self.caught(words, {"README.md": f"\n({pair}/x.md)\n"}, "README.md:2")
        self.clean(words, {"README.md": "frob, nicator; frob-nicator\n"})


class CodeMap(RuleTest):
    FILES = {"umdev/vfio/a.h": "", "drivers/mtty/a.cc": ""}

    def test_it_waits_for_the_document(self):
        with self.assertRaises(Skip):
            code_map(self.repository(self.FILES))

    def test_every_folder_is_named(self):
        text = "# A\n## Code map\n- `umdev/vfio/`\n{}## Next\n`umdev/iommu/`\n"
        self.clean(code_map, self.FILES | {"ARCHITECTURE.md": text.format("- `drivers/mtty/`\n")})
        self.caught(code_map, self.FILES | {"ARCHITECTURE.md": text.format("")}, "does not name drivers/mtty/")

    def test_nothing_else_is_named(self):
        text = "# A\n## Code map\n`umdev/vfio/`, `drivers/mtty/`, `umdev/attic/`\n"
        self.caught(code_map, self.FILES | {"ARCHITECTURE.md": text}, "umdev/attic/, which is not there")

    def test_the_section_is_needed(self):
        self.caught(code_map, self.FILES | {"ARCHITECTURE.md": "# A\n"}, "no section")


class Links(RuleTest):
    def test_links_lead_somewhere(self):
        self.clean(links, {
            "README.md": "# A\n[b](docs/b.md) [c](docs/b.md#the-c-part) [d](#e-f) [g](https://example.org)\n## E f\n",
            "docs/b.md": "# B\n## The `C` part\n[a](../README.md) `[x](nowhere)`\n```\n[y](nowhere)\n```\n",
        })

    def test_dead_links_are_caught(self):
        self.caught(links, {"README.md": "# A\n\n[b](docs/b.md)\n"}, "README.md:3: docs/b.md leads nowhere")
        self.caught(links, {"README.md": "# A\n[b](#b)\n"}, "no such heading")

    def test_a_document_has_one_title(self):
        self.caught(links, {"README.md": "# A\n# B\n"}, "one title")


class Requirements(RuleTest):
    def document(self, cells: dict[str, str]) -> str:
        rows = REQUIRED + sorted(MAY_BE_LEFT - set(REQUIRED))
        return "# R\n\n| row | what | tests |\n|---|---|---|\n" + "".join(
            f"| {row} | a \\| b | {cells.get(row, f'`All.{row}_holds`' if row in REQUIRED else 'left: later')} |\n"
            for row in rows
        )

    def tests(self, *without: str) -> str:
        return "".join(f"TEST(All, {row}_holds) {{}}\n" for row in REQUIRED if row not in without)

    def files(self, tests: str, cells: dict[str, str]) -> dict[str, str]:
        return {"tests/unit/a_test.cc": tests, DOCUMENT: self.document(cells)}

    def test_it_waits_for_the_document(self):
        with self.assertRaises(Skip):
            check(self.repository({}))

    def test_a_table_that_names_all_tests_is_clean(self):
        self.clean(check, self.files(self.tests(), {}))

    def test_each_gap_is_caught(self):
        self.caught(check, self.files(self.tests("C23"), {"C23": ""}), "C23: no test names it")
        self.caught(check, self.files(self.tests("C23"), {"C23": "left: later"}), "C23 may not be left")
        self.caught(check, self.files(self.tests(), {"C23": "`All.C23_gone`"}),
                    "no test is called All.C23_gone", "All.C23_holds is not in the table")
        text = self.document({}).replace("| C23 |", "| C24 |")
        files = {"tests/unit/a_test.cc": self.tests(), DOCUMENT: text}
        self.caught(check, files, "C24 is there twice", "C23 has no row", "no test is called All.C23_holds",
                    "All.C24_holds is not in the table")

    def test_names_are_found_in_every_kind_of_test(self):
        found = tests_by_row(self.repository({
            "tests/unit/a_test.cc": "TEST_F(G, C27_C28_get) {}\n// TEST(G, C30_x)\nTEST(G, DISABLED_C31_x) {}\n"
                                    "RC_GTEST_PROP(P, D46_pins, (int x)) {}\nTEST(G, the_C32_rule) {}\n",
            "tests/e2e/guest_test.py": "def test_D43_two_cards(self):\n",
            "tests/e2e/CMakeLists.txt": "add_test(NAME e2e_D44_two_parents COMMAND x)\n",
            "umdev/vfio/a.cc": "TEST(Not, C1_a_test) {}\n",
        }))
        self.assertEqual(found, {
            "C27": ["G.C27_C28_get"], "C28": ["G.C27_C28_get"], "D46": ["P.D46_pins"],
            "D43": ["guest_test.test_D43_two_cards"], "D44": ["ctest.e2e_D44_two_parents"],
        })

    def test_write_fills_the_column_and_keeps_what_is_left(self):
        cells = {"C23": "", "C34": "left: the notifier comes with another vintage", "C24": "`All.C24_gone`"}
        repository = self.repository(self.files(self.tests() + "TEST(All, C34_set_kvm) {}\n", cells))
        write(repository)
        text = (repository.root / DOCUMENT).read_text()
        self.assertIn("| C23 | a \\| b | `All.C23_holds` |", text)
        self.assertIn("| C24 | a \\| b | `All.C24_holds` |", text)
        self.assertIn("`All.C34_set_kvm`; left: the notifier comes with another vintage |", text)
        repository.text.cache_clear()
        self.assertEqual(check(repository), [])


if __name__ == "__main__":
    unittest.main()

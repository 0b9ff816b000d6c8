"""Sizes: what is counted as a function, and the ratchet of the exceptions."""

import unittest

from fixture import RuleTest
from house.repository import blank_comments_and_literals
from house.size import EXCEPTIONS, cpp_functions, size

LONG = "".join(f"  step({i});\n" for i in range(60))


def names(text: str) -> list[tuple[str, int]]:
    return [(function.name, function.length) for function in cpp_functions(blank_comments_and_literals(text))]


class Functions(unittest.TestCase):
    def test_functions_of_every_form_are_found(self):
        self.assertEqual(names("int f() {\n  return 1;\n}\n"), [("f", 3)])
        self.assertEqual(names("Result<int> A::f(int x) const noexcept {\n}\n"), [("A::f", 2)])
        self.assertEqual(names("auto f() -> std::vector<int> {\n}\n"), [("f", 2)])
        self.assertEqual(names("template <typename T>\n  requires(sizeof(T) > 1)\nvoid f(T t) {\n}\n"), [("f", 4)])
        self.assertEqual(names("TEST(Suite, name) {\n}\n"), [("Suite.name", 2)])
        self.assertEqual(names("class A {\n public:\n  ~A() { end(); }\n};\n"), [("~A", 1)])
        self.assertEqual(names("namespace a {\nbool operator()(int x) {\n}\n}\n"), [("operator()", 2)])

    def test_constructors_with_initialisers_are_found(self):
        self.assertEqual(names("A::A(int x) : x_(x), y_{1}, z_(2) {\n  go();\n}\n"), [("A::A", 3)])
        self.assertEqual(names("A::A(int x)\n    : x_{x} {}\n"), [("A::A", 2)])

    def test_classes_tables_and_blocks_are_no_functions(self):
        self.assertEqual(names('class UMDEV_CAPABILITY("mutex") Mutex {\n};\n'), [])
        self.assertEqual(names("constexpr std::array table{\n  Row{1, 2},\n};\n"), [])
        self.assertEqual(names("enum class E : std::uint8_t { a, b };\nint x{1};\nstruct S { int y = 2; };\n"), [])
        self.assertEqual(names("void f() {\n  if (x) {\n    g([] { h(); });\n  }\n}\n"), [("f", 5)])

    def test_a_page_of_macros_before_a_brace_is_read_in_one_pass(self):
        self.assertEqual(names("MODULE_FACT(name)\n" + "EXPORTED_SYMBOL\n" * 2000 + "1 struct S {\n};\n"), [])

    def test_braces_in_literals_and_macros_do_not_count(self):
        self.assertEqual(names("#define A {\nvoid f() {\n  g('{', \"}\", R\"({)\");\n}\n"), [("f", 3)])


class Size(RuleTest):
    def test_a_long_function_is_caught(self):
        self.caught(size, {"umdev/vfio/a.cc": f"void f() {{\n{LONG}}}\n"}, "f has 62 lines, 60 are allowed")
        self.caught(size, {"tools/a.py": "def f():\n" + "    g()\n" * 60}, "f has 61 lines")
        self.clean(size, {"umdev/vfio/a.cc": f"void f() {{\n{LONG[:-24]}}}\n"})

    def test_a_long_file_is_caught(self):
        self.caught(size, {"umdev/vfio/a.cc": "int x;\n" * 601}, "the file has 601 lines, 600 are allowed")

    def test_a_long_line_is_caught(self):
        self.caught(size, {"umdev/vfio/a.cc": "\n//" + "x" * 109 + "\n"}, "a.cc:2: 111 columns")
        self.clean(size, {"umdev/vfio/a.cc": "//" + "x" * 108 + "\n", "docs/a.md": "x" * 500})

    def test_an_exception_is_a_ratchet(self):
        code = {"umdev/vfio/a.cc": f"void f() {{\n{LONG}}}\n"}
        line = "umdev/vfio/a.cc::f {} one table of states\n"
        self.clean(size, code | {EXCEPTIONS: "# a comment\n" + line.format(62)})
        self.caught(size, code | {EXCEPTIONS: line.format(61)}, "has grown to 62")
        self.caught(size, code | {EXCEPTIONS: line.format(70)}, "lower umdev/vfio/a.cc::f")
        self.caught(size, {EXCEPTIONS: line.format(70)}, "does not exist")
        self.caught(size, {"umdev/vfio/a.cc": "void f() {}\n", EXCEPTIONS: line.format(70)}, "take umdev/vfio/a.cc::f")
        self.caught(size, {EXCEPTIONS: "umdev/vfio/a.cc::f 62\n"}, "limit reason")


if __name__ == "__main__":
    unittest.main()

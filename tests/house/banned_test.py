"""Banned calls, headers and comments: each has a line that is caught and a line that is not."""

import unittest

from fixture import RuleTest
from house.banned import BANS, banned_calls, comments, headers

# Name of the ban, where it holds, a line that breaks it, a line that looks like it and does not.
CASES = [
    ("strcpy", "umdev/os/a.cc", "strcpy(to, from);", "my_strcpy_count = 1;"),
    ("strcpy", "apps/umdev/a.cc", "char* line = gets(buffer);", "targets(buffer);"),
    ("sprintf", "umdev/os/a.cc", "sprintf(text, form, 1);", "snprintf(text, 10, form, 1);"),
    ("rand", "umdev/os/a.cc", "int x = rand();", "int x = operand();"),
    ("system", "apps/umdev/a.cc", "std::system(command);", "const std::error_code code = file_system(x);"),
    ("detach", "umdev/os/a.cc", "std::thread(work).detach();", "container.detach(group);"),
    ("detach", "umdev/os/a.cc", "thread_.detach();", "group.detach();"),
    ("assert", "umdev/vfio/a.cc", "assert(x);", "static_assert(sizeof(int) == 4);"),
    ("assert", "umdev/vfio/a.cc", "#include <cassert>", "#include <cstdint>"),
    ("throw", "umdev/vfio/a.cc", "throw 1;", "int throws = 1;"),
    ("new", "umdev/vfio/a.cc", "auto* x = new Thing;", "auto x = std::unique_ptr<Thing>(new Thing(1));"),
    ("new", "umdev/vfio/a.cc", "keep(new Thing);", "int new_minor = 1;"),
    ("new", "tests/unit/a.cc", "x = new Thing;", "void* operator new(std::size_t size);"),
    ("new", "umdev/vfio/a.cc", "x.reset(new Thing);", "#include <new>"),
    ("delete", "umdev/vfio/a.cc", "delete thing;", "Thing(const Thing&) = delete;"),
    ("delete", "umdev/vfio/a.cc", "delete[] things;", "void operator delete(void* memory);"),
    ("using-namespace", "apps/umdev/a.cc", "using namespace std;", "using namespace std::chrono_literals;"),
    ("shared_ptr", "drivers/mtty/a.cc", "std::shared_ptr<Port> port;", "std::unique_ptr<Port> port;"),
    ("function", "umdev/vfio/a.h", "std::function<void()> call;", "InlineFunction<void()> call;"),
    ("printf", "umdev/vfio/a.cc", 'std::printf("x");', 'std::snprintf(text, 9, "x");'),
    ("printf", "drivers/mtty/a.cc", 'std::cerr << "x";', 'host.log().info("x");'),
    ("clock", "umdev/vfio/a.cc", "auto now = std::chrono::steady_clock::now();", "auto now = clock.now();"),
    ("sleep", "umdev/vfio/a.cc", "std::this_thread::sleep_for(second);", "int asleep = 1;"),
    ("thread", "drivers/mtty/a.cc", "std::thread worker;", "std::thread::id owner;"),
]


class Banned(RuleTest):
    def test_each_ban_catches_its_call_and_nothing_else(self):
        for name, path, bad, good in CASES:
            with self.subTest(name=name, bad=bad):
                self.caught(banned_calls, {path: bad + "\n"}, f"({name})")
                self.clean(banned_calls, {path: good + "\n"})

    def test_every_ban_has_a_case(self):
        self.assertEqual({ban.name for ban in BANS}, {case[0] for case in CASES})

    def test_comments_and_literals_are_not_code(self):
        text = '// throw away\n/* delete it */ auto x = "new"; auto y = R"(throw)"; auto z = 1\'000;\n'
        self.clean(banned_calls, {"umdev/vfio/a.cc": text})

    def test_a_program_may_print(self):
        self.clean(banned_calls, {"apps/umdev/a.cc": 'std::puts("x");\n'})

    def test_an_allowance_names_the_ban_and_the_reason(self):
        call = "std::printf(text);\n"
        self.clean(banned_calls, {"umdev/vfio/a.cc": "// house-rules: allow printf: it ends here\n" + call})
        self.clean(banned_calls, {"umdev/vfio/a.cc": call[:-1] + "  // house-rules: allow printf: so\n"})
        for wrong in ("// house-rules: allow printf\n", "// house-rules: allow throw: it ends\n"):
            self.caught(banned_calls, {"umdev/vfio/a.cc": wrong + call}, "(printf)")


class Headers(RuleTest):
    def test_a_header_begins_with_pragma_once(self):
        self.caught(headers, {"umdev/vfio/a.h": "class A;\n"}, "#pragma once")
        self.clean(headers, {"umdev/vfio/a.h": "// What it is.\n#pragma once\n"})

    def test_heavy_headers_stay_out_of_headers(self):
        for heavy in ("nlohmann/json.hpp", "spdlog/spdlog.h", "fmt/format.h", "functional", "iostream", "regex"):
            text = f"#pragma once\n#include <{heavy}>\n"
            self.caught(headers, {"umdev/vfio/a.h": text}, heavy)
            self.clean(headers, {"umdev/vfio/a.cc": text, "tests/support/a.h": text})


class Comments(RuleTest):
    def test_code_in_comments_is_caught(self):
        self.caught(comments, {"umdev/vfio/a.cc": "// call();\n" * 16}, "git remembers")
        self.clean(comments, {"umdev/vfio/a.cc": "// call();\n" * 8 + "\n" + "// call();\n" * 8})

    def test_a_reminder_says_what(self):
        mark = "TO" + "DO"
        self.caught(comments, {"umdev/vfio/a.cc": f"int x;  // {mark}\n"}, "say what")
        self.caught(comments, {"tools/a.py": f"# {mark} soon\n"}, "say what")
        self.clean(comments, {"umdev/vfio/a.cc": f"// {mark}: split the batches\n// {mark}(name): tell the user\n"})


if __name__ == "__main__":
    unittest.main()

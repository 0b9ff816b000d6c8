"""Calls, words and headers that have no place here, each with what to use instead."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .repository import CPP, Finding, Repository, allowed_here, line_of

SHIPPED = ("umdev/", "drivers/", "apps/")
LIBRARIES = ("umdev/", "drivers/")


@dataclass(frozen=True)
class Ban:
    name: str  # what `// house-rules: allow NAME: why` calls it
    pattern: str
    instead: str
    under: tuple[str, ...] = ("",)
    outside: tuple[str, ...] = ()


BANS = [
    Ban("strcpy", r"\b(?:strcpy|strcat|strncpy|strncat|strtok|gets)\s*\(", "use std::string_view, or snprintf"),
    Ban("sprintf", r"\bv?sprintf\s*\(", "use fmt::format_to_n, or snprintf"),
    Ban("rand", r"(?<![\w.>])(?:srand|rand|drand48)\s*\(", "use a generator with a seed that was handed in"),
    Ban("system", r"(?<![\w.>])(?:system|popen)\s*\(", "start the program itself, without a shell"),
    Ban("detach", r"thread\w*(?:\([^;]*\))?\s*\.\s*detach\s*\(\s*\)", "join it: every thread has an owner"),
    Ban("assert", r"(?<!\w)assert\s*\(|#\s*include\s*<(?:cassert|assert\.h)>",
        "use UMDEV_ASSERT (on in every build), or answer an Error"),
    Ban("throw", r"\bthrow\b", "return a Result: no exceptions of ours"),
    Ban("new", r"(?<!operator )\bnew\b",
        "use std::make_unique; with a private constructor, std::unique_ptr<T>(new T(...)) in one expression",
        outside=("umdev/support/inline_function.h",)),
    Ban("delete", r"(?<!operator )(?<!= )\bdelete\b(?!\s*[;,)]?\s*$)", "let its owner, a unique_ptr, end it"),
    Ban("using-namespace", r"\busing\s+namespace\b(?!\s+(?:std::)?(?:\w+::)*\w*literals\b)", "name what is used"),
    Ban("shared_ptr", r"\bstd::(?:shared_ptr|make_shared)\b",
        "a driver owns its parts: std::unique_ptr", under=("drivers/",)),
    Ban("function", r"\bstd::(?:move_only_)?function\b", "use InlineFunction or Done: they never allocate",
        under=LIBRARIES),
    Ban("printf", r"(?<![\w.])(?:printf|fprintf|vprintf|vfprintf|puts|fputs|putchar|perror)\s*\(|\bfmt::print\b|"
        r"\bstd::(?:cout|cerr|clog)\b", "a library says things through the Log it was lent", under=LIBRARIES),
    Ban("clock", r"\b(?:steady|system|high_resolution)_clock::now\s*\(|\b(?:clock_gettime|gettimeofday)\s*\(",
        "ask the Clock that was lent: a test must be able to move time",
        under=LIBRARIES, outside=("umdev/os/",)),
    Ban("sleep", r"\bsleep_(?:for|until)\s*\(|(?<![\w.])u?sleep\s*\(|\bnanosleep\s*\(",
        "set a timer on the Clock: nothing here waits", under=LIBRARIES, outside=("umdev/os/",)),
    Ban("thread", r"\bstd::(?:jthread|async)\b|\bstd::thread\b(?!::id)|\bpthread_create\b",
        "a driver and a pure room start no threads; a driver may derive from BlockingDevice",
        under=("drivers/", "umdev/support/", "umdev/abi/", "umdev/tree/", "umdev/ioctl/")),
]

OWNED_AT_ONCE = re.compile(r"\b(?:unique|shared)_ptr\s*<[^;{}]*>\s*(?:\w+\s*)?[({]\s*$")
PREPROCESSOR = re.compile(r"^[ \t]*#[ \t]*(?:include|pragma|error)[^\n]*", re.MULTILINE)


def is_owned_at_once(text: str, offset: int) -> bool:
    return OWNED_AT_ONCE.search(text[max(0, offset - 200) : offset]) is not None


def banned_calls(repository: Repository) -> list[Finding]:
    findings = []
    for path in repository.having(*CPP):
        code = repository.code(path)
        bare = PREPROCESSOR.sub(lambda match: " " * len(match.group(0)), code)
        for ban in BANS:
            if not path.startswith(ban.under) or path.startswith(ban.outside or ("\0",)):
                continue
            text = code if "include" in ban.pattern else bare
            for match in re.finditer(ban.pattern, text, re.MULTILINE):
                line = line_of(text, match.start())
                if ban.name == "new" and is_owned_at_once(text, match.start()):
                    continue
                if not allowed_here(repository.text(path), line, ban.name):
                    word = " ".join(match.group(0).split())
                    findings.append(Finding(path, line, f"`{word}` is banned ({ban.name}): {ban.instead}"))
    return findings


HEAVY = re.compile(r"(?:nlohmann|spdlog|CLI|fmt|toml\+\+)/.*|toml\.hpp|functional|iostream|regex")


def headers(repository: Repository) -> list[Finding]:
    """What a header costs whoever includes it."""
    findings = []
    for path in repository.having(".h"):
        text = repository.code(path)
        if not re.search(r"^#pragma once$", text, re.MULTILINE):
            findings.append(Finding(path, 1, "a header begins with #pragma once"))
        if not path.startswith(SHIPPED):
            continue
        for match in re.finditer(r'^\s*#\s*include\s*[<"]([^>"\n]+)[>"]', text, re.MULTILINE):
            line = line_of(text, match.start(1))
            if HEAVY.fullmatch(match.group(1)) and not allowed_here(repository.text(path), line, "include"):
                message = f"<{match.group(1)}> in a header is paid for by every file: include it in the .cc"
                findings.append(Finding(path, line, message))
    return findings


COMMENTED_OUT_LINES = 16
REMINDER = re.compile(r"\b(?:TODO|FIXME|XXX)\b(?!(?:\([^)]*\))?: \w+ \w+)")
COMMENTED_CODE = re.compile(r"^\s*//.*[;{}]\s*$")


def comments(repository: Repository) -> list[Finding]:
    """No code kept in comments, no reminder without a text."""
    findings = []
    for path in repository.having(*CPP, ".py", ".sh", ".cmake", "CMakeLists.txt"):
        run = 0
        for number, line in enumerate(repository.text(path).splitlines(), 1):
            run = run + 1 if COMMENTED_CODE.match(line) else 0
            if run == COMMENTED_OUT_LINES:
                findings.append(Finding(path, number, "code in comments: git remembers it, delete it"))
            if any(REMINDER.search(comment) for comment in re.split("//|#", line)[1:]):
                findings.append(Finding(path, number, "say what is to be done, in two words at least"))
    return findings

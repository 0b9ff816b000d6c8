"""How long a line, a function and a file may be. What is longer stands in tools/house_exceptions.txt."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from .repository import CPP, Finding, Repository, line_of

CPP_COLUMNS = 110
SCRIPT_COLUMNS = 120
FUNCTION_LINES = 60
FILE_LINES = 600
EXCEPTIONS = "tools/house_exceptions.txt"


@dataclass(frozen=True)
class Function:
    name: str
    line: int
    length: int


# What may stand between a parameter list and the body. Each piece can be read in one way only: a header that
# does not fit (a page of macros before a brace) is refused in one pass.
TAIL = re.compile(
    r"(?:\s|const\b|noexcept\b(?:\s*\((?:[^()]|\([^()]*\))*\))?|override\b|final\b|mutable\b|try\b|&|"
    r"[A-Z][A-Z_]+\b(?:\([^()]*\))?|(?:->|requires\b)[^;]*)*"
)
NOT_A_PARAMETER_LIST = re.compile(r"\b(?:requires|decltype|noexcept|alignas|explicit|__attribute__|[A-Z_]+CAPABILITY)$")
SCOPE = re.compile(r"(?:inline\s+)?(?:namespace|class|struct|union|enum)\b|extern\s*\"\s*\"\s*$")


def without_preprocessor(code: str) -> str:
    directive = re.compile(r"^[ \t]*#(?:[^\n\\]|\\\n|\\.)*", re.MULTILINE)
    return directive.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), code)


def without_template_head(header: str) -> str:
    """`template <typename T> void f()` without what comes before `void`."""
    header = re.sub(r"\[\[[^\]]*\]\]", "", header).lstrip()
    while header.startswith("template"):
        depth = 0
        for at, char in enumerate(header):
            depth += (char == "<") - (char == ">")
            if char == ">" and depth == 0:
                header = header[at + 1 :].lstrip()
                break
        else:
            return ""
    return header


def groups(header: str):
    """The top-level parenthesised groups: (what stands before, what stands after) each."""
    depth = start = 0
    for at, char in enumerate(header):
        if char == "(":
            if depth == 0:
                start = at
            depth += 1
        elif char == ")":
            depth -= 1
            if depth == 0:
                yield header[:start].rstrip(), header[at + 1 :]


def classify(header: str) -> str:
    """What a `{` opens, judged by the text before it: "scope", "function", or "other" (an initialiser)."""
    header = without_template_head(header)
    is_scope = SCOPE.match(header) is not None
    for before, after in groups(header):
        if not before or NOT_A_PARAMETER_LIST.search(before) or re.match(r"\s*\(", after):
            continue
        if TAIL.fullmatch(after):
            return "function"
        initialisers = re.match(r"\s*(?:noexcept\s*)?:(?!:)", after)
        if initialisers and not is_scope:
            return "function" if re.search(r"[)}]\s*$", after) else "other"
    return "scope" if is_scope else "other"


def name_of(header: str) -> str:
    header = without_template_head(header)
    for before, after in groups(header):
        if not before or NOT_A_PARAMETER_LIST.search(before) or re.match(r"\s*\(", after):
            continue
        name = re.search(r"(?:operator\s*\S+|~?[\w:~]+)$", before)
        name = name.group(0) if name else before[-30:]
        if re.fullmatch(r"[A-Z][A-Z_]{2,}", name):  # TEST(Suite, name)
            inside = header[len(before) : len(header) - len(after)].strip().strip("()")
            return ".".join(part.strip() for part in inside.split(",")[:2])
        return name
    return header[:40]


def cpp_functions(code: str) -> list[Function]:
    """The functions of a file, by their braces. Lambdas and local classes count to the function around them."""
    code = without_preprocessor(code)
    functions: list[Function] = []
    stack: list[tuple[str, int, int]] = []  # what each open brace is, where its header began, where it is
    start = 0  # where the present declaration began
    for match in re.finditer(r"[{};]|\b(?:public|private|protected)\s*:", code):
        char, at = match.group(0), match.start()
        inside = any(kind != "scope" for kind, _, _ in stack)
        if char == "{":
            kind = "other" if inside else classify(code[start:at])
            stack.append((kind, start, at))
            if kind == "scope":
                start = at + 1
        elif char == "}":
            kind, began, opened = stack.pop() if stack else ("scope", start, at)
            if kind == "function":
                header = code[began:opened].lstrip()
                line = line_of(code, opened - len(header))
                functions.append(Function(name_of(header), line, line_of(code, at) - line + 1))
            if kind != "other":
                start = at + 1
        elif not inside:
            start = match.end()
    return functions


def python_functions(text: str) -> list[Function]:
    return [
        Function(node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]


def read_exceptions(repository: Repository) -> tuple[dict[str, int], list[Finding]]:
    """`path limit reason` for a file, `path::function limit reason` for a function."""
    limits: dict[str, int] = {}
    findings = []
    text = repository.text(EXCEPTIONS) if repository.exists(EXCEPTIONS) else ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split(maxsplit=2)
        if len(fields) < 3 or not fields[1].isdigit():
            findings.append(Finding(EXCEPTIONS, number, "say `path[::function] limit reason`"))
            continue
        limits[fields[0]] = int(fields[1])
    return limits, findings


def judge(path: str, line: int, key: str, what: str, length: int, limit: int, exceptions: dict[str, int]):
    """A ratchet: an exception is exactly as large as it has to be, and goes when it is not needed."""
    allowed = exceptions.pop(key, None)
    if length <= limit:
        if allowed is not None:
            yield Finding(path, line, f"{what} has {length} lines now: take {key} out of {EXCEPTIONS}")
    elif allowed is None:
        yield Finding(path, line, f"{what} has {length} lines, {limit} are allowed: split it")
    elif length > allowed:
        yield Finding(path, line, f"{what} has grown to {length} lines, {EXCEPTIONS} allows {allowed}: split it")
    elif length < allowed:
        yield Finding(path, line, f"{what} has {length} lines now: lower {key} in {EXCEPTIONS}")


def size(repository: Repository) -> list[Finding]:
    exceptions, findings = read_exceptions(repository)
    for path in repository.having(*CPP, ".py", ".sh", ".cmake", "CMakeLists.txt", "/dev", ".ci/run"):
        text = repository.text(path)
        lines = text.splitlines()
        columns = CPP_COLUMNS if path.endswith(CPP) else SCRIPT_COLUMNS
        findings += [
            Finding(path, number, f"{len(line)} columns, {columns} are allowed")
            for number, line in enumerate(lines, 1)
            if len(line) > columns
        ]
        findings += judge(path, 1, path, "the file", len(lines), FILE_LINES, exceptions)
        functions = python_functions(text) if path.endswith(".py") else []
        if path.endswith(CPP):
            functions = cpp_functions(repository.code(path))
        for function in functions:
            key = f"{path}::{function.name}"
            findings += judge(path, function.line, key, function.name, function.length, FUNCTION_LINES, exceptions)
    return findings + [Finding(EXCEPTIONS, 1, f"{key} does not exist: take it out") for key in exceptions]

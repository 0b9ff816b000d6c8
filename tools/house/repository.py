"""The files of the repository, as the rules see them."""

from __future__ import annotations

import functools
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

CPP = (".h", ".cc", ".c")
SKIPPED_FOLDERS = {".git", ".cache", "build", "__pycache__"}


@dataclass(frozen=True)
class Finding:
    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


class Skip(Exception):
    """A rule that has nothing to look at yet; the text says what is missing."""


class Repository:
    def __init__(self, root: Path):
        self.root = root.resolve()

    @functools.cached_property
    def files(self) -> list[str]:
        """Paths from the root of what git tracks or would track; every file where there is no git."""
        command = ["git", "-C", str(self.root), "ls-files", "-co", "--exclude-standard", "-z"]
        if (self.root / ".git").exists():
            try:
                listing = subprocess.run(command, capture_output=True, check=True, text=True).stdout
                return sorted(path for path in listing.split("\0") if path and (self.root / path).is_file())
            except (OSError, subprocess.CalledProcessError):
                pass
        found = []
        for folder, names, files in os.walk(self.root):
            names[:] = [name for name in names if name not in SKIPPED_FOLDERS]
            found += [(Path(folder) / name).relative_to(self.root).as_posix() for name in files]
        return sorted(found)

    def having(self, *suffixes: str, under: tuple[str, ...] = ("",)) -> list[str]:
        return [path for path in self.files if path.endswith(suffixes) and path.startswith(under)]

    def exists(self, path: str) -> bool:
        return (self.root / path).is_file()

    @functools.lru_cache(maxsize=None)
    def text(self, path: str) -> str:
        """The text of a file, or nothing when it is not text."""
        data = (self.root / path).read_bytes()
        if b"\0" in data[:8192]:
            return ""
        return data.decode("utf-8", errors="replace")

    @functools.lru_cache(maxsize=None)
    def code(self, path: str) -> str:
        """C++ with its comments and the insides of its literals blanked; every line keeps its number."""
        return blank_comments_and_literals(self.text(path))


TOKEN = re.compile(
    r"""(?P<comment>//(?:[^\n\\]|\\.|\\\n)*|/\*.*?\*/)
      | (?P<raw>R"(?P<delimiter>[^()\s\\]{0,16})\(.*?\)(?P=delimiter)")
      | (?P<string>"(?:[^"\\\n]|\\.|\\\n)*")
      | (?P<number>\b\d[\w.']*)
      | (?P<character>'(?:[^'\\\n]|\\.)+')""",
    re.VERBOSE | re.DOTALL,
)


def blank_comments_and_literals(text: str) -> str:
    def blank(match: re.Match[str]) -> str:
        found = match.group(0)
        if match.lastgroup == "number":
            return found
        if match.group("string") is not None and is_include(text, match.start()):
            return found
        blanked = re.sub(r"[^\n]", " ", found)
        return blanked if match.group("comment") else '"' + blanked[1:-1] + '"'

    return TOKEN.sub(blank, text)


def is_include(text: str, at: int) -> bool:
    return re.match(r"\s*#\s*include\s*$", text[text.rfind("\n", 0, at) + 1 : at]) is not None


def line_of(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def allowed_here(text: str, line: int, name: str) -> bool:
    """Whether `// house-rules: allow NAME: why` stands on this line or in the comment right above it."""
    lines = text.splitlines()
    allowance = re.compile(rf"house-rules: allow {re.escape(name)}: \S")
    if allowance.search(lines[line - 1]):
        return True
    for above in reversed(lines[: line - 1]):
        if not re.match(r"\s*(//|#)", above):
            return False
        if allowance.search(above):
            return True
    return False

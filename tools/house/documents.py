"""What the documents promise: a complete code map, links that lead somewhere."""

from __future__ import annotations

import posixpath
import re

from .layering import room_of
from .repository import CPP, Finding, Repository, Skip, line_of

ARCHITECTURE = "ARCHITECTURE.md"


def code_map(repository: Repository) -> list[Finding]:
    """Every folder of code is named in the code map, and the code map names nothing else."""
    if not repository.exists(ARCHITECTURE):
        raise Skip(f"there is no {ARCHITECTURE} yet")
    text = repository.text(ARCHITECTURE)
    section = re.search(r"^(#+)[^\n]*code map[^\n]*\n(.*?)(?=^#{1,2} |\Z)", text, re.M | re.S | re.I)
    if not section:
        return [Finding(ARCHITECTURE, 1, 'it has no section "Code map"')]
    line = line_of(text, section.start())
    named = set(re.findall(r"(?<![\w/])(?:umdev|drivers|apps)/\w+", section.group(2)))
    there = {room_of(path) for path in repository.having(*CPP)} - {None}
    findings = [Finding(ARCHITECTURE, line, f"the code map does not name {room}/") for room in sorted(there - named)]
    stale = sorted(room for room in named - there if not (repository.root / room).is_dir())
    return findings + [Finding(ARCHITECTURE, line, f"the code map names {room}/, which is not there") for room in stale]


FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")


def prose(text: str) -> str:
    """Markdown without its code, every line in its place."""
    blank = lambda match: re.sub(r"[^\n]", " ", match.group(0))  # noqa: E731
    return CODE_SPAN.sub(blank, FENCE.sub(blank, text))


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as the usual renderers make them."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6}\s+(.*?)\s*#*$", FENCE.sub("", text), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = base = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        repeat = 0
        while anchor in found:
            repeat += 1
            anchor = f"{base}-{repeat}"
        found.add(anchor)
    return found | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))


def links(repository: Repository) -> list[Finding]:
    """Every relative link leads to a file and every anchor to a heading; a document has one title."""
    findings = []
    for path in repository.having(".md"):
        text = repository.text(path)
        titles = re.findall(r"^# .*$", FENCE.sub("", text), re.MULTILINE)
        if len(titles) != 1:
            findings.append(Finding(path, 1, f"a document has one title (# ...), this one has {len(titles)}"))
        for match in LINK.finditer(prose(text)):
            target, _, anchor = match.group(1).partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            full = posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) if target else path
            line = line_of(text, match.start())
            if not (repository.root / full).exists():
                findings.append(Finding(path, line, f"{match.group(1)} leads nowhere: no {full}"))
            elif anchor and full.endswith(".md") and anchor not in anchors(repository.text(full)):
                findings.append(Finding(path, line, f"{match.group(1)} leads nowhere: {full} has no such heading"))
    return findings

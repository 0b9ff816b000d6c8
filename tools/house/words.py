"""Words that do not belong in the repository: it speaks of itself alone."""

from __future__ import annotations

import hashlib
import re

from .repository import Finding, Repository, line_of

# Paths of somebody's machine.
MACHINE_PATHS = re.compile(r"(?<![\w.~}/-])/(?:work|home/\w+|Users/\w+|root/\w+|tmp/umdev)\b(?:/[\w.-]*)*")

# Digests of single words, and of two words joined by a space or a slash: notes of people's workshops, names of
# their tools. Digests, because a list of them would be the first file to break the rule. To add one, or to look
# one up: tools/house_rules.py --digest WORD
FOREIGN = {
    "053ea4804ef1bb33", "11fb682be0a0233d", "1b1ae706971632ad", "223f507548703fbb", "29447fab346b1477",
    "3dc5dd454e080eb8", "3ea125d0bff386e6", "442e56863b7e9cf8", "487b91042c7cf27a", "5d72436256ada538",
    "5eff592cc497fccb", "60965168ce762e94", "7d3194f79e645c42", "85bd7e96b942567d", "87545fda7272eb5a",
    "94a168d2da574b00", "a625159d18da5718", "b0a9d642d12f5531", "b951327c37d8a1ed", "bccc86317c281a19",
    "c412d00d857a569a", "c70eca6b0f88f44d", "c857d09db23e6822", "c9ad8f2cc1294afa", "d298391b07433318",
    "de2187af3fb01170", "fc5a1047f5919892",
}

WORD = re.compile(r"[A-Za-z0-9_.-]*[A-Za-z0-9]")


def digest(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()[:16]


def words(repository: Repository) -> list[Finding]:
    findings = []
    for path in repository.files:
        text = repository.text(path)
        for match in MACHINE_PATHS.finditer(text):
            message = f"{match.group(0)} is a path of one machine: take it from the environment or an option"
            findings.append(Finding(path, line_of(text, match.start()), message))
        findings += [
            Finding(path, line_of(text, offset), f'"{word}" does not belong in this repository: leave it out')
            for offset, word in candidates(text)
            if digest(word) in FOREIGN or digest(word.lower()) in FOREIGN
        ]
    return findings


def candidates(text: str):
    """Each word, and each two neighbours with the one character between them, as (offset, text)."""
    seen: set[str] = set()
    previous: re.Match[str] | None = None
    for match in WORD.finditer(text):
        found = [(match.start(), match.group(0))]
        if previous and match.start() == previous.end() + 1 and text[previous.end()] in " /":
            found.append((previous.start(), text[previous.start() : match.end()]))
        previous = match
        for offset, word in found:
            if word not in seen:
                seen.add(word)
                yield offset, word

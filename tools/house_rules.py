#!/usr/bin/env python3
"""Checks the rules of this repository that no compiler knows. Each rule is a ctest case; CONTRIBUTING.md lists them.

  tools/house_rules.py              run every rule
  tools/house_rules.py layering     run some
  tools/house_rules.py --list       name them
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import requirements
from house import banned, documents, layering, size, words
from house.repository import Repository, Skip

RULES = {
    "layering": (layering.layering, "who may include and link whom"),
    "banned_calls": (banned.banned_calls, "calls that have something better in their place"),
    "headers": (banned.headers, "#pragma once, nothing heavy in a header"),
    "comments": (banned.comments, "no code in comments, no reminder without a text"),
    "words": (words.words, "the repository speaks of itself alone"),
    "size": (size.size, "length of lines, functions and files"),
    "code_map": (documents.code_map, "ARCHITECTURE.md names every folder of code"),
    "links": (documents.links, "links in the documents lead somewhere"),
    "requirements": (requirements.check, "docs/requirements.md has a test for every row"),
}
SKIPPED = 77


def run(name: str, repository: Repository) -> int:
    try:
        findings = RULES[name][0](repository)
    except Skip as skip:
        print(f"{name}: skipped: {skip}")
        return SKIPPED
    for finding in findings:
        print(finding)
    print(f"{name}: {len(findings)} found" if findings else f"{name}: clean")
    return 1 if findings else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rules", nargs="*", metavar="RULE", help="the rules to run (default: all)")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--list", action="store_true", help="name the rules")
    parser.add_argument("--digest", metavar="WORD", help="print what tools/house/words.py stores for a word")
    arguments = parser.parse_args()
    if arguments.list:
        for name, (_, text) in RULES.items():
            print(f"{name:14} {text}")
        return 0
    if arguments.digest:
        print(words.digest(arguments.digest))
        return 0
    if unknown := set(arguments.rules) - set(RULES):
        parser.error(f"no such rule: {', '.join(sorted(unknown))}")
    repository = Repository(arguments.root)
    codes = [run(name, repository) for name in arguments.rules or RULES]
    if 1 in codes:
        return 1
    return SKIPPED if codes == [SKIPPED] else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Makes modules of the kernel's sample drivers, for the conformance test: FOLDER/mtty-linux-6.1.so and so on. Where the
sources cannot be had, FOLDER/mtty-linux-6.1.reason says why, and their tests are skipped with that."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "module"))
import fetch_samples  # noqa: E402
import kit  # noqa: E402

import debian  # noqa: E402  from tests/guest

headers = Path(__file__).resolve().parents[2] / "include" / "umdev" / "kernel"
samples = {release: ["mtty", "mdpy", "mbochs"] for release in fetch_samples.suites}


def is_newer(file: Path, others: list[Path]) -> bool:
    return file.exists() and all(file.stat().st_mtime > other.stat().st_mtime for other in others)


def make(folder: Path, release: str, sources: Path) -> None:
    for name in samples[release]:
        module = folder / f"{name}-linux-{release}.so"
        source = sources / f"{name}.c"
        # The module is called as its source is, whatever the file.
        made = folder / release / f"{name}.so"
        made.parent.mkdir(exist_ok=True)
        if is_newer(module, [source, *headers.rglob("*.h")]):
            continue
        kit.compile_module(source, made)
        made.rename(module)


def main(folder: Path) -> None:
    for release, names in samples.items():
        try:
            sources = fetch_samples.fetch(debian.default_cache(), release)
        except debian.Unavailable as reason:
            for name in names:
                (folder / f"{name}-linux-{release}.reason").write_text(str(reason))
            continue
        make(folder, release, sources)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

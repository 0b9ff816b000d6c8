"""Debian packages unpacked into a folder, with nothing installed and without root.

The packages of another Debian release than the machine's own are read through a private apt state, from the
mirror that the machine's apt sources name. `Unavailable` says that they cannot be had (no network, no apt,
another kind of machine); the command lines turn it into exit status 77, which ctest can count as skipped.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator

exit_unavailable = 77
mirror_variable = "UMDEV_DEBIAN_MIRROR"
cache_variable = "UMDEV_CACHE"
archive_keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
archive_suites = {"bookworm", "trixie", "forky", "sid", "oldstable", "stable", "testing", "unstable"}


class Unavailable(Exception):
    """What was asked for cannot be had on this machine; the text says why."""


def default_cache() -> Path:
    """$UMDEV_CACHE, or .cache in the repository."""
    return Path(os.environ.get(cache_variable) or Path(__file__).resolve().parents[2] / ".cache")


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def need_tools(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        raise Unavailable(f"not installed: {', '.join(missing)}")


# --- the machine's own sources --------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """One archive of the machine's apt sources."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""
    trusted: str = ""


def parse_one_line(text: str) -> list[Source]:
    """The `deb [options] uri suite component...` format of sources.list(5)."""
    sources = []
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^]]*)\]\s*)?(\S+)\s+(\S+)\s*([^#]*)", line)
        if match is None:
            continue
        options = dict(option.split("=", 1) for option in (match[1] or "").split() if "=" in option)
        sources.append(
            Source(
                match[2],
                (match[3],),
                tuple(match[4].split()),
                options.get("signed-by", ""),
                options.get("trusted", ""),
            )
        )
    return sources


def parse_deb822(text: str) -> list[Source]:
    """The stanza format of sources.list(5). An embedded key keeps its lines."""
    sources = []
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t"):
                if name:
                    fields[name] += "\n" + line
                continue
            name, colon, value = line.partition(":")
            name = name.strip().lower() if colon else ""
            if name:
                fields[name] = value.strip()
        enabled = fields.get("enabled", "yes").lower() not in (
            "no",
            "false",
            "0",
            "off",
            "without",
            "disable",
        )
        if not enabled or "deb" not in fields.get("types", "").split():
            continue
        for uri in fields.get("uris", "").split():
            sources.append(
                Source(
                    uri,
                    tuple(fields.get("suites", "").split()),
                    tuple(fields.get("components", "").split()),
                    fields.get("signed-by", ""),
                    fields.get("trusted", ""),
                )
            )
    return sources


def machine_sources() -> list[Source]:
    variables = subprocess.run(
        ["apt-config", "shell", "list", "Dir::Etc::sourcelist/f", "parts", "Dir::Etc::sourceparts/d"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = dict(word.split("=", 1) for word in shlex.split(variables))
    files = [Path(paths["list"])] if "list" in paths else []
    parts = Path(paths.get("parts", "/etc/apt/sources.list.d"))
    if parts.is_dir():
        files += sorted(parts.iterdir())
    sources: list[Source] = []
    for file in files:
        if not file.is_file():
            continue
        text = file.read_text(errors="replace")
        if file.suffix == ".list":
            sources += parse_one_line(text)
        elif file.suffix == ".sources":
            sources += parse_deb822(text)
    return sources


def debian_archive(sources: list[Source]) -> Source:
    """The source that carries the Debian archive itself, not its security part nor other packages."""
    override = os.environ.get(mirror_variable)
    if override:
        return Source(override, (), ("main",))
    for source in sources:
        if "main" in source.components and archive_suites.intersection(source.suites):
            return source
    raise Unavailable(f"no Debian archive in this machine's apt sources (name one in {mirror_variable})")


# --- packages -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Package:
    name: str
    version: str


class PrivateApt:
    """apt with a state folder of its own. Calls raise Unavailable with apt's own words when apt fails."""

    def __init__(self, folder: Path, suites: list[str]):
        need_tools("apt-get", "apt-config", "dpkg-deb")
        if platform.machine() != "x86_64":
            raise Unavailable(f"the packages are for x86_64, this machine is {platform.machine()}")
        self.folder = folder.resolve()
        self.configuration = self.folder / "apt.conf"
        for name in ("lists/partial", "cache/archives/partial", "log"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").write_text("")
        self._write_sources(debian_archive(machine_sources()), suites)
        self._write_configuration()

    def update(self) -> None:
        progress("reading the package lists ...")
        self._apt("update", "-q")

    def closure(self, package: str, suite: str) -> list[Package]:
        """The package and all that it depends on, as apt would install them on an empty machine."""
        plan = self._apt("-s", "install", "-t", suite, package)
        return [Package(*found) for found in re.findall(r"^Inst (\S+) \((\S+)", plan, re.MULTILINE)]

    def unpack(self, packages: list[Package], root: Path) -> None:
        progress(f"downloading {len(packages)} packages ...")
        with tempfile.TemporaryDirectory(dir=self.folder) as downloads:
            self._apt(
                "download", *[f"{package.name}={package.version}" for package in packages], folder=downloads
            )
            progress("unpacking ...")
            for archive in sorted(Path(downloads).glob("*.deb")):
                subprocess.run(["dpkg-deb", "-x", str(archive), str(root)], check=True)

    def _write_sources(self, archive: Source, suites: list[str]) -> None:
        signed_by = archive.signed_by or (str(archive_keyring) if archive_keyring.exists() else "")
        lines = [
            "Types: deb",
            f"URIs: {archive.uri}",
            f"Suites: {' '.join(suites)}",
            "Components: main",
            "Architectures: amd64",
        ]
        lines += [f"Signed-By: {signed_by}"] if signed_by else []
        lines += [f"Trusted: {archive.trusted}"] if archive.trusted else []
        (self.folder / "debian.sources").write_text("\n".join(lines) + "\n")

    def _write_configuration(self) -> None:
        # Read after the machine's own configuration, so that its proxies stay and its hooks, which touch the
        # machine's own cache, do not.
        values = {
            "Dir::Etc::SourceList": self.folder / "debian.sources",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Preferences": "/dev/null",
            "Dir::Etc::PreferencesParts": "/dev/null",
            "Dir::State": self.folder,
            "Dir::State::Lists": self.folder / "lists",
            "Dir::State::status": self.folder / "status",
            "Dir::Cache": self.folder / "cache",
            "Dir::Log": self.folder / "log",
            "APT::Architecture": "amd64",
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "root",
            "APT::Default-Release": "",
            "APT::Update::Error-Mode": "any",
            "Acquire::Languages": "none",
            "Acquire::GzipIndexes": "true",
            "Acquire::Retries": "3",
            "Acquire::http::Timeout": "20",
            "Acquire::https::Timeout": "20",
        }
        cleared = [
            "APT::Architectures",
            "APT::Update::Pre-Invoke",
            "APT::Update::Post-Invoke",
            "APT::Update::Post-Invoke-Success",
            "DPkg::Post-Invoke",
        ]
        self.configuration.write_text(
            "".join(f"#clear {name};\n" for name in cleared)
            + "".join(f'{name} "{value}";\n' for name, value in values.items())
        )

    def _apt(self, *arguments: str, folder: str | Path | None = None) -> str:
        run = subprocess.run(
            ["apt-get", "-c", str(self.configuration), *arguments],
            cwd=folder or self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=os.environ | {"LC_ALL": "C"},
        )
        if run.returncode != 0:
            words = "\n  ".join((run.stderr.strip() or run.stdout.strip()).splitlines()[-6:])
            raise Unavailable(f"apt-get {arguments[0]} failed:\n  {words}")
        return run.stdout


# --- finished folders in the cache ----------------------------------------------------------------


stamp_name = "stamp.json"
Builder = Callable[[Path], tuple[str, list[Package]]]


def finished(cache: Path, kind: str, recipe: int) -> Path | None:
    """The newest folder of that kind which a fetch by the same recipe has finished."""
    found = []
    for stamp in cache.glob(f"{kind}-*/{stamp_name}"):
        with contextlib.suppress(OSError, ValueError):
            facts = json.loads(stamp.read_text())
            if (facts.get("kind"), facts.get("recipe")) == (kind, recipe):
                found.append((stamp.stat().st_mtime, stamp.parent))
    return max(found)[1] if found else None


@contextlib.contextmanager
def cache_lock(cache: Path) -> Iterator[None]:
    """One fetch at a time in a cache; a second one waits and then finds the work done."""
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "guest.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_folder(cache: Path, kind: str, recipe: int, build: Builder) -> Path:
    """Runs build(folder) -> (version, packages) in a temporary folder; then stamps and renames it."""
    folder = Path(tempfile.mkdtemp(prefix=f".{kind}-", dir=cache))
    try:
        folder.chmod(0o755)
        version, packages = build(folder)
        facts = {
            "kind": kind,
            "recipe": recipe,
            "version": version,
            "packages": {package.name: package.version for package in packages},
        }
        (folder / stamp_name).write_text(json.dumps(facts, indent=2) + "\n")
        final = cache / f"{kind}-{version}"
        if final.exists():
            shutil.rmtree(final)
        folder.rename(final)
        return final
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fetched(
    cache: Path, kind: str, recipe: int, suites: list[str], make: Callable[[PrivateApt], Path], refresh: bool = False
) -> Path:
    """The finished folder of that kind; when there is none, make() makes it: with the package lists that are there
    if they serve, else with new ones."""
    with cache_lock(cache):
        folder = None if refresh else finished(cache, kind, recipe)
        if folder is None:
            apt = PrivateApt(cache / "apt", suites)
            with contextlib.suppress(Unavailable):
                folder = None if refresh else make(apt)
            if folder is None:
                apt.update()
                folder = make(apt)
        return folder.resolve()


def remove(path: Path) -> None:
    """A file, a link or a whole folder; nothing there is well too."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def run_command(main: Callable[[], None]) -> None:
    """Ends the process with 0, or with 77 and the reason when what is wanted cannot be had."""
    try:
        main()
    except Unavailable as reason:
        progress(f"unavailable: {reason}")
        sys.exit(exit_unavailable)


def run_fetch(
    description: str,
    fetch: Callable[..., Path],
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda _: None,
) -> None:
    """The command line of a script that fetches: calls fetch(cache=..., refresh=..., what add_arguments() adds), and
    prints the path that it answers with."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--cache", type=Path, default=default_cache(), help="default: %(default)s")
    parser.add_argument("--refresh", action="store_true", help="fetch again even if the cache has one")
    run_command(lambda: print(fetch(**vars(parser.parse_args()))))

"""Who may include whom: a folder includes itself and the folders above it, doors and drivers never each other."""

from __future__ import annotations

import re

from .repository import CPP, Finding, Repository, line_of

# From the ground floor upwards. Each name may include itself and the names before it.
ORDER = [
    "umdev/support", "umdev/compile", "umdev/abi", "umdev/os", "umdev/tree", "umdev/device", "umdev/iommu",
    "umdev/vfio", "umdev/pci", "umdev/mdev", "umdev/ioctl", "drivers", "umdev/kernel", "umdev/manage",
    "umdev/vfio_user", "umdev/fuse", "umdev/sysfs", "umdev/uapi", "umdev/run", "umdev/control", "apps",
]
DOORS = {"umdev/vfio_user", "umdev/fuse", "umdev/sysfs", "umdev/uapi", "umdev/run", "umdev/control"}
# The plumbing that both mounts are made of; otherwise no door knows another.
SHARED_PLUMBING = {("umdev/sysfs", "umdev/fuse"), ("umdev/uapi", "umdev/fuse")}
# A driver's whole world; iommu is there for the pins.
DRIVER_SEES = {
    "umdev/support", "umdev/abi", "umdev/device", "umdev/iommu", "umdev/vfio", "umdev/pci", "umdev/mdev",
}
# Rooms that compute and call nobody.
PURE = {"umdev/support", "umdev/abi", "umdev/tree", "umdev/ioctl"}
SYSTEM_HEADERS = re.compile(
    r"(sys|linux|asm|asm-generic|net|netinet|arpa)/.*|"
    r"(unistd|fcntl|poll|pthread|signal|sched|spawn|dirent|dlfcn|termios|mqueue|semaphore|ifaddrs|pwd|grp)\.h|"
    r"csignal|filesystem|fstream|iostream"
)

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"\n]+)"|<([^>\n]+)>)', re.MULTILINE)


def room_of(path: str) -> str | None:
    """`umdev/vfio`, `drivers/mtty`, `apps/umdevd`; nothing for what lies elsewhere."""
    parts = path.split("/")
    return "/".join(parts[:2]) if len(parts) > 2 and parts[0] in ("umdev", "drivers", "apps") else None


def layer_of(room: str) -> str:
    top = room.split("/")[0]
    return top if top in ("drivers", "apps") else room


def may_see(room: str, other: str) -> str | None:
    """Why `room` may not use `other`; nothing when it may."""
    if room == other:
        return None
    layer, other_layer = layer_of(room), layer_of(other)
    if layer == "apps":
        return "one program uses no other: move what both need below" if other_layer == "apps" else None
    if other_layer == "drivers":
        if layer == "drivers":
            return "a driver never sees another driver"
        return f"{room} knows no driver: only the programs have a table of them"
    for name in (room, other):
        if layer_of(name) not in ORDER:
            return f"{name} has no place in the order of layers (tools/house/layering.py, ARCHITECTURE.md)"
    if layer == "drivers":
        if other_layer in DRIVER_SEES:
            return None
        return "a driver sees support, abi, device, iommu (pins), vfio, pci and mdev, and nothing else"
    if layer in DOORS and other_layer in DOORS and (layer, other_layer) not in SHARED_PLUMBING:
        return "a door never sees another door"
    if ORDER.index(other_layer) > ORDER.index(layer):
        return f"{other} is built on {room}, not the other way round"
    return None


def check_includes(repository: Repository) -> list[Finding]:
    findings = []
    for path in repository.having(*CPP):
        text, room = repository.code(path), room_of(path)
        for match in INCLUDE.finditer(text):
            quoted, system = match.groups()
            line = line_of(text, match.start())
            # What is installed finds its neighbours where it lies.
            beside = f"{path.rpartition('/')[0]}/{quoted}" if path.startswith("include/") else quoted
            if quoted is not None and not repository.exists(quoted) and not repository.exists(beside):
                findings.append(Finding(path, line, f'"{quoted}" is no file: include from the repository\'s root'))
            if room is None:
                continue
            included = quoted or system
            other = room_of(included)
            if other is not None and (reason := may_see(room, other)):
                findings.append(Finding(path, line, f"{room} must not include {included}: {reason}"))
            if included.split("/")[0] in ("tests", "bench", "tools"):
                findings.append(Finding(path, line, f"{included} is for tests, not for what is shipped"))
            if layer_of(room) in PURE and system is not None and SYSTEM_HEADERS.fullmatch(system):
                findings.append(Finding(path, line, f"{room} makes no system calls: <{system}> belongs in umdev/os"))
    return findings


LIBRARY = re.compile(r"\bumdev_library\s*\(\s*(\w+)([^)]*)\)")


def link_edges(repository: Repository) -> tuple[dict[str, str], dict[str, tuple[str, int, set[str]]]]:
    """Library target -> room; room -> (its CMakeLists.txt, line, the targets it links)."""
    room_of_target, edges = {}, {}
    for path in repository.having("CMakeLists.txt", under=("umdev/", "drivers/", "apps/")):
        room = room_of(path)
        text = re.sub(r"#[^\n]*", "", repository.text(path))
        for match in LIBRARY.finditer(text):
            target = f"umdev_{match.group(1)}"
            room_of_target[target] = room
            linked = set(re.findall(r"\bumdev_\w+", match.group(2)))
            edges[room] = (path, line_of(text, match.start()), linked)
    return room_of_target, edges


def reachable(room: str, links: dict[str, set[str]]) -> set[str]:
    seen, waiting = set(), [room]
    while waiting:
        for other in links.get(waiting.pop(), set()) - seen:
            seen.add(other)
            waiting.append(other)
    return seen


def check_links(repository: Repository) -> list[Finding]:
    findings = []
    room_of_target, edges = link_edges(repository)
    links: dict[str, set[str]] = {}
    for room, (path, line, targets) in edges.items():
        links[room] = {room_of_target[target] for target in targets if target in room_of_target}
        for other in sorted(links[room]):
            if reason := may_see(room, other):
                findings.append(Finding(path, line, f"{room} must not link {other}: {reason}"))
    for path in repository.having(*CPP, under=("umdev/", "drivers/")):
        room = room_of(path)
        if room not in edges:
            continue
        linked = reachable(room, links) | {room}
        text = repository.code(path)
        for match in INCLUDE.finditer(text):
            other = room_of(match.group(1) or "")
            if other in edges and other not in linked:
                message = f"{room} includes {match.group(1)} without a link edge to {other} in {edges[room][0]}"
                findings.append(Finding(path, line_of(text, match.start()), message))
    return findings


def layering(repository: Repository) -> list[Finding]:
    return check_includes(repository) + check_links(repository)

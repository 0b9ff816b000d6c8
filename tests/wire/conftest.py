"""Options, and what every case is given: a server to talk to, a client that is in, files to lend it.

    pytest tests/wire                                     a daemon of our own, from $UMDEV_BUILD_DIR or build/dev
    pytest tests/wire --socket PATH --device generic      any vfio-user server with a PCI device behind it

README.md says what the rest is for.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "e2e")]
import codec  # noqa: E402
import deviations  # noqa: E402
import servers  # noqa: E402
from client import Client, close_fds  # noqa: E402

own_devices = ("null", "mtty")  # and "board", a server of its own, for cases that ask for it
everything = {
    "max_msg_fds": 16,
    "max_data_xfer_size": 1 << 20,
    "max_dma_maps": 65535,
    "pgsizes": 4096,
    "write_multiple": True,
    "migration": {"pgsize": 4096, "max_bitmap_size": 1 << 28},
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("vfio-user")
    group.addoption("--socket", type=Path, help="a server that listens there, instead of a daemon of our own")
    kinds = ["generic", *own_devices, "board"]
    group.addoption("--device", choices=kinds, default="generic", help="what is behind --socket")
    group.addoption("--any-errno", action="store_true", help="an error is an error, whichever it is")
    for name, meaning in deviations.table.items():
        group.addoption(f"--{name}", action="store_true", help=f"the server behind --socket: {meaning}")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "device(name): only for this device")
    config.addinivalue_line("markers", "own: looks into a daemon of our own")
    Client.exact_errno = not config.getoption("any_errno")
    deviations.present = {name for name in deviations.table if config.getoption(name.replace("-", "_"))}


def devices_of(config: pytest.Config) -> tuple[str, ...]:
    return (config.getoption("device"),) if config.getoption("socket") else own_devices


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "device" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("device")
    known = devices_of(metafunc.config)
    if marker is None:
        devices = known
    elif not metafunc.config.getoption("socket") and "board" in marker.args:
        devices = marker.args
    else:
        devices = [name for name in known if name in marker.args]
    metafunc.parametrize("device", devices, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is not for this server is no case of it."""
    given = config.getoption("socket")

    def is_for_another(item: pytest.Item) -> bool:
        no_device = any(mark.kwargs.get("reason", "").startswith("got empty") for mark in item.iter_markers("skip"))
        return no_device or bool(given and item.get_closest_marker("own"))

    dropped = [item for item in items if is_for_another(item)]
    items[:] = [item for item in items if item not in dropped]
    config.hook.pytest_deselected(items=dropped)


@pytest.fixture(scope="session")
def server(pytestconfig: pytest.Config):
    path = pytestconfig.getoption("socket")
    if path:
        yield servers.Given(path)
        return
    with servers.Own(own_devices) as own:
        yield own


@pytest.fixture
def path(server, device: str) -> Path:
    return server.socket_of(device)


@pytest.fixture
def connect(path: Path):
    """Makes clients that have not said anything yet."""
    clients = []

    def make() -> Client:
        clients.append(Client(path))
        return clients[-1]

    yield make
    for each in clients:
        each.close()


@pytest.fixture
def client(connect) -> Client:
    """A client that is in, and proposed everything that one can propose."""
    made = connect()
    made.negotiate(everything)
    return made


@pytest.fixture
def silent(connect) -> Client:
    """A client before its VERSION."""
    return connect()


@pytest.fixture
def memory():
    """Makes files of memory."""
    made = []

    def make(size: int, **options) -> int:
        fd = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        made.append(fd)
        os.truncate(fd, size)
        return fd

    yield make
    close_fds(made)


@pytest.fixture
def eventfd():
    """Makes eventfds, whose reads do not wait."""
    made = []

    def make(value: int = 0) -> int:
        made.append(os.eventfd(value, os.EFD_NONBLOCK | os.EFD_CLOEXEC))
        return made[-1]

    yield make
    close_fds(made)


@pytest.fixture
def offers(client: Client):
    """Skips the case unless the server offers what VERSION calls `name`."""

    def check(name: str) -> None:
        if not client.capabilities.get(name):
            pytest.skip(f"the server does not offer {name}")

    return check


@pytest.fixture
def probe(client: Client):
    """Skips the case unless the device has the feature."""

    def check(flags: int) -> None:
        reply = client.call(codec.FEATURE, codec.feature(flags | codec.feature_probe))
        if reply.error is not None:
            pytest.skip(f"the device does not have feature {flags & 0xFFFF}")

    return check

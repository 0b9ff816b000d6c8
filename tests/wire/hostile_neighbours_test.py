"""Clients that are silent, half-sent, greedy or deaf, beside one that works: it goes on.

(How much slower is what `./dev bench neighbours` measures. Here nobody looks at the clock.)
"""

import contextlib
import threading

import codec
import pytest
from client import Client, Closed, eventually
from codec import GET_INFO, REGION_READ, REGION_WRITE, VERSION, config_region, message, no_reply, version

pytestmark = pytest.mark.own
houses = 8  # more instances than the daemon has workers, so that some share one with the client that works


@pytest.fixture(scope="module")
def instances(server):
    uuids = [server.create("null") for _ in range(houses)]
    yield [server.daemon.socket_of(uuid) for uuid in uuids]
    for uuid in uuids:
        server.daemon.umdev("remove", "--force", uuid)


@pytest.fixture
def busy(server):
    """It works on each of the daemon's devices by turns while the others misbehave."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(server.socket_of(device))) for device in server.uuids]
        for each in clients:
            each.negotiate({})

        def work(times: int = 300) -> None:
            for _ in range(times):
                for each in clients:
                    each.lives()

        yield work


def half_a_header(client: Client) -> None:
    client.send_bytes(message(VERSION, version(capabilities={}))[:9])


def half_a_version(client: Client) -> None:
    client.send_bytes(message(VERSION, version(capabilities={}))[:-1])


def half_a_header_after_version(client: Client) -> None:
    client.negotiate({})
    client.send_bytes(message(GET_INFO, codec.get_info())[:9])


def half_a_large_write(client: Client) -> None:
    client.negotiate({})
    count = client.capabilities["max_data_xfer_size"]
    data = message(REGION_WRITE, codec.access(0, config_region, count, bytes(count)))
    client.send_bytes(data[: len(data) // 2])


def silence(client: Client) -> None:
    pass


def silence_after_version(client: Client) -> None:
    client.negotiate({})


def deaf(client: Client) -> None:
    """Asks, and reads no answer."""
    client.negotiate({})
    client.socket.settimeout(0.2)
    with contextlib.suppress(TimeoutError):
        for _ in range(1000):
            client.send_bytes(message(REGION_READ, codec.access(0, config_region, 256)) * 50)


@pytest.mark.parametrize(
    "behave",
    [
        half_a_header,
        half_a_version,
        half_a_header_after_version,
        half_a_large_write,
        silence,
        silence_after_version,
        deaf,
    ],
)
def test_it_goes_on_beside(busy, instances, behave):
    with contextlib.ExitStack() as stack:
        for path in instances:
            behave(stack.enter_context(Client(path)))
        busy()
    busy(10)


def test_it_goes_on_beside_all_of_them_and_all_that_a_socket_takes(busy, instances):
    kinds = [half_a_header, half_a_version, silence]
    with contextlib.ExitStack() as stack:
        for path in instances:
            for i in range(20):  # the socket takes 16, and closes the others
                with contextlib.suppress(Closed, ConnectionError):
                    kinds[i % len(kinds)](stack.enter_context(Client(path)))
        busy()
    busy(10)


def test_it_goes_on_beside_those_that_send_without_a_pause(busy, instances):
    stops = threading.Event()

    def greedy(path) -> None:
        with Client(path) as client:
            client.negotiate({})
            posted = message(REGION_WRITE, codec.access(0, 0, 4, bytes(4)), flags=no_reply) * 200
            while not stops.is_set():
                client.send_bytes(posted)
            client.lives()

    threads = [threading.Thread(target=greedy, args=[path]) for path in instances[:4]]
    for thread in threads:
        thread.start()
    try:
        busy(30)
    finally:
        stops.set()
        for thread in threads:
            thread.join()


def test_it_goes_on_beside_those_that_come_and_go(busy, instances):
    stops = threading.Event()
    failures = []

    def fickle(path) -> None:
        try:
            while not stops.is_set():
                with Client(path) as client, contextlib.suppress(Closed):
                    client.send_bytes(message(VERSION, version(capabilities={})) + b"\xff" * 20)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=fickle, args=[path]) for path in instances[:4]]
    for thread in threads:
        thread.start()
    try:
        busy(50)
    finally:
        stops.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_one_that_is_silent_for_too_long_is_sent_away(server, busy, instances):
    """Ten seconds: a client that means it speaks at once."""
    assert eventually(lambda: len(server.daemon.json("status")["sessions"]) == len(server.uuids))
    with Client(instances[0]) as client:
        half_a_version(client)
        assert client.is_silent(1)
        assert client.has_closed()
    busy(10)

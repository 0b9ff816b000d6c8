"""DEVICE_SET_IRQS."""

import errno
import os
import select

import codec
import pytest
from client import close_fds, eventually
from codec import (
    SET_IRQS,
    data_bool,
    data_eventfd,
    data_none,
    err,
    intx,
    mask,
    msi,
    msix,
    req,
    set_irqs,
    trigger,
    unmask,
)
from samples import limits_32, refuse_short, short_lengths

# Of a 16550A: what mtty has behind its BARs.
interrupt_enable, fifo, line_status, scratch = 1, 2, 5, 7


def count_of(event: int, seconds: float = 1.0) -> int:
    """How often it was signalled; 0 when that is never."""
    if not select.select([event], [], [], seconds)[0]:
        return 0
    return int.from_bytes(os.read(event, 8), "little")


def is_quiet(event: int) -> bool:
    return count_of(event, 0.02) == 0


def set_event(client, index: int, event: int | None, action: int = trigger, start: int = 0) -> None:
    client.ok(SET_IRQS, set_irqs(data_eventfd | action, index, start), fds=[] if event is None else [event])


def fire(client, index: int) -> None:
    client.ok(SET_IRQS, set_irqs(data_none | trigger, index))


def disable(client, index: int) -> None:
    client.ok(SET_IRQS, set_irqs(data_none | trigger, index, 0, 0))


def need(client, index: int) -> None:
    if client.call(codec.IRQ_INFO, codec.irq_info(index)).error is not None or not client.irq(index).count:
        pytest.skip("the device has no such interrupt")


# --- What is refused, whatever the device.


@short_lengths(SET_IRQS)
def test_a_payload_that_is_too_short(client, length):
    refuse_short(client, SET_IRQS, length)


@pytest.mark.parametrize("argsz", [0, 1, 16, 19])
def test_argsz_below_the_structures_size(client, argsz):
    client.refused(SET_IRQS, set_irqs(data_none | trigger, req, argsz=argsz), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("index", [5, 6, 100, *limits_32])
def test_an_index_that_is_not_there(client, index):
    client.refused(SET_IRQS, set_irqs(data_none | trigger, index), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("index", [intx, msi, msix, err, req])
@pytest.mark.parametrize("data", [0, data_none | data_bool, data_none | data_eventfd, data_bool | data_eventfd, 7])
def test_not_exactly_one_type_of_data(client, index, data):
    client.refused(SET_IRQS, set_irqs(data | trigger, index, data=b"\1"), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("action", [0, mask | unmask, mask | trigger, unmask | trigger, mask | unmask | trigger])
@pytest.mark.parametrize("index", [intx, msi, req])
def test_not_exactly_one_action(client, index, action):
    need(client, index)
    client.refused(SET_IRQS, set_irqs(data_none | action, index), errno.ENOTTY)
    client.lives()


@pytest.mark.parametrize("bit", [6, 7, 8, 16, 31])
def test_flags_that_are_none(client, bit):
    client.refused(SET_IRQS, set_irqs(data_none | trigger | 1 << bit, req), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("index", [intx, msi, msix, req])
@pytest.mark.parametrize("start, count", [(0, "n+1"), ("n", 1), (1, "n"), ("n", 0), (0, 0xFFFFFFFF), (0xFFFFFFFF, 1)])
def test_vectors_that_are_not_there(client, index, start, count):
    n = client.irq(index).count
    start, count = (n + 1 if x == "n+1" else n if x == "n" else x for x in (start, count))
    if (start, count) == (1, 0):
        count = 1
    client.refused(SET_IRQS, set_irqs(data_none | trigger, index, start, count), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("start, count", [(0xFFFFFFFF, 0xFFFFFFFF), (1, 0xFFFFFFFF), (0x80000000, 0x80000000)])
def test_a_sum_of_start_and_count_that_wraps(client, start, count):
    client.refused(SET_IRQS, set_irqs(data_none | trigger, req, start, count), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("kind", [data_none, data_bool])
def test_descriptors_with_data_that_are_none(client, eventfd, kind):
    payload = set_irqs(kind | trigger, req, data=b"\1" if kind == data_bool else b"")
    client.refused(SET_IRQS, payload, errno.EINVAL, fds=[eventfd()])
    client.lives()


@pytest.mark.parametrize("given", [2, 3, 16])
def test_more_descriptors_than_vectors(client, eventfd, given):
    event = eventfd()
    client.refused(SET_IRQS, set_irqs(data_eventfd | trigger, req), errno.EINVAL, fds=[event] * given)
    client.lives()


@pytest.mark.parametrize("open_one", [lambda: os.open("/dev/null", os.O_RDWR), lambda: os.memfd_create("x")])
def test_a_descriptor_that_is_no_eventfd(client, open_one):
    fd = open_one()
    try:
        client.refused(SET_IRQS, set_irqs(data_eventfd | trigger, req), errno.EINVAL, fds=[fd])
        client.lives()
    finally:
        os.close(fd)


def test_a_pipe_is_no_eventfd(client):
    ends = os.pipe()
    try:
        client.refused(SET_IRQS, set_irqs(data_eventfd | trigger, req), errno.EINVAL, fds=[ends[1]])
        client.lives()
    finally:
        close_fds(ends)


def test_fewer_booleans_than_vectors(client):
    client.refused(SET_IRQS, set_irqs(data_bool | trigger, req, 0, 1, argsz=20), errno.EINVAL)
    client.lives()


def test_the_reply_is_a_bare_header(client, eventfd):
    need(client, req)
    reply = client.ok(SET_IRQS, set_irqs(data_eventfd | trigger, req), fds=[eventfd()])
    assert reply.payload == b""


# --- The request to let go: every device of ours has one.


def test_req_is_signalled_by_who_set_it(client, eventfd):
    need(client, req)
    event = eventfd()
    set_event(client, req, event)
    fire(client, req)
    assert count_of(event) == 1


def test_req_with_a_boolean(client, eventfd):
    need(client, req)
    event = eventfd()
    set_event(client, req, event)
    client.ok(SET_IRQS, set_irqs(data_bool | trigger, req, data=b"\0"))
    assert is_quiet(event)
    client.ok(SET_IRQS, set_irqs(data_bool | trigger, req, data=b"\1"))
    assert count_of(event) == 1


def test_req_that_nobody_listens_to(client):
    need(client, req)
    client.refused(SET_IRQS, set_irqs(data_none | trigger, req), errno.EINVAL)
    client.lives()


def test_req_taken_back(client, eventfd):
    need(client, req)
    event = eventfd()
    set_event(client, req, event)
    set_event(client, req, None)
    client.refused(SET_IRQS, set_irqs(data_none | trigger, req), errno.EINVAL)
    assert is_quiet(event)


@pytest.mark.parametrize("action", [mask, unmask])
def test_req_has_no_mask(client, eventfd, action):
    need(client, req)
    set_event(client, req, eventfd())
    client.refused(SET_IRQS, set_irqs(data_none | action, req), errno.ENOTTY)
    client.lives()


def test_an_eventfd_may_be_replaced(client, eventfd):
    need(client, req)
    first, second = eventfd(), eventfd()
    set_event(client, req, first)
    set_event(client, req, second)
    fire(client, req)
    assert count_of(second) == 1
    assert is_quiet(first)


def test_the_client_may_close_its_own_copy(client, eventfd):
    need(client, req)
    event = eventfd()
    copy = os.dup(event)
    set_event(client, req, copy)
    os.close(copy)
    fire(client, req)
    assert count_of(event) == 1


def test_an_eventfd_that_is_full_holds_up_nobody(client, eventfd):
    need(client, req)
    event = eventfd()
    os.write(event, ((1 << 64) - 2).to_bytes(8, "little"))
    set_event(client, req, event)
    client.call(SET_IRQS, set_irqs(data_none | trigger, req))
    client.lives()


def test_a_full_eventfd_whose_writes_wait_holds_up_nobody(client):
    need(client, req)
    event = os.eventfd(0)
    try:
        os.write(event, ((1 << 64) - 2).to_bytes(8, "little"))
        client.call(SET_IRQS, set_irqs(data_eventfd | trigger, req), fds=[event])
        client.call(SET_IRQS, set_irqs(data_none | trigger, req))
        client.lives()
    finally:
        os.close(event)


@pytest.mark.own
def test_refused_descriptors_are_closed(server, client, eventfd):
    event = eventfd()
    client.lives()
    before = server.descriptors()
    for _ in range(10):
        client.refused(SET_IRQS, set_irqs(data_none | trigger, 100), fds=[event])
        client.refused(SET_IRQS, set_irqs(data_eventfd | trigger, req), fds=[event, event])
        client.refused(SET_IRQS, set_irqs(data_eventfd | trigger, msix), fds=[event])
    assert eventually(lambda: server.descriptors() <= before)


# --- A line that masks itself, and a message: mtty has one of each.

@pytest.fixture
def port(client):
    """mtty's first port: reset, FIFOs on."""
    client.ok(codec.RESET)
    client.write(0, fifo, b"\x01")
    return client


def let_it_interrupt(port) -> None:
    """Its transmitter is empty, and it may say so."""
    port.write(0, interrupt_enable, b"\x02")


def let_it_be_quiet(port) -> None:
    port.write(0, interrupt_enable, b"\0")


@pytest.mark.device("mtty")
@pytest.mark.parametrize("index", [intx, msi])
def test_the_device_interrupts(port, eventfd, index):
    event = eventfd()
    set_event(port, index, event)
    assert is_quiet(event)
    let_it_interrupt(port)
    assert count_of(event) == 1


@pytest.mark.device("mtty")
def test_a_line_that_is_high_already_interrupts_when_it_is_enabled(port, eventfd):
    event = eventfd()
    let_it_interrupt(port)
    set_event(port, intx, event)
    assert count_of(event) == 1


@pytest.mark.device("mtty")
def test_a_line_says_no_more_before_it_is_unmasked(port, eventfd):
    event = eventfd()
    set_event(port, intx, event)
    for _ in range(3):
        let_it_interrupt(port)
        let_it_be_quiet(port)
    assert count_of(event) == 1
    assert is_quiet(event)


@pytest.mark.device("mtty")
@pytest.mark.parametrize("data, bools", [(data_none, b""), (data_bool, b"\1")])
def test_a_line_that_is_still_high_interrupts_again_when_it_is_unmasked(port, eventfd, data, bools):
    event = eventfd()
    set_event(port, intx, event)
    let_it_interrupt(port)
    for _ in range(3):
        assert count_of(event) == 1
        port.ok(SET_IRQS, set_irqs(data | unmask, intx, data=bools))


@pytest.mark.device("mtty")
def test_a_line_that_is_low_does_not(port, eventfd):
    event = eventfd()
    set_event(port, intx, event)
    let_it_interrupt(port)
    assert count_of(event) == 1
    let_it_be_quiet(port)
    port.ok(SET_IRQS, set_irqs(data_none | unmask, intx))
    assert is_quiet(event)
    let_it_interrupt(port)
    assert count_of(event) == 1


@pytest.mark.device("mtty")
@pytest.mark.parametrize("payload", [set_irqs(data_none | mask, intx), set_irqs(data_bool | mask, intx, data=b"\1")])
def test_a_masked_line_waits(port, eventfd, payload):
    event = eventfd()
    set_event(port, intx, event)
    port.ok(SET_IRQS, payload)
    let_it_interrupt(port)
    assert is_quiet(event)
    port.ok(SET_IRQS, set_irqs(data_none | unmask, intx))
    assert count_of(event) == 1


@pytest.mark.device("mtty")
@pytest.mark.parametrize("action", [mask, unmask])
def test_a_boolean_that_is_false_changes_nothing(port, eventfd, action):
    event = eventfd()
    set_event(port, intx, event)
    port.ok(SET_IRQS, set_irqs(data_bool | action, intx, data=b"\0"))
    let_it_interrupt(port)
    assert count_of(event) == 1


@pytest.mark.device("mtty")
def test_an_eventfd_unmasks(port, eventfd):
    """As KVM does it at the end of an interrupt."""
    event, resample = eventfd(), eventfd()
    set_event(port, intx, event)
    set_event(port, intx, resample, unmask)
    let_it_interrupt(port)
    for _ in range(5):
        assert count_of(event) == 1
        os.write(resample, (1).to_bytes(8, "little"))
    assert count_of(event) == 1
    let_it_be_quiet(port)
    os.write(resample, (1).to_bytes(8, "little"))
    assert is_quiet(event)


@pytest.mark.device("mtty")
def test_a_second_unmask_eventfd_is_one_too_many(port, eventfd):
    set_event(port, intx, eventfd())
    set_event(port, intx, eventfd(), unmask)
    port.refused(SET_IRQS, set_irqs(data_eventfd | unmask, intx), errno.EBUSY, fds=[eventfd()])
    port.lives()


@pytest.mark.device("mtty")
def test_nobody_masks_by_eventfd(port, eventfd):
    set_event(port, intx, eventfd())
    port.refused(SET_IRQS, set_irqs(data_eventfd | mask, intx), errno.ENOTTY, fds=[eventfd()])
    port.lives()


@pytest.mark.device("mtty")
@pytest.mark.parametrize("action", [mask, unmask])
@pytest.mark.parametrize("kind", [data_none, data_bool])
def test_a_line_that_is_off_has_no_mask(port, action, kind):
    payload = set_irqs(kind | action, intx, data=b"\1" if kind == data_bool else b"")
    port.refused(SET_IRQS, payload, errno.EINVAL)
    port.lives()


@pytest.mark.device("mtty")
@pytest.mark.parametrize("action", [mask, unmask])
def test_messages_have_no_mask(port, eventfd, action):
    set_event(port, msi, eventfd())
    port.refused(SET_IRQS, set_irqs(data_none | action, msi), errno.ENOTTY)
    port.lives()


@pytest.mark.device("mtty")
@pytest.mark.parametrize("index", [intx, msi])
def test_who_sets_an_interrupt_may_fire_it(port, eventfd, index):
    event = eventfd()
    set_event(port, index, event)
    fire(port, index)
    assert count_of(event) == 1


@pytest.mark.device("mtty")
@pytest.mark.parametrize("index", [intx, msi])
def test_an_interrupt_that_is_off_cannot_be_fired(port, index):
    port.refused(SET_IRQS, set_irqs(data_none | trigger, index), errno.EINVAL)
    port.lives()


@pytest.mark.device("mtty")
@pytest.mark.parametrize("index", [intx, msi])
def test_an_interrupt_that_is_off_cannot_be_switched_off(port, index):
    port.refused(SET_IRQS, set_irqs(data_none | trigger, index, 0, 0), errno.EINVAL)
    port.lives()


@pytest.mark.device("mtty")
@pytest.mark.parametrize("index", [intx, msi])
def test_switched_off_it_is_quiet(port, eventfd, index):
    event = eventfd()
    set_event(port, index, event)
    disable(port, index)
    let_it_interrupt(port)
    assert is_quiet(event)
    port.refused(SET_IRQS, set_irqs(data_none | trigger, index), errno.EINVAL)


@pytest.mark.device("mtty")
@pytest.mark.parametrize("index", [intx, msi])
def test_without_a_descriptor_it_is_on_and_silent(port, eventfd, index):
    """QEMU enables MSI-X so."""
    event = eventfd()
    set_event(port, index, None)
    port.ok(SET_IRQS, set_irqs(data_none | trigger, index))
    set_event(port, index, event)
    let_it_interrupt(port)
    assert count_of(event) == 1


@pytest.mark.device("mtty")
@pytest.mark.parametrize("first, second", [(intx, msi), (msi, intx)])
def test_a_device_interrupts_in_one_way_at_a_time(port, eventfd, first, second):
    event = eventfd()
    set_event(port, first, event)
    port.refused(SET_IRQS, set_irqs(data_eventfd | trigger, second), errno.EINVAL, fds=[eventfd()])
    disable(port, first)
    set_event(port, second, event)
    let_it_interrupt(port)
    assert count_of(event) == 1


@pytest.mark.device("mtty")
@pytest.mark.parametrize("index", [intx, msi])
def test_a_thousand_eventfds_one_after_the_other(port, eventfd, index):
    for _ in range(1000):
        event = os.eventfd(0)
        set_event(port, index, event)
        os.close(event)
    event = eventfd()
    set_event(port, index, event)
    fire(port, index)
    assert count_of(event) == 1


@pytest.mark.device("mtty")
def test_without_a_reply(port, eventfd):
    event = eventfd()
    port.send(SET_IRQS, set_irqs(data_eventfd | trigger, intx), fds=[event], flags=codec.no_reply)
    let_it_interrupt(port)
    assert count_of(event) == 1


@pytest.mark.device("mtty")
def test_all_is_off_for_the_next_client(port, connect, eventfd):
    event = eventfd()
    set_event(port, intx, event)
    port.close()
    after = connect()
    after.negotiate({})
    after.refused(SET_IRQS, set_irqs(data_none | trigger, intx), errno.EINVAL)
    assert is_quiet(event)

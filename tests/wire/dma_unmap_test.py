"""DMA_UNMAP: by the rules of the kernel's second version of type1."""

import errno
import random

import codec
import pytest
from codec import DMA_MAP, DMA_UNMAP, dma_map, dma_unmap, message, unmap_all
from deviations import deviates
from samples import limits_64, page, refuse_short, short_lengths

base = 0x200000
last_page = (1 << 64) - page


def nothing_there(client, iova: int, size: int) -> None:
    if deviates("unmap-exactly"):
        client.refused(DMA_UNMAP, dma_unmap(iova, size), errno.ENOENT)
    else:
        assert client.unmap(iova, size) == 0


@pytest.mark.parametrize("with_file", [False, True])
def test_the_reply_is_the_request_with_the_size_that_went(client, memory, with_file):
    client.map(base, 4 * page, memory(4 * page) if with_file else None)
    reply = client.ok(DMA_UNMAP, dma_unmap(base, 4 * page))
    assert codec.unpack_dma_unmap(reply.payload) == (24, 0, base, 4 * page)
    assert len(reply.payload) == 24
    assert reply.fds == []


def test_where_nothing_is(client):
    nothing_there(client, base, page)
    nothing_there(client, 0, 1 << 40)


def test_twice(client):
    client.map(base, page)
    assert client.unmap(base, page) == page
    nothing_there(client, base, page)


def test_what_was_unmapped_can_be_mapped_again(client, memory):
    for _ in range(10):
        client.map(base, page, memory(page))
        assert client.unmap(base, page) == page


@pytest.mark.parametrize("first, count", [(0, 10), (-1, 11), (0, 11), (-100, 1000)])
def test_several_at_once(client, first, count):
    """Ten mappings of a page each."""
    if deviates("unmap-exactly"):
        pytest.skip("the server unmaps one mapping at a time")
    for i in range(10):
        client.map(base + i * page, page)
    assert client.unmap(base + first * page, count * page) == 10 * page
    nothing_there(client, base, 10 * page)


def test_only_those_inside_of_the_range(client):
    if deviates("unmap-exactly"):
        pytest.skip("the server unmaps one mapping at a time")
    for i in range(0, 10, 2):
        client.map(base + i * page, page)
    assert client.unmap(base + page, 6 * page) == 3 * page
    assert client.unmap(base, 10 * page) == 2 * page


@pytest.mark.parametrize("first, count", [(0, 1), (0, 3), (1, 1), (1, 2), (3, 1), (-1, 2), (-1, 4), (1, 4), (2, 100)])
def test_a_part_of_a_mapping_is_refused_and_nothing_goes(client, first, count):
    """Pages 0 to 3 are one mapping."""
    client.map(base, 4 * page)
    code = None if deviates("unmap-exactly") else errno.EINVAL
    client.refused(DMA_UNMAP, dma_unmap(base + first * page, count * page), code)
    assert client.unmap(base, 4 * page) == 4 * page


def test_whole_ones_stay_when_another_would_be_cut(client):
    client.map(base, page)
    client.map(base + page, 2 * page)
    client.refused(DMA_UNMAP, dma_unmap(base, 2 * page))
    assert client.unmap(base, page) == page
    assert client.unmap(base + page, 2 * page) == 2 * page


def test_a_size_of_0(client):
    client.refused(DMA_UNMAP, dma_unmap(base, 0), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize("iova, size", [(base + 1, page), (base, page - 1), (base, page + 1), (1, 1)])
def test_what_is_not_in_pages(client, iova, size):
    client.map(base, page)
    client.refused(DMA_UNMAP, dma_unmap(iova, size), errno.EINVAL)
    assert client.unmap(base, page) == page


@pytest.mark.parametrize("iova, size", [(last_page, 2 * page), (1 << 63, (1 << 63) + page), (2 * page, last_page)])
def test_a_range_that_wraps(client, iova, size):
    client.refused(DMA_UNMAP, dma_unmap(iova, size), errno.EOVERFLOW)
    client.lives()


def test_a_range_up_to_the_end_of_all_addresses(client):
    nothing_there(client, page, last_page)
    nothing_there(client, last_page, page)


@pytest.mark.parametrize("size", limits_64)
def test_a_size_at_the_limits_of_its_field(client, size):
    client.map(base, page)
    reply = client.call(DMA_UNMAP, dma_unmap(base, size))
    assert reply.error is not None or size == 1 << 63
    client.lives()


def test_the_last_page_there_is(client):
    client.map(last_page, page)
    assert client.unmap(last_page, page) == page


@pytest.mark.parametrize("flags", [4, 8, 16, 0x80000000, 0xFFFFFFFF, 3, 5, 6, 7])
def test_flags_that_are_none_or_do_not_go_together(client, flags):
    client.map(base, page)
    client.refused(DMA_UNMAP, dma_unmap(base, page, flags))
    client.refused(DMA_UNMAP, dma_unmap(0, 0, flags))
    assert client.unmap(base, page) == page


# --- ALL.


def test_all(client, memory):
    for i in range(10):
        client.map(base + 3 * i * page, 2 * page, memory(2 * page) if i % 2 else None)
    client.map(last_page, page, memory(page))
    assert client.unmap(0, 0, unmap_all) == 21 * page
    for i in range(10):
        client.map(base + 3 * i * page, 2 * page)


def test_all_of_nothing(client):
    assert client.unmap(0, 0, unmap_all) == 0


@pytest.mark.parametrize("iova, size", [(0, page), (page, 0), (base, page), (0, last_page)])
def test_all_has_no_range(client, iova, size):
    client.map(base, page)
    client.refused(DMA_UNMAP, dma_unmap(iova, size, unmap_all), errno.EINVAL)
    assert client.unmap(base, page) == page


# --- The message.


@short_lengths(DMA_UNMAP)
def test_a_payload_that_is_too_short(client, length):
    refuse_short(client, DMA_UNMAP, length)


@pytest.mark.parametrize("argsz", [0, 1, 16, 23])
def test_argsz_that_has_no_room_for_the_structure(client, argsz):
    client.map(base, page)
    client.refused(DMA_UNMAP, dma_unmap(base, page, argsz=argsz), errno.EINVAL)
    assert client.unmap(base, page) == page


@pytest.mark.parametrize("argsz", [25, 4096, 0xFFFFFFFF])
def test_argsz_that_has_more_room(client, argsz):
    client.map(base, page)
    reply = client.ok(DMA_UNMAP, dma_unmap(base, page, argsz=argsz))
    assert codec.unpack_dma_unmap(reply.payload) == (24, 0, base, page)


def test_bytes_behind_the_structure_are_not_looked_at(client):
    client.map(base, page)
    client.ok(DMA_UNMAP, dma_unmap(base, page) + b"\xff" * 64)
    client.lives()


def test_without_a_reply(client):
    client.map(base, page)
    client.send(DMA_UNMAP, dma_unmap(base, page), flags=codec.no_reply)
    client.map(base, page)


def test_maps_and_unmaps_by_turns_in_one_send(client):
    turns = 200
    pair = [message(DMA_MAP, dma_map(base, page)), message(DMA_UNMAP, dma_unmap(base, page))]
    client.send_bytes(b"".join(pair * turns))
    replies = [client.receive() for _ in range(2 * turns)]
    assert all(reply.error is None for reply in replies)
    assert [reply.header.command for reply in replies] == [DMA_MAP, DMA_UNMAP] * turns


# --- Against a model.


class Model:
    """What type1's second version says of ranges of pages."""

    def __init__(self):
        self.maps: dict[int, int] = {}

    def overlapping(self, first: int, count: int) -> list[int]:
        return [at for at, size in self.maps.items() if at < first + count and first < at + size]

    def map(self, first: int, count: int) -> int | None:
        if self.overlapping(first, count):
            return errno.EEXIST
        self.maps[first] = count
        return None

    def unmap(self, first: int, count: int) -> int | None:
        """The pages that go; None where a mapping would be cut."""
        hit = self.overlapping(first, count)
        if any(at < first or at + self.maps[at] > first + count for at in hit):
            return None
        return sum(self.maps.pop(at) for at in hit)


@pytest.mark.parametrize("seed", range(20))
def test_it_is_as_a_plain_model_says(client, memory, seed):
    if deviates("unmap-exactly"):
        pytest.skip("the server unmaps one mapping at a time")
    chance, model, fd = random.Random(seed), Model(), memory(64 * page)
    for _ in range(200):
        first, count = chance.randrange(48), chance.randrange(1, 12)
        iova, size = base + first * page, count * page
        if chance.random() < 0.5:
            fds = [fd] if chance.random() < 0.5 else []
            expected = model.map(first, count)
            assert client.call(DMA_MAP, dma_map(iova, size), fds=fds).error == expected
        elif (pages := model.unmap(first, count)) is None:
            client.refused(DMA_UNMAP, dma_unmap(iova, size), errno.EINVAL)
        else:
            assert client.unmap(iova, size) == pages * page
    assert client.unmap(0, 0, unmap_all) == sum(model.maps.values()) * page

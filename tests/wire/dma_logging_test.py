"""The log of written memory: DMA_LOGGING_START, STOP and REPORT, and DMA_UNMAP with a bitmap."""

import errno

import codec
import pytest
from codec import (
    DMA_UNMAP,
    FEATURE,
    feature,
    feature_get,
    feature_probe,
    feature_set,
    logging_report,
    logging_report_feature,
    logging_start,
    logging_start_feature,
    logging_stop_feature,
)
from samples import page

gib = 1 << 30


@pytest.fixture(autouse=True)
def logs(client):
    if client.call(FEATURE, feature(logging_start_feature | feature_probe | feature_set)).error is not None:
        pytest.skip("the device does not log its DMA")


def start_request(page_size: int, ranges: list[tuple[int, int]], count: int | None = None) -> bytes:
    return feature(logging_start_feature | feature_set, logging_start(page_size, ranges, count))


def report_request(iova: int, length: int, page_size: int, argsz: int | None = None) -> bytes:
    pages = -(-length // page_size) if page_size else 0
    bitmap = -(-pages // 64) * 8
    whole = min(8 + 24 + bitmap, 0xFFFFFFFF)
    fixed = feature_get | logging_report_feature
    return feature(fixed, logging_report(iova, length, page_size), whole if argsz is None else argsz)


def start(client, ranges: list[tuple[int, int]], page_size: int = page) -> None:
    client.ok(FEATURE, start_request(page_size, ranges))


def report(client, iova: int, length: int, page_size: int = page) -> bytes:
    reply = client.ok(FEATURE, report_request(iova, length, page_size))
    answer = codec.unpack_feature(reply.payload)
    assert answer.data[:24] == logging_report(iova, length, page_size)
    assert answer.argsz == len(reply.payload)
    return answer.data[24:]


def stop(client) -> None:
    client.ok(FEATURE, feature(logging_stop_feature | feature_set))


def test_nothing_was_written(client):
    start(client, [(0, 64 * page)])
    assert report(client, 0, 64 * page) == bytes(8)


def test_the_answer_to_start_has_the_page_size_that_is_kept(client):
    reply = client.ok(FEATURE, start_request(page, [(0, 64 * page)]))
    answer = codec.unpack_feature(reply.payload)
    assert int.from_bytes(answer.data[:8], "little") == page
    assert answer.data[8:] == logging_start(page, [(0, 64 * page)])[8:]


@pytest.mark.parametrize("pages, size", [(1, 8), (63, 8), (64, 8), (65, 16), (128, 16), (4096, 512)])
def test_a_bitmap_is_in_words_of_64_bits(client, pages, size):
    start(client, [(0, gib)])
    assert report(client, 0, pages * page) == bytes(size)


@pytest.mark.parametrize("page_size", [page, 2 * page, 1 << 16, 1 << 21, 1 << 30])
def test_any_power_of_two_is_a_page_size_of_a_report(client, page_size):
    start(client, [(0, 1 << 36)])
    assert report(client, 0, 1 << 31, page_size).strip(b"\0") == b""


@pytest.mark.parametrize("page_size", [0, 3, page - 1, page + 1, 3 * page])
def test_others_are_not(client, page_size):
    start(client, [(0, gib)])
    client.refused(FEATURE, report_request(0, page, page_size, argsz=4096), errno.EINVAL)
    client.lives()


@pytest.mark.parametrize(
    "ranges",
    [[(0, 0)], [(1, page)], [(0, page + 1)], [(0, 2 * page), (page, page)], [(0, page), (0, page)]],
)
def test_ranges_that_are_none_or_overlap(client, ranges):
    client.refused(FEATURE, start_request(page, ranges), errno.EINVAL)
    client.lives()


def test_a_range_that_wraps(client):
    client.refused(FEATURE, start_request(page, [((1 << 64) - page, 2 * page)]), errno.EOVERFLOW)
    client.lives()


def test_as_many_ranges_as_the_kernel_takes(client):
    start(client, [(2 * i * page, page) for i in range(256)])


def test_one_range_more(client):
    client.refused(FEATURE, start_request(page, [(2 * i * page, page) for i in range(257)]), errno.E2BIG)
    client.lives()


@pytest.mark.parametrize("claimed, sent", [(2, 1), (256, 1), (0xFFFFFFFF, 1), (0x10000000, 0)])
def test_ranges_that_are_not_as_many_as_said(client, claimed, sent):
    client.refused(FEATURE, start_request(page, [(i * page, page) for i in range(sent)], claimed))
    client.lives()


def test_it_is_started_once(client):
    start(client, [(0, gib)])
    client.refused(FEATURE, start_request(page, [(0, gib)]), errno.EINVAL)
    stop(client)
    start(client, [(0, gib)])


def test_a_report_of_nothing_that_is_kept(client):
    client.refused(FEATURE, report_request(0, page, page), errno.EINVAL)
    start(client, [(0, gib)])
    stop(client)
    client.refused(FEATURE, report_request(0, page, page), errno.EINVAL)


@pytest.mark.parametrize("room", [0, 8, 24, 31, 39])
def test_argsz_that_has_no_room_for_the_bitmap(client, room):
    start(client, [(0, gib)])
    client.refused(FEATURE, report_request(0, page, page, argsz=room), errno.EINVAL)
    client.lives()


def test_start_and_stop_have_no_get_and_report_no_set(client):
    client.refused(FEATURE, feature(logging_start_feature | feature_get, bytes(16)), errno.EINVAL)
    client.refused(FEATURE, feature(logging_stop_feature | feature_get), errno.EINVAL)
    client.refused(FEATURE, feature(logging_report_feature | feature_set, bytes(24)), errno.EINVAL)
    client.lives()


# --- 64 GiB and more.


@pytest.mark.parametrize("size", [64 * gib, 1 << 40, 1 << 46, (1 << 64) - page])
def test_all_the_memory_that_there_is(client, size):
    start(client, [(0, size)])
    client.lives()


def test_64_gib_in_one_report_or_an_error(client):
    """The bitmap has 2 MiB. Either it comes, or the session says that it is too large; it goes on."""
    start(client, [(0, 64 * gib)])
    reply = client.call(FEATURE, report_request(0, 64 * gib, page))
    if reply.error is None:
        assert len(reply.payload) == 32 + (2 << 20)
    client.lives()


def test_64_gib_in_large_pages(client):
    start(client, [(0, 64 * gib)])
    for page_size in (1 << 16, 1 << 21, 1 << 30):
        assert report(client, 0, 64 * gib, page_size).strip(b"\0") == b""


def test_64_gib_a_gib_at_a_time(client):
    start(client, [(0, 64 * gib)])
    for i in range(64):
        assert report(client, i * gib, gib) == bytes(gib // page // 8)


@pytest.mark.parametrize("length, page_size", [(1 << 63, page), ((1 << 64) - page, page), (1 << 62, 1 << 20)])
def test_a_bitmap_that_nobody_has_room_for(client, length, page_size):
    start(client, [(0, 64 * gib)])
    client.refused(FEATURE, report_request(0, length, page_size))
    client.lives()


@pytest.mark.own
def test_it_costs_little_memory(server, client):
    before = server.memory_kib()
    for _ in range(5):
        start(client, [(0, 1 << 46)])
        report(client, 0, gib)
        stop(client)
    assert server.memory_kib() - before < 16 << 10


def test_it_ends_with_the_client(client, connect):
    start(client, [(0, gib)])
    client.close()
    following = connect()
    following.negotiate({})
    following.refused(FEATURE, report_request(0, page, page), errno.EINVAL)


# --- DMA_UNMAP with a bitmap: type1's log, which is on only while the container's is.


@pytest.mark.parametrize("pgsize, size", [(page, 8), (0, 8), (3, 8), (page, 0), (page, 1 << 40)])
def test_an_unmap_with_a_bitmap_is_answered(client, pgsize, size):
    client.map(0, page)
    request = codec.dma_unmap_bitmap(0, page, pgsize, size, argsz=24 + 16 + 8)
    reply = client.call(DMA_UNMAP, request)
    if reply.error is None:
        assert len(reply.payload) == 24 + 16 + 8
    else:
        assert client.unmap(0, page) == page
    client.lives()


@pytest.mark.parametrize("length", range(24, 40))
def test_an_unmap_with_half_a_bitmap(client, length):
    client.map(0, page)
    client.refused(DMA_UNMAP, codec.dma_unmap_bitmap(0, page, page, 8)[:length], errno.EINVAL)
    assert client.unmap(0, page) == page

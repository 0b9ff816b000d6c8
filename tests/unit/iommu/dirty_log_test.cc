#include "umdev/iommu/dirty_log.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <set>
#include <thread>
#include <vector>

#include "tests/unit/iommu/fixtures.h"

namespace umdev::iommu {
namespace {

constexpr std::uint64_t gib = 1ULL << 30;
using Ranges = std::vector<IovaRange>;

std::shared_ptr<DirtyLog> log_of(const Ranges& ranges) {
  return DirtyLog::create(ranges, page, 256).value();
}

// The numbers of the bits that a report sets.
std::vector<std::uint64_t> report(DirtyLog& log, IovaRange range, std::uint64_t size = page) {
  std::vector<std::byte> bitmap(dirty_bitmap_size(range.size, size));
  EXPECT_TRUE(log.report(range, size, bitmap));
  std::vector<std::uint64_t> bits;
  for (std::uint64_t bit = 0; bit < bitmap.size() * 8; ++bit)
    if ((bitmap[bit / 8] & std::byte(1U << (bit % 8))) != std::byte{0}) bits.push_back(bit);
  return bits;
}

using Bits = std::vector<std::uint64_t>;

TEST(DirtyBitmap, is_made_of_whole_words_of_64_pages) {
  EXPECT_EQ(dirty_bitmap_size(page, page), 8U);
  EXPECT_EQ(dirty_bitmap_size(64 * page, page), 8U);
  EXPECT_EQ(dirty_bitmap_size(65 * page, page), 16U);
  EXPECT_EQ(dirty_bitmap_size(64 * gib, page), 2U << 20);
  EXPECT_EQ(dirty_bitmap_size(page, 2U << 20), 8U);
  EXPECT_EQ(dirty_bitmap_size(UINT64_MAX, 1), (1ULL << 61));
}

TEST(DirtyLog, C43_ranges_are_checked_as_the_kernel_does) {
  struct Case {
    const char* what;
    Ranges ranges;
    std::uint64_t size;
    int error;
  };
  Ranges many;
  for (std::uint64_t i = 0; i < 257; ++i) many.push_back({i * page, page});
  const Ranges full(many.begin(), many.end() - 1);
  const Case cases[] = {
      {"one", {{0, page}}, page, 0},
      {"none", {}, page, EINVAL},
      {"256", full, page, 0},
      {"257", many, page, E2BIG},
      {"an empty one", {{page, 0}}, page, EINVAL},
      {"misaligned", {{1, page}}, page, EINVAL},
      {"misaligned length", {{0, page + 1}}, page, EINVAL},
      {"aligned to the hint only", {{512, 512}}, 512, 0},
      {"not aligned to a large hint", {{page, page}}, 2U << 20, EINVAL},
      {"no power of two", {{0, 3 * page}}, 3 * page, EINVAL},
      {"page size 0", {{0, page}}, 0, EINVAL},
      {"it wraps", {{UINT64_MAX - page + 1, 2 * page}}, page, EOVERFLOW},
      {"up to the end", {{UINT64_MAX - page + 1, page}}, page, 0},
      {"overlapping", {{0, 2 * page}, {page, page}}, page, EINVAL},
      {"the same twice", {{0, page}, {0, page}}, page, EINVAL},
      {"adjoining, not in order", {{page, page}, {0, page}}, page, 0},
  };
  for (const Case& c : cases) EXPECT_EQ(error_of(DirtyLog::create(c.ranges, c.size, 256)), c.error) << c.what;
}

TEST(DirtyLog, C43_reports_are_checked_as_the_kernel_does) {
  const auto log = log_of({{0, 16 * page}});
  std::vector<std::byte> bitmap(8);
  EXPECT_EQ(error_of(log->report({0, page}, page / 2, bitmap)), EINVAL);
  EXPECT_EQ(error_of(log->report({0, page}, 3 * page, bitmap)), EINVAL);
  EXPECT_EQ(error_of(log->report({0, page}, 0, bitmap)), EINVAL);
  EXPECT_EQ(error_of(log->report({0, 0}, page, bitmap)), EINVAL);
  EXPECT_EQ(error_of(log->report({1, page}, page, bitmap)), EINVAL);
  EXPECT_EQ(error_of(log->report({0, page - 1}, page, bitmap)), EINVAL);
  EXPECT_EQ(error_of(log->report({UINT64_MAX - page + 1, 2 * page}, page, bitmap)), EOVERFLOW);
  EXPECT_EQ(error_of(log->report({0, 65 * page}, page, bitmap)), EINVAL) << "the bitmap is too short";
  EXPECT_EQ(error_of(log->report({0, 64 * page}, page, bitmap)), 0);
}

TEST(DirtyLog, a_report_forgets_and_only_what_it_reports) {
  const auto log = log_of({{0, 16 * page}});
  log->mark({page, 3 * page});
  EXPECT_EQ(report(*log, {2 * page, page}), Bits{0});
  EXPECT_EQ(report(*log, {0, 16 * page}), (Bits{1, 3}));
  EXPECT_EQ(report(*log, {0, 16 * page}), Bits());
}

TEST(DirtyLog, a_byte_makes_its_page_dirty) {
  const auto log = log_of({{0, 16 * page}});
  log->mark({2 * page - 1, 2});
  EXPECT_EQ(report(*log, {0, 16 * page}), (Bits{1, 2}));
}

TEST(DirtyLog, what_is_outside_of_its_ranges_is_not_its_business) {
  const auto log = log_of({{4 * page, page}, {8 * page, 2 * page}});
  log->mark({0, 16 * page});
  log->mark({100 * gib, page});
  EXPECT_EQ(report(*log, {0, 16 * page}), (Bits{4, 8, 9}));
}

TEST(DirtyLog, larger_pages_are_dirty_when_a_part_of_them_is) {
  const auto log = log_of({{0, gib}});
  log->mark({5 * page, 1});
  log->mark({gib - 1, 1});
  EXPECT_EQ(report(*log, {0, gib}, 2U << 20), (Bits{0, 511}));
  log->mark({5 * page, 1});
  EXPECT_EQ(report(*log, {0, 64 * page}, 1ULL << 40), Bits{0});
  log->mark({5 * page, 1});
  EXPECT_EQ(report(*log, {5 * page, 3 * page}, 2 * page), Bits{0}) << "bit 0 is where the range begins";
}

TEST(DirtyLog, bits_that_are_set_stay_set) {
  const auto log = log_of({{0, 64 * page}});
  log->mark({0, page});
  std::vector<std::byte> bitmap(8, std::byte{0xf0});
  ASSERT_TRUE(log->report({0, 64 * page}, page, bitmap));
  EXPECT_EQ(bitmap[0], std::byte{0xf1});
}

TEST(DirtyLog, everything_has_a_first_and_a_last_page) {
  const auto log = DirtyLog::create_for_everything();
  log->mark({0, 1});
  log->mark({UINT64_MAX, 1});
  log->mark({(1ULL << 63) - 1, 2});
  EXPECT_EQ(report(*log, {0, page}), Bits{0});
  EXPECT_EQ(report(*log, {UINT64_MAX - 2 * page + 1, 2 * page}), Bits{1});
  EXPECT_EQ(report(*log, {(1ULL << 63) - page, 2 * page}), (Bits{0, 1}));
}

TEST(DirtyLog, a_report_of_everything_costs_what_was_marked) {
  const auto log = DirtyLog::create_for_everything();
  log->mark({gib, page});
  log->clear({0, UINT64_MAX});
  EXPECT_EQ(report(*log, {gib, page}), Bits());
  EXPECT_LT(log->memory(), 64U << 10);
  log->mark({0, 64 * gib});
  EXPECT_LT(log->memory(), 3U << 20) << "a bit a page, and little more";
}

TEST(DirtyLog, over_its_bound_it_says_that_everything_is_dirty) {
  const Ranges ranges{{16 * page, 4 * page}, {32 * page, 7 * page}, {64 * gib, 1024 * gib}};
  const Bits all{16, 17, 18, 19, 32, 33, 34, 35, 36, 37, 38};
  const auto log = DirtyLog::create(ranges, page, 256, 16 << 10).value();
  for (std::uint64_t at = 64 * gib; at < 1000 * gib; at += gib) log->mark({at, page});
  EXPECT_LE(log->memory(), 16U << 10);
  EXPECT_EQ(report(*log, {0, 64 * page}), all);
  EXPECT_EQ(report(*log, {0, 64 * page}), all) << "for good";
  EXPECT_EQ(report(*log, {64 * gib, 128 * page}).size(), 128U);
}

// --- Against a plain model.

struct Step {
  std::uint64_t iova = 0;
  std::uint64_t size = 0;
  unsigned order = 0;  // report at page << order; more than 10: mark
};

// NOLINTNEXTLINE(readability-identifier-naming): the name that RapidCheck looks for
void showValue(const Step& step, std::ostream& out) {
  out << "{" << step.iova << " " << step.size << " " << step.order << "}";
}

TEST(DirtyLog, is_a_set_of_pages) {
  const bool held = rc::check([] {
    const Ranges ranges{{0, 40 * page}, {50 * page, 5000 * page}, {(1ULL << 40) + page, 3 * page}};
    const auto log = log_of(ranges);
    std::set<std::uint64_t> model;
    const auto contained = [&](std::uint64_t number) {
      return std::ranges::any_of(ranges,
                                 [&](const IovaRange& r) { return r.contains({number * page, page}); });
    };
    const auto steps = *rc::gen::container<std::vector<Step>>(rc::gen::build<Step>(
        rc::gen::set(&Step::iova,
                     rc::gen::oneOf(rc::gen::inRange<std::uint64_t>(0, 5100 * page),
                                    rc::gen::inRange<std::uint64_t>(1ULL << 40, (1ULL << 40) + 8 * page))),
        rc::gen::set(&Step::size, rc::gen::inRange<std::uint64_t>(1, 700 * page)),
        rc::gen::set(&Step::order, rc::gen::inRange(0U, 24U))));
    for (const Step& step : steps) {
      if (step.order > 10) {
        log->mark({step.iova, step.size});
        for (std::uint64_t n = step.iova / page; n <= (step.iova + step.size - 1) / page; ++n)
          if (contained(n)) model.insert(n);
        continue;
      }
      const IovaRange asked{step.iova / page * page, (step.size / page + 1) * page};
      std::set<std::uint64_t> expected;
      for (std::uint64_t n = asked.iova / page; n <= asked.last() / page; ++n)
        if (model.erase(n) != 0) expected.insert((n * page - asked.iova) >> (12 + step.order));
      const Bits got = report(*log, asked, page << step.order);
      RC_ASSERT(got == Bits(expected.begin(), expected.end()));
    }
  });
  EXPECT_TRUE(held);
}

TEST(DirtyLog, no_mark_is_lost_between_threads) {
  constexpr std::uint64_t pages = 4096;
  const auto log = log_of({{0, pages * page}});
  std::vector<std::thread> markers;
  for (std::uint64_t part = 0; part < 2; ++part)
    markers.emplace_back([&, part] {
      for (std::uint64_t n = part; n < pages; n += 2) log->mark({n * page, 1});
    });
  std::set<std::uint64_t> seen;
  const auto collect = [&] {
    for (const std::uint64_t bit : report(*log, {0, pages * page})) EXPECT_TRUE(seen.insert(bit).second);
  };
  for (int i = 0; i < 20; ++i) collect();
  for (std::thread& marker : markers) marker.join();
  collect();
  EXPECT_EQ(seen.size(), pages);
}

}  // namespace
}  // namespace umdev::iommu

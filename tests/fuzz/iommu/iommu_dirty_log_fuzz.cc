// The log of written pages, held against a list of what was marked and forgotten, in order: of two that
// concern a page the later one counts.
//
// The input: ranges, page size and memory of the log, then steps. Addresses are in pages near one of a few
// places.
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <ranges>
#include <vector>

#include "tests/support/fuzz/step_reader.h"
#include "umdev/iommu/dirty_log.h"
#include "umdev/support/assert.h"

namespace umdev::iommu {
namespace {

using test::StepReader;

constexpr std::uint32_t ranges_max = 8;

struct Event {
  IovaRange range;
  bool written = false;
};

class Comparison {
 public:
  explicit Comparison(StepReader& reader) : reader_(reader) {}

  void run() {
    if (!create()) return;
    constexpr int steps_max = 200;
    for (int step = 0; step < steps_max && !reader_.at_end(); ++step) take_step();
  }

 private:
  Iova address() {
    constexpr std::array<Iova, 8> places{0,          1ULL << 20, 1ULL << 30,      (1ULL << 32) - 0x10000,
                                         1ULL << 39, 1ULL << 47, ~0ULL - 0xfffff, ~0xfffULL};
    const Iova place = places.at(reader_.below(8));
    return place + reader_.byte() * page_size;  // may wrap: then it is another address
  }
  IovaRange range() {
    const Iova iova = address();
    return {.iova = iova, .size = reader_.number(page_size)};
  }
  std::uint64_t granule() {
    const std::uint8_t power = reader_.byte();
    return power < 0xf0 ? page_size << (power % 10) : reader_.number(1);
  }

  // The rules of DMA_LOGGING_START.
  bool create() {
    const std::uint8_t how = reader_.byte();
    limited_ = (how & 1) != 0;
    const std::size_t memory_max = limited_ ? 20000 : DirtyLog::default_memory_max;
    if ((how & 2) != 0) {
      log_ = DirtyLog::create_for_everything(memory_max);
      return true;
    }
    const std::uint64_t page = granule();
    for (std::size_t count = 1 + reader_.below(4); count > 0; --count) ranges_.push_back(range());
    bool good = page != 0 && (page & (page - 1)) == 0;
    for (std::size_t i = 0; i < ranges_.size(); ++i) {
      const IovaRange one = ranges_[i];
      good = good && one.valid() && one.iova % page == 0 && one.size % page == 0;
      for (std::size_t other = 0; good && other < i; ++other) good = !one.overlaps(ranges_[other]);
    }
    auto log = DirtyLog::create(ranges_, page, ranges_max, memory_max);
    // Page sizes below ours are the log's to refuse or to round: either is safe.
    if (page >= page_size)
      UMDEV_ASSERT(log.has_value() == good, "a log of ranges that are none, or none of good ones");
    if (!log) return false;
    log_ = std::move(*log);
    return true;
  }

  void take_step() {
    const std::uint8_t which = reader_.byte();
    IovaRange where = range();
    if (which % 4 == 3) return report(where);
    // More than its memory holds makes a log inexact, which is what the limited one is for.
    constexpr std::uint64_t much = 1ULL << 28;
    if (!limited_ && where.iova % page_size == 0 && where.size > much) where.size = much;
    // mark() and clear() are the framework's, which has checked the range.
    if (!where.valid() || where.iova % page_size != 0 || where.size % page_size != 0) return;
    if (which % 4 == 2) {
      log_->clear(where);
      events_.push_back({.range = where, .written = false});
    } else {
      // A write of any bytes of the pages.
      const std::uint64_t cut = which < 0x80 ? 0 : where.size / 2;
      log_->mark({.iova = where.iova + cut, .size = where.size - cut});
      const Iova first = (where.iova + cut) / page_size * page_size;
      events_.push_back(
          {.range = {.iova = first, .size = where.size - (first - where.iova)}, .written = true});
    }
  }

  bool is_dirty(IovaRange page) const {
    const bool logged =
        ranges_.empty() || std::ranges::any_of(ranges_, [&](IovaRange one) { return one.overlaps(page); });
    if (!logged) return false;
    for (const auto& event : std::ranges::reverse_view(events_))
      if (event.range.overlaps(page)) return event.written;
    return false;
  }

  void report(IovaRange where) {
    const std::uint64_t page = granule();
    constexpr std::uint64_t pages_max = 2048;
    if (where.valid() && where.size / page_size > pages_max) where.size = pages_max * page_size;
    const bool power = page != 0 && (page & (page - 1)) == 0;
    const bool good = where.valid() && where.iova % page_size == 0 && where.size % page_size == 0 && power &&
                      page >= page_size;
    const std::uint64_t size = power ? dirty_bitmap_size(where.size, page) : 8;
    std::vector<std::byte> bitmap(good ? size : 8);
    const bool answered = log_->report(where, page, bitmap).has_value();
    UMDEV_ASSERT(answered == good, "a report of what is no range, or none of a good one");
    if (!good) return;
    check(where, page, bitmap);
    events_.push_back({.range = where, .written = false});
  }

  void check(IovaRange where, std::uint64_t page, ConstBytes bitmap) const {
    std::vector<bool> wanted(bitmap.size() * 8);
    for (std::uint64_t at = 0; at < where.size; at += page_size)
      if (is_dirty({.iova = where.iova + at, .size = page_size})) wanted[at / page] = true;
    for (std::size_t bit = 0; bit < wanted.size(); ++bit) {
      const bool said = (bitmap[bit / 8] & std::byte{1} << (bit % 8)) != std::byte{0};
      UMDEV_ASSERT(said || !wanted[bit], "a page that was written is not told");
      // A log that ran out of memory says that everything was written.
      UMDEV_ASSERT(limited_ || said == wanted[bit], "a page is told that was not written");
    }
  }

  StepReader& reader_;
  bool limited_ = false;
  std::vector<IovaRange> ranges_;
  std::shared_ptr<DirtyLog> log_;
  std::vector<Event> events_;
};

}  // namespace
}  // namespace umdev::iommu

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  umdev::test::StepReader reader(std::as_bytes(std::span(data, size)));
  umdev::iommu::Comparison(reader).run();
  return 0;
}

// A tree of equal nodes. A page number has 52 bits: the lowest 12 choose a bit in a leaf of 64 words, each
// level above chooses one of 64 children by 6 bits. Nodes are added by compare-and-swap and stay until the
// log goes, so that marking and reporting need no lock.
#include "umdev/iommu/dirty_log.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

namespace umdev::iommu {
namespace {

constexpr unsigned page_bits = 12;
constexpr unsigned word_bits = 6;   // bits of a word, by their number
constexpr unsigned child_bits = 6;  // children of a node, words of a leaf
constexpr std::size_t node_words = 1U << child_bits;
constexpr unsigned leaf_bits = word_bits + child_bits;
constexpr unsigned levels = 7;  // above the leaves: 52 - 12 bits
static_assert(page_size == 1U << page_bits);
static_assert(leaf_bits + levels * child_bits >= 64 - page_bits);

// How many bits of a page number lie below the children of a node of this level; level 0 is the leaf.
constexpr unsigned shift_of(unsigned level) {
  return word_bits + level * child_bits;
}

// The bits of a word from `first` to `last`, both in it.
constexpr std::uint64_t bits(unsigned first, unsigned last) {
  return (~std::uint64_t{0} << first) & (~std::uint64_t{0} >> (63 - last));
}

void set_bits(Bytes bitmap, std::uint64_t first, std::uint64_t last) {
  for (std::uint64_t bit = first; bit <= last;) {
    if (bit % 8 == 0 && last - bit >= 7) {
      bitmap[bit / 8] = std::byte{0xff};
      bit += 8;
    } else {
      bitmap[bit / 8] |= std::byte(1U << (bit % 8));
      ++bit;
    }
  }
}

}  // namespace

// Inner nodes hold pointers to nodes, leaves hold bits of pages.
struct DirtyLog::Node {
  std::array<std::atomic<std::uint64_t>, node_words> words{};

  Node* child(std::size_t index) const {
    return std::bit_cast<Node*>(words[index].load(std::memory_order_acquire));
  }
};

// One report while it goes through the tree. Page numbers; without a bitmap it only forgets.
struct DirtyLog::Report {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  unsigned per_bit = 0;  // log2 of the pages that a bit stands for
  Bytes bitmap;

  void found(std::uint64_t page) const {
    if (bitmap.empty()) return;
    const std::uint64_t bit = (page - first) >> per_bit;
    bitmap[bit / 8] |= std::byte(1U << (bit % 8));
  }
};

Result<std::shared_ptr<DirtyLog>> DirtyLog::create(std::span<const IovaRange> ranges, std::uint64_t granule,
                                                   std::uint32_t ranges_max, std::size_t memory_max) {
  if (!std::has_single_bit(granule)) return fail(EINVAL, "the page size is no power of two");
  if (ranges.empty()) return fail(EINVAL, "no range to log");
  if (ranges.size() > ranges_max) return fail(E2BIG, "too many ranges to log");
  std::vector<IovaRange> sorted(ranges.begin(), ranges.end());
  for (const IovaRange& range : sorted) {
    if (range.size == 0) return fail(EINVAL, "a range to log is empty");
    if (((range.iova | range.size) & (granule - 1)) != 0)
      return fail(EINVAL, "a range to log is not page aligned");
    if (!range.valid()) return fail(EOVERFLOW, "a range to log wraps");
  }
  std::ranges::sort(sorted, {}, &IovaRange::iova);
  for (std::size_t i = 1; i < sorted.size(); ++i)
    if (sorted[i - 1].overlaps(sorted[i])) return fail(EINVAL, "ranges to log overlap");
  return std::shared_ptr<DirtyLog>(new DirtyLog(std::move(sorted), memory_max));
}

std::shared_ptr<DirtyLog> DirtyLog::create_for_everything(std::size_t memory_max) {
  constexpr std::uint64_t half = std::uint64_t{1} << 63;
  return std::shared_ptr<DirtyLog>(
      new DirtyLog({{.iova = 0, .size = half}, {.iova = half, .size = half}}, memory_max));
}

DirtyLog::DirtyLog(std::vector<IovaRange> ranges, std::size_t memory_max)
    : ranges_(std::move(ranges)), memory_max_(memory_max), root_(std::make_unique<Node>()) {}

DirtyLog::~DirtyLog() {
  free(*root_, levels);
}

void DirtyLog::free(Node& node, unsigned level) {
  if (level == 0) return;
  for (std::size_t index = 0; index < node_words; ++index) {
    const std::unique_ptr<Node> child(node.child(index));
    if (child) free(*child, level - 1);
  }
}

// --- Marking.

void DirtyLog::mark(IovaRange range) {
  // The first of the sorted ranges that does not end before this one begins.
  auto known = std::ranges::lower_bound(ranges_, range.iova, {}, [](const IovaRange& r) { return r.last(); });
  for (; known != ranges_.end() && known->iova <= range.last(); ++known) {
    const std::uint64_t first = std::max(known->iova, range.iova);
    const std::uint64_t last = std::min(known->last(), range.last());
    mark_pages(first >> page_bits, last >> page_bits);
  }
}

void DirtyLog::mark_pages(std::uint64_t first, std::uint64_t last) {
  for (std::uint64_t page = first; page <= last;) {
    Node* const leaf = leaf_for(page);
    if (leaf == nullptr) return;  // everything is dirty
    const std::uint64_t leaf_last = std::min(last, page | ((std::uint64_t{1} << leaf_bits) - 1));
    while (page <= leaf_last) {
      const std::uint64_t word_last = std::min(leaf_last, page | 63);
      std::atomic<std::uint64_t>& word = leaf->words[(page >> word_bits) % node_words];
      const std::uint64_t wanted =
          bits(static_cast<unsigned>(page % 64), static_cast<unsigned>(word_last % 64));
      word.fetch_or(wanted, std::memory_order_acq_rel);
      page = word_last + 1;
    }
  }
}

DirtyLog::Node* DirtyLog::leaf_for(std::uint64_t page) {
  Node* node = root_.get();
  for (unsigned level = levels; level > 0; --level) {
    node = child_of(*node, (page >> shift_of(level)) % node_words);
    if (node == nullptr) return nullptr;
  }
  return node;
}

DirtyLog::Node* DirtyLog::child_of(Node& node, std::size_t index) {
  if (Node* const there = node.child(index)) return there;
  if (memory_.fetch_add(sizeof(Node), std::memory_order_relaxed) + sizeof(Node) > memory_max_) {
    memory_.fetch_sub(sizeof(Node), std::memory_order_relaxed);
    everything_.store(true, std::memory_order_release);
    return nullptr;
  }
  auto made = std::make_unique<Node>();
  std::uint64_t expected = 0;
  if (node.words[index].compare_exchange_strong(expected, std::bit_cast<std::uint64_t>(made.get()),
                                                std::memory_order_acq_rel))
    return made.release();
  memory_.fetch_sub(sizeof(Node), std::memory_order_relaxed);
  return std::bit_cast<Node*>(expected);
}

// --- Reporting.

Result<> DirtyLog::check_report(IovaRange range, std::uint64_t size) {
  if (size < page_size || !std::has_single_bit(size))
    return fail(EINVAL, "the page size is no power of two, or too small");
  if (range.size == 0 || ((range.iova | range.size) & (page_size - 1)) != 0)
    return fail(EINVAL, "the range is empty or not page aligned");
  if (!range.valid()) return fail(EOVERFLOW, "the range wraps");
  return {};
}

Result<> DirtyLog::report(IovaRange range, std::uint64_t size, Bytes bitmap) {
  UMDEV_TRY(check_report(range, size));
  if (bitmap.size() < dirty_bitmap_size(range.size, size)) return fail(EINVAL, "the bitmap is too short");
  const auto per_bit = static_cast<unsigned>(std::countr_zero(size)) - page_bits;
  Report report{.first = range.iova >> page_bits,
                .last = range.last() >> page_bits,
                .per_bit = per_bit,
                .bitmap = bitmap};
  walk(*root_, levels, 0, report);
  if (!everything_.load(std::memory_order_acquire)) return {};
  for (const IovaRange& known : ranges_) {
    if (!known.overlaps(range)) continue;
    const std::uint64_t first = std::max(known.iova, range.iova) >> page_bits;
    const std::uint64_t last = std::min(known.last(), range.last()) >> page_bits;
    set_bits(bitmap, (first - report.first) >> per_bit, (last - report.first) >> per_bit);
  }
  return {};
}

void DirtyLog::clear(IovaRange range) {
  Report report{.first = range.iova >> page_bits, .last = range.last() >> page_bits};
  walk(*root_, levels, 0, report);
}

// Only what exists is visited, so that a range of any size costs no more than what was marked in it.
void DirtyLog::walk(Node& node, unsigned level, std::uint64_t base, Report& report) {
  const unsigned shift = shift_of(level);
  const std::uint64_t from = std::max(report.first, base);
  const std::uint64_t end = base + ((std::uint64_t{node_words} << shift) - 1);
  const std::uint64_t to = std::min(report.last, end);
  for (std::uint64_t index = (from - base) >> shift; index <= (to - base) >> shift; ++index) {
    const std::uint64_t first = base + (index << shift);
    if (level > 0) {
      if (Node* const child = node.child(index)) walk(*child, level - 1, first, report);
      continue;
    }
    if (node.words[index].load(std::memory_order_relaxed) == 0) continue;
    const std::uint64_t mask = bits(static_cast<unsigned>(std::max(from, first) - first),
                                    static_cast<unsigned>(std::min(to, first + 63) - first));
    std::uint64_t found = node.words[index].fetch_and(~mask, std::memory_order_acq_rel) & mask;
    for (; found != 0; found &= found - 1)
      report.found(first + static_cast<unsigned>(std::countr_zero(found)));
  }
}

}  // namespace umdev::iommu

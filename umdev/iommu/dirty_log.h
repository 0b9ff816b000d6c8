// Which pages were written: the log behind DMA logging of a device and dirty pages of a container.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "umdev/iommu/types.h"
#include "umdev/support/bytes.h"
#include "umdev/support/error.h"

namespace umdev::iommu {

// How many bytes a bitmap of one bit for each `granule` of bytes has: whole words of 64 bits, as in the
// UAPI.
constexpr std::uint64_t dirty_bitmap_size(std::uint64_t bytes, std::uint64_t granule) {
  const std::uint64_t pages = bytes / granule + (bytes % granule != 0 ? 1 : 0);
  return (pages / 64 + (pages % 64 != 0 ? 1 : 0)) * 8;
}

// Remembers pages of iommu::page_size in some ranges of IOVA, exactly. Memory is taken where something was
// marked, up to a bound; beyond it the log says of every page that it was written, which is safe and costs a
// copy. Any thread; mark() takes no lock.
class DirtyLog {
 public:
  // Above this much memory the log says that everything is dirty.
  static constexpr std::size_t default_memory_max = 64U << 20;

  // VFIO_DEVICE_FEATURE_DMA_LOGGING_START's rules, for ranges that are multiples of `granule`, the user's
  // page size, which is a hint: EINVAL no power of two, no range, one that is empty or misaligned, or two
  // that overlap; E2BIG more than `ranges_max`; EOVERFLOW one that wraps.
  static Result<std::shared_ptr<DirtyLog>> create(std::span<const IovaRange> ranges, std::uint64_t granule,
                                                  std::uint32_t ranges_max,
                                                  std::size_t memory_max = default_memory_max);
  // A log of all that there is.
  static std::shared_ptr<DirtyLog> create_for_everything(std::size_t memory_max = default_memory_max);
  ~DirtyLog();
  DirtyLog(const DirtyLog&) = delete;
  DirtyLog& operator=(const DirtyLog&) = delete;

  // The pages of a valid range were written; what lies outside of the log's ranges is ignored. To be called
  // after the bytes are there: who reports earlier would tell, and forget, too early.
  void mark(IovaRange range);

  // Sets the bits of the written pages of `range` in a bitmap whose bit 0 is its first `granule` of bytes,
  // and forgets them; bits that are set already stay. `bitmap` has dirty_bitmap_size() bytes at least.
  // EINVAL: `granule` is no power of two or below iommu::page_size; a range that is empty or not a multiple
  // of iommu::page_size; a bitmap that is too short. EOVERFLOW: the range wraps.
  Result<> report(IovaRange range, std::uint64_t granule, Bytes bitmap);
  // What report() checks, but for the bitmap.
  static Result<> check_report(IovaRange range, std::uint64_t granule);
  // Forgets a valid range.
  void clear(IovaRange range);

  // Bytes of memory taken.
  std::size_t memory() const { return memory_.load(std::memory_order_relaxed); }

 private:
  struct Node;
  struct Report;

  DirtyLog(std::vector<IovaRange> ranges, std::size_t memory_max);
  void mark_pages(std::uint64_t first, std::uint64_t last);
  Node* leaf_for(std::uint64_t page);
  Node* child_of(Node& node, std::size_t index);
  static void walk(Node& node, unsigned level, std::uint64_t base, Report& report);
  void free(Node& node, unsigned level);

  const std::vector<IovaRange> ranges_;  // sorted
  const std::size_t memory_max_;
  std::atomic<std::size_t> memory_ = 0;
  std::atomic<bool> everything_ = false;
  const std::unique_ptr<Node> root_;
};

}  // namespace umdev::iommu

// Small numbers, smallest free first: group minors, vfioN indexes, iommu group numbers. As the kernel's ida.
#pragma once

#include <cstdint>
#include <set>

#include "umdev/support/error.h"

namespace umdev {

// Not thread-safe: lives inside its owner's lock.
class IdAllocator {
 public:
  // Hands out 0 .. limit - 1.
  explicit IdAllocator(std::uint32_t limit) : limit_(limit) {}

  // The smallest free number; ENOSPC when none is left.
  Result<std::uint32_t> allocate() {
    if (!free_.empty()) return free_.extract(free_.begin()).value();
    if (next_ == limit_) return fail(ENOSPC, "no number is left");
    return next_++;
  }

  // Gives back a number that allocate() returned.
  void release(std::uint32_t id) {
    free_.insert(id);
    while (!free_.empty() && *free_.rbegin() + 1 == next_) {
      free_.erase(std::prev(free_.end()));
      --next_;
    }
  }

  std::uint32_t in_use() const { return next_ - static_cast<std::uint32_t>(free_.size()); }

 private:
  const std::uint32_t limit_;
  std::uint32_t next_ = 0;
  std::set<std::uint32_t> free_;
};

}  // namespace umdev

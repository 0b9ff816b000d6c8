// The backings that many mappings of a space have in common, by small numbers: a client lends few files, in
// however many pieces.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "umdev/iommu/backing.h"

namespace umdev::iommu {

// One thread at a time enters and leaves; at() is for any thread that uses a mapping which has entered.
class SharedBackings {
 public:
  static constexpr std::size_t most = 64;

  // One mapping more of a backing: its number. 0 where there are too many: one without a number.
  std::uint32_t enter(const Backing* backing) {
    std::uint32_t free = 0;
    for (std::uint32_t number = 1; number != end_; ++number) {
      Entry& entry = entries_[number];
      if (entry.mappings != 0 && entry.backing == backing) {
        ++entry.mappings;
        return number;
      }
      if (free == 0 && entry.mappings == 0) free = number;
    }
    if (free == 0 && end_ != most) free = end_++;
    if (free != 0) entries_[free] = {.backing = backing, .mappings = 1};
    return free;
  }
  void leave(std::uint32_t number) {
    if (number != 0) --entries_[number].mappings;
    while (end_ != 1 && entries_[end_ - 1].mappings == 0) --end_;
  }

  // Null for 0.
  const Backing* at(std::size_t number) const { return entries_[number].backing; }

 private:
  struct Entry {
    const Backing* backing = nullptr;
    std::uint64_t mappings = 0;
  };
  std::array<Entry, most> entries_;
  std::uint32_t end_ = 1;  // from here on nobody has entered
};

}  // namespace umdev::iommu

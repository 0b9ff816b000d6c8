// Addresses as a device sees them.
#pragma once

#include <cstdint>

namespace umdev::iommu {

// An I/O virtual address: what a device puts on its bus.
using Iova = std::uint64_t;

inline constexpr std::uint64_t page_size = 4096;

// [iova, iova + size). A valid range is not empty and does not wrap.
struct IovaRange {
  Iova iova = 0;
  std::uint64_t size = 0;

  // False for an empty range and for one whose last byte lies beyond 2^64 - 1.
  constexpr bool valid() const { return size != 0 && size - 1 <= UINT64_MAX - iova; }
  // The last byte. Precondition: valid().
  constexpr Iova last() const { return iova + (size - 1); }
  constexpr bool contains(IovaRange other) const { return iova <= other.iova && other.last() <= last(); }
  constexpr bool overlaps(IovaRange other) const { return iova <= other.last() && other.iova <= last(); }
  friend constexpr bool operator==(const IovaRange&, const IovaRange&) = default;
};

// What a device may do with memory, as seen from the device: `read` is VFIO_DMA_MAP_FLAG_READ.
enum class Access : std::uint8_t { none = 0, read = 1, write = 2, read_write = 3 };

constexpr bool allows(Access granted, Access wanted) {
  return (static_cast<unsigned>(granted) & static_cast<unsigned>(wanted)) == static_cast<unsigned>(wanted);
}

}  // namespace umdev::iommu

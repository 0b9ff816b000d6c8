// Where a device with DMA of its own may reach: what an Intel IOMMU of 48 bits translates, without the window
// in which it takes writes for interrupts. What VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE and
// IOMMU_IOAS_IOVA_RANGES say.
#pragma once

#include <array>

#include "umdev/iommu/types.h"

namespace umdev::iommu {

inline constexpr std::array<IovaRange, 2> translated{
    {{.iova = 0, .size = 0xfee00000}, {.iova = 0xfef00000, .size = (1ULL << 48) - 0xfef00000}}};

// What lies between and behind.
inline constexpr std::array<IovaRange, 2> untranslated{
    {{.iova = 0xfee00000, .size = 0x100000}, {.iova = 1ULL << 48, .size = ~0ULL - (1ULL << 48) + 1}}};

// Precondition: the range is valid.
constexpr bool is_translated(IovaRange range) {
  return translated[0].contains(range) || translated[1].contains(range);
}

}  // namespace umdev::iommu

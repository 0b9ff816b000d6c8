// The commands and structures of the iommufd user API (linux/iommufd.h). Names only, no logic. Every
// structure begins with its own size.
#pragma once

#include <cstdint>

namespace umdev::abi {

// _IO(';', 0x80 + n)
enum IommufdCommand : std::uint32_t {
  iommu_destroy = 0x3b80,
  iommu_ioas_alloc = 0x3b81,
  iommu_ioas_allow_iovas = 0x3b82,
  iommu_ioas_copy = 0x3b83,
  iommu_ioas_iova_ranges = 0x3b84,
  iommu_ioas_map = 0x3b85,
  iommu_ioas_unmap = 0x3b86,
  iommu_option = 0x3b87,
  iommu_vfio_ioas = 0x3b88,
  iommu_hwpt_alloc = 0x3b89,
  iommu_get_hw_info = 0x3b8a,
  iommu_ioas_map_file = 0x3b8f,
};

struct IommuDestroy {
  std::uint32_t size;
  std::uint32_t id;
};
static_assert(sizeof(IommuDestroy) == 8);

struct IommuIoasAlloc {
  std::uint32_t size;
  std::uint32_t flags;
  std::uint32_t out_ioas_id;
};
static_assert(sizeof(IommuIoasAlloc) == 12);

struct IommuIovaRange {
  std::uint64_t start;
  std::uint64_t last;
};
static_assert(sizeof(IommuIovaRange) == 16);

struct IommuIoasIovaRanges {
  std::uint32_t size;
  std::uint32_t ioas_id;
  std::uint32_t num_iovas;
  std::uint32_t reserved;
  std::uint64_t allowed_iovas;
  std::uint64_t out_iova_alignment;
};
static_assert(sizeof(IommuIoasIovaRanges) == 32);

struct IommuIoasAllowIovas {
  std::uint32_t size;
  std::uint32_t ioas_id;
  std::uint32_t num_iovas;
  std::uint32_t reserved;
  std::uint64_t allowed_iovas;
};
static_assert(sizeof(IommuIoasAllowIovas) == 24);

inline constexpr std::uint32_t iommu_ioas_map_fixed_iova = 1U << 0;
inline constexpr std::uint32_t iommu_ioas_map_writeable = 1U << 1;
inline constexpr std::uint32_t iommu_ioas_map_readable = 1U << 2;

struct IommuIoasMap {
  std::uint32_t size;
  std::uint32_t flags;
  std::uint32_t ioas_id;
  std::uint32_t reserved;
  std::uint64_t user_va;
  std::uint64_t length;
  std::uint64_t iova;
};
static_assert(sizeof(IommuIoasMap) == 40);

struct IommuIoasMapFile {
  std::uint32_t size;
  std::uint32_t flags;
  std::uint32_t ioas_id;
  std::int32_t fd;
  std::uint64_t start;
  std::uint64_t length;
  std::uint64_t iova;
};
static_assert(sizeof(IommuIoasMapFile) == 40);

struct IommuIoasCopy {
  std::uint32_t size;
  std::uint32_t flags;
  std::uint32_t dst_ioas_id;
  std::uint32_t src_ioas_id;
  std::uint64_t length;
  std::uint64_t dst_iova;
  std::uint64_t src_iova;
};
static_assert(sizeof(IommuIoasCopy) == 40);

struct IommuIoasUnmap {
  std::uint32_t size;
  std::uint32_t ioas_id;
  std::uint64_t iova;
  std::uint64_t length;
};
static_assert(sizeof(IommuIoasUnmap) == 24);

enum IommufdOption : std::uint32_t { iommu_option_rlimit_mode = 0, iommu_option_huge_pages = 1 };
inline constexpr std::uint16_t iommu_option_op_set = 0;
inline constexpr std::uint16_t iommu_option_op_get = 1;

struct IommuOption {
  std::uint32_t size;
  std::uint32_t option_id;
  std::uint16_t op;
  std::uint16_t reserved;
  std::uint32_t object_id;
  std::uint64_t val64;
};
static_assert(sizeof(IommuOption) == 24);

inline constexpr std::uint16_t iommu_vfio_ioas_get = 0;
inline constexpr std::uint16_t iommu_vfio_ioas_set = 1;
inline constexpr std::uint16_t iommu_vfio_ioas_clear = 2;

struct IommuVfioIoas {
  std::uint32_t size;
  std::uint32_t ioas_id;
  std::uint16_t op;
  std::uint16_t reserved;
};
static_assert(sizeof(IommuVfioIoas) == 12);

struct IommuHwptAlloc {
  std::uint32_t size;
  std::uint32_t flags;
  std::uint32_t dev_id;
  std::uint32_t pt_id;
  std::uint32_t out_hwpt_id;
  std::uint32_t reserved;
  std::uint32_t data_type;
  std::uint32_t data_len;
  std::uint64_t data_uptr;
};
static_assert(sizeof(IommuHwptAlloc) == 40);

inline constexpr std::uint32_t iommu_hw_info_flag_input_type = 1;
struct IommuHwInfo {
  std::uint32_t size;
  std::uint32_t flags;
  std::uint32_t dev_id;
  std::uint32_t data_len;
  std::uint64_t data_uptr;
  std::uint32_t data_type;
  std::uint8_t out_max_pasid_log2;
  std::uint8_t reserved[3];
  std::uint64_t out_capabilities;
};
static_assert(sizeof(IommuHwInfo) == 40);

}  // namespace umdev::abi

// The commands and structures of the VFIO user API (linux/vfio.h) as a caller's memory has them. Names only,
// no logic. tests/unit/abi checks them against the system's header where that has them.
#pragma once

#include <cstdint>

namespace umdev::abi {

// All of VFIO's commands are _IO(';', 100 + n): a bare number, without size and direction. The container's
// share numbers with the device's.
enum VfioCommand : std::uint32_t {
  vfio_get_api_version = 0x3b64,
  vfio_check_extension = 0x3b65,
  vfio_set_iommu = 0x3b66,

  vfio_group_get_status = 0x3b67,
  vfio_group_set_container = 0x3b68,
  vfio_group_unset_container = 0x3b69,
  vfio_group_get_device_fd = 0x3b6a,

  vfio_device_get_info = 0x3b6b,
  vfio_device_get_region_info = 0x3b6c,
  vfio_device_get_irq_info = 0x3b6d,
  vfio_device_set_irqs = 0x3b6e,
  vfio_device_reset = 0x3b6f,
  vfio_device_get_pci_hot_reset_info = 0x3b70,
  vfio_device_pci_hot_reset = 0x3b71,
  vfio_device_query_gfx_plane = 0x3b72,
  vfio_device_get_gfx_dmabuf = 0x3b73,
  vfio_device_ioeventfd = 0x3b74,
  vfio_device_feature = 0x3b75,
  vfio_device_bind_iommufd = 0x3b76,
  vfio_device_attach_iommufd_pt = 0x3b77,
  vfio_device_detach_iommufd_pt = 0x3b78,
  vfio_mig_get_precopy_info = 0x3b79,

  vfio_iommu_get_info = 0x3b70,
  vfio_iommu_map_dma = 0x3b71,
  vfio_iommu_unmap_dma = 0x3b72,
  vfio_iommu_dirty_pages = 0x3b75,
};

// struct vfio_group_status
struct VfioGroupStatus {
  std::uint32_t argsz;
  std::uint32_t flags;
};
static_assert(sizeof(VfioGroupStatus) == 8);

// struct vfio_device_info
struct VfioDeviceInfo {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t num_regions;
  std::uint32_t num_irqs;
  std::uint32_t cap_offset;
  std::uint32_t pad;
};
static_assert(sizeof(VfioDeviceInfo) == 24);

// struct vfio_region_info
struct VfioRegionInfo {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t index;
  std::uint32_t cap_offset;
  std::uint64_t size;
  std::uint64_t offset;
};
static_assert(sizeof(VfioRegionInfo) == 32);

// struct vfio_irq_info
struct VfioIrqInfo {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t index;
  std::uint32_t count;
};
static_assert(sizeof(VfioIrqInfo) == 16);

// struct vfio_irq_set, before its data
struct VfioIrqSet {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t index;
  std::uint32_t start;
  std::uint32_t count;
};
static_assert(sizeof(VfioIrqSet) == 20);

// struct vfio_pci_dependent_device and struct vfio_pci_hot_reset_info, before its devices
struct VfioPciDependentDevice {
  std::uint32_t group_id;  // or the device's id in the iommufd
  std::uint16_t segment;
  std::uint8_t bus;
  std::uint8_t devfn;
};
static_assert(sizeof(VfioPciDependentDevice) == 8);
inline constexpr std::uint32_t vfio_pci_hot_reset_flag_dev_id = 1;
inline constexpr std::uint32_t vfio_pci_hot_reset_flag_dev_id_owned = 2;
inline constexpr std::uint32_t vfio_pci_devid_owned = 0;
inline constexpr std::uint32_t vfio_pci_devid_not_owned = ~std::uint32_t{0};
struct VfioPciHotResetInfo {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t count;
};
static_assert(sizeof(VfioPciHotResetInfo) == 12);

// struct vfio_pci_hot_reset, before its descriptors
struct VfioPciHotReset {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t count;
};
static_assert(sizeof(VfioPciHotReset) == 12);

// struct vfio_device_ioeventfd
inline constexpr std::uint32_t vfio_device_ioeventfd_size_mask = 0xf;
struct VfioDeviceIoeventfd {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint64_t offset;
  std::uint64_t data;
  std::int32_t fd;
  std::uint32_t reserved;
};
static_assert(sizeof(VfioDeviceIoeventfd) == 32);

// struct vfio_device_feature, before its data
struct VfioDeviceFeatureHeader {
  std::uint32_t argsz;
  std::uint32_t flags;
};
static_assert(sizeof(VfioDeviceFeatureHeader) == 8);

// struct vfio_device_feature_dma_logging_control and _report, with the pointers that end them
struct VfioDmaLoggingControl {
  std::uint64_t page_size;
  std::uint32_t num_ranges;
  std::uint32_t reserved;
  std::uint64_t ranges;
};
static_assert(sizeof(VfioDmaLoggingControl) == 24);
struct VfioDmaLoggingReportPointer {
  std::uint64_t iova;
  std::uint64_t length;
  std::uint64_t page_size;
  std::uint64_t bitmap;
};
static_assert(sizeof(VfioDmaLoggingReportPointer) == 32);

// struct vfio_device_feature_dma_buf, before its ranges, and struct vfio_region_dma_range
inline constexpr std::uint32_t vfio_device_feature_dma_buf = 11;
struct VfioFeatureDmaBuf {
  std::uint32_t region_index;
  std::uint32_t open_flags;
  std::uint32_t flags;
  std::uint32_t nr_ranges;
};
static_assert(sizeof(VfioFeatureDmaBuf) == 16);
struct VfioRegionDmaRange {
  std::uint64_t offset;
  std::uint64_t length;
};
static_assert(sizeof(VfioRegionDmaRange) == 16);

// struct vfio_device_bind_iommufd
inline constexpr std::uint32_t vfio_device_bind_flag_token = 1U << 0;
struct VfioDeviceBindIommufd {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::int32_t iommufd;
  std::uint32_t out_devid;
  std::uint64_t token_uuid_ptr;
};
static_assert(sizeof(VfioDeviceBindIommufd) == 24);

// struct vfio_device_attach_iommufd_pt and vfio_device_detach_iommufd_pt
inline constexpr std::uint32_t vfio_device_attach_pasid = 1U << 0;
struct VfioDeviceAttachIommufdPt {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t pt_id;
  std::uint32_t pasid;
};
static_assert(sizeof(VfioDeviceAttachIommufdPt) == 16);
struct VfioDeviceDetachIommufdPt {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t pasid;
};
static_assert(sizeof(VfioDeviceDetachIommufdPt) == 12);

// struct vfio_iommu_type1_info
inline constexpr std::uint32_t vfio_iommu_info_pgsizes = 1U << 0;
inline constexpr std::uint32_t vfio_iommu_info_caps = 1U << 1;
struct VfioIommuType1Info {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint64_t iova_pgsizes;
  std::uint32_t cap_offset;
  std::uint32_t pad;
};
static_assert(sizeof(VfioIommuType1Info) == 24);

enum VfioIommuType1Capability : std::uint16_t {
  vfio_iommu_type1_info_cap_iova_range = 1,
  vfio_iommu_type1_info_cap_migration = 2,
  vfio_iommu_type1_info_dma_avail = 3,
};

// The capabilities' payload, behind their header.
struct VfioIovaRange {
  std::uint64_t start;
  std::uint64_t end;  // the last address
};
static_assert(sizeof(VfioIovaRange) == 16);
struct VfioIommuCapIovaRange {
  std::uint32_t nr_iovas;
  std::uint32_t reserved;
};
struct VfioIommuCapMigration {
  std::uint32_t flags;
  std::uint32_t pad;
  std::uint64_t pgsize_bitmap;
  std::uint64_t max_dirty_bitmap_size;
};
static_assert(sizeof(VfioIommuCapMigration) == 24);

// struct vfio_iommu_type1_dma_map
struct VfioIommuType1DmaMap {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint64_t vaddr;
  std::uint64_t iova;
  std::uint64_t size;
};
static_assert(sizeof(VfioIommuType1DmaMap) == 32);

// struct vfio_bitmap
struct VfioBitmap {
  std::uint64_t pgsize;
  std::uint64_t size;  // bytes
  std::uint64_t data;  // an address
};
static_assert(sizeof(VfioBitmap) == 24);

// struct vfio_iommu_type1_dma_unmap, before its data (a VfioBitmap)
struct VfioIommuType1DmaUnmap {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint64_t iova;
  std::uint64_t size;
};
static_assert(sizeof(VfioIommuType1DmaUnmap) == 24);

// struct vfio_iommu_type1_dirty_bitmap, before its data, and that data for GET_BITMAP
inline constexpr std::uint32_t vfio_iommu_dirty_pages_flag_start = 1U << 0;
inline constexpr std::uint32_t vfio_iommu_dirty_pages_flag_stop = 1U << 1;
inline constexpr std::uint32_t vfio_iommu_dirty_pages_flag_get_bitmap = 1U << 2;
struct VfioIommuType1DirtyBitmap {
  std::uint32_t argsz;
  std::uint32_t flags;
};
static_assert(sizeof(VfioIommuType1DirtyBitmap) == 8);
struct VfioIommuType1DirtyBitmapGet {
  std::uint64_t iova;
  std::uint64_t size;
  VfioBitmap bitmap;
};
static_assert(sizeof(VfioIommuType1DirtyBitmapGet) == 40);

}  // namespace umdev::abi

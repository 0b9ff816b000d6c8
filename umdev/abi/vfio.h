// Names of the VFIO user API (linux/vfio.h): flags, indexes, capability ids and the structures that travel.
// Names only, no logic. tests/unit/abi checks them against the system's header where that has them.
#pragma once

#include <cstdint>

namespace umdev::abi {

// VFIO_GET_API_VERSION
inline constexpr int vfio_api_version = 0;

// VFIO_CHECK_EXTENSION; the first ones are also the types of VFIO_SET_IOMMU.
enum VfioExtension : std::uint32_t {
  vfio_type1_iommu = 1,
  vfio_spapr_tce_iommu = 2,
  vfio_type1v2_iommu = 3,
  vfio_dma_cc_iommu = 4,
  vfio_eeh = 5,
  vfio_type1_nesting_iommu = 6,
  vfio_spapr_tce_v2_iommu = 7,
  vfio_noiommu_iommu = 8,
  vfio_unmap_all = 9,
  vfio_update_vaddr = 10,
};

// VFIO_GROUP_GET_STATUS
inline constexpr std::uint32_t vfio_group_flags_viable = 1U << 0;
inline constexpr std::uint32_t vfio_group_flags_container_set = 1U << 1;

// VFIO_DEVICE_GET_INFO
inline constexpr std::uint32_t vfio_device_flags_reset = 1U << 0;
inline constexpr std::uint32_t vfio_device_flags_pci = 1U << 1;
inline constexpr std::uint32_t vfio_device_flags_platform = 1U << 2;
inline constexpr std::uint32_t vfio_device_flags_amba = 1U << 3;
inline constexpr std::uint32_t vfio_device_flags_ccw = 1U << 4;
inline constexpr std::uint32_t vfio_device_flags_ap = 1U << 5;
inline constexpr std::uint32_t vfio_device_flags_caps = 1U << 7;

// VFIO_DEVICE_GET_REGION_INFO
inline constexpr std::uint32_t vfio_region_info_flag_read = 1U << 0;
inline constexpr std::uint32_t vfio_region_info_flag_write = 1U << 1;
inline constexpr std::uint32_t vfio_region_info_flag_mmap = 1U << 2;
inline constexpr std::uint32_t vfio_region_info_flag_caps = 1U << 3;

enum VfioRegionCapability : std::uint16_t {
  vfio_region_info_cap_sparse_mmap = 1,
  vfio_region_info_cap_type = 2,
  vfio_region_info_cap_msix_mappable = 3,
};

// struct vfio_info_cap_header
struct VfioInfoCapHeader {
  std::uint16_t id;
  std::uint16_t version;
  std::uint32_t next;  // offset of the next capability from the start of the structure; 0 ends the chain
};
static_assert(sizeof(VfioInfoCapHeader) == 8);

// struct vfio_region_sparse_mmap_area
struct VfioRegionSparseMmapArea {
  std::uint64_t offset;
  std::uint64_t size;
};
static_assert(sizeof(VfioRegionSparseMmapArea) == 16);

// VFIO_DEVICE_GET_IRQ_INFO
inline constexpr std::uint32_t vfio_irq_info_eventfd = 1U << 0;
inline constexpr std::uint32_t vfio_irq_info_maskable = 1U << 1;
inline constexpr std::uint32_t vfio_irq_info_automasked = 1U << 2;
inline constexpr std::uint32_t vfio_irq_info_noresize = 1U << 3;

// VFIO_DEVICE_SET_IRQS
inline constexpr std::uint32_t vfio_irq_set_data_none = 1U << 0;
inline constexpr std::uint32_t vfio_irq_set_data_bool = 1U << 1;
inline constexpr std::uint32_t vfio_irq_set_data_eventfd = 1U << 2;
inline constexpr std::uint32_t vfio_irq_set_action_mask = 1U << 3;
inline constexpr std::uint32_t vfio_irq_set_action_unmask = 1U << 4;
inline constexpr std::uint32_t vfio_irq_set_action_trigger = 1U << 5;
inline constexpr std::uint32_t vfio_irq_set_data_type_mask =
    vfio_irq_set_data_none | vfio_irq_set_data_bool | vfio_irq_set_data_eventfd;
inline constexpr std::uint32_t vfio_irq_set_action_type_mask =
    vfio_irq_set_action_mask | vfio_irq_set_action_unmask | vfio_irq_set_action_trigger;

// Indexes of a PCI device's regions and interrupts.
enum VfioPciRegion : std::uint32_t {
  vfio_pci_bar0_region_index = 0,
  vfio_pci_bar1_region_index,
  vfio_pci_bar2_region_index,
  vfio_pci_bar3_region_index,
  vfio_pci_bar4_region_index,
  vfio_pci_bar5_region_index,
  vfio_pci_rom_region_index,
  vfio_pci_config_region_index,
  vfio_pci_vga_region_index,
  vfio_pci_num_regions,
};
enum VfioPciIrq : std::uint32_t {
  vfio_pci_intx_irq_index = 0,
  vfio_pci_msi_irq_index,
  vfio_pci_msix_irq_index,
  vfio_pci_err_irq_index,
  vfio_pci_req_irq_index,
  vfio_pci_num_irqs,
};

// Where a PCI device's regions lie in its file: index << 40. DPDK 22.11 knows it by heart, so it never
// changes.
inline constexpr unsigned vfio_pci_offset_shift = 40;

// VFIO_IOMMU_MAP_DMA and VFIO_IOMMU_UNMAP_DMA
inline constexpr std::uint32_t vfio_dma_map_flag_read = 1U << 0;
inline constexpr std::uint32_t vfio_dma_map_flag_write = 1U << 1;
inline constexpr std::uint32_t vfio_dma_map_flag_vaddr = 1U << 2;
inline constexpr std::uint32_t vfio_dma_unmap_flag_get_dirty_bitmap = 1U << 0;
inline constexpr std::uint32_t vfio_dma_unmap_flag_all = 1U << 1;
inline constexpr std::uint32_t vfio_dma_unmap_flag_vaddr = 1U << 2;

// VFIO_DEVICE_FEATURE
inline constexpr std::uint32_t vfio_device_feature_mask = 0xffff;
inline constexpr std::uint32_t vfio_device_feature_get = 1U << 16;
inline constexpr std::uint32_t vfio_device_feature_set = 1U << 17;
inline constexpr std::uint32_t vfio_device_feature_probe = 1U << 18;

// The values of `device_api`.
inline constexpr char vfio_device_api_pci_string[] = "vfio-pci";
inline constexpr char vfio_device_api_platform_string[] = "vfio-platform";
inline constexpr char vfio_device_api_amba_string[] = "vfio-amba";
inline constexpr char vfio_device_api_ccw_string[] = "vfio-ccw";
inline constexpr char vfio_device_api_ap_string[] = "vfio-ap";

}  // namespace umdev::abi

// The names of umdev/abi/vfio.h against the system's header.
#include "umdev/abi/vfio.h"

#include <gtest/gtest.h>
#include <linux/vfio.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace umdev::abi {
namespace {

struct Name {
  const char* text;
  std::uint64_t ours;
  std::uint64_t system;
};

const Name names[] = {
    {"vfio_api_version", vfio_api_version, VFIO_API_VERSION},
    {"vfio_group_flags_viable", vfio_group_flags_viable, VFIO_GROUP_FLAGS_VIABLE},
    {"vfio_group_flags_container_set", vfio_group_flags_container_set, VFIO_GROUP_FLAGS_CONTAINER_SET},
    {"vfio_device_flags_reset", vfio_device_flags_reset, VFIO_DEVICE_FLAGS_RESET},
    {"vfio_device_flags_pci", vfio_device_flags_pci, VFIO_DEVICE_FLAGS_PCI},
    {"vfio_device_flags_platform", vfio_device_flags_platform, VFIO_DEVICE_FLAGS_PLATFORM},
    {"vfio_device_flags_amba", vfio_device_flags_amba, VFIO_DEVICE_FLAGS_AMBA},
    {"vfio_device_flags_ccw", vfio_device_flags_ccw, VFIO_DEVICE_FLAGS_CCW},
    {"vfio_device_flags_ap", vfio_device_flags_ap, VFIO_DEVICE_FLAGS_AP},
    {"vfio_device_flags_caps", vfio_device_flags_caps, VFIO_DEVICE_FLAGS_CAPS},
    {"vfio_region_info_flag_read", vfio_region_info_flag_read, VFIO_REGION_INFO_FLAG_READ},
    {"vfio_region_info_flag_write", vfio_region_info_flag_write, VFIO_REGION_INFO_FLAG_WRITE},
    {"vfio_region_info_flag_mmap", vfio_region_info_flag_mmap, VFIO_REGION_INFO_FLAG_MMAP},
    {"vfio_region_info_flag_caps", vfio_region_info_flag_caps, VFIO_REGION_INFO_FLAG_CAPS},
    {"vfio_irq_info_eventfd", vfio_irq_info_eventfd, VFIO_IRQ_INFO_EVENTFD},
    {"vfio_irq_info_maskable", vfio_irq_info_maskable, VFIO_IRQ_INFO_MASKABLE},
    {"vfio_irq_info_automasked", vfio_irq_info_automasked, VFIO_IRQ_INFO_AUTOMASKED},
    {"vfio_irq_info_noresize", vfio_irq_info_noresize, VFIO_IRQ_INFO_NORESIZE},
    {"vfio_irq_set_data_none", vfio_irq_set_data_none, VFIO_IRQ_SET_DATA_NONE},
    {"vfio_irq_set_data_bool", vfio_irq_set_data_bool, VFIO_IRQ_SET_DATA_BOOL},
    {"vfio_irq_set_data_eventfd", vfio_irq_set_data_eventfd, VFIO_IRQ_SET_DATA_EVENTFD},
    {"vfio_irq_set_action_mask", vfio_irq_set_action_mask, VFIO_IRQ_SET_ACTION_MASK},
    {"vfio_irq_set_action_unmask", vfio_irq_set_action_unmask, VFIO_IRQ_SET_ACTION_UNMASK},
    {"vfio_irq_set_action_trigger", vfio_irq_set_action_trigger, VFIO_IRQ_SET_ACTION_TRIGGER},
    {"vfio_irq_set_data_type_mask", vfio_irq_set_data_type_mask, VFIO_IRQ_SET_DATA_TYPE_MASK},
    {"vfio_irq_set_action_type_mask", vfio_irq_set_action_type_mask, VFIO_IRQ_SET_ACTION_TYPE_MASK},
    {"vfio_dma_map_flag_read", vfio_dma_map_flag_read, VFIO_DMA_MAP_FLAG_READ},
    {"vfio_dma_map_flag_write", vfio_dma_map_flag_write, VFIO_DMA_MAP_FLAG_WRITE},
    {"vfio_dma_map_flag_vaddr", vfio_dma_map_flag_vaddr, VFIO_DMA_MAP_FLAG_VADDR},
    {"vfio_dma_unmap_flag_get_dirty_bitmap", vfio_dma_unmap_flag_get_dirty_bitmap,
     VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP},
    {"vfio_dma_unmap_flag_all", vfio_dma_unmap_flag_all, VFIO_DMA_UNMAP_FLAG_ALL},
    {"vfio_dma_unmap_flag_vaddr", vfio_dma_unmap_flag_vaddr, VFIO_DMA_UNMAP_FLAG_VADDR},
    {"vfio_device_feature_mask", vfio_device_feature_mask, VFIO_DEVICE_FEATURE_MASK},
    {"vfio_device_feature_get", vfio_device_feature_get, VFIO_DEVICE_FEATURE_GET},
    {"vfio_device_feature_set", vfio_device_feature_set, VFIO_DEVICE_FEATURE_SET},
    {"vfio_device_feature_probe", vfio_device_feature_probe, VFIO_DEVICE_FEATURE_PROBE},
    {"vfio_type1_iommu", vfio_type1_iommu, VFIO_TYPE1_IOMMU},
    {"vfio_spapr_tce_iommu", vfio_spapr_tce_iommu, VFIO_SPAPR_TCE_IOMMU},
    {"vfio_type1v2_iommu", vfio_type1v2_iommu, VFIO_TYPE1v2_IOMMU},
    {"vfio_dma_cc_iommu", vfio_dma_cc_iommu, VFIO_DMA_CC_IOMMU},
    {"vfio_eeh", vfio_eeh, VFIO_EEH},
    {"vfio_type1_nesting_iommu", vfio_type1_nesting_iommu, VFIO_TYPE1_NESTING_IOMMU},
    {"vfio_spapr_tce_v2_iommu", vfio_spapr_tce_v2_iommu, VFIO_SPAPR_TCE_v2_IOMMU},
    {"vfio_noiommu_iommu", vfio_noiommu_iommu, VFIO_NOIOMMU_IOMMU},
    {"vfio_unmap_all", vfio_unmap_all, VFIO_UNMAP_ALL},
    {"vfio_update_vaddr", vfio_update_vaddr, VFIO_UPDATE_VADDR},
    {"vfio_region_info_cap_sparse_mmap", vfio_region_info_cap_sparse_mmap, VFIO_REGION_INFO_CAP_SPARSE_MMAP},
    {"vfio_region_info_cap_type", vfio_region_info_cap_type, VFIO_REGION_INFO_CAP_TYPE},
    {"vfio_region_info_cap_msix_mappable", vfio_region_info_cap_msix_mappable,
     VFIO_REGION_INFO_CAP_MSIX_MAPPABLE},
    {"vfio_pci_bar0_region_index", vfio_pci_bar0_region_index, VFIO_PCI_BAR0_REGION_INDEX},
    {"vfio_pci_bar1_region_index", vfio_pci_bar1_region_index, VFIO_PCI_BAR1_REGION_INDEX},
    {"vfio_pci_bar2_region_index", vfio_pci_bar2_region_index, VFIO_PCI_BAR2_REGION_INDEX},
    {"vfio_pci_bar3_region_index", vfio_pci_bar3_region_index, VFIO_PCI_BAR3_REGION_INDEX},
    {"vfio_pci_bar4_region_index", vfio_pci_bar4_region_index, VFIO_PCI_BAR4_REGION_INDEX},
    {"vfio_pci_bar5_region_index", vfio_pci_bar5_region_index, VFIO_PCI_BAR5_REGION_INDEX},
    {"vfio_pci_rom_region_index", vfio_pci_rom_region_index, VFIO_PCI_ROM_REGION_INDEX},
    {"vfio_pci_config_region_index", vfio_pci_config_region_index, VFIO_PCI_CONFIG_REGION_INDEX},
    {"vfio_pci_vga_region_index", vfio_pci_vga_region_index, VFIO_PCI_VGA_REGION_INDEX},
    {"vfio_pci_num_regions", vfio_pci_num_regions, VFIO_PCI_NUM_REGIONS},
    {"vfio_pci_intx_irq_index", vfio_pci_intx_irq_index, VFIO_PCI_INTX_IRQ_INDEX},
    {"vfio_pci_msi_irq_index", vfio_pci_msi_irq_index, VFIO_PCI_MSI_IRQ_INDEX},
    {"vfio_pci_msix_irq_index", vfio_pci_msix_irq_index, VFIO_PCI_MSIX_IRQ_INDEX},
    {"vfio_pci_err_irq_index", vfio_pci_err_irq_index, VFIO_PCI_ERR_IRQ_INDEX},
    {"vfio_pci_req_irq_index", vfio_pci_req_irq_index, VFIO_PCI_REQ_IRQ_INDEX},
    {"vfio_pci_num_irqs", vfio_pci_num_irqs, VFIO_PCI_NUM_IRQS},
};

TEST(VfioNames, are_those_of_the_system_header) {
  for (const Name& name : names) EXPECT_EQ(name.ours, name.system) << name.text;
}

TEST(VfioNames, device_api_strings_are_those_of_the_system_header) {
  EXPECT_EQ(std::string_view(vfio_device_api_pci_string), VFIO_DEVICE_API_PCI_STRING);
  EXPECT_EQ(std::string_view(vfio_device_api_platform_string), VFIO_DEVICE_API_PLATFORM_STRING);
  EXPECT_EQ(std::string_view(vfio_device_api_amba_string), VFIO_DEVICE_API_AMBA_STRING);
  EXPECT_EQ(std::string_view(vfio_device_api_ccw_string), VFIO_DEVICE_API_CCW_STRING);
  EXPECT_EQ(std::string_view(vfio_device_api_ap_string), VFIO_DEVICE_API_AP_STRING);
}

TEST(VfioStructures, capability_header_lies_as_in_the_system_header) {
  EXPECT_EQ(sizeof(VfioInfoCapHeader), sizeof(vfio_info_cap_header));
  EXPECT_EQ(offsetof(VfioInfoCapHeader, id), offsetof(vfio_info_cap_header, id));
  EXPECT_EQ(offsetof(VfioInfoCapHeader, version), offsetof(vfio_info_cap_header, version));
  EXPECT_EQ(offsetof(VfioInfoCapHeader, next), offsetof(vfio_info_cap_header, next));
}

TEST(VfioStructures, sparse_area_lies_as_in_the_system_header) {
  EXPECT_EQ(sizeof(VfioRegionSparseMmapArea), sizeof(vfio_region_sparse_mmap_area));
  EXPECT_EQ(offsetof(VfioRegionSparseMmapArea, offset), offsetof(vfio_region_sparse_mmap_area, offset));
  EXPECT_EQ(offsetof(VfioRegionSparseMmapArea, size), offsetof(vfio_region_sparse_mmap_area, size));
}

}  // namespace
}  // namespace umdev::abi

// The commands and structures of umdev/abi/vfio_ioctl.h against the system's header, as far as that has them.
#include "umdev/abi/vfio_ioctl.h"

#include <gtest/gtest.h>
#include <linux/vfio.h>

#include <cstddef>

namespace umdev::abi {
namespace {

TEST(VfioCommands, are_those_of_the_system_header) {
  EXPECT_EQ(+vfio_get_api_version, VFIO_GET_API_VERSION);
  EXPECT_EQ(+vfio_check_extension, VFIO_CHECK_EXTENSION);
  EXPECT_EQ(+vfio_set_iommu, VFIO_SET_IOMMU);
  EXPECT_EQ(+vfio_group_get_status, VFIO_GROUP_GET_STATUS);
  EXPECT_EQ(+vfio_group_set_container, VFIO_GROUP_SET_CONTAINER);
  EXPECT_EQ(+vfio_group_unset_container, VFIO_GROUP_UNSET_CONTAINER);
  EXPECT_EQ(+vfio_group_get_device_fd, VFIO_GROUP_GET_DEVICE_FD);
  EXPECT_EQ(+vfio_device_get_info, VFIO_DEVICE_GET_INFO);
  EXPECT_EQ(+vfio_device_get_region_info, VFIO_DEVICE_GET_REGION_INFO);
  EXPECT_EQ(+vfio_device_get_irq_info, VFIO_DEVICE_GET_IRQ_INFO);
  EXPECT_EQ(+vfio_device_set_irqs, VFIO_DEVICE_SET_IRQS);
  EXPECT_EQ(+vfio_device_reset, VFIO_DEVICE_RESET);
  EXPECT_EQ(+vfio_device_get_pci_hot_reset_info, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO);
  EXPECT_EQ(+vfio_device_pci_hot_reset, VFIO_DEVICE_PCI_HOT_RESET);
  EXPECT_EQ(+vfio_device_query_gfx_plane, VFIO_DEVICE_QUERY_GFX_PLANE);
  EXPECT_EQ(+vfio_device_get_gfx_dmabuf, VFIO_DEVICE_GET_GFX_DMABUF);
  EXPECT_EQ(+vfio_device_ioeventfd, VFIO_DEVICE_IOEVENTFD);
  EXPECT_EQ(+vfio_device_feature, VFIO_DEVICE_FEATURE);
  EXPECT_EQ(+vfio_iommu_get_info, VFIO_IOMMU_GET_INFO);
  EXPECT_EQ(+vfio_iommu_map_dma, VFIO_IOMMU_MAP_DMA);
  EXPECT_EQ(+vfio_iommu_unmap_dma, VFIO_IOMMU_UNMAP_DMA);
  EXPECT_EQ(+vfio_iommu_dirty_pages, VFIO_IOMMU_DIRTY_PAGES);
}

TEST(VfioStructures, lie_as_in_the_system_header) {
  EXPECT_EQ(sizeof(VfioGroupStatus), sizeof(::vfio_group_status));
  EXPECT_EQ(offsetof(VfioDeviceInfo, cap_offset), offsetof(::vfio_device_info, cap_offset));
  EXPECT_EQ(sizeof(VfioRegionInfo), sizeof(::vfio_region_info));
  EXPECT_EQ(offsetof(VfioRegionInfo, size), offsetof(::vfio_region_info, size));
  EXPECT_EQ(sizeof(VfioIrqInfo), sizeof(::vfio_irq_info));
  EXPECT_EQ(sizeof(VfioIrqSet), offsetof(::vfio_irq_set, data));
  EXPECT_EQ(sizeof(VfioPciDependentDevice), sizeof(::vfio_pci_dependent_device));
  EXPECT_EQ(sizeof(VfioPciHotResetInfo), offsetof(::vfio_pci_hot_reset_info, devices));
  EXPECT_EQ(sizeof(VfioPciHotReset), offsetof(::vfio_pci_hot_reset, group_fds));
  EXPECT_EQ(offsetof(VfioDeviceIoeventfd, fd), offsetof(::vfio_device_ioeventfd, fd));
  EXPECT_EQ(sizeof(VfioDeviceFeatureHeader), offsetof(::vfio_device_feature, data));
  EXPECT_EQ(sizeof(VfioDmaLoggingControl), sizeof(vfio_device_feature_dma_logging_control));
  EXPECT_EQ(offsetof(VfioDmaLoggingControl, ranges),
            offsetof(vfio_device_feature_dma_logging_control, ranges));
  EXPECT_EQ(sizeof(VfioDmaLoggingReportPointer), sizeof(vfio_device_feature_dma_logging_report));
  EXPECT_EQ(offsetof(VfioIommuType1Info, cap_offset), offsetof(::vfio_iommu_type1_info, cap_offset));
  EXPECT_EQ(sizeof(VfioIommuType1DmaMap), sizeof(::vfio_iommu_type1_dma_map));
  EXPECT_EQ(offsetof(VfioIommuType1DmaMap, iova), offsetof(::vfio_iommu_type1_dma_map, iova));
  EXPECT_EQ(sizeof(VfioBitmap), sizeof(::vfio_bitmap));
  EXPECT_EQ(sizeof(VfioIommuType1DmaUnmap), offsetof(::vfio_iommu_type1_dma_unmap, data));
  EXPECT_EQ(sizeof(VfioIommuType1DirtyBitmap), offsetof(::vfio_iommu_type1_dirty_bitmap, data));
  EXPECT_EQ(sizeof(VfioIommuType1DirtyBitmapGet), sizeof(::vfio_iommu_type1_dirty_bitmap_get));
}

}  // namespace
}  // namespace umdev::abi

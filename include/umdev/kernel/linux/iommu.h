/* IOMMU groups: of devices that do DMA of their own. A mediated device gets one with its VFIO device. */
#pragma once

#include <linux/device.h>

#define IOMMU_READ 1
#define IOMMU_WRITE 2
#define IOMMU_CACHE 4
#define IOMMU_NOEXEC 8
#define IOMMU_MMIO 16

static inline struct iommu_group* iommu_group_alloc(void) {
  return umdev_kernel->iommu_group_alloc();
}
static inline struct iommu_group* iommu_group_get(struct device* dev) {
  return umdev_kernel->iommu_group_get(dev, false);
}
static inline void iommu_group_put(struct iommu_group* group) {
  if (group) umdev_kernel->iommu_group_put(group);
}
static inline int iommu_group_add_device(struct iommu_group* group, struct device* dev) {
  return umdev_kernel->iommu_group_add_device(group, dev);
}
static inline void iommu_group_remove_device(struct device* dev) {
  umdev_kernel->iommu_group_remove_device(dev);
}
static inline int iommu_group_id(struct iommu_group* group) {
  return umdev_kernel->iommu_group_id(group);
}
#if UMDEV_KERNEL_API < UMDEV_KERNEL_5_16
/* With no-iommu mode a device without a group gets one. */
static inline struct iommu_group* vfio_iommu_group_get(struct device* dev) {
  return umdev_kernel->iommu_group_get(dev, true);
}
static inline void vfio_iommu_group_put(struct iommu_group* group, struct device* dev) {
  (void)dev;
  iommu_group_put(group);
}
#endif

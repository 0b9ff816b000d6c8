/* The memory of a device's user, in the forms of the vintages: pins, copies, and word of what goes. */
#pragma once

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/notifier.h>
#include <linux/slab.h>
#include <uapi/linux/vfio.h>

#define VFIO_PIN_PAGES_MAX_ENTRIES 512

#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 0, 0)

/* How many were pinned, which is all; or -E2BIG more than 512, -EINVAL not mapped or no dma_unmap, -EPERM,
 * -ENOTTY. */
static inline int vfio_pin_pages(struct vfio_device* device, dma_addr_t iova, int npage, int prot,
                                 struct page** pages) {
  return umdev_kernel->vfio_pin_pages(device, iova, npage, prot, pages);
}
static inline void vfio_unpin_pages(struct vfio_device* device, dma_addr_t iova, int npage) {
  umdev_kernel->vfio_unpin_pages(device, iova, npage);
}
static inline int vfio_dma_rw(struct vfio_device* device, dma_addr_t iova, void* data, size_t len,
                              bool write) {
  return umdev_kernel->vfio_dma_rw(device, iova, data, len, write);
}

#else

/* By frames: user_pfn[i] are IOVAs in pages; phys_pfn[i] what pfn_to_page() takes. */
static inline struct page* pfn_to_page(unsigned long pfn) {
  return (struct page*)(pfn << 3);
}
static inline unsigned long page_to_pfn(const struct page* page) {
  return (unsigned long)page >> 3;
}
static inline int umdev_unpin_frames(struct vfio_device* device, const unsigned long* user_pfn, int npage) {
  int n;
  for (n = 0; n < npage; ++n) umdev_kernel->vfio_unpin_pages(device, (umdev_u64)user_pfn[n] << PAGE_SHIFT, 1);
  return npage;
}
static inline int umdev_pin_frames(struct vfio_device* device, const unsigned long* user_pfn, int npage,
                                   int prot, unsigned long* phys_pfn) {
  int n;
  for (n = 0; n < npage; ++n) {
    struct page* page;
    int result = umdev_kernel->vfio_pin_pages(device, (umdev_u64)user_pfn[n] << PAGE_SHIFT, 1, prot, &page);
    if (result < 0) {
      umdev_unpin_frames(device, user_pfn, n);
      return result;
    }
    phys_pfn[n] = page_to_pfn(page);
  }
  return npage;
}
static inline int vfio_unpin_pages(struct device* dev, unsigned long* user_pfn, int npage) {
  struct vfio_device* device = umdev_kernel->vfio_of_device(dev);
  if (!device) return -ENODEV;
  if (npage > VFIO_PIN_PAGES_MAX_ENTRIES) return -E2BIG;
  return umdev_unpin_frames(device, user_pfn, npage);
}
static inline int vfio_pin_pages(struct device* dev, unsigned long* user_pfn, int npage, int prot,
                                 unsigned long* phys_pfn) {
  struct vfio_device* device;
  if (!dev || !user_pfn || !phys_pfn || npage <= 0) return -EINVAL;
  if (npage > VFIO_PIN_PAGES_MAX_ENTRIES) return -E2BIG;
  device = umdev_kernel->vfio_of_device(dev);
  if (!device) return -ENODEV;
  return umdev_pin_frames(device, user_pfn, npage, prot, phys_pfn);
}

enum vfio_notify_type { VFIO_IOMMU_NOTIFY = 0, VFIO_GROUP_NOTIFY = 1 };
#define VFIO_IOMMU_NOTIFY_DMA_UNMAP (1UL << 0)
#define VFIO_GROUP_NOTIFY_SET_KVM (1UL << 0)

static inline void umdev_notify_unmap(void* data, umdev_u64 iova, umdev_u64 size) {
  struct notifier_block* block = (struct notifier_block*)data;
  struct vfio_iommu_type1_dma_unmap unmap = {};
  unmap.argsz = sizeof(unmap);
  unmap.iova = iova;
  unmap.size = size;
  block->notifier_call(block, VFIO_IOMMU_NOTIFY_DMA_UNMAP, &unmap);
}
static inline void umdev_notify_kvm(void* data, struct kvm* kvm) {
  struct notifier_block* block = (struct notifier_block*)data;
  block->notifier_call(block, VFIO_GROUP_NOTIFY_SET_KVM, kvm);
}
/* -EINVAL: nothing is asked for, or events that there are not; -EBUSY: the device has a notifier of this
 * kind. */
static inline int vfio_register_notifier(struct device* dev, enum vfio_notify_type type,
                                         unsigned long* events, struct notifier_block* block) {
  int result;
  struct vfio_device* device = dev ? umdev_kernel->vfio_of_device(dev) : NULL;
  if (!dev || !block || !events || *events == 0) return -EINVAL;
  if (!device) return -ENODEV;
  if (type == VFIO_IOMMU_NOTIFY) {
    *events &= ~VFIO_IOMMU_NOTIFY_DMA_UNMAP;
    return *events ? -EINVAL : umdev_kernel->vfio_on_unmap(device, umdev_notify_unmap, block);
  }
  if (type != VFIO_GROUP_NOTIFY) return -EINVAL;
  *events &= ~VFIO_GROUP_NOTIFY_SET_KVM;
  if (*events) return -EINVAL;
  result = umdev_kernel->vfio_on_kvm(device, umdev_notify_kvm, block);
  /* One that has been there before is told of at once. */
  if (result == 0 && device->kvm) umdev_notify_kvm(block, device->kvm);
  return result;
}
static inline int vfio_unregister_notifier(struct device* dev, enum vfio_notify_type type,
                                           struct notifier_block* block) {
  struct vfio_device* device = dev ? umdev_kernel->vfio_of_device(dev) : NULL;
  if (!dev || !block) return -EINVAL;
  if (!device) return -ENODEV;
  return type == VFIO_IOMMU_NOTIFY ? umdev_kernel->vfio_on_unmap(device, NULL, block)
                                   : umdev_kernel->vfio_on_kvm(device, NULL, block);
}

#endif

#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 2, 0)
/* What an emulated device's driver names where iommufd is asked for. Containers are the only way in so far.
 */
struct iommufd_ctx;
static inline int vfio_iommufd_emulated_bind(struct vfio_device* vdev, struct iommufd_ctx* ictx,
                                             u32* out_device_id) {
  (void)vdev, (void)ictx, (void)out_device_id;
  return -EOPNOTSUPP;
}
static inline void vfio_iommufd_emulated_unbind(struct vfio_device* vdev) {
  (void)vdev;
}
static inline int vfio_iommufd_emulated_attach_ioas(struct vfio_device* vdev, u32* pt_id) {
  (void)vdev, (void)pt_id;
  return -EOPNOTSUPP;
}
static inline void vfio_iommufd_emulated_detach_ioas(struct vfio_device* vdev) {
  (void)vdev;
}
#endif

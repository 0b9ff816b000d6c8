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
/* By the device since 5.19, by what it was registered for before. */
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 19, 0)
typedef struct vfio_device umdev_memory_user;
static inline struct vfio_device* umdev_user_device(umdev_memory_user* user) {
  return user;
}
#else
typedef struct device umdev_memory_user;
static inline struct vfio_device* umdev_user_device(umdev_memory_user* user) {
  return umdev_kernel->vfio_of_device(user);
}
#endif

static inline int vfio_unpin_pages(umdev_memory_user* user, unsigned long* user_pfn, int npage) {
  struct vfio_device* device;
  if (!user || !user_pfn || npage <= 0) return -EINVAL;
  if (npage > VFIO_PIN_PAGES_MAX_ENTRIES) return -E2BIG;
  device = umdev_user_device(user);
  return device ? umdev_unpin_frames(device, user_pfn, npage) : -ENODEV;
}
static inline int vfio_pin_pages(umdev_memory_user* user, unsigned long* user_pfn, int npage, int prot,
                                 unsigned long* phys_pfn) {
  struct vfio_device* device;
  if (!user || !user_pfn || !phys_pfn || npage <= 0) return -EINVAL;
  if (npage > VFIO_PIN_PAGES_MAX_ENTRIES) return -E2BIG;
  device = umdev_user_device(user);
  return device ? umdev_pin_frames(device, user_pfn, npage, prot, phys_pfn) : -ENODEV;
}
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 19, 0)
static inline int vfio_dma_rw(struct vfio_device* device, dma_addr_t iova, void* data, size_t len,
                              bool write) {
  if (!device || !data || len == 0) return -EINVAL;
  return umdev_kernel->vfio_dma_rw(device, iova, data, len, write);
}
#endif

/* A virtual machine is told of by a notifier up to 5.18, and by vdev->kvm since. */
#define UMDEV_NOTIFIES_KVM (UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(5, 19, 0))

#define VFIO_IOMMU_NOTIFY_DMA_UNMAP (1UL << 0)
#if UMDEV_NOTIFIES_KVM
enum vfio_notify_type { VFIO_IOMMU_NOTIFY = 0, VFIO_GROUP_NOTIFY = 1 };
#define VFIO_GROUP_NOTIFY_SET_KVM (1UL << 0)
#else
enum vfio_notify_type { VFIO_IOMMU_NOTIFY = 0 };
#endif

static inline void umdev_notify_unmap(void* data, umdev_u64 iova, umdev_u64 size) {
  struct notifier_block* block = (struct notifier_block*)data;
  struct vfio_iommu_type1_dma_unmap unmap = {};
  unmap.argsz = sizeof(unmap);
  unmap.iova = iova;
  unmap.size = size;
  block->notifier_call(block, VFIO_IOMMU_NOTIFY_DMA_UNMAP, &unmap);
}
#if UMDEV_NOTIFIES_KVM
static inline void umdev_notify_kvm(void* data, struct kvm* kvm) {
  struct notifier_block* block = (struct notifier_block*)data;
  block->notifier_call(block, VFIO_GROUP_NOTIFY_SET_KVM, kvm);
}
static inline int umdev_notify_of_kvm(struct vfio_device* device, unsigned long* events,
                                      struct notifier_block* block) {
  int result;
  *events &= ~VFIO_GROUP_NOTIFY_SET_KVM;
  if (*events) return -EINVAL;
  result = umdev_kernel->vfio_on_kvm(device, umdev_notify_kvm, block);
  /* One that has been there before is told of at once. */
  if (result == 0 && device->kvm) umdev_notify_kvm(block, device->kvm);
  return result;
}
#endif
/* -EINVAL: nothing is asked for, or events that there are not; -EBUSY: the device has a notifier of this
 * kind; -ENOTTY: an IOMMU driver that tells nobody. */
static inline int vfio_register_notifier(umdev_memory_user* user, enum vfio_notify_type type,
                                         unsigned long* events, struct notifier_block* block) {
  struct vfio_device* device = user ? umdev_user_device(user) : NULL;
  if (!user || !block || !events || *events == 0) return -EINVAL;
  if (!device) return -ENODEV;
#if UMDEV_NOTIFIES_KVM
  if (type == VFIO_GROUP_NOTIFY) return umdev_notify_of_kvm(device, events, block);
#endif
  if (type != VFIO_IOMMU_NOTIFY) return -EINVAL;
  *events &= ~VFIO_IOMMU_NOTIFY_DMA_UNMAP;
  return *events ? -EINVAL : umdev_kernel->vfio_on_unmap(device, umdev_notify_unmap, block);
}
static inline int vfio_unregister_notifier(umdev_memory_user* user, enum vfio_notify_type type,
                                           struct notifier_block* block) {
  struct vfio_device* device = user ? umdev_user_device(user) : NULL;
  if (!user || !block) return -EINVAL;
  if (!device) return -ENODEV;
#if UMDEV_NOTIFIES_KVM
  if (type == VFIO_GROUP_NOTIFY) return umdev_kernel->vfio_on_kvm(device, NULL, block);
#endif
  return type == VFIO_IOMMU_NOTIFY ? umdev_kernel->vfio_on_unmap(device, NULL, block) : -EINVAL;
}

#endif

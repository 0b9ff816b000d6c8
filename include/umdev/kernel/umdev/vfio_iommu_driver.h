/* IOMMU drivers of containers (drivers/vfio/vfio.h since 5.16, linux/vfio.h before), in the forms of the
 * vintages. */
#pragma once

#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/notifier.h>
#include <uapi/linux/vfio.h>
#include <umdev/iommu_back_end.h>
#include <umdev/this_module.h>
#include <umdev/vfio_memory.h>

#define UMDEV_IOMMU_READS (UMDEV_KERNEL_API < UMDEV_KERNEL_5_16)
#define UMDEV_IOMMU_HAS_KINDS (UMDEV_KERNEL_API >= UMDEV_KERNEL_5_16)
#define UMDEV_IOMMU_PINS_OF_GROUP (UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 8, 0))
#define UMDEV_IOMMU_PINS_PAGES (UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 0, 0))
#define UMDEV_IOMMU_COPIES (UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 7, 0))
#define UMDEV_IOMMU_HAS_DOMAINS (UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 12, 0))
#define UMDEV_IOMMU_NOTIFIES \
  (UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 12, 0) && UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(6, 2, 0))

UMDEV_C_BEGIN

#if UMDEV_IOMMU_HAS_KINDS
enum vfio_group_type { VFIO_IOMMU, VFIO_EMULATED_IOMMU, VFIO_NO_IOMMU };
#endif
#if UMDEV_IOMMU_NOTIFIES
enum vfio_iommu_notify_type { VFIO_IOMMU_CONTAINER_CLOSE = 0 };
#endif

struct vfio_iommu_driver_ops {
  const char* name;
  struct module* owner;
  void* (*open)(unsigned long arg);
  void (*release)(void* iommu_data);
#if UMDEV_IOMMU_READS
  ssize_t (*read)(void* iommu_data, char __user* buf, size_t count, loff_t* ppos);
  ssize_t (*write)(void* iommu_data, const char __user* buf, size_t count, loff_t* size);
#endif
  long (*ioctl)(void* iommu_data, unsigned int cmd, unsigned long arg);
#if UMDEV_IOMMU_READS
  int (*mmap)(void* iommu_data, struct vm_area_struct* vma);
#endif
#if UMDEV_IOMMU_HAS_KINDS
  int (*attach_group)(void* iommu_data, struct iommu_group* group, enum vfio_group_type type);
#else
  int (*attach_group)(void* iommu_data, struct iommu_group* group);
#endif
  void (*detach_group)(void* iommu_data, struct iommu_group* group);
#if UMDEV_IOMMU_PINS_PAGES
  int (*pin_pages)(void* iommu_data, struct iommu_group* group, dma_addr_t user_iova, int npage, int prot,
                   struct page** pages);
  void (*unpin_pages)(void* iommu_data, dma_addr_t user_iova, int npage);
  void (*register_device)(void* iommu_data, struct vfio_device* vdev);
  void (*unregister_device)(void* iommu_data, struct vfio_device* vdev);
#else
#if UMDEV_IOMMU_PINS_OF_GROUP
  int (*pin_pages)(void* iommu_data, struct iommu_group* group, unsigned long* user_pfn, int npage, int prot,
                   unsigned long* phys_pfn);
#else
  int (*pin_pages)(void* iommu_data, unsigned long* user_pfn, int npage, int prot, unsigned long* phys_pfn);
#endif
  int (*unpin_pages)(void* iommu_data, unsigned long* user_pfn, int npage);
  int (*register_notifier)(void* iommu_data, unsigned long* events, struct notifier_block* nb);
  int (*unregister_notifier)(void* iommu_data, struct notifier_block* nb);
#endif
#if UMDEV_IOMMU_COPIES
  int (*dma_rw)(void* iommu_data, dma_addr_t user_iova, void* data, size_t count, bool write);
#endif
#if UMDEV_IOMMU_HAS_DOMAINS
  struct iommu_domain* (*group_iommu_domain)(void* iommu_data, struct iommu_group* group);
#endif
#if UMDEV_IOMMU_NOTIFIES
  void (*notify)(void* iommu_data, enum vfio_iommu_notify_type event);
#endif
};

UMDEV_C_END

/* --- The callbacks as umdev calls them. */

static inline const struct vfio_iommu_driver_ops* umdev_iommu_ops(const void* ops) {
  return (const struct vfio_iommu_driver_ops*)ops;
}

static inline int umdev_iommu_attach(const void* ops, void* data, struct iommu_group* group, int kind) {
#if UMDEV_IOMMU_HAS_KINDS
  return umdev_iommu_ops(ops)->attach_group(data, group, (enum vfio_group_type)kind);
#else
  (void)kind;
  return umdev_iommu_ops(ops)->attach_group(data, group);
#endif
}

#if UMDEV_IOMMU_PINS_PAGES

static inline int umdev_iommu_pin(const void* ops, void* data, struct iommu_group* group, umdev_u64 iova,
                                  int count, int prot, struct page** pages) {
  int n, answer = umdev_iommu_ops(ops)->pin_pages(data, group, iova, count, prot, pages);
  for (n = 0; n < answer; ++n) umdev_touch_page(pages[n]);
  return answer;
}
static inline void umdev_iommu_unpin(const void* ops, void* data, umdev_u64 iova, int count) {
  umdev_iommu_ops(ops)->unpin_pages(data, iova, count);
}

static inline void umdev_iommu_unmap(struct vfio_device* device, u64 iova, u64 length) {
  umdev_kernel->iommu_user_unmap(container_of(device, struct umdev_iommu_user, device), iova, length);
}
static inline int umdev_iommu_register(const void* ops, void* data, struct umdev_iommu_user* user) {
  static struct vfio_device_ops of_users;
  of_users.name = "umdev";
  of_users.dma_unmap = umdev_iommu_unmap;
  user->device.ops = &of_users;
  umdev_iommu_ops(ops)->register_device(data, &user->device);
  return 0;
}
static inline void umdev_iommu_unregister(const void* ops, void* data, struct umdev_iommu_user* user) {
  umdev_iommu_ops(ops)->unregister_device(data, &user->device);
}

#else

static inline void umdev_iommu_frames(unsigned long* frames, umdev_u64 iova, int count) {
  int n;
  for (n = 0; n < count; ++n) frames[n] = (unsigned long)(iova >> PAGE_SHIFT) + (unsigned long)n;
}
static inline int umdev_iommu_pin(const void* ops, void* data, struct iommu_group* group, umdev_u64 iova,
                                  int count, int prot, struct page** pages) {
  unsigned long user_pfn[UMDEV_IOMMU_PAGES_MAX], phys_pfn[UMDEV_IOMMU_PAGES_MAX];
  int n, answer;
  umdev_iommu_frames(user_pfn, iova, count);
#if UMDEV_IOMMU_PINS_OF_GROUP
  answer = umdev_iommu_ops(ops)->pin_pages(data, group, user_pfn, count, prot, phys_pfn);
#else
  (void)group;
  answer = umdev_iommu_ops(ops)->pin_pages(data, user_pfn, count, prot, phys_pfn);
#endif
  for (n = 0; n < answer; ++n) {
    pages[n] = pfn_to_page(phys_pfn[n]);
    umdev_touch_page(pages[n]);
  }
  return answer;
}
static inline void umdev_iommu_unpin(const void* ops, void* data, umdev_u64 iova, int count) {
  unsigned long user_pfn[UMDEV_IOMMU_PAGES_MAX];
  umdev_iommu_frames(user_pfn, iova, count);
  umdev_iommu_ops(ops)->unpin_pages(data, user_pfn, count);
}

static inline int umdev_iommu_told(struct notifier_block* block, unsigned long action, void* data) {
  const struct vfio_iommu_type1_dma_unmap* unmap = (const struct vfio_iommu_type1_dma_unmap*)data;
  if (action == VFIO_IOMMU_NOTIFY_DMA_UNMAP)
    umdev_kernel->iommu_user_unmap(container_of(block, struct umdev_iommu_user, block), unmap->iova,
                                   unmap->size);
  return NOTIFY_OK;
}
static inline int umdev_iommu_register(const void* ops, void* data, struct umdev_iommu_user* user) {
  unsigned long events = VFIO_IOMMU_NOTIFY_DMA_UNMAP;
  user->block.notifier_call = umdev_iommu_told;
  return umdev_iommu_ops(ops)->register_notifier(data, &events, &user->block);
}
static inline void umdev_iommu_unregister(const void* ops, void* data, struct umdev_iommu_user* user) {
  umdev_iommu_ops(ops)->unregister_notifier(data, &user->block);
}

#endif

#if UMDEV_IOMMU_NOTIFIES
static inline void umdev_iommu_notify(const void* ops, void* data, int event) {
  umdev_iommu_ops(ops)->notify(data, (enum vfio_iommu_notify_type)event);
}
#endif

static inline struct umdev_iommu_ops umdev_iommu_ops_of(const struct vfio_iommu_driver_ops* from) {
  struct umdev_iommu_ops ops = {};
  ops.size = sizeof(ops);
  ops.name = from->name;
  ops.open = from->open;
  ops.release = from->release;
  ops.ioctl = from->ioctl;
#if UMDEV_IOMMU_READS
  ops.read = from->read;
  ops.write = from->write;
  ops.mmap = from->mmap;
#endif
  ops.attach_group = from->attach_group ? umdev_iommu_attach : NULL;
  ops.detach_group = from->detach_group;
  ops.pin_pages = from->pin_pages ? umdev_iommu_pin : NULL;
  ops.unpin_pages = from->unpin_pages ? umdev_iommu_unpin : NULL;
#if UMDEV_IOMMU_PINS_PAGES
  ops.register_user = from->register_device ? umdev_iommu_register : NULL;
  ops.unregister_user = from->unregister_device ? umdev_iommu_unregister : NULL;
#else
  ops.register_user = from->register_notifier ? umdev_iommu_register : NULL;
  ops.unregister_user = from->unregister_notifier ? umdev_iommu_unregister : NULL;
#endif
#if UMDEV_IOMMU_COPIES
  ops.dma_rw = from->dma_rw;
#endif
#if UMDEV_IOMMU_HAS_DOMAINS
  ops.group_iommu_domain = from->group_iommu_domain;
#endif
#if UMDEV_IOMMU_NOTIFIES
  ops.notify = from->notify ? umdev_iommu_notify : NULL;
#endif
  return ops;
}

/* -EINVAL: registered already; since 6.0 also register_device without unregister_device, or the reverse; and
 * here, for a kernel would call them through a null pointer, without open, release, ioctl, attach_group or
 * detach_group. */
static inline int vfio_register_iommu_driver(const struct vfio_iommu_driver_ops* ops) {
  struct umdev_iommu_ops made = umdev_iommu_ops_of(ops);
#if UMDEV_IOMMU_PINS_PAGES
  if (!ops->register_device != !ops->unregister_device) return -EINVAL;
#endif
  return umdev_kernel->vfio_register_iommu_driver(THIS_MODULE, ops, &made);
}
/* Containers that have it keep it, as in the kernel, where they keep the module. */
static inline void vfio_unregister_iommu_driver(const struct vfio_iommu_driver_ops* ops) {
  umdev_kernel->vfio_unregister_iommu_driver(THIS_MODULE, ops);
}

#if UMDEV_IOMMU_HAS_DOMAINS && UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(5, 19, 0)
/* What the back end of the group's container says; -ENOTTY: it does not, as none of umdev's does. */
static inline struct iommu_domain* vfio_group_iommu_domain(struct vfio_group* group) {
  if (!group) return (struct iommu_domain*)ERR_PTR(-EINVAL);
  return umdev_kernel->vfio_group_iommu_domain(group);
}
#endif

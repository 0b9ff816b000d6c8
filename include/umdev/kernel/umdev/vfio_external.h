/* External users of groups, in the forms of the vintages: by groups up to 5.18, by files since. */
#pragma once

#include <linux/fs.h>
#include <linux/iommu.h>
#include <umdev/this_module.h>
#include <umdev/vfio_memory.h>

/* umdev's own: the file that the device's group is open by, to be put by fput(); NULL: it is not open. In the
 * kernel an external user is handed the descriptor of it. */
static inline struct file* umdev_group_file(struct device* dev) {
  return umdev_kernel->group_file(THIS_MODULE, dev);
}

#if UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(5, 19, 0)

/* -EINVAL: no group's file, no container or none with an IOMMU; -EPERM: a group without one. Until it is put
 * the group stays in its container. */
static inline struct vfio_group* vfio_group_get_external_user(struct file* filep) {
  return umdev_kernel->vfio_group_acquire(THIS_MODULE, NULL, filep);
}
static inline void vfio_group_put_external_user(struct vfio_group* group) {
  umdev_kernel->vfio_group_release(group);
}
static inline int vfio_external_user_iommu_id(struct vfio_group* group) {
  return umdev_kernel->vfio_group_id(group);
}
static inline long vfio_external_check_extension(struct vfio_group* group, unsigned long arg) {
  return umdev_kernel->vfio_group_check_extension(group, arg);
}
static inline void vfio_group_set_kvm(struct vfio_group* group, struct kvm* kvm) {
  umdev_kernel->vfio_group_set_kvm(group, kvm);
}
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(4, 13, 0)
static inline bool vfio_external_group_match_file(struct vfio_group* group, struct file* filep) {
  return umdev_kernel->vfio_group_is_of_file(group, filep);
}
#endif
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 7, 0)
static inline struct vfio_group* vfio_group_get_external_user_from_dev(struct device* dev) {
  if (!dev) return (struct vfio_group*)ERR_PTR(-EINVAL);
  return umdev_kernel->vfio_group_acquire(THIS_MODULE, dev, NULL);
}
/* As vfio_pin_pages(); -EINVAL: the group has more than one device. */
static inline int vfio_group_pin_pages(struct vfio_group* group, unsigned long* user_iova_pfn, int npage,
                                       int prot, unsigned long* phys_pfn) {
  struct vfio_device* device;
  if (!group || !user_iova_pfn || !phys_pfn || npage <= 0) return -EINVAL;
  if (npage > VFIO_PIN_PAGES_MAX_ENTRIES) return -E2BIG;
  device = umdev_kernel->vfio_group_device(group);
  return device ? umdev_pin_frames(device, user_iova_pfn, npage, prot, phys_pfn) : -EINVAL;
}
static inline int vfio_group_unpin_pages(struct vfio_group* group, unsigned long* user_iova_pfn, int npage) {
  struct vfio_device* device;
  if (!group || !user_iova_pfn || npage <= 0) return -EINVAL;
  if (npage > VFIO_PIN_PAGES_MAX_ENTRIES) return -E2BIG;
  device = umdev_kernel->vfio_group_device(group);
  return device ? umdev_unpin_frames(device, user_iova_pfn, npage) : -EINVAL;
}
static inline int vfio_dma_rw(struct vfio_group* group, dma_addr_t user_iova, void* data, size_t len,
                              bool write) {
  struct vfio_device* device;
  if (!group || !data || len == 0) return -EINVAL;
  device = umdev_kernel->vfio_group_device(group);
  return device ? umdev_kernel->vfio_dma_rw(device, user_iova, data, len, write) : -EINVAL;
}
#endif

#else

static inline struct iommu_group* vfio_file_iommu_group(struct file* file) {
  return umdev_kernel->vfio_file_iommu_group(file);
}
static inline bool vfio_file_is_group(struct file* file) {
  struct iommu_group* group = umdev_kernel->vfio_file_iommu_group(file);
  if (group) umdev_kernel->iommu_group_put(group);
  return group != NULL;
}
static inline bool vfio_file_enforced_coherent(struct file* file) {
  return umdev_kernel->vfio_file_enforced_coherent(file);
}
static inline void vfio_file_set_kvm(struct file* file, struct kvm* kvm) {
  umdev_kernel->vfio_file_set_kvm(file, kvm);
}
static inline bool vfio_file_has_dev(struct file* file, struct vfio_device* device) {
  return umdev_kernel->vfio_file_has_dev(file, device);
}
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 6, 0)
static inline bool vfio_file_is_valid(struct file* file) {
  return vfio_file_is_group(file);
}
#endif

#endif

/* VFIO devices, in the forms of the vintages. */
#pragma once

#include <linux/device.h>
#include <linux/fs.h>
#include <linux/iommu.h>
#include <linux/notifier.h>
#include <linux/uuid.h>
#include <uapi/linux/vfio.h>
#include <umdev/migration.h>

/* 5.13 embedded the device in the driver's structure; before, callbacks had the driver's data. */
#define UMDEV_VFIO_BY_DATA (UMDEV_KERNEL_API < UMDEV_KERNEL_5_13)
#define UMDEV_VFIO_OPENS_DEVICE (UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 15, 0))
/* 6.1 allocates it. */
#define UMDEV_VFIO_ALLOCATES (UMDEV_KERNEL_API >= UMDEV_KERNEL_6_1)

/* In 5.18 and 5.19 the callbacks of migration were among the others. */
#define UMDEV_VFIO_MIGRATES_BY_OPS \
  (UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 18, 0) && UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(6, 0, 0))

#if UMDEV_VFIO_BY_DATA
#define umdev_self_t void
#else
#define umdev_self_t struct vfio_device
#endif

UMDEV_C_BEGIN
struct vfio_device_ops {
  const char* name;
#if UMDEV_VFIO_ALLOCATES
  int (*init)(struct vfio_device* vdev);
  void (*release)(struct vfio_device* vdev);
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 2, 0)
  int (*bind_iommufd)(struct vfio_device* vdev, struct iommufd_ctx* ictx, u32* out_device_id);
  void (*unbind_iommufd)(struct vfio_device* vdev);
  int (*attach_ioas)(struct vfio_device* vdev, u32* pt_id);
  void (*detach_ioas)(struct vfio_device* vdev);
#endif
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 15, 0)
  int (*pasid_attach_ioas)(struct vfio_device* vdev, u32 pasid, u32* pt_id);
  void (*pasid_detach_ioas)(struct vfio_device* vdev, u32 pasid);
#endif
#endif
#if UMDEV_VFIO_OPENS_DEVICE
  int (*open_device)(struct vfio_device* vdev);
  void (*close_device)(struct vfio_device* vdev);
#else
  int (*open)(umdev_self_t* self);
  void (*release)(umdev_self_t* self);
#endif
  ssize_t (*read)(umdev_self_t* self, char __user* buf, size_t count, loff_t* ppos);
  ssize_t (*write)(umdev_self_t* self, const char __user* buf, size_t count, loff_t* size);
  long (*ioctl)(umdev_self_t* self, unsigned int cmd, unsigned long arg);
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 19, 0)
  int (*get_region_info_caps)(struct vfio_device* vdev, struct vfio_region_info* info,
                              struct vfio_info_cap* caps);
#endif
  int (*mmap)(umdev_self_t* self, struct vm_area_struct* vma);
  void (*request)(umdev_self_t* self, unsigned int count);
  int (*match)(umdev_self_t* self, char* buf);
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 17, 0)
  int (*match_token_uuid)(struct vfio_device* vdev, const uuid_t* uuid);
#endif
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 0, 0)
  void (*dma_unmap)(struct vfio_device* vdev, u64 iova, u64 length);
#endif
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 18, 0)
  int (*device_feature)(struct vfio_device* device, u32 flags, void __user* arg, size_t argsz);
#endif
#if UMDEV_VFIO_MIGRATES_BY_OPS
  struct file* (*migration_set_state)(struct vfio_device* device, enum vfio_device_mig_state new_state);
  int (*migration_get_state)(struct vfio_device* device, enum vfio_device_mig_state* curr_state);
#endif
};
UMDEV_C_END

#if UMDEV_VFIO_BY_DATA
#define UMDEV_VFIO_RULES (umdev_open_each_file | umdev_pins_always)

static inline struct umdev_data_ops umdev_ops_of(const struct vfio_device_ops* from) {
  struct umdev_data_ops ops = {};
  ops.open = from->open;
  ops.close = from->release;
#else
#if !UMDEV_VFIO_OPENS_DEVICE
#define UMDEV_VFIO_RULES (umdev_open_each_file | umdev_pins_always)
#elif UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(6, 0, 0)
#define UMDEV_VFIO_RULES umdev_pins_always
#else
#define UMDEV_VFIO_RULES 0
#endif

static inline struct umdev_device_ops umdev_ops_of(const struct vfio_device_ops* from) {
  struct umdev_device_ops ops = {};
#if UMDEV_VFIO_ALLOCATES
  ops.init = from->init;
  ops.release = from->release;
#endif
#if UMDEV_VFIO_OPENS_DEVICE
  ops.open = from->open_device;
  ops.close = from->close_device;
#else
  ops.open = from->open;
  ops.close = from->release;
#endif
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 0, 0)
  ops.dma_unmap = from->dma_unmap;
#endif
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 18, 0)
  ops.device_feature = from->device_feature;
#endif
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 19, 0)
  ops.get_region_info_caps = from->get_region_info_caps;
#endif
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 17, 0)
  ops.match_token_uuid = from->match_token_uuid;
#endif
#endif
  ops.name = from->name;
  ops.read = from->read;
  ops.write = from->write;
  ops.ioctl = from->ioctl;
  ops.mmap = from->mmap;
  ops.request = from->request;
  ops.match = from->match;
  return ops;
}

#if UMDEV_VFIO_ALLOCATES

static inline struct vfio_device* _vfio_alloc_device(size_t size, struct device* dev,
                                                     const struct vfio_device_ops* ops) {
  struct umdev_device_ops made = umdev_ops_of(ops);
  struct vfio_device* vdev = umdev_kernel->vfio_alloc_device(size, dev, &made);
  if (!IS_ERR(vdev)) vdev->ops = ops;
  return vdev;
}
/* Zeroed memory of the driver's own structure, whose first member is the struct vfio_device; ops.init has
 * run. */
#define vfio_alloc_device(dev_struct, member, dev, ops)                                                      \
  container_of(                                                                                              \
      _vfio_alloc_device(sizeof(struct dev_struct) + BUILD_BUG_ON_ZERO(offsetof(struct dev_struct, member)), \
                         dev, ops),                                                                          \
      struct dev_struct, member)
static inline void vfio_put_device(struct vfio_device* vdev) {
  umdev_kernel->vfio_put_device(vdev);
}
/* The end of ops.release up to 6.1; umdev frees the memory itself when that has returned. */
static inline void vfio_free_device(struct vfio_device* vdev) {
  (void)vdev;
}

#elif !UMDEV_VFIO_BY_DATA

static inline void vfio_init_group_dev(struct vfio_device* vdev, struct device* dev,
                                       const struct vfio_device_ops* ops) {
  struct umdev_device_ops made = umdev_ops_of(ops);
  vdev->ops = ops;
  umdev_kernel->vfio_init_device(vdev, dev, &made, UMDEV_VFIO_RULES);
}
#if UMDEV_VFIO_OPENS_DEVICE
static inline void vfio_uninit_group_dev(struct vfio_device* vdev) {
  umdev_kernel->vfio_uninit_device(vdev);
}
#endif

#else

/* The form between 5.12 and 5.13. */
#if UMDEV_KERNEL_API == UMDEV_KERNEL_5_13_RC
static inline void vfio_init_group_dev(struct vfio_device* vdev, struct device* dev,
                                       const struct vfio_device_ops* ops, void* device_data) {
  struct umdev_data_ops made = umdev_ops_of(ops);
  vdev->ops = ops;
  umdev_kernel->vfio_init_data(vdev, dev, &made, device_data, UMDEV_VFIO_RULES);
}
#endif
/* -EINVAL: the device is in no IOMMU group; -EBUSY: it is added already. */
static inline int vfio_add_group_dev(struct device* dev, const struct vfio_device_ops* ops,
                                     void* device_data) {
  struct umdev_data_ops made = umdev_ops_of(ops);
  return umdev_kernel->vfio_add_group_dev(dev, &made, device_data, UMDEV_VFIO_RULES);
}
/* Waits until its users have let go; gives back what vfio_add_group_dev() was given. */
static inline void* vfio_del_group_dev(struct device* dev) {
  return umdev_kernel->vfio_del_group_dev(dev);
}
static inline void* vfio_device_data(struct vfio_device* vdev) {
  return umdev_kernel->vfio_device_data(vdev);
}

#endif

#if UMDEV_VFIO_MIGRATES_BY_OPS
static inline struct file* umdev_set_state_by_ops(struct vfio_device* vdev,
                                                  enum vfio_device_mig_state state) {
  return vdev->ops->migration_set_state(vdev, state);
}
static inline int umdev_get_state_by_ops(struct vfio_device* vdev, enum vfio_device_mig_state* state) {
  return vdev->ops->migration_get_state(vdev, state);
}
static inline int umdev_vfio_register(struct vfio_device* vdev, bool emulated) {
  static const struct vfio_migration_ops by_ops = {umdev_set_state_by_ops, umdev_get_state_by_ops, NULL};
  /* Either without the other is none, as in those kernels. */
  if (vdev->ops && vdev->ops->migration_set_state && vdev->ops->migration_get_state) vdev->mig_ops = &by_ops;
  return umdev_kernel->vfio_register_device(vdev, emulated);
}
#elif UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 2, 0)
/* A kernel with iommufd wants its four callbacks, one without wants none. */
static inline int umdev_vfio_register(struct vfio_device* vdev, bool emulated) {
  const struct vfio_device_ops* ops = vdev->ops;
  const int given =
      ops ? !!ops->bind_iommufd + !!ops->unbind_iommufd + !!ops->attach_ioas + !!ops->detach_ioas : 0;
  if (given != 0 && given != 4) return -EINVAL;
  if (given) {
    struct umdev_iommufd_ops steps = {};
    steps.bind = ops->bind_iommufd;
    steps.unbind = ops->unbind_iommufd;
    steps.attach = ops->attach_ioas;
    steps.detach = ops->detach_ioas;
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 15, 0)
    steps.attach_pasid = ops->pasid_attach_ioas;
    steps.detach_pasid = ops->pasid_detach_ioas;
#endif
    umdev_kernel->vfio_on_iommufd(vdev, &steps);
  }
  return umdev_kernel->vfio_register_device(vdev, emulated);
}
#elif UMDEV_KERNEL_API >= UMDEV_KERNEL_5_13_RC
static inline int umdev_vfio_register(struct vfio_device* vdev, bool emulated) {
  return umdev_kernel->vfio_register_device(vdev, emulated);
}
#endif

#if UMDEV_KERNEL_API >= UMDEV_KERNEL_5_13_RC
/* -EINVAL: it was not initialised, is in no IOMMU group, or has callbacks that make no sense without others;
 * -EBUSY. Users may have it before this returns. */
static inline int vfio_register_group_dev(struct vfio_device* vdev) {
  return umdev_vfio_register(vdev, false);
}
/* Waits until its users have let go. */
static inline void vfio_unregister_group_dev(struct vfio_device* vdev) {
  umdev_kernel->vfio_unregister_device(vdev);
#if !UMDEV_VFIO_OPENS_DEVICE
  umdev_kernel->vfio_uninit_device(vdev); /* there was no vfio_uninit_group_dev() yet */
#endif
}
#endif
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_5_16
static inline int vfio_register_emulated_iommu_dev(struct vfio_device* vdev) {
  return umdev_vfio_register(vdev, true);
}
#endif
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 15, 0)
static inline int vfio_assign_device_set(struct vfio_device* vdev, void* set_id) {
  if (!set_id) return -EINVAL;
  umdev_kernel->vfio_assign_device_set(vdev, set_id);
  return 0;
}
#endif
#if UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(5, 19, 0)
/* Found the long way, so that it may race with the removal; NULL, or one to be put. */
static inline struct vfio_device* vfio_device_get_from_dev(struct device* dev) {
  return umdev_kernel->vfio_device_get_from_dev(dev);
}
static inline void vfio_device_put(struct vfio_device* vdev) {
  umdev_kernel->vfio_device_put(vdev);
}
#endif

#if UMDEV_KERNEL_API >= UMDEV_KERNEL_7_0
/* One more use, which vfio_unregister_group_dev() waits for; false: it has begun to go. */
static inline bool vfio_device_try_get_registration(struct vfio_device* vdev) {
  return umdev_kernel->vfio_device_get_from_dev(vdev->dev) != NULL;
}
static inline void vfio_device_put_registration(struct vfio_device* vdev) {
  umdev_kernel->vfio_device_put(vdev);
}
#endif

#include <umdev/vfio_external.h>
#include <umdev/vfio_helpers.h>
#include <umdev/vfio_iommu_driver.h>
#include <umdev/vfio_iommufd.h>
#include <umdev/vfio_log.h>
#include <umdev/vfio_memory.h>

/* The checks of SET_IRQS; `data_size` is how many bytes of data follow. */
static inline int vfio_set_irqs_validate_and_prepare(struct vfio_irq_set* header, int num_irqs,
                                                     int max_irq_type, size_t* data_size) {
  unsigned long size = 0;
  *data_size = 0;
  if (header->argsz < offsetofend(struct vfio_irq_set, count)) return -EINVAL;
  if (header->index >= (unsigned int)max_irq_type || header->count >= UINT_MAX - header->start)
    return -EINVAL;
  if (header->flags & ~(unsigned int)(VFIO_IRQ_SET_DATA_TYPE_MASK | VFIO_IRQ_SET_ACTION_TYPE_MASK))
    return -EINVAL;
  if (header->start >= (unsigned int)num_irqs || header->start + header->count > (unsigned int)num_irqs)
    return -EINVAL;
  switch (header->flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
    case VFIO_IRQ_SET_DATA_NONE:
      return 0;
    case VFIO_IRQ_SET_DATA_BOOL:
      size = sizeof(u8);
      break;
    case VFIO_IRQ_SET_DATA_EVENTFD:
      size = sizeof(s32);
      break;
    default:
      return -EINVAL;
  }
  if (header->argsz - offsetofend(struct vfio_irq_set, count) < header->count * size) return -EINVAL;
  *data_size = header->count * size;
  return 0;
}

/* VFIO devices, in the forms of the vintages. */
#pragma once

#include <linux/device.h>
#include <linux/fs.h>
#include <uapi/linux/vfio.h>

#if UMDEV_KERNEL_API >= UMDEV_KERNEL_6_1

UMDEV_C_BEGIN
struct vfio_device_ops {
  const char* name;
  int (*init)(struct vfio_device* vdev);
  void (*release)(struct vfio_device* vdev);
  int (*open_device)(struct vfio_device* vdev);
  void (*close_device)(struct vfio_device* vdev);
  ssize_t (*read)(struct vfio_device* vdev, char __user* buf, size_t count, loff_t* ppos);
  ssize_t (*write)(struct vfio_device* vdev, const char __user* buf, size_t count, loff_t* size);
  long (*ioctl)(struct vfio_device* vdev, unsigned int cmd, unsigned long arg);
  int (*mmap)(struct vfio_device* vdev, struct vm_area_struct* vma);
  void (*request)(struct vfio_device* vdev, unsigned int count);
  int (*match)(struct vfio_device* vdev, char* buf);
  void (*dma_unmap)(struct vfio_device* vdev, u64 iova, u64 length);
  int (*device_feature)(struct vfio_device* device, u32 flags, void __user* arg, size_t argsz);
};
UMDEV_C_END

static inline struct umdev_device_ops umdev_ops_of(const struct vfio_device_ops* from) {
  struct umdev_device_ops ops = {};
  ops.name = from->name;
  ops.init = from->init;
  ops.release = from->release;
  ops.open = from->open_device;
  ops.close = from->close_device;
  ops.read = from->read;
  ops.write = from->write;
  ops.ioctl = from->ioctl;
  ops.mmap = from->mmap;
  ops.request = from->request;
  ops.match = from->match;
  ops.dma_unmap = from->dma_unmap;
  ops.device_feature = from->device_feature;
  return ops;
}
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

static inline int vfio_register_group_dev(struct vfio_device* vdev) {
  return umdev_kernel->vfio_register_device(vdev, false);
}
static inline int vfio_register_emulated_iommu_dev(struct vfio_device* vdev) {
  return umdev_kernel->vfio_register_device(vdev, true);
}
static inline void vfio_unregister_group_dev(struct vfio_device* vdev) {
  umdev_kernel->vfio_unregister_device(vdev);
}

#endif

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

/* A device's user who brings an iommufd: what a driver calls in the callbacks bind_iommufd() and its like, or
 * gives as them. */
#pragma once

#include <linux/device.h>

#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 2, 0)
/* From then on the device has a number in the iommufd, and the driver may pin once it is attached. -EINVAL:
 * not in bind_iommufd(), or of another iommufd; -EBUSY: it is bound; -ENOSPC. */
static inline int vfio_iommufd_emulated_bind(struct vfio_device* vdev, struct iommufd_ctx* ictx,
                                             u32* out_device_id) {
  return umdev_kernel->vfio_iommufd_bind(vdev, ictx, out_device_id);
}
/* Detaches it first. */
static inline void vfio_iommufd_emulated_unbind(struct vfio_device* vdev) {
  umdev_kernel->vfio_iommufd_unbind(vdev);
}
/* Leaves what it was attached to. -EINVAL: it is not bound; -ENOENT: no IOAS; -EADDRINUSE: of mappings that
 * it cannot use. */
static inline int vfio_iommufd_emulated_attach_ioas(struct vfio_device* vdev, u32* pt_id) {
  return umdev_kernel->vfio_iommufd_attach(vdev, pt_id);
}
/* dma_unmap() is called for everything. */
static inline void vfio_iommufd_emulated_detach_ioas(struct vfio_device* vdev) {
  umdev_kernel->vfio_iommufd_detach(vdev);
}
#endif

/* What drivers check and build with: capability chains, features. */
#pragma once

#include <linux/device.h>
#include <linux/uaccess.h>
#include <uapi/linux/vfio.h>
#include <umdev/info_cap.h>

/* A zeroed capability of `size` bytes, header included, at the end of the chain; `next` counts from the
 * buffer's begin. -ENOMEM as a pointer: then the whole chain is gone. */
static inline struct vfio_info_cap_header* vfio_info_cap_add(struct vfio_info_cap* caps, size_t size, u16 id,
                                                             u16 version) {
  struct vfio_info_cap_header *header, *last;
  char* grown;
  size = ALIGN(size, sizeof(u64));
  grown = (char*)krealloc(caps->buf, caps->size + size, GFP_KERNEL);
  if (!grown) {
    kfree(caps->buf);
    caps->buf = NULL;
    caps->size = 0;
    return (struct vfio_info_cap_header*)ERR_PTR(-ENOMEM);
  }
  caps->buf = (struct vfio_info_cap_header*)(void*)grown;
  header = (struct vfio_info_cap_header*)(void*)(grown + caps->size);
  memset(header, 0, size);
  header->id = id;
  header->version = version;
  if (caps->size > 0) {
    for (last = caps->buf; last->next; last = (struct vfio_info_cap_header*)(void*)(grown + last->next)) {
    }
    last->next = (u32)caps->size;
  }
  caps->size += size;
  return header;
}
/* As vfio_info_cap_add(), of a whole capability; 0 or -ENOMEM. */
static inline int vfio_info_add_capability(struct vfio_info_cap* caps, struct vfio_info_cap_header* cap,
                                           size_t size) {
  struct vfio_info_cap_header* header = vfio_info_cap_add(caps, size, cap->id, cap->version);
  if (IS_ERR(header)) return (int)PTR_ERR(header);
  memcpy(header + 1, cap + 1, size - sizeof(*header));
  return 0;
}
/* Makes `next` count from the structure that the chain will stand behind. */
static inline void vfio_info_cap_shift(struct vfio_info_cap* caps, size_t offset) {
  struct vfio_info_cap_header* header;
  char* begin = (char*)caps->buf;
  u32 next;
  for (header = caps->buf; caps->size > 0; header = (struct vfio_info_cap_header*)(void*)(begin + next)) {
    next = header->next;
    if (!next) return;
    header->next = (u32)(next + offset);
  }
}

#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 18, 0)
/* The first step on the way; -EINVAL: no way, or a state that a device with these flags does not have. */
static inline int vfio_mig_get_next_state(struct vfio_device* device, enum vfio_device_mig_state cur_fsm,
                                          enum vfio_device_mig_state new_fsm,
                                          enum vfio_device_mig_state* next_fsm) {
  umdev_u32 next = VFIO_DEVICE_STATE_ERROR;
  const int result = umdev_kernel->vfio_mig_get_next_state(device->migration_flags, (umdev_u32)cur_fsm,
                                                           (umdev_u32)new_fsm, &next);
  *next_fsm = (enum vfio_device_mig_state)next;
  return result;
}
#endif

#if UMDEV_KERNEL_API >= UMDEV_KERNEL_7_0
/* The beginning of VFIO_MIG_GET_PRECOPY_INFO: 0 with `info` as the user gave it and no flags;
 * -ENOTTY another command, -EFAULT, -EINVAL an argsz too short. */
static inline int vfio_check_precopy_ioctl(struct vfio_device* vdev, unsigned int cmd, unsigned long arg,
                                           struct vfio_precopy_info* info) {
  const size_t least = offsetofend(struct vfio_precopy_info, dirty_bytes);
  (void)vdev;
  if (cmd != VFIO_MIG_GET_PRECOPY_INFO) return -ENOTTY;
  if (copy_from_user(info, (const void __user*)arg, least)) return -EFAULT;
  if (info->argsz < least) return -EINVAL;
  info->flags = 0;
  return 0;
}
#endif

#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 18, 0)
/* 1: go on; 0: it was a probe, of something that there is; else the error. */
static inline int vfio_check_feature(u32 flags, size_t argsz, u32 supported_ops, size_t minsz) {
  const u32 ops = flags & (VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET);
  if (ops & ~supported_ops) return -EINVAL;
  if (flags & VFIO_DEVICE_FEATURE_PROBE) return 0;
  if (!ops) return -EINVAL;
  return argsz < minsz ? -EINVAL : 1;
}
#endif

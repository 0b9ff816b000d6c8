/* The ioctls of a device that has one region of 64 bytes, and no interrupts. */
#pragma once

#include <linux/uaccess.h>
#include <linux/vfio.h>

static inline long answer_for_one_region(unsigned int cmd, unsigned long arg, u32 region_flags) {
  if (cmd == VFIO_DEVICE_GET_INFO) {
    struct vfio_device_info info = {
        .argsz = 16, .flags = VFIO_DEVICE_FLAGS_PCI, .num_regions = 1, .num_irqs = 0};
    return copy_to_user((void __user*)arg, &info, 16) ? -EFAULT : 0;
  }
  if (cmd == VFIO_DEVICE_GET_REGION_INFO) {
    struct vfio_region_info info = {.argsz = sizeof(info), .size = 64};
    info.flags = region_flags;
    return copy_to_user((void __user*)arg, &info, sizeof(info)) ? -EFAULT : 0;
  }
  return -ENOTTY;
}

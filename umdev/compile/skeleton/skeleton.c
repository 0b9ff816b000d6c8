/*
 * skeleton: mediated PCI devices with 4 KiB of registers, the place to begin a driver at.
 *
 * The interface is the kernel's own, of Linux 6.1. What a device is stands in skeleton_init_dev(),
 * skeleton_ioctl() and skeleton_access(); the rest makes it appear: a class and a device to be the parent of
 * the instances, one type, and the driver that makes an instance's VFIO device.
 */
#include <linux/device.h>
#include <linux/init.h>
#include <linux/mdev.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#define REGISTERS_SIZE 0x1000
#define CONFIG_SIZE 0x100
/* Where a region begins in the device's file: its index stands above the offset. */
#define REGION_SHIFT 40
#define REGION_OFFSET(index) ((u64)(index) << REGION_SHIFT)
#define OFFSET_MASK (REGION_OFFSET(1) - 1)

static unsigned int instances = 16;
module_param(instances, uint, 0444);
MODULE_PARM_DESC(instances, "instances at a time");

/* One instance. Its vfio_device comes first, so that the core can allocate all of it. */
struct skeleton_state {
  struct vfio_device vdev;
  struct mutex lock; /* of what follows: calls of one device come side by side */
  u8 config[CONFIG_SIZE];
  u8 registers[REGISTERS_SIZE];
};

static struct skeleton_state* to_state(struct vfio_device* vdev) {
  return container_of(vdev, struct skeleton_state, vdev);
}

static void put_16(u8* at, u16 value) {
  at[0] = value & 0xff;
  at[1] = value >> 8;
}

/* What a guest finds, and what a reset brings back. */
static void skeleton_reset(struct skeleton_state* state) {
  memset(state->config, 0, sizeof(state->config));
  memset(state->registers, 0, sizeof(state->registers));
  put_16(state->config + PCI_VENDOR_ID, 0x1b36);
  put_16(state->config + PCI_DEVICE_ID, 0x00ff);
  state->config[PCI_CLASS_DEVICE + 1] = 0xff; /* a class of its own */
  state->config[PCI_BASE_ADDRESS_0] = PCI_BASE_ADDRESS_SPACE_MEMORY;
}

static int skeleton_init_dev(struct vfio_device* vdev) {
  struct skeleton_state* state = to_state(vdev);

  mutex_init(&state->lock);
  skeleton_reset(state);
  return 0;
}

static void skeleton_release_dev(struct vfio_device* vdev) {
  mutex_destroy(&to_state(vdev)->lock);
  vfio_free_device(vdev);
}

/* The first file of a device is opened, the last one closed: the place for what only a user needs. Nobody
 * finds what the user before has left. */
static int skeleton_open_device(struct vfio_device* vdev) {
  struct skeleton_state* state = to_state(vdev);

  mutex_lock(&state->lock);
  skeleton_reset(state);
  mutex_unlock(&state->lock);
  return 0;
}

static void skeleton_close_device(struct vfio_device* vdev) {
  (void)vdev;
}

/* The bits of the address register that can be written tell how large the region is. */
static void write_config(struct skeleton_state* state, unsigned int offset, const u8* from, size_t count) {
  size_t i;

  for (i = 0; i < count; i++) {
    unsigned int at = offset + i;
    u8 writable = 0;

    if (at == PCI_COMMAND)
      writable = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
    else if (at >= PCI_BASE_ADDRESS_0 && at < PCI_BASE_ADDRESS_0 + 4)
      writable = (u8)(~(u32)(REGISTERS_SIZE - 1) >> 8 * (at - PCI_BASE_ADDRESS_0));
    state->config[at] = (state->config[at] & ~writable) | (from[i] & writable);
  }
}

/* Reads into `buf`, or writes what it holds. Where a register does something, this is the place for it. */
static ssize_t skeleton_access(struct skeleton_state* state, u8* buf, size_t count, loff_t pos,
                               bool is_write) {
  unsigned int index = pos >> REGION_SHIFT;
  u64 offset = pos & OFFSET_MASK;
  u64 size = index == VFIO_PCI_CONFIG_REGION_INDEX ? CONFIG_SIZE : REGISTERS_SIZE;
  u8* memory = index == VFIO_PCI_CONFIG_REGION_INDEX ? state->config : state->registers;

  if (index != VFIO_PCI_CONFIG_REGION_INDEX && index != VFIO_PCI_BAR0_REGION_INDEX) return -EINVAL;
  if (offset >= size || count > size - offset) return -EINVAL;
  if (!is_write)
    memcpy(buf, memory + offset, count);
  else if (index == VFIO_PCI_CONFIG_REGION_INDEX)
    write_config(state, offset, buf, count);
  else
    memcpy(memory + offset, buf, count);
  return count;
}

/* A user's memory is copied in pieces. */
static ssize_t skeleton_read(struct vfio_device* vdev, char __user* buf, size_t count, loff_t* ppos) {
  struct skeleton_state* state = to_state(vdev);
  size_t done = 0;

  while (done < count) {
    u8 piece[64];
    size_t part = min_t(size_t, count - done, sizeof(piece));
    ssize_t ret;

    mutex_lock(&state->lock);
    ret = skeleton_access(state, piece, part, *ppos, false);
    mutex_unlock(&state->lock);
    if (ret < 0) return ret;
    if (copy_to_user(buf + done, piece, part)) return -EFAULT;
    done += part;
    *ppos += part;
  }
  return done;
}

static ssize_t skeleton_write(struct vfio_device* vdev, const char __user* buf, size_t count, loff_t* ppos) {
  struct skeleton_state* state = to_state(vdev);
  size_t done = 0;

  while (done < count) {
    u8 piece[64];
    size_t part = min_t(size_t, count - done, sizeof(piece));
    ssize_t ret;

    if (copy_from_user(piece, buf + done, part)) return -EFAULT;
    mutex_lock(&state->lock);
    ret = skeleton_access(state, piece, part, *ppos, true);
    mutex_unlock(&state->lock);
    if (ret < 0) return ret;
    done += part;
    *ppos += part;
  }
  return done;
}

static void fill_region(struct vfio_region_info* info) {
  info->offset = REGION_OFFSET(info->index);
  info->size = 0;
  info->flags = 0;
  if (info->index == VFIO_PCI_CONFIG_REGION_INDEX)
    info->size = CONFIG_SIZE;
  else if (info->index == VFIO_PCI_BAR0_REGION_INDEX)
    info->size = REGISTERS_SIZE;
  if (info->size) info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
}

static long skeleton_ioctl(struct vfio_device* vdev, unsigned int cmd, unsigned long arg) {
  struct skeleton_state* state = to_state(vdev);
  void __user* user = (void __user*)arg;
  unsigned long minsz;

  switch (cmd) {
    case VFIO_DEVICE_GET_INFO: {
      struct vfio_device_info info;

      minsz = offsetofend(struct vfio_device_info, num_irqs);
      if (copy_from_user(&info, user, minsz)) return -EFAULT;
      if (info.argsz < minsz) return -EINVAL;
      info.flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
      info.num_regions = VFIO_PCI_NUM_REGIONS;
      info.num_irqs = VFIO_PCI_NUM_IRQS;
      return copy_to_user(user, &info, minsz) ? -EFAULT : 0;
    }
    case VFIO_DEVICE_GET_REGION_INFO: {
      struct vfio_region_info info;

      minsz = offsetofend(struct vfio_region_info, offset);
      if (copy_from_user(&info, user, minsz)) return -EFAULT;
      if (info.argsz < minsz || info.index >= VFIO_PCI_NUM_REGIONS) return -EINVAL;
      fill_region(&info);
      return copy_to_user(user, &info, minsz) ? -EFAULT : 0;
    }
    case VFIO_DEVICE_GET_IRQ_INFO: {
      struct vfio_irq_info info;

      minsz = offsetofend(struct vfio_irq_info, count);
      if (copy_from_user(&info, user, minsz)) return -EFAULT;
      if (info.argsz < minsz || info.index >= VFIO_PCI_NUM_IRQS) return -EINVAL;
      info.flags = VFIO_IRQ_INFO_EVENTFD;
      info.count = 0; /* it interrupts nobody */
      return copy_to_user(user, &info, minsz) ? -EFAULT : 0;
    }
    case VFIO_DEVICE_RESET:
      mutex_lock(&state->lock);
      skeleton_reset(state);
      mutex_unlock(&state->lock);
      return 0;
  }
  return -ENOTTY;
}

static const struct vfio_device_ops skeleton_dev_ops = {
    .name = "vfio-skeleton",
    .init = skeleton_init_dev,
    .release = skeleton_release_dev,
    .open_device = skeleton_open_device,
    .close_device = skeleton_close_device,
    .read = skeleton_read,
    .write = skeleton_write,
    .ioctl = skeleton_ioctl,
};

/* An instance comes: somebody wrote a UUID to `create`. */
static int skeleton_probe(struct mdev_device* mdev) {
  struct skeleton_state* state = vfio_alloc_device(skeleton_state, vdev, &mdev->dev, &skeleton_dev_ops);
  int ret;

  if (IS_ERR(state)) return PTR_ERR(state);
  ret = vfio_register_emulated_iommu_dev(&state->vdev);
  if (ret) {
    vfio_put_device(&state->vdev);
    return ret;
  }
  dev_set_drvdata(&mdev->dev, state);
  return 0;
}

static void skeleton_remove(struct mdev_device* mdev) {
  struct skeleton_state* state = dev_get_drvdata(&mdev->dev);

  vfio_unregister_group_dev(&state->vdev);
  vfio_put_device(&state->vdev);
}

static struct mdev_driver skeleton_driver = {
    .device_api = VFIO_DEVICE_API_PCI_STRING,
    .driver =
        {
            .name = "skeleton",
            .owner = THIS_MODULE,
            .mod_name = KBUILD_MODNAME,
        },
    .probe = skeleton_probe,
    .remove = skeleton_remove,
};

static struct mdev_type skeleton_type = {.sysfs_name = "1", .pretty_name = "4 KiB of registers"};
static struct mdev_type* skeleton_types[] = {&skeleton_type};

static struct class* skeleton_class;
static struct device skeleton_dev;
static struct mdev_parent skeleton_parent;

static void skeleton_device_release(struct device* dev) {
  (void)dev;
}

static int __init skeleton_init(void) {
  int ret;

  skeleton_driver.max_instances = instances;
  ret = mdev_register_driver(&skeleton_driver);
  if (ret) return ret;
  skeleton_class = class_create(THIS_MODULE, "skeleton");
  if (IS_ERR(skeleton_class)) {
    ret = PTR_ERR(skeleton_class);
    goto unregister_driver;
  }
  skeleton_dev.class = skeleton_class;
  skeleton_dev.release = skeleton_device_release;
  dev_set_name(&skeleton_dev, "skeleton");
  ret = device_register(&skeleton_dev);
  if (ret) {
    put_device(&skeleton_dev);
    goto destroy_class;
  }
  ret = mdev_register_parent(&skeleton_parent, &skeleton_dev, &skeleton_driver, skeleton_types,
                             ARRAY_SIZE(skeleton_types));
  if (ret) goto unregister_device;
  return 0;

unregister_device:
  device_unregister(&skeleton_dev);
destroy_class:
  class_destroy(skeleton_class);
unregister_driver:
  mdev_unregister_driver(&skeleton_driver);
  return ret;
}

static void __exit skeleton_exit(void) {
  mdev_unregister_parent(&skeleton_parent);
  device_unregister(&skeleton_dev);
  class_destroy(skeleton_class);
  mdev_unregister_driver(&skeleton_driver);
}

module_init(skeleton_init);
module_exit(skeleton_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Mediated PCI devices with 4 KiB of registers");

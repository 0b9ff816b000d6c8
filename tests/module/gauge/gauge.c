/*
 * gauge: a platform device with registers that are called, memory that is mapped, an interrupt, and transfers
 * from and to its user's memory; and attributes of its instances. gauge.cc is the same device as a native
 * driver: what a user sees of the two is the same at every door.
 */
#include <linux/device.h>
#include <linux/eventfd.h>
#include <linux/init.h>
#include <linux/kstrtox.h>
#include <linux/mdev.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <linux/vmalloc.h>

enum { REGISTERS, MEMORY, REGIONS };
enum { TAKE = 1, GIVE = 2, RING = 3 };
enum {
  MAGIC = 0x00,
  COUNT = 0x04,
  SCRATCH = 0x08,
  LEVEL = 0x0c,
  ADDRESS = 0x10,
  LENGTH = 0x18,
  COMMAND = 0x1c,
  STATUS = 0x20,
};
#define GAUGE_MAGIC 0x45475547
#define REGISTERS_SIZE 0x40
#define MEMORY_SIZE 0x1000
#define LEVEL_MAX 100
#define INSTANCES 4

#define REGION_SHIFT 40
#define REGION_OFFSET(index) ((u64)(index) << REGION_SHIFT)

struct gauge {
  struct vfio_device vdev;
  struct mutex lock; /* of what follows */
  u8* memory;        /* a user may have it mapped */
  u32 count;
  u32 scratch;
  u32 level;
  u64 address;
  u32 length;
  u32 status;
  struct eventfd_ctx* event;
};

static struct gauge* to_gauge(struct vfio_device* vdev) {
  return container_of(vdev, struct gauge, vdev);
}

static void gauge_clear(struct gauge* gauge) {
  memset(gauge->memory, 0, MEMORY_SIZE);
  gauge->count = gauge->scratch = gauge->length = gauge->status = 0;
  gauge->address = 0;
}

static int gauge_init_dev(struct vfio_device* vdev) {
  struct gauge* gauge = to_gauge(vdev);

  gauge->memory = vmalloc_user(MEMORY_SIZE);
  if (!gauge->memory) return -ENOMEM;
  mutex_init(&gauge->lock);
  return 0;
}

static void gauge_release_dev(struct vfio_device* vdev) {
  struct gauge* gauge = to_gauge(vdev);

  mutex_destroy(&gauge->lock);
  vfree(gauge->memory);
  vfio_free_device(vdev);
}

static void gauge_disable(struct gauge* gauge) {
  if (gauge->event) eventfd_ctx_put(gauge->event);
  gauge->event = NULL;
}

static void gauge_close_device(struct vfio_device* vdev) {
  struct gauge* gauge = to_gauge(vdev);

  mutex_lock(&gauge->lock);
  gauge_disable(gauge);
  gauge_clear(gauge);
  mutex_unlock(&gauge->lock);
}

static void gauge_ring(struct gauge* gauge) {
  if (gauge->event) eventfd_signal(gauge->event, 1);
}

/* From the user's memory to ours (TAKE), or the other way. What becomes of it is in the status. */
static int gauge_transfer(struct gauge* gauge, bool give) {
  u8* copy = kzalloc(MEMORY_SIZE, GFP_KERNEL);
  u64 address;
  u32 length;
  int ret;

  if (!copy) return -ENOMEM;
  mutex_lock(&gauge->lock);
  address = gauge->address;
  length = gauge->length;
  if (give) memcpy(copy, gauge->memory, MEMORY_SIZE);
  mutex_unlock(&gauge->lock);

  ret = length > MEMORY_SIZE ? -E2BIG : vfio_dma_rw(&gauge->vdev, address, copy, length, give);

  mutex_lock(&gauge->lock);
  if (!ret && !give) memcpy(gauge->memory, copy, length);
  gauge->status = -ret;
  gauge->count++;
  gauge_ring(gauge);
  mutex_unlock(&gauge->lock);
  kfree(copy);
  return 0;
}

static int gauge_command(struct gauge* gauge, u32 command) {
  switch (command) {
    case TAKE:
    case GIVE:
      return gauge_transfer(gauge, command == GIVE);
    case RING:
      mutex_lock(&gauge->lock);
      gauge_ring(gauge);
      mutex_unlock(&gauge->lock);
      return 0;
  }
  return -EINVAL;
}

static int gauge_read_register(struct gauge* gauge, u32 at, u64* value) {
  switch (at) {
    case MAGIC:
      *value = GAUGE_MAGIC;
      return 0;
    case COUNT:
      *value = gauge->count;
      return 0;
    case SCRATCH:
      *value = gauge->scratch;
      return 0;
    case LEVEL:
      *value = gauge->level;
      return 0;
    case ADDRESS:
      *value = gauge->address;
      return 0;
    case LENGTH:
      *value = gauge->length;
      return 0;
    case STATUS:
      *value = gauge->status;
      return 0;
  }
  return -ENXIO;
}

static int gauge_write_register(struct gauge* gauge, u32 at, u64 value) {
  switch (at) {
    case SCRATCH:
      gauge->scratch = value;
      return 0;
    case ADDRESS:
      gauge->address = value;
      return 0;
    case LENGTH:
      gauge->length = value;
      return 0;
    case MAGIC:
    case COUNT:
    case LEVEL:
    case STATUS:
      return -EPERM;
  }
  return -ENXIO;
}

/* A register is accessed whole. */
static bool is_whole(u64 at, size_t count) {
  return count == (at == ADDRESS ? sizeof(u64) : sizeof(u32)) && at % sizeof(u32) == 0;
}

static ssize_t gauge_read(struct vfio_device* vdev, char __user* buf, size_t count, loff_t* ppos) {
  struct gauge* gauge = to_gauge(vdev);
  u64 at = *ppos & (REGION_OFFSET(1) - 1);
  u64 value;
  int ret;

  if (*ppos >> REGION_SHIFT == MEMORY) return copy_to_user(buf, gauge->memory + at, count) ? -EFAULT : count;
  if (!is_whole(at, count)) return -EINVAL;
  mutex_lock(&gauge->lock);
  ret = gauge_read_register(gauge, at, &value);
  mutex_unlock(&gauge->lock);
  if (ret) return ret;
  return copy_to_user(buf, &value, count) ? -EFAULT : count;
}

static ssize_t gauge_write(struct vfio_device* vdev, const char __user* buf, size_t count, loff_t* ppos) {
  struct gauge* gauge = to_gauge(vdev);
  u64 at = *ppos & (REGION_OFFSET(1) - 1);
  u64 value = 0;
  int ret;

  if (*ppos >> REGION_SHIFT == MEMORY)
    return copy_from_user(gauge->memory + at, buf, count) ? -EFAULT : count;
  if (!is_whole(at, count)) return -EINVAL;
  if (copy_from_user(&value, buf, count)) return -EFAULT;
  if (at == COMMAND) {
    ret = gauge_command(gauge, value);
  } else {
    mutex_lock(&gauge->lock);
    ret = gauge_write_register(gauge, at, value);
    mutex_unlock(&gauge->lock);
  }
  return ret ? ret : count;
}

static int gauge_mmap(struct vfio_device* vdev, struct vm_area_struct* vma) {
  struct gauge* gauge = to_gauge(vdev);
  u64 at = (u64)vma->vm_pgoff << PAGE_SHIFT;

  if (at >> REGION_SHIFT != MEMORY) return -EINVAL;
  return remap_vmalloc_range(vma, gauge->memory, (at & (REGION_OFFSET(1) - 1)) >> PAGE_SHIFT);
}

static int gauge_trigger(struct gauge* gauge, struct vfio_irq_set* set, void* data) {
  struct eventfd_ctx* event = NULL;
  s32 fd;

  switch (set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
    case VFIO_IRQ_SET_DATA_EVENTFD:
      if (set->count == 0) return -EINVAL;
      fd = *(s32*)data;
      if (fd >= 0) event = eventfd_ctx_fdget(fd);
      if (IS_ERR(event)) return PTR_ERR(event);
      gauge_disable(gauge);
      gauge->event = event;
      return 0;
    case VFIO_IRQ_SET_DATA_NONE:
      if (!gauge->event) return -EINVAL;
      if (set->count == 0)
        gauge_disable(gauge);
      else
        gauge_ring(gauge);
      return 0;
    case VFIO_IRQ_SET_DATA_BOOL:
      if (!gauge->event || set->count == 0) return -EINVAL;
      if (*(u8*)data) gauge_ring(gauge);
      return 0;
  }
  return -EINVAL;
}

static long gauge_set_irqs(struct gauge* gauge, void __user* user) {
  const size_t minsz = offsetofend(struct vfio_irq_set, count);
  struct vfio_irq_set set;
  size_t data_size = 0;
  void* data = NULL;
  long ret;

  if (copy_from_user(&set, user, minsz)) return -EFAULT;
  ret = vfio_set_irqs_validate_and_prepare(&set, 1, 1, &data_size);
  if (ret) return ret;
  if ((set.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) != VFIO_IRQ_SET_ACTION_TRIGGER) return -ENOTTY;
  if (data_size) {
    data = memdup_user((u8 __user*)user + minsz, data_size);
    if (IS_ERR(data)) return PTR_ERR(data);
  }
  mutex_lock(&gauge->lock);
  ret = gauge_trigger(gauge, &set, data);
  mutex_unlock(&gauge->lock);
  kfree(data);
  return ret;
}

static const u64 region_sizes[REGIONS] = {REGISTERS_SIZE, MEMORY_SIZE};

static long gauge_ioctl(struct vfio_device* vdev, unsigned int cmd, unsigned long arg) {
  struct gauge* gauge = to_gauge(vdev);
  void __user* user = (void __user*)arg;
  unsigned long minsz;

  switch (cmd) {
    case VFIO_DEVICE_GET_INFO: {
      struct vfio_device_info info;

      minsz = offsetofend(struct vfio_device_info, num_irqs);
      if (copy_from_user(&info, user, minsz)) return -EFAULT;
      if (info.argsz < minsz) return -EINVAL;
      info.flags = VFIO_DEVICE_FLAGS_PLATFORM | VFIO_DEVICE_FLAGS_RESET;
      info.num_regions = REGIONS;
      info.num_irqs = 1;
      return copy_to_user(user, &info, minsz) ? -EFAULT : 0;
    }
    case VFIO_DEVICE_GET_REGION_INFO: {
      struct vfio_region_info info;

      minsz = offsetofend(struct vfio_region_info, offset);
      if (copy_from_user(&info, user, minsz)) return -EFAULT;
      if (info.argsz < minsz || info.index >= REGIONS) return -EINVAL;
      info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
      if (info.index == MEMORY) info.flags |= VFIO_REGION_INFO_FLAG_MMAP;
      info.size = region_sizes[info.index];
      info.offset = REGION_OFFSET(info.index);
      return copy_to_user(user, &info, minsz) ? -EFAULT : 0;
    }
    case VFIO_DEVICE_GET_IRQ_INFO: {
      struct vfio_irq_info info;

      minsz = offsetofend(struct vfio_irq_info, count);
      if (copy_from_user(&info, user, minsz)) return -EFAULT;
      if (info.argsz < minsz || info.index >= 1) return -EINVAL;
      info.flags = VFIO_IRQ_INFO_EVENTFD;
      info.count = 1;
      return copy_to_user(user, &info, minsz) ? -EFAULT : 0;
    }
    case VFIO_DEVICE_SET_IRQS:
      return gauge_set_irqs(gauge, user);
    case VFIO_DEVICE_RESET:
      mutex_lock(&gauge->lock);
      gauge_clear(gauge);
      mutex_unlock(&gauge->lock);
      return 0;
  }
  return -ENOTTY;
}

static const struct vfio_device_ops gauge_dev_ops = {
    .name = "vfio-gauge",
    .init = gauge_init_dev,
    .release = gauge_release_dev,
    .close_device = gauge_close_device,
    .read = gauge_read,
    .write = gauge_write,
    .ioctl = gauge_ioctl,
    .mmap = gauge_mmap,
};

/* --- Instances, and their attributes. */

static ssize_t level_show(struct device* dev, struct device_attribute* attr, char* buf) {
  struct gauge* gauge = dev_get_drvdata(dev);

  return sysfs_emit(buf, "%u\n", gauge->level);
}

static ssize_t level_store(struct device* dev, struct device_attribute* attr, const char* buf, size_t count) {
  struct gauge* gauge = dev_get_drvdata(dev);
  unsigned int level;
  int ret = kstrtouint(buf, 10, &level);

  if (ret) return ret;
  if (level > LEVEL_MAX) return -ERANGE;
  mutex_lock(&gauge->lock);
  gauge->level = level;
  mutex_unlock(&gauge->lock);
  return count;
}
static DEVICE_ATTR_RW(level);

static ssize_t count_show(struct device* dev, struct device_attribute* attr, char* buf) {
  struct gauge* gauge = dev_get_drvdata(dev);

  return sysfs_emit(buf, "%u\n", gauge->count);
}
static DEVICE_ATTR_RO(count);

static struct attribute* gauge_attrs[] = {&dev_attr_level.attr, &dev_attr_count.attr, NULL};
static const struct attribute_group gauge_group = {.name = "gauge", .attrs = gauge_attrs};
static const struct attribute_group* gauge_groups[] = {&gauge_group, NULL};

static int gauge_probe(struct mdev_device* mdev) {
  struct gauge* gauge = vfio_alloc_device(gauge, vdev, &mdev->dev, &gauge_dev_ops);
  int ret;

  if (IS_ERR(gauge)) return PTR_ERR(gauge);
  dev_set_drvdata(&mdev->dev, gauge);
  ret = vfio_register_emulated_iommu_dev(&gauge->vdev);
  if (ret) vfio_put_device(&gauge->vdev);
  return ret;
}

static void gauge_remove(struct mdev_device* mdev) {
  struct gauge* gauge = dev_get_drvdata(&mdev->dev);

  vfio_unregister_group_dev(&gauge->vdev);
  vfio_put_device(&gauge->vdev);
}

static ssize_t gauge_show_description(struct mdev_type* type, char* buf) {
  return sysfs_emit(buf, "registers, a page of memory, an interrupt\n");
}

static struct mdev_driver gauge_driver = {
    .device_api = VFIO_DEVICE_API_PLATFORM_STRING,
    .max_instances = INSTANCES,
    .driver =
        {
            .name = "gauge",
            .owner = THIS_MODULE,
            .mod_name = KBUILD_MODNAME,
            .dev_groups = gauge_groups,
        },
    .probe = gauge_probe,
    .remove = gauge_remove,
    .show_description = gauge_show_description,
};

static struct mdev_type gauge_type = {.sysfs_name = "1", .pretty_name = "Gauge"};
static struct mdev_type* gauge_types[] = {&gauge_type};
static struct class* gauge_class;
static struct device gauge_dev;
static struct mdev_parent gauge_parent;

static void gauge_device_release(struct device* dev) {}

static int __init gauge_init(void) {
  int ret = mdev_register_driver(&gauge_driver);

  if (ret) return ret;
  gauge_class = class_create(THIS_MODULE, "gauge");
  if (IS_ERR(gauge_class)) {
    ret = PTR_ERR(gauge_class);
    goto unregister_driver;
  }
  gauge_dev.class = gauge_class;
  gauge_dev.release = gauge_device_release;
  dev_set_name(&gauge_dev, "gauge");
  ret = device_register(&gauge_dev);
  if (ret) {
    put_device(&gauge_dev);
    goto destroy_class;
  }
  ret = mdev_register_parent(&gauge_parent, &gauge_dev, &gauge_driver, gauge_types, ARRAY_SIZE(gauge_types));
  if (ret) goto unregister_device;
  return 0;

unregister_device:
  device_unregister(&gauge_dev);
destroy_class:
  class_destroy(gauge_class);
unregister_driver:
  mdev_unregister_driver(&gauge_driver);
  return ret;
}

static void __exit gauge_exit(void) {
  mdev_unregister_parent(&gauge_parent);
  device_unregister(&gauge_dev);
  class_destroy(gauge_class);
  mdev_unregister_driver(&gauge_driver);
}

module_init(gauge_init);
module_exit(gauge_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A gauge, for tests");

/*
 * A driver (6.1's interface) that does what the user asks for by the offset of a read of region 0, mistakes
 * above all. Where nothing is asked for, a byte is its offset's lower half.
 */
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/init.h>
#include <linux/mdev.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#define REGION_SIZE 0x1000
#define SHORT_SIZE 24

/* Offsets of mistakes, multiples of 16 from 0x100 on. */
enum {
  ASK_NULL = 0x100,
  ASK_NULL_IN_LIBRARY = 0x110,
  ASK_DIVISION = 0x120,
  ASK_BUG = 0x130,
  ASK_CALL_OF_NULL = 0x140,
  ASK_NULL_UNDER_LOCK = 0x150,
  ASK_LOCK = 0x160,
  ASK_HEAP_OVERFLOW = 0x200,
  ASK_USE_AFTER_FREE = 0x210,
  ASK_SHIFT = 0x220,
};

static int fail_init;
module_param(fail_init, int, 0444);
MODULE_PARM_DESC(fail_init, "the errno that module_init answers with, in the middle of its work");
static bool crash_init;
module_param(crash_init, bool, 0444);
MODULE_PARM_DESC(crash_init, "crash in module_init");
static bool crash_exit;
module_param(crash_exit, bool, 0444);
MODULE_PARM_DESC(crash_exit, "crash in module_exit");
static bool crash_description;
module_param(crash_description, bool, 0444);
MODULE_PARM_DESC(crash_description, "crash in show_description");
static int stay;
module_param(stay, int, 0444);
MODULE_PARM_DESC(stay, "begin work that never ends: 1 waits, 2 looks at nothing that would end it");
static char* word = (char*)"none";
module_param(word, charp, 0444);
MODULE_PARM_DESC(word, "any word");

struct clumsy {
  struct vfio_device vdev;
  struct mutex lock;
  u8* bytes; /* SHORT_SIZE of them */
};

/* What the compiler must not know. */
static volatile int zero;
static volatile int large = 2147483647;
static int* volatile nowhere;
static void (*volatile no_function)(void);

static int clumsy_init_dev(struct vfio_device* vdev) {
  struct clumsy* clumsy = container_of(vdev, struct clumsy, vdev);

  mutex_init(&clumsy->lock);
  clumsy->bytes = kzalloc(SHORT_SIZE, GFP_KERNEL);
  return clumsy->bytes ? 0 : -ENOMEM;
}

static void clumsy_release_dev(struct vfio_device* vdev) {
  kfree(container_of(vdev, struct clumsy, vdev)->bytes);
  vfio_free_device(vdev);
}

static u8 read_after_free(void) {
  u8* volatile bytes = kzalloc(SHORT_SIZE, GFP_KERNEL);

  kfree(bytes);
  return bytes[1];
}

static u8 do_what_is_asked(struct clumsy* clumsy, unsigned int offset) {
  u8 few[8];

  switch (offset & ~0xfu) {
    case ASK_NULL:
      return *nowhere;
    case ASK_NULL_IN_LIBRARY:
      memcpy(few, nowhere, sizeof(few) - zero);
      return few[0];
    case ASK_DIVISION:
      return large / zero;
    case ASK_BUG:
      BUG();
    case ASK_CALL_OF_NULL:
      no_function();
      return 0;
    case ASK_NULL_UNDER_LOCK:
      mutex_lock(&clumsy->lock);
      return *nowhere;
    case ASK_LOCK:
      mutex_lock(&clumsy->lock);
      mutex_unlock(&clumsy->lock);
      return 1;
    case ASK_HEAP_OVERFLOW:
      return clumsy->bytes[SHORT_SIZE + zero];
    case ASK_USE_AFTER_FREE:
      return read_after_free();
    case ASK_SHIFT:
      return 1 << (zero + 40);
  }
  return offset;
}

static ssize_t clumsy_read(struct vfio_device* vdev, char __user* buf, size_t count, loff_t* ppos) {
  struct clumsy* clumsy = container_of(vdev, struct clumsy, vdev);
  size_t done;

  for (done = 0; done < count; done++) {
    u8 byte = do_what_is_asked(clumsy, *ppos + done);

    if (copy_to_user(buf + done, &byte, 1)) return -EFAULT;
  }
  *ppos += count;
  return count;
}

static long clumsy_ioctl(struct vfio_device* vdev, unsigned int cmd, unsigned long arg) {
  struct vfio_device_info info;
  struct vfio_region_info region;

  switch (cmd) {
    case VFIO_DEVICE_GET_INFO:
      if (copy_from_user(&info, (void __user*)arg, offsetofend(struct vfio_device_info, num_irqs)))
        return -EFAULT;
      info.flags = VFIO_DEVICE_FLAGS_PLATFORM;
      info.num_regions = 1;
      info.num_irqs = 0;
      return copy_to_user((void __user*)arg, &info, offsetofend(struct vfio_device_info, num_irqs)) ? -EFAULT
                                                                                                    : 0;
    case VFIO_DEVICE_GET_REGION_INFO:
      if (copy_from_user(&region, (void __user*)arg, sizeof(region))) return -EFAULT;
      if (region.index != 0) return -EINVAL;
      region.flags = VFIO_REGION_INFO_FLAG_READ;
      region.size = REGION_SIZE;
      region.offset = 0;
      return copy_to_user((void __user*)arg, &region, sizeof(region)) ? -EFAULT : 0;
  }
  return -ENOTTY;
}

static const struct vfio_device_ops clumsy_ops = {
    .name = "clumsy",
    .init = clumsy_init_dev,
    .release = clumsy_release_dev,
    .read = clumsy_read,
    .ioctl = clumsy_ioctl,
};

/* An attribute that says "fine", and crashes once it was told to. */
static bool crash_show;

static ssize_t mood_show(struct device* dev, struct device_attribute* attr, char* buf) {
  (void)dev, (void)attr;
  if (crash_show) return *nowhere;
  return sysfs_emit(buf, "fine\n");
}

static ssize_t mood_store(struct device* dev, struct device_attribute* attr, const char* buf, size_t count) {
  (void)dev, (void)attr;
  if (sysfs_streq(buf, "crash now")) return *nowhere;
  crash_show = sysfs_streq(buf, "crash later");
  return crash_show ? (ssize_t)count : -EINVAL;
}
static DEVICE_ATTR_RW(mood);
static struct attribute* clumsy_attrs[] = {&dev_attr_mood.attr, NULL};
ATTRIBUTE_GROUPS(clumsy);

static ssize_t clumsy_show_description(struct mdev_type* type, char* buf) {
  (void)type;
  if (crash_description) return *nowhere;
  return sysfs_emit(buf, "mistakes\n");
}

static int clumsy_probe(struct mdev_device* mdev) {
  struct clumsy* clumsy = vfio_alloc_device(clumsy, vdev, &mdev->dev, &clumsy_ops);
  int ret;

  if (IS_ERR(clumsy)) return PTR_ERR(clumsy);
  ret = vfio_register_emulated_iommu_dev(&clumsy->vdev);
  if (ret) {
    vfio_put_device(&clumsy->vdev);
    return ret;
  }
  dev_set_drvdata(&mdev->dev, clumsy);
  return 0;
}

static void clumsy_remove(struct mdev_device* mdev) {
  struct clumsy* clumsy = dev_get_drvdata(&mdev->dev);

  vfio_unregister_group_dev(&clumsy->vdev);
  vfio_put_device(&clumsy->vdev);
}

static struct mdev_driver clumsy_driver = {
    .device_api = VFIO_DEVICE_API_PLATFORM_STRING,
    .max_instances = 4,
    .driver = {.name = "clumsy", .owner = THIS_MODULE, .dev_groups = clumsy_groups},
    .probe = clumsy_probe,
    .remove = clumsy_remove,
    .show_description = clumsy_show_description,
};
static struct mdev_type clumsy_type = {.sysfs_name = "1", .pretty_name = "mistakes"};
static struct mdev_type* clumsy_types[] = {&clumsy_type};
static struct class* clumsy_class;
static struct device clumsy_dev;
static struct mdev_parent clumsy_parent;

static void clumsy_device_release(struct device* dev) {
  (void)dev;
}

static DECLARE_WAIT_QUEUE_HEAD(never);

static void stay_for_ever(struct work_struct* work) {
  (void)work;
  if (stay == 1) wait_event(never, zero);
  while (!zero) msleep(10);
}
static DECLARE_WORK(long_work, stay_for_ever);

static int __init clumsy_init(void) {
  int ret = mdev_register_driver(&clumsy_driver);

  if (ret) return ret;
  clumsy_class = class_create(THIS_MODULE, "clumsy");
  if (IS_ERR(clumsy_class)) return PTR_ERR(clumsy_class);
  clumsy_dev.class = clumsy_class;
  clumsy_dev.release = clumsy_device_release;
  dev_set_name(&clumsy_dev, "clumsy");
  ret = device_register(&clumsy_dev);
  /* Leaves what it has registered, as a careless driver does. */
  if (fail_init) return -fail_init;
  if (crash_init) return *nowhere;
  if (stay) schedule_work(&long_work);
  return ret ? ret
             : mdev_register_parent(&clumsy_parent, &clumsy_dev, &clumsy_driver, clumsy_types,
                                    ARRAY_SIZE(clumsy_types));
}

static void __exit clumsy_exit(void) {
  if (crash_exit) *nowhere = 0;
  cancel_work_sync(&long_work);
  mdev_unregister_parent(&clumsy_parent);
  device_unregister(&clumsy_dev);
  class_destroy(clumsy_class);
  mdev_unregister_driver(&clumsy_driver);
}

module_init(clumsy_init);
module_exit(clumsy_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Mistakes at the user's wish");
MODULE_VERSION("3");

/*
 * A driver that has every callback of its vintage, but for those that `lack` names. Which there are says the
 * vintage's table (CALLBACK_ROWS): each row fills a member with the function of its name, so that a callback
 * in the headers without a row, or a row without a callback, is found.
 */
#include <linux/device.h>
#include <linux/init.h>
#include <linux/mdev.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <linux/vmalloc.h>

static char* lack = "";
module_param(lack, charp, 0444);
MODULE_PARM_DESC(lack, "structure.member, several with a space between");
/* Its devices are made by its own driver of the bus, not by a parent of the generic one. */
static bool own;
module_param(own, bool, 0444);

static bool is_lacking(const char* name) {
  const char* found = strstr(lack, name);
  const size_t length = strlen(name);
  return found && (found[length] == '\0' || found[length] == ' ');
}

#define SAY_CALLED(name) SAY_CALLED_BY_NAME(name)
#define SAY_CALLED_BY_NAME(name) pr_info(#name " is called\n")

/* --- What all forms of the device have in common: one region. */

#define REGION_BYTES 4096
static void* memory;

static int fill_region(struct vfio_region_info* info) {
  if (info->index > 0) return -EINVAL;
  info->size = REGION_BYTES;
  info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE | VFIO_REGION_INFO_FLAG_MMAP;
  return 0;
}
static long answer_ioctl(unsigned int cmd, void __user* arg) {
  if (cmd == VFIO_DEVICE_GET_INFO) {
    struct vfio_device_info info = {.argsz = 16, .flags = VFIO_DEVICE_FLAGS_PCI, .num_regions = 1};
    return copy_to_user(arg, &info, 16) ? -EFAULT : 0;
  }
  if (cmd == VFIO_DEVICE_GET_REGION_INFO) {
    struct vfio_region_info info;
    int error;
    if (copy_from_user(&info, arg, sizeof(info))) return -EFAULT;
    error = fill_region(&info);
    if (error) return error;
    return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
  }
  return -ENOTTY;
}

/* structure.member is a list of attribute groups with one file of that name. */
#define DEVICE_FILE(structure, member, file)                                                 \
  static ssize_t file##_show(struct device* dev, struct device_attribute* attr, char* buf) { \
    (void)dev, (void)attr;                                                                   \
    SAY_CALLED(structure##_##member);                                                        \
    return scnprintf(buf, PAGE_SIZE, "here\n");                                              \
  }                                                                                          \
  static DEVICE_ATTR_RO(file);                                                               \
  static struct attribute* file##_attrs[] = {&dev_attr_##file.attr, NULL};                   \
  static const struct attribute_group file##_group = {.attrs = file##_attrs};                \
  static const struct attribute_group* structure##_##member[] = {&file##_group, NULL}

#if UMDEV_KERNEL_API >= UMDEV_KERNEL_5_13
#define device_driver_name "every"
DEVICE_FILE(device_driver, dev_groups, of_the_driver);
#endif

#include "tests/unit/kernel/callbacks/device.h"
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_6_1
#include "tests/unit/kernel/callbacks/driver.h"
#else
#include "tests/unit/kernel/callbacks/parent.h"
#endif

/* --- The members, row by row. */

static void fill(void) {
#define CALLBACK(structure, member, stage, answer) \
  if (!is_lacking(#structure "." #member)) the_##structure.member = structure##_##member;
#define FIELD CALLBACK
#include "tests/unit/kernel/callbacks/rows.inc"
}

/* Whether every word from `begin` on is set. */
static bool is_full(const char* structure, const void* begin, size_t size) {
  const void* const* words = (const void* const*)begin;
  size_t n;
  for (n = 0; n < size / sizeof(*words); ++n) {
    if (words[n]) continue;
    pr_err("struct %s has a member at %zu that is in no row\n", structure, n * sizeof(*words));
    return false;
  }
  return true;
}
#define IS_FULL(structure) is_full(#structure, &the_##structure, sizeof(the_##structure))

static bool every_member_has_a_row(void) {
  if (!IS_FULL(vfio_device_ops)) return false;
  if (!is_full("mdev_driver", &the_mdev_driver, offsetof(struct mdev_driver, driver))) return false;
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_6_1
  return IS_FULL(vfio_migration_ops) && IS_FULL(vfio_log_ops);
#else
#if !UMDEV_PARENT_IS_DRIVER
  if (!IS_FULL(mdev_parent_ops)) return false;
#endif
  return IS_FULL(mdev_type_attribute);
#endif
}

/* --- The module. */

static struct class* every_class;
static void every_device_release(struct device* dev) {
  (void)dev;
}

static int begin_device(void) {
#if UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(6, 4, 0)
  every_class = class_create(THIS_MODULE, "every");
#else
  every_class = class_create("every");
#endif
  if (IS_ERR(every_class)) return (int)PTR_ERR(every_class);
  every_device.class = every_class;
  every_device.release = every_device_release;
  dev_set_name(&every_device, "every");
  return device_register(&every_device);
}
static void end_device(void) {
  device_unregister(&every_device);
  class_destroy(every_class);
}

static int __init every_init(void) {
  int result;
  fill();
  if (!*lack && !every_member_has_a_row()) return -EDOM;
  memory = vmalloc_user(REGION_BYTES);
  if (!memory) return -ENOMEM;
  result = begin_driver();
  if (result) goto no_driver;
  result = begin_device();
  if (result) goto no_device;
  result = begin_parent();
  if (!result) return 0;
  end_device();
no_device:
  end_driver();
no_driver:
  vfree(memory);
  return result;
}
static void __exit every_exit(void) {
  end_parent();
  /* Its device, where nobody has told of its end. */
  end_card();
  end_device();
  end_driver();
  vfree(memory);
}
module_init(every_init) module_exit(every_exit) MODULE_LICENSE("GPL");

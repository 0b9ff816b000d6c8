/* A parent of 4.10's API ("old"): callbacks for its devices, types described by attributes. Each may be
 * missing. */
#include <linux/device.h>
#include <linux/init.h>
#include <linux/mdev.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#include "tests/unit/kernel/modules/one_region.h"

static char* missing = "";
module_param(missing, charp, 0444);
static int refuse; /* what remove answers */
module_param(refuse, int, 0644);
static int create_error;
module_param(create_error, int, 0444);

struct old_state {
  int opens;
  u32 value;
  struct notifier_block unmapped;
  struct mdev_device* mdev;
  unsigned long pfn;
};

static atomic_t living = ATOMIC_INIT(0);

static ssize_t old_name_show(struct kobject* kobj, struct device* dev, char* buf) {
  (void)dev;
  return scnprintf(buf, 4096, "old %s\n", kobj->name);
}
static struct mdev_type_attribute mdev_type_attr_name = __ATTR(name, 0444, old_name_show, NULL);
static ssize_t available_instances_show(struct kobject* kobj, struct device* dev, char* buf) {
  (void)kobj, (void)dev;
  return scnprintf(buf, 4096, "%d\n", 3 - atomic_read(&living));
}
static MDEV_TYPE_ATTR_RO(available_instances);
static ssize_t device_api_show(struct kobject* kobj, struct device* dev, char* buf) {
  (void)kobj, (void)dev;
  return scnprintf(buf, 4096, "%s\n", VFIO_DEVICE_API_PCI_STRING);
}
static MDEV_TYPE_ATTR_RO(device_api);
/* The vendor's own. */
static int colour = 7;
static ssize_t colour_show(struct kobject* kobj, struct device* dev, char* buf) {
  return scnprintf(buf, 4096, "%s of %s: %d\n", kobj->name, dev_name(dev), colour);
}
static ssize_t colour_store(struct kobject* kobj, struct device* dev, const char* buf, size_t count) {
  (void)kobj, (void)dev;
  if (buf[0] < '0' || buf[0] > '9') return -ERANGE;
  colour = buf[0] - '0';
  return (ssize_t)count;
}
static MDEV_TYPE_ATTR_RW(colour);
static struct attribute* type_attrs[] = {&mdev_type_attr_name.attr, &mdev_type_attr_available_instances.attr,
                                         &mdev_type_attr_device_api.attr, &mdev_type_attr_colour.attr, NULL};
static struct attribute_group type_group = {.name = "one", .attrs = type_attrs};
static struct attribute_group* type_groups[] = {&type_group, NULL};

static ssize_t opens_show(struct device* dev, struct device_attribute* attr, char* buf) {
  struct old_state* state = (struct old_state*)mdev_get_drvdata(mdev_from_dev(dev));
  (void)attr;
  return scnprintf(buf, 4096, "%d\n", state->opens);
}
static DEVICE_ATTR_RO(opens);
static struct attribute* mdev_attrs[] = {&dev_attr_opens.attr, NULL};
static const struct attribute_group mdev_group = {.name = "vendor", .attrs = mdev_attrs};
static const struct attribute_group* mdev_groups[] = {&mdev_group, NULL};

static ssize_t card_show(struct device* dev, struct device_attribute* attr, char* buf) {
  (void)attr;
  return scnprintf(buf, 4096, "card %s\n", dev_name(dev));
}
static DEVICE_ATTR_RO(card);
static struct attribute* card_attrs[] = {&dev_attr_card.attr, NULL};
static const struct attribute_group card_group = {.attrs = card_attrs};
static const struct attribute_group* card_groups[] = {&card_group, NULL};

static int old_create(struct kobject* kobj, struct mdev_device* mdev) {
  struct old_state* state;
  if (create_error) return create_error;
  if (strcmp(kobj->name, "old-one")) return -EXDEV;
  state = (struct old_state*)kzalloc(sizeof(*state), GFP_KERNEL);
  if (!state) return -ENOMEM;
  state->mdev = mdev;
  mdev_set_drvdata(mdev, state);
  atomic_inc(&living);
  return 0;
}
static int old_remove(struct mdev_device* mdev) {
  struct old_state* state = (struct old_state*)mdev_get_drvdata(mdev);
  if (refuse && state->opens) return refuse;
  mdev_set_drvdata(mdev, NULL);
  kfree(state);
  atomic_dec(&living);
  return 0;
}

static int old_unmapped(struct notifier_block* block, unsigned long action, void* data) {
  struct old_state* state = container_of(block, struct old_state, unmapped);
  struct vfio_iommu_type1_dma_unmap* unmap = (struct vfio_iommu_type1_dma_unmap*)data;
  if (action != VFIO_IOMMU_NOTIFY_DMA_UNMAP || !state->pfn) return NOTIFY_DONE;
  dev_info(mdev_dev(state->mdev), "unmap 0x%llx\n", (unsigned long long)unmap->iova);
  vfio_unpin_pages(mdev_dev(state->mdev), &state->pfn, 1);
  state->pfn = 0;
  return NOTIFY_OK;
}
static int old_open(struct mdev_device* mdev) {
  struct old_state* state = (struct old_state*)mdev_get_drvdata(mdev);
  unsigned long events = VFIO_IOMMU_NOTIFY_DMA_UNMAP;
  if (state->opens++) return 0;
  state->unmapped.notifier_call = old_unmapped;
  return vfio_register_notifier(mdev_dev(mdev), VFIO_IOMMU_NOTIFY, &events, &state->unmapped);
}
static void old_release(struct mdev_device* mdev) {
  struct old_state* state = (struct old_state*)mdev_get_drvdata(mdev);
  if (--state->opens) return;
  vfio_unregister_notifier(mdev_dev(mdev), VFIO_IOMMU_NOTIFY, &state->unmapped);
}
static ssize_t old_read(struct mdev_device* mdev, char __user* buf, size_t count, loff_t* ppos) {
  struct old_state* state = (struct old_state*)mdev_get_drvdata(mdev);
  (void)ppos;
  if (count > sizeof(state->value)) count = sizeof(state->value);
  return copy_to_user(buf, &state->value, count) ? -EFAULT : (ssize_t)count;
}
/* Writes the number of a page: it is pinned, and its first bytes are what is read from then on. */
static ssize_t old_write(struct mdev_device* mdev, const char __user* buf, size_t count, loff_t* ppos) {
  struct old_state* state = (struct old_state*)mdev_get_drvdata(mdev);
  unsigned long phys;
  u32 pfn;
  int pinned;
  (void)ppos;
  if (count != sizeof(pfn)) return -EINVAL;
  if (copy_from_user(&pfn, buf, sizeof(pfn))) return -EFAULT;
  state->pfn = pfn;
  pinned = vfio_pin_pages(mdev_dev(mdev), &state->pfn, 1, IOMMU_READ | IOMMU_WRITE, &phys);
  if (pinned != 1) {
    state->pfn = 0;
    return pinned;
  }
  memcpy(&state->value, page_address(pfn_to_page(phys)), sizeof(state->value));
  return (ssize_t)count;
}
static long old_ioctl(struct mdev_device* mdev, unsigned int cmd, unsigned long arg) {
  (void)mdev;
  return answer_for_one_region(
      cmd, arg, VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE | VFIO_REGION_INFO_FLAG_MMAP);
}

static struct mdev_parent_ops old_ops = {
    .owner = THIS_MODULE,
    .dev_attr_groups = card_groups,
    .mdev_attr_groups = mdev_groups,
    .supported_type_groups = type_groups,
    .create = old_create,
    .remove = old_remove,
    .open = old_open,
    .release = old_release,
    .read = old_read,
    .write = old_write,
    .ioctl = old_ioctl,
};

static struct class* old_class;
static struct device old_device;
static void old_device_release(struct device* dev) {
  (void)dev;
}

static void leave_out(const char* name) {
  if (!strcmp(name, "create")) old_ops.create = NULL;
  if (!strcmp(name, "remove")) old_ops.remove = NULL;
  if (!strcmp(name, "supported_type_groups")) old_ops.supported_type_groups = NULL;
  if (!strcmp(name, "open")) old_ops.open = NULL;
  if (!strcmp(name, "release")) old_ops.release = NULL;
  if (!strcmp(name, "read")) old_ops.read = NULL;
  if (!strcmp(name, "write")) old_ops.write = NULL;
  if (!strcmp(name, "ioctl")) old_ops.ioctl = NULL;
  if (!strcmp(name, "group name")) type_group.name = NULL;
}

static int __init old_init(void) {
  int result;
  leave_out(missing);
  old_class = class_create(THIS_MODULE, "old");
  if (IS_ERR(old_class)) return (int)PTR_ERR(old_class);
  old_device.class = old_class;
  old_device.release = old_device_release;
  dev_set_name(&old_device, "old");
  result = device_register(&old_device);
  if (result) goto no_device;
  result = mdev_register_device(&old_device, &old_ops);
  if (result) goto no_parent;
  if (!strcmp(missing, "nothing, twice")) pr_info("again: %d\n", mdev_register_device(&old_device, &old_ops));
  return 0;
no_parent:
  device_unregister(&old_device);
no_device:
  class_destroy(old_class);
  return result;
}
static void __exit old_exit(void) {
  mdev_unregister_device(&old_device);
  device_unregister(&old_device);
  class_destroy(old_class);
  pr_info("%d devices left\n", atomic_read(&living));
}
module_init(old_init) module_exit(old_exit) MODULE_LICENSE("GPL");

/* One driver in the forms that the API had between 5.12 and 6.0: what is different is the registration only.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/init.h>
#include <linux/mdev.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#include "tests/unit/kernel/modules/checks.h"
#include "tests/unit/kernel/modules/one_region.h"

#define HAS_DATA (UMDEV_KERNEL_API < UMDEV_KERNEL_5_13)
#if HAS_DATA
#define SELF void
#else
#define SELF struct vfio_device
#endif

struct state {
  struct vfio_device vdev;
  struct completion written;
  struct mutex lock;
  struct device* dev;
  int opens, closes, requests;
};

#if HAS_DATA
static struct state* to_state(void* data) {
  return (struct state*)data;
}
#else
static struct state* to_state(struct vfio_device* vdev) {
  return container_of(vdev, struct state, vdev);
}
#endif

/* --- As an external user of its own group, at a write to 20. */

static struct kvm* const a_machine = (struct kvm*)0x1000;

#if UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(5, 19, 0)
static struct kvm* told;
static int tell_kvm(struct notifier_block* block, unsigned long action, void* data) {
  (void)block;
  if (action == VFIO_GROUP_NOTIFY_SET_KVM) told = (struct kvm*)data;
  return NOTIFY_OK;
}
static struct notifier_block kvm_notifier = {.notifier_call = tell_kvm};

static int try_kvm(struct device* dev, struct vfio_group* group) {
  unsigned long events = VFIO_GROUP_NOTIFY_SET_KVM;
  FAIL_UNLESS(vfio_register_notifier(dev, VFIO_GROUP_NOTIFY, &events, &kvm_notifier) == 0);
  FAIL_UNLESS(!told);
  vfio_group_set_kvm(group, a_machine);
  FAIL_UNLESS(told == a_machine);
  FAIL_UNLESS(vfio_unregister_notifier(dev, VFIO_GROUP_NOTIFY, &kvm_notifier) == 0);
  told = NULL;
  events = VFIO_GROUP_NOTIFY_SET_KVM;
  FAIL_UNLESS(vfio_register_notifier(dev, VFIO_GROUP_NOTIFY, &events, &kvm_notifier) == 0);
  FAIL_UNLESS(told == a_machine); /* it was there before */
  vfio_group_set_kvm(group, NULL);
  FAIL_UNLESS(!told);
  events = 2;
  FAIL_UNLESS(vfio_register_notifier(dev, VFIO_GROUP_NOTIFY, &events, &kvm_notifier) == -EINVAL);
  FAIL_UNLESS(vfio_unregister_notifier(dev, VFIO_GROUP_NOTIFY, &kvm_notifier) == 0);
  return 0;
}

static int try_outside(struct device* dev) {
  unsigned long frame = 0x100000, page = 0;
  char byte = 7;
  struct vfio_group *group, *same;
  struct file* file = umdev_group_file(dev);
  FAIL_UNLESS(file);
  FAIL_UNLESS(PTR_ERR(vfio_group_get_external_user(NULL)) == -EINVAL);
  group = vfio_group_get_external_user(file);
  FAIL_UNLESS(!IS_ERR(group));
  same = vfio_group_get_external_user_from_dev(dev);
  FAIL_UNLESS(!IS_ERR(same));
  FAIL_UNLESS(PTR_ERR(vfio_group_get_external_user_from_dev(NULL)) == -EINVAL);
  FAIL_UNLESS(vfio_external_user_iommu_id(group) == vfio_external_user_iommu_id(same));
  FAIL_UNLESS(vfio_external_group_match_file(same, file) && !vfio_external_group_match_file(same, NULL));
  FAIL_UNLESS(vfio_external_check_extension(group, VFIO_TYPE1v2_IOMMU) == 1);
  FAIL_UNLESS(vfio_external_check_extension(group, 99) == 0);
  vfio_group_put_external_user(same);
  FAIL_UNLESS(vfio_group_pin_pages(group, &frame, 513, IOMMU_READ, &page) == -E2BIG);
  FAIL_UNLESS(vfio_group_pin_pages(group, &frame, 1, IOMMU_READ, &page) < 0); /* nothing is mapped there */
  FAIL_UNLESS(vfio_group_unpin_pages(group, &frame, 0) == -EINVAL);
  FAIL_UNLESS(vfio_dma_rw(group, 0x100000, &byte, 1, true) < 0);
  FAIL_UNLESS(vfio_dma_rw(group, 0x100000, &byte, 0, true) == -EINVAL);
  frame = 0;
  FAIL_UNLESS(vfio_group_pin_pages(group, &frame, 1, IOMMU_READ | IOMMU_WRITE, &page) == 1);
  FAIL_UNLESS(vfio_dma_rw(group, 8, &byte, 1, true) == 0);
  FAIL_UNLESS(((const char*)page_address(pfn_to_page(page)))[8] == 7);
  FAIL_UNLESS(vfio_group_unpin_pages(group, &frame, 1) == 1);
  if (try_kvm(dev, group)) return -EDOM;
  vfio_group_put_external_user(group);
  fput(file);
  return 0;
}
#else
/* By frames still, and by the device already. */
static int try_memory(struct vfio_device* vdev) {
  unsigned long frame = 0, page = 0, events = VFIO_IOMMU_NOTIFY_DMA_UNMAP;
  struct notifier_block block = {};
  char byte = 7;
  FAIL_UNLESS(vfio_pin_pages(vdev, &frame, 513, IOMMU_READ, &page) == -E2BIG);
  FAIL_UNLESS(vfio_pin_pages(vdev, &frame, 1, IOMMU_READ | IOMMU_WRITE, &page) == 1);
  FAIL_UNLESS(vfio_dma_rw(vdev, 8, &byte, 1, true) == 0 && vfio_dma_rw(vdev, 8, &byte, 0, true) == -EINVAL);
  FAIL_UNLESS(((const char*)page_address(pfn_to_page(page)))[8] == 7);
  FAIL_UNLESS(vfio_unpin_pages(vdev, &frame, 1) == 1);
  FAIL_UNLESS(vfio_register_notifier(vdev, VFIO_IOMMU_NOTIFY, &events, &block) == 0);
  FAIL_UNLESS(vfio_unregister_notifier(vdev, VFIO_IOMMU_NOTIFY, &block) == 0);
  return 0;
}

static int try_outside(struct device* dev) {
  struct iommu_group* group;
  struct file* file = umdev_group_file(dev);
  FAIL_UNLESS(file && vfio_file_is_group(file) && !vfio_file_is_group(NULL));
  group = vfio_file_iommu_group(file);
  FAIL_UNLESS(group && !vfio_file_iommu_group(NULL));
  iommu_group_put(group);
  FAIL_UNLESS(vfio_file_has_dev(file, umdev_kernel->vfio_of_device(dev)));
  FAIL_UNLESS(!vfio_file_has_dev(NULL, umdev_kernel->vfio_of_device(dev)));
  FAIL_UNLESS(vfio_file_enforced_coherent(NULL));
  vfio_file_enforced_coherent(file);
  /* Told of when the device is opened the next time. */
  vfio_file_set_kvm(file, a_machine);
  FAIL_UNLESS(!umdev_kernel->vfio_of_device(dev)->kvm);
  vfio_file_set_kvm(file, NULL);
  fput(file);
  return try_memory(umdev_kernel->vfio_of_device(dev));
}
#endif

#if UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(5, 19, 0)
/* What the container's back end has, at a write to 21. */
static int forget_unmap(struct notifier_block* block, unsigned long action, void* data) {
  return NOTIFY_OK;
}
static struct notifier_block unmap_notifier = {.notifier_call = forget_unmap};

static void ask_back_end(struct device* dev) {
  unsigned long events = VFIO_IOMMU_NOTIFY_DMA_UNMAP;

  pr_info("notifier %d\n", vfio_register_notifier(dev, VFIO_IOMMU_NOTIFY, &events, &unmap_notifier));
  vfio_unregister_notifier(dev, VFIO_IOMMU_NOTIFY, &unmap_notifier);
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 12, 0)
  {
    struct vfio_group* group = vfio_group_get_external_user_from_dev(dev);
    struct iommu_domain* domain;

    if (IS_ERR(group)) return;
    domain = vfio_group_iommu_domain(group);
    pr_info("domain %ld\n", IS_ERR(domain) ? PTR_ERR(domain) : 1L);
    vfio_group_put_external_user(group);
  }
#endif
}
#endif

static int emb_open(SELF* self) {
  if (to_state(self)->opens == 3) return -EMFILE;
  ++to_state(self)->opens;
  return 0;
}
static void emb_close(SELF* self) {
  ++to_state(self)->closes;
}
/* Reads answer how often it was opened; but at 8 they wait for a write, at 16 they sleep for ever. */
static ssize_t emb_read(SELF* self, char __user* buf, size_t count, loff_t* ppos) {
  struct state* state = to_state(self);
  u8 value = (u8)state->opens;
  if (*ppos == 8) wait_for_completion(&state->written);
  if (*ppos == 9) {
    mutex_lock(&state->lock);
    msleep(20);
    mutex_unlock(&state->lock);
  }
  if (*ppos == 10 && wait_for_completion_timeout(&state->written, msecs_to_jiffies(5)) == 0) return -ETIME;
  if (count != 1) return -EINVAL;
  return copy_to_user(buf, &value, 1) ? -EFAULT : 1;
}
static ssize_t emb_write(SELF* self, const char __user* buf, size_t count, loff_t* ppos) {
  char value;
  if (*ppos == 20) {
    const int error = try_outside(to_state(self)->dev);
    if (error) return error;
  }
#if UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(5, 19, 0)
  if (*ppos == 21) ask_back_end(to_state(self)->dev);
#endif
  if (copy_from_user(&value, buf, 1)) return -EFAULT;
  /* Beyond what came with the request nothing can be read. */
  if (!copy_from_user(&value, buf + count, 1)) return -EBADMSG;
  complete(&to_state(self)->written);
  return (ssize_t)count;
}
static long emb_ioctl(SELF* self, unsigned int cmd, unsigned long arg) {
  (void)self;
  return answer_for_one_region(cmd, arg, VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE);
}
static void emb_request(SELF* self, unsigned int count) {
  ++to_state(self)->requests;
  pr_info("asked %u\n", count);
}

static const struct vfio_device_ops emb_ops = {
    .name = "vfio-emb",
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 15, 0)
    .open_device = emb_open,
    .close_device = emb_close,
#else
    .open = emb_open,
    .release = emb_close,
#endif
    .read = emb_read,
    .write = emb_write,
    .ioctl = emb_ioctl,
    .request = emb_request,
};

static int emb_begin(struct device* dev) {
  int result;
  struct state* state = (struct state*)kzalloc(sizeof(*state), GFP_KERNEL);
  if (!state) return -ENOMEM;
  init_completion(&state->written);
  mutex_init(&state->lock);
  state->dev = dev;
  dev_set_drvdata(dev, state);
#if UMDEV_KERNEL_API < UMDEV_KERNEL_5_13_RC
  result = vfio_add_group_dev(dev, &emb_ops, state);
  if (!result) pr_info("again: %d\n", vfio_add_group_dev(dev, &emb_ops, state));
#else
  pr_info("too early: %d\n", vfio_register_group_dev(&state->vdev));
#if HAS_DATA
  vfio_init_group_dev(&state->vdev, dev, &emb_ops, state);
#else
  vfio_init_group_dev(&state->vdev, dev, &emb_ops);
#endif
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_5_16
  result = vfio_register_emulated_iommu_dev(&state->vdev);
#else
  result = vfio_register_group_dev(&state->vdev);
#endif
#endif
  if (result) kfree(state);
  return result;
}
static void emb_end(struct device* dev) {
  struct state* state = (struct state*)dev_get_drvdata(dev);
#if UMDEV_KERNEL_API < UMDEV_KERNEL_5_13_RC
  struct vfio_device* found = vfio_device_get_from_dev(dev);
  if (!found || vfio_device_data(found) != state) pr_err("not found\n");
  vfio_device_put(found);
  if (vfio_del_group_dev(dev) != state) pr_err("not what was added\n");
#else
  vfio_unregister_group_dev(&state->vdev);
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 15, 0)
  vfio_uninit_group_dev(&state->vdev);
#endif
#endif
  pr_info("opened %d, closed %d\n", state->opens, state->closes);
  kfree(state);
}

#if HAS_DATA
static struct mdev_driver emb_driver = {.name = "emb", .probe = emb_begin, .remove = emb_end};
static int emb_create(struct kobject* kobj, struct mdev_device* mdev) {
  (void)kobj, (void)mdev;
  return 0;
}
static int emb_remove(struct mdev_device* mdev) {
  (void)mdev;
  return 0;
}
#else
static int emb_probe(struct mdev_device* mdev) {
  return emb_begin(&mdev->dev);
}
static void emb_remove(struct mdev_device* mdev) {
  emb_end(&mdev->dev);
}
#endif

#if HAS_DATA
static ssize_t available_instances_show(struct kobject* kobj, struct device* dev, char* buf) {
  (void)kobj, (void)dev;
  return scnprintf(buf, 4096, "2\n");
}
static ssize_t device_api_show(struct kobject* kobj, struct device* dev, char* buf) {
  (void)kobj, (void)dev;
  return scnprintf(buf, 4096, "%s\n", VFIO_DEVICE_API_PCI_STRING);
}
#else
static ssize_t available_instances_show(struct mdev_type* mtype, struct mdev_type_attribute* attr,
                                        char* buf) {
  (void)attr;
  return scnprintf(buf, 4096, "%u\n", 2 + mtype_get_type_group_id(mtype));
}
static ssize_t device_api_show(struct mdev_type* mtype, struct mdev_type_attribute* attr, char* buf) {
  (void)mtype, (void)attr;
  return scnprintf(buf, 4096, "%s\n", VFIO_DEVICE_API_PCI_STRING);
}
#endif
static MDEV_TYPE_ATTR_RO(available_instances);
static MDEV_TYPE_ATTR_RO(device_api);
static struct attribute* type_attrs[] = {&mdev_type_attr_available_instances.attr,
                                         &mdev_type_attr_device_api.attr, NULL};
static struct attribute_group type_group = {.name = "one", .attrs = type_attrs};
static struct attribute_group* type_groups[] = {&type_group, NULL};

#if !HAS_DATA
static struct mdev_driver emb_driver = {
    .probe = emb_probe,
    .remove = emb_remove,
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 19, 0)
    .supported_type_groups = type_groups,
#endif
    .driver = {.name = "emb", .owner = THIS_MODULE},
};
#endif
#if UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(5, 19, 0)
static const struct mdev_parent_ops emb_parent_ops = {
    .owner = THIS_MODULE,
#if HAS_DATA
    .create = emb_create,
    .remove = emb_remove,
#else
    .device_driver = &emb_driver,
#endif
    .supported_type_groups = type_groups,
};
#endif

static struct class* emb_class;
static struct device emb_device;
static void emb_device_release(struct device* dev) {
  (void)dev;
}

static int __init emb_init(void) {
#if HAS_DATA
  int result = mdev_register_driver(&emb_driver, THIS_MODULE);
#else
  int result = mdev_register_driver(&emb_driver);
#endif
  if (result) return result;
  emb_class = class_create(THIS_MODULE, "emb");
  if (IS_ERR(emb_class)) return (int)PTR_ERR(emb_class);
  emb_device.class = emb_class;
  emb_device.release = emb_device_release;
  dev_set_name(&emb_device, "emb");
  result = device_register(&emb_device);
  if (result) return result;
#if UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(5, 19, 0)
  return mdev_register_device(&emb_device, &emb_parent_ops);
#else
  return mdev_register_device(&emb_device, &emb_driver);
#endif
}
static void __exit emb_exit(void) {
  mdev_unregister_device(&emb_device);
  device_unregister(&emb_device);
  class_destroy(emb_class);
  mdev_unregister_driver(&emb_driver);
}
module_init(emb_init) module_exit(emb_exit) MODULE_LICENSE("GPL");

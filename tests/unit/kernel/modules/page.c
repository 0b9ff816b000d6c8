/* A parent "page" (6.1's API) whose devices are one page of bytes that counts up, without an interrupt. */
#include <linux/device.h>
#include <linux/init.h>
#include <linux/mdev.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#define PAGE_REGION_SIZE 4096

static int instances = 4;
module_param(instances, int, 0444);
MODULE_PARM_DESC(instances, "how many devices there may be");
static int fail_at;
module_param(fail_at, int, 0444);
MODULE_PARM_DESC(fail_at, "which step of the beginning shall fail");
static bool leave;
module_param(leave, bool, 0444);
MODULE_PARM_DESC(leave, "leave everything registered at the end");
static atomic_t living = ATOMIC_INIT(0);

struct page_device {
  struct vfio_device vdev;
  struct mutex lock;
  u8 bytes[PAGE_REGION_SIZE];
};

static struct page_device* to_page(struct vfio_device* vdev) {
  return container_of(vdev, struct page_device, vdev);
}

static int page_init_dev(struct vfio_device* vdev) {
  struct page_device* page = to_page(vdev);
  unsigned int at;
  if (fail_at == 5) return -EDOM;
  atomic_inc(&living);
  mutex_init(&page->lock);
  for (at = 0; at < PAGE_REGION_SIZE; ++at) page->bytes[at] = (u8)at;
  return 0;
}

static void page_release_dev(struct vfio_device* vdev) {
  (void)vdev;
  atomic_dec(&living);
}

static ssize_t page_access(struct vfio_device* vdev, char* to, const char* from, size_t count, loff_t* ppos) {
  struct page_device* page = to_page(vdev);
  ssize_t result = (ssize_t)count;
  mutex_lock(&page->lock);
  if (to ? copy_to_user(to, page->bytes + *ppos, count) : copy_from_user(page->bytes + *ppos, from, count))
    result = -EFAULT;
  else
    *ppos += (loff_t)count;
  mutex_unlock(&page->lock);
  return result;
}

static ssize_t page_read(struct vfio_device* vdev, char __user* buf, size_t count, loff_t* ppos) {
  return page_access(vdev, buf, NULL, count, ppos);
}
static ssize_t page_write(struct vfio_device* vdev, const char __user* buf, size_t count, loff_t* ppos) {
  return page_access(vdev, NULL, buf, count, ppos);
}

static long page_ioctl(struct vfio_device* vdev, unsigned int cmd, unsigned long arg) {
  (void)vdev;
  switch (cmd) {
    case VFIO_DEVICE_GET_INFO: {
      struct vfio_device_info info;
      if (copy_from_user(&info, (void __user*)arg, offsetofend(struct vfio_device_info, num_irqs)))
        return -EFAULT;
      info.flags = VFIO_DEVICE_FLAGS_PCI;
      info.num_regions = VFIO_PCI_NUM_REGIONS;
      info.num_irqs = 0;
      return copy_to_user((void __user*)arg, &info, offsetofend(struct vfio_device_info, num_irqs)) ? -EFAULT
                                                                                                    : 0;
    }
    case VFIO_DEVICE_GET_REGION_INFO: {
      struct vfio_region_info info;
      if (copy_from_user(&info, (void __user*)arg, sizeof(info))) return -EFAULT;
      if (info.index >= VFIO_PCI_NUM_REGIONS) return -EINVAL;
      info.offset = 0;
      info.size = info.index == VFIO_PCI_BAR0_REGION_INDEX ? PAGE_REGION_SIZE : 0;
      info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
      return copy_to_user((void __user*)arg, &info, sizeof(info)) ? -EFAULT : 0;
    }
    case VFIO_DEVICE_RESET:
      return 0;
    default:
      return -ENOTTY;
  }
}

static const struct vfio_device_ops page_ops = {
    .name = "vfio-page",
    .init = page_init_dev,
    .release = page_release_dev,
    .read = page_read,
    .write = page_write,
    .ioctl = page_ioctl,
};

static int page_probe(struct mdev_device* mdev) {
  struct page_device* page;
  int result;
  if (fail_at == 6) return -EXDEV;
  page = vfio_alloc_device(page_device, vdev, &mdev->dev, &page_ops);
  if (IS_ERR(page)) return (int)PTR_ERR(page);
  result = vfio_register_emulated_iommu_dev(&page->vdev);
  if (result) {
    vfio_put_device(&page->vdev);
    return result;
  }
  dev_set_drvdata(&mdev->dev, page);
  return 0;
}

static void page_remove(struct mdev_device* mdev) {
  struct page_device* page = (struct page_device*)dev_get_drvdata(&mdev->dev);
  vfio_unregister_group_dev(&page->vdev);
  vfio_put_device(&page->vdev);
}

static unsigned int page_available(struct mdev_type* type) {
  (void)type;
  return (unsigned int)(instances - atomic_read(&living));
}
static ssize_t page_description(struct mdev_type* type, char* buf) {
  return sysfs_emit(buf, "a page, %s\n", type->pretty_name);
}

static ssize_t first_show(struct device* dev, struct device_attribute* attr, char* buf) {
  struct page_device* page = (struct page_device*)dev_get_drvdata(dev);
  (void)attr;
  return sysfs_emit(buf, "%u\n", page->bytes[0]);
}
static ssize_t first_store(struct device* dev, struct device_attribute* attr, const char* buf, size_t count) {
  struct page_device* page = (struct page_device*)dev_get_drvdata(dev);
  (void)attr;
  if (buf[0] == 'x') return -ERANGE;
  page->bytes[0] = (u8)buf[0];
  return (ssize_t)count;
}
static DEVICE_ATTR_RW(first);
static struct attribute* page_attrs[] = {&dev_attr_first.attr, NULL};
static const struct attribute_group page_group = {.name = "vendor", .attrs = page_attrs};
static const struct attribute_group* page_groups[] = {&page_group, NULL};

static struct mdev_driver page_driver = {
    .device_api = VFIO_DEVICE_API_PCI_STRING,
    .driver = {.name = "page", .owner = THIS_MODULE, .mod_name = KBUILD_MODNAME, .dev_groups = page_groups},
    .probe = page_probe,
    .remove = page_remove,
    .get_available = page_available,
    .show_description = page_description,
};

static struct mdev_type small_type = {.sysfs_name = "small", .pretty_name = "Small page"};
static struct mdev_type* page_types[] = {&small_type};

static struct class* page_class;
static struct device page_parent_device;
static struct mdev_parent page_parent;

static void page_parent_release(struct device* dev) {
  dev_dbg(dev, "released\n");
}

static int __init page_module_init(void) {
  int result;
  if (fail_at == 1) return -ENXIO;
  result = mdev_register_driver(&page_driver);
  if (result) return result;
  if (fail_at == 2) return -EDOM;
  page_class = class_create(THIS_MODULE, "page");
  if (IS_ERR(page_class)) return (int)PTR_ERR(page_class);
  memset(&page_parent_device, 0, sizeof(page_parent_device));
  page_parent_device.class = page_class;
  page_parent_device.release = page_parent_release;
  dev_set_name(&page_parent_device, "%s", "page");
  result = device_register(&page_parent_device);
  if (result) return result;
  if (fail_at == 3) return -EDOM;
  result = mdev_register_parent(&page_parent, &page_parent_device, &page_driver, page_types,
                                ARRAY_SIZE(page_types));
  if (result) return result;
  if (fail_at == 4) return -EDOM;
  pr_info("ready, %d instances\n", instances);
  return 0;
}

static void __exit page_module_exit(void) {
  if (leave) return;
  mdev_unregister_parent(&page_parent);
  device_unregister(&page_parent_device);
  mdev_unregister_driver(&page_driver);
  class_destroy(page_class);
  pr_info("%d devices left\n", atomic_read(&living));
}

module_init(page_module_init) module_exit(page_module_exit)

    MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A page");

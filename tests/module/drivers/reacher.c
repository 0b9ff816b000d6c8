/*
 * A mediated device (6.1's interface and later) that reaches its user's memory: region 0 is the memory by
 * pins, the offset being the IOVA; region 1 is the same by vfio_dma_rw(). A page that was written through
 * region 0 stays pinned until the user unmaps it.
 *
 * It logs its DMA itself. A write to region 2 is the DMA that nobody else sees: it only enters the log.
 *
 * Where there is iommufd, `binds` says how it goes about it. Every step from bind to unbind is said in the
 * log.
 */
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/init.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/mdev.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#define REGION_SHIFT 40
#define REGION_SIZE (1UL << 30)

static bool keep;
module_param(keep, bool, 0444);
MODULE_PARM_DESC(keep, "keep what is pinned, whatever is unmapped");
static int log = 1;
module_param(log, int, 0444);
MODULE_PARM_DESC(log, "0: no log; 1: a log; 2: one that lacks log_stop; 3: one that fails to be read");

static char* binds = "";
module_param(binds, charp, 0444);
MODULE_PARM_DESC(
    binds,
    "nothing: without the callbacks; by-helpers: they wrap the helpers; alone: they do without; no-bind, "
    "no-open, no-attach: this step fails behind its helper; sleep, crash: in attach");

#define LOG_MAX 16

struct held_page {
  struct list_head link;
  u64 iova;
};
struct reacher {
  struct vfio_device vdev;
  struct mutex lock;
  struct list_head held;
  bool logs;
  unsigned int written_count;
  u64 written[LOG_MAX];
};

static struct reacher* to_reacher(struct vfio_device* vdev) {
  return container_of(vdev, struct reacher, vdev);
}

/* --- The log. */

static int reacher_log_start(struct vfio_device* vdev, struct rb_root_cached* ranges, u32 nnodes,
                             u64* page_size) {
  struct reacher* reacher = to_reacher(vdev);
  struct interval_tree_node* node;
  int result = 0;

#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 6, 0)
  vfio_combine_iova_ranges(ranges, nnodes, 2);
#endif
  mutex_lock(&reacher->lock);
  if (reacher->logs) result = -EEXIST;
  reacher->logs = true;
  mutex_unlock(&reacher->lock);
  if (result) return result;
  for (node = interval_tree_iter_first(ranges, 0, ULONG_MAX); node;
       node = interval_tree_iter_next(node, 0, ULONG_MAX))
    pr_info("logs %lx to %lx of %u\n", node->start, node->last, nnodes);
  if (*page_size < PAGE_SIZE) *page_size = PAGE_SIZE;
  return 0;
}
static int reacher_log_stop(struct vfio_device* vdev) {
  struct reacher* reacher = to_reacher(vdev);
  int result = 0;

  mutex_lock(&reacher->lock);
  if (!reacher->logs) result = -ENXIO;
  reacher->logs = false;
  reacher->written_count = 0;
  mutex_unlock(&reacher->lock);
  return result;
}
static int reacher_log_read(struct vfio_device* vdev, unsigned long iova, unsigned long length,
                            struct iova_bitmap* dirty) {
  struct reacher* reacher = to_reacher(vdev);
  unsigned int at = 0;
  int result = reacher->logs ? 0 : -ENXIO;

  if (log == 3) return -EDOM;
  mutex_lock(&reacher->lock);
  while (!result && at < reacher->written_count) {
    if (reacher->written[at] < iova || reacher->written[at] - iova >= length) {
      ++at;
      continue;
    }
    iova_bitmap_set(dirty, reacher->written[at], 1);
    reacher->written[at] = reacher->written[--reacher->written_count];
  }
  mutex_unlock(&reacher->lock);
  return result;
}
static struct vfio_log_ops reacher_log = {
    .log_start = reacher_log_start, .log_stop = reacher_log_stop, .log_read_and_clear = reacher_log_read};

static ssize_t by_nobody(struct reacher* reacher, u64 iova, size_t count) {
  ssize_t result = (ssize_t)count;

  mutex_lock(&reacher->lock);
  if (reacher->logs && reacher->written_count < LOG_MAX)
    reacher->written[reacher->written_count++] = iova;
  else
    result = -ENOSPC;
  mutex_unlock(&reacher->lock);
  return result;
}

/* --- The device. */

static int reacher_init_dev(struct vfio_device* vdev) {
  struct reacher* reacher = to_reacher(vdev);

  if (log == 2) reacher_log.log_stop = NULL;
  if (log) vdev->log_ops = &reacher_log;
  mutex_init(&reacher->lock);
  INIT_LIST_HEAD(&reacher->held);
  return 0;
}

static void let_go(struct reacher* reacher, u64 iova, u64 length) {
  struct held_page *page, *next;

  mutex_lock(&reacher->lock);
  list_for_each_entry_safe(page, next, &reacher->held, link) {
    if (page->iova < iova || page->iova - iova >= length) continue;
    vfio_unpin_pages(&reacher->vdev, page->iova, 1);
    list_del(&page->link);
    kfree(page);
  }
  mutex_unlock(&reacher->lock);
}

static bool binds_so(const char* how) {
  return !strcmp(binds, how);
}
/* Where every step is one more line of the log. */
static int steps;

static int reacher_open(struct vfio_device* vdev) {
  if (*binds) pr_info("step %d: open_device\n", ++steps);
  return binds_so("no-open") ? -EPROTO : 0;
}
static void reacher_close(struct vfio_device* vdev) {
  if (*binds) pr_info("step %d: close_device\n", ++steps);
  to_reacher(vdev)->logs = false;
  let_go(to_reacher(vdev), 0, ~0ULL);
}

static void reacher_unmap(struct vfio_device* vdev, u64 iova, u64 length) {
  pr_info("unmap %llx of %llx\n", iova, length);
  if (!keep) let_go(to_reacher(vdev), iova, length);
}

static ssize_t by_pin(struct reacher* reacher, u64 iova, char __user* to, const char __user* from,
                      size_t count) {
  struct page* page;
  struct held_page* held;
  char* at;
  unsigned long left;
  u64 first = iova & PAGE_MASK;
  int result;

  if (count > PAGE_SIZE - offset_in_page(iova)) return -EINVAL;
  result = vfio_pin_pages(&reacher->vdev, first, 1, from ? IOMMU_READ | IOMMU_WRITE : IOMMU_READ, &page);
  if (result < 0) return result;
  at = (char*)page_address(page) + offset_in_page(iova);
  left = from ? copy_from_user(at, from, count) : copy_to_user(to, at, count);
  if (!from || left) {
    vfio_unpin_pages(&reacher->vdev, first, 1);
    return left ? -EFAULT : (ssize_t)count;
  }
  held = kzalloc(sizeof(*held), GFP_KERNEL);
  if (!held) return -ENOMEM;
  held->iova = first;
  mutex_lock(&reacher->lock);
  list_add(&held->link, &reacher->held);
  mutex_unlock(&reacher->lock);
  return (ssize_t)count;
}

static ssize_t by_copy(struct reacher* reacher, u64 iova, char __user* to, const char __user* from,
                       size_t count) {
  char* bytes = kzalloc(count, GFP_KERNEL);
  ssize_t result;

  if (!bytes) return -ENOMEM;
  if (from && copy_from_user(bytes, from, count)) {
    kfree(bytes);
    return -EFAULT;
  }
  result = vfio_dma_rw(&reacher->vdev, iova, bytes, count, from != NULL);
  if (!result && to && copy_to_user(to, bytes, count)) result = -EFAULT;
  kfree(bytes);
  return result ? result : (ssize_t)count;
}

static ssize_t reach(struct vfio_device* vdev, loff_t position, char __user* to, const char __user* from,
                     size_t count) {
  u64 iova = (u64)position & ((1ULL << REGION_SHIFT) - 1);

  if (position >> REGION_SHIFT == 2) return from ? by_nobody(to_reacher(vdev), iova, count) : -EINVAL;
  return position >> REGION_SHIFT ? by_copy(to_reacher(vdev), iova, to, from, count)
                                  : by_pin(to_reacher(vdev), iova, to, from, count);
}
static ssize_t reacher_read(struct vfio_device* vdev, char __user* buf, size_t count, loff_t* ppos) {
  return reach(vdev, *ppos, buf, NULL, count);
}
static ssize_t reacher_write(struct vfio_device* vdev, const char __user* buf, size_t count, loff_t* ppos) {
  return reach(vdev, *ppos, NULL, buf, count);
}

/* Its only interrupt comes at once, and never again. */
static long interrupt(const struct vfio_irq_set __user* arg) {
  struct vfio_irq_set header;
  s32 fd;
  struct file* file;
  struct eventfd_ctx* event;

  if (copy_from_user(&header, arg, sizeof(header))) return -EFAULT;
  if (!(header.flags & VFIO_IRQ_SET_DATA_EVENTFD)) return 0;
  if (copy_from_user(&fd, arg->data, sizeof(fd))) return -EFAULT;
  if (fget((unsigned int)fd + 1000)) return -EBADMSG; /* not one that came */
  file = fget((unsigned int)fd);
  if (!file) return -EBADF;
  event = eventfd_ctx_fileget(file);
  fput(file);
  if (IS_ERR(event)) return PTR_ERR(event);
#if UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(6, 8, 0)
  eventfd_signal(event, 1);
#else
  eventfd_signal(event);
#endif
  eventfd_ctx_put(event);
  return 0;
}

static long reacher_ioctl(struct vfio_device* vdev, unsigned int cmd, unsigned long arg) {
  struct vfio_device_info info = {.num_regions = 3, .num_irqs = 1};
  struct vfio_region_info region;
  struct vfio_irq_info irq;

  switch (cmd) {
    case VFIO_DEVICE_GET_INFO:
      return copy_to_user((void __user*)arg, &info, offsetofend(struct vfio_device_info, num_irqs)) ? -EFAULT
                                                                                                    : 0;
    case VFIO_DEVICE_GET_REGION_INFO:
      if (copy_from_user(&region, (void __user*)arg, sizeof(region))) return -EFAULT;
      if (region.index > 2) return -EINVAL;
      region.size = REGION_SIZE;
      region.offset = (u64)region.index << REGION_SHIFT;
      region.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
      return copy_to_user((void __user*)arg, &region, sizeof(region)) ? -EFAULT : 0;
    case VFIO_DEVICE_GET_IRQ_INFO:
      if (copy_from_user(&irq, (void __user*)arg, sizeof(irq))) return -EFAULT;
      if (irq.index > 0) return -EINVAL;
      irq.count = 1;
      irq.flags = VFIO_IRQ_INFO_EVENTFD;
      return copy_to_user((void __user*)arg, &irq, sizeof(irq)) ? -EFAULT : 0;
    case VFIO_DEVICE_SET_IRQS:
      return interrupt((const struct vfio_irq_set __user*)arg);
    default:
      return -ENOTTY;
  }
}

/* --- Its user's iommufd. */

#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 2, 0)
static int reacher_bind(struct vfio_device* vdev, struct iommufd_ctx* ictx, u32* out_device_id) {
  int result = binds_so("alone") ? 0 : vfio_iommufd_emulated_bind(vdev, ictx, out_device_id);

  pr_info("step %d: bind_iommufd: %d, device %u\n", ++steps, result, *out_device_id);
  if (result || !binds_so("no-bind")) return result;
  vfio_iommufd_emulated_unbind(vdev);
  return -EDOM;
}
static void reacher_unbind(struct vfio_device* vdev) {
  if (!binds_so("alone")) vfio_iommufd_emulated_unbind(vdev);
  pr_info("step %d: unbind_iommufd\n", ++steps);
}
static int reacher_attach(struct vfio_device* vdev, u32* pt_id) {
  int result;

  if (binds_so("sleep")) msleep(300);
  if (binds_so("crash")) *(volatile int*)NULL = 0;
  result = binds_so("alone") ? 0 : vfio_iommufd_emulated_attach_ioas(vdev, pt_id);
  pr_info("step %d: attach_ioas: %d, object %u\n", ++steps, result, *pt_id);
  if (result || !binds_so("no-attach")) return result;
  vfio_iommufd_emulated_detach_ioas(vdev);
  return -EXDEV;
}
static void reacher_detach(struct vfio_device* vdev) {
  if (!binds_so("alone")) vfio_iommufd_emulated_detach_ioas(vdev);
  pr_info("step %d: detach_ioas\n", ++steps);
}
#endif
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 15, 0)
static int reacher_attach_pasid(struct vfio_device* vdev, u32 pasid, u32* pt_id) {
  pr_info("step %d: pasid_attach_ioas %u to %u\n", ++steps, pasid, *pt_id);
  return pasid > 9 ? -ERANGE : 0;
}
static void reacher_detach_pasid(struct vfio_device* vdev, u32 pasid) {
  pr_info("step %d: pasid_detach_ioas %u\n", ++steps, pasid);
}
#endif

static struct vfio_device_ops reacher_ops = {
    .name = "vfio-reacher",
    .init = reacher_init_dev,
    .open_device = reacher_open,
    .close_device = reacher_close,
    .read = reacher_read,
    .write = reacher_write,
    .ioctl = reacher_ioctl,
    .dma_unmap = reacher_unmap,
};

static void fill_iommufd_ops(void) {
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 2, 0)
  reacher_ops.bind_iommufd = reacher_bind;
  reacher_ops.unbind_iommufd = reacher_unbind;
  reacher_ops.attach_ioas = reacher_attach;
  reacher_ops.detach_ioas = reacher_detach;
#endif
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 15, 0)
  reacher_ops.pasid_attach_ioas = reacher_attach_pasid;
  reacher_ops.pasid_detach_ioas = reacher_detach_pasid;
#endif
}

static int reacher_probe(struct mdev_device* mdev) {
  struct reacher* reacher;
  int result;

  if (*binds) fill_iommufd_ops();
  reacher = vfio_alloc_device(reacher, vdev, &mdev->dev, &reacher_ops);
  if (IS_ERR(reacher)) return (int)PTR_ERR(reacher);
  result = vfio_register_emulated_iommu_dev(&reacher->vdev);
  if (result) {
    vfio_put_device(&reacher->vdev);
    return result;
  }
  dev_set_drvdata(&mdev->dev, reacher);
  return 0;
}
static void reacher_remove(struct mdev_device* mdev) {
  struct reacher* reacher = dev_get_drvdata(&mdev->dev);

  vfio_unregister_group_dev(&reacher->vdev);
  vfio_put_device(&reacher->vdev);
}
static unsigned int reacher_available(struct mdev_type* type) {
  return 4;
}

static struct mdev_driver reacher_driver = {
    .device_api = VFIO_DEVICE_API_PCI_STRING,
    .driver = {.name = "reacher", .owner = THIS_MODULE, .mod_name = KBUILD_MODNAME},
    .probe = reacher_probe,
    .remove = reacher_remove,
    .get_available = reacher_available,
};
static struct mdev_type reacher_type = {.sysfs_name = "one", .pretty_name = "One"};
static struct mdev_type* reacher_types[] = {&reacher_type};
static struct class reacher_class = {.name = "reacher"};
static struct device reacher_device;
static struct mdev_parent reacher_parent;

static void reacher_device_release(struct device* dev) {}

static int __init reacher_module_init(void) {
  int result = mdev_register_driver(&reacher_driver);

  if (result) return result;
  result = class_register(&reacher_class);
  if (result) goto no_class;
  reacher_device.class = &reacher_class;
  reacher_device.release = reacher_device_release;
  dev_set_name(&reacher_device, "reacher");
  result = device_register(&reacher_device);
  if (result) goto no_device;
  result = mdev_register_parent(&reacher_parent, &reacher_device, &reacher_driver, reacher_types,
                                ARRAY_SIZE(reacher_types));
  if (!result) return 0;
  device_unregister(&reacher_device);
no_device:
  class_unregister(&reacher_class);
no_class:
  mdev_unregister_driver(&reacher_driver);
  return result;
}
static void __exit reacher_module_exit(void) {
  mdev_unregister_parent(&reacher_parent);
  device_unregister(&reacher_device);
  mdev_unregister_driver(&reacher_driver);
  class_unregister(&reacher_class);
}

module_init(reacher_module_init);
module_exit(reacher_module_exit);
MODULE_LICENSE("GPL v2");
MODULE_DESCRIPTION("a device that reaches its user's memory");

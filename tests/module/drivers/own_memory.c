/*
 * An IOMMU driver whose memory is its own: MAP_DMA makes pages, which devices pin, copy and find gone as they
 * would their user's. With `copies` a mapping begins as what the user has at vaddr.
 *
 * In every vintage of struct vfio_iommu_driver_ops. reacher.c is a device that uses such memory.
 */
#include <linux/device.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#if UMDEV_KERNEL_API < UMDEV_KERNEL_5_16
#include <linux/vfio.h>
#else
#include <vfio.h> /* "vfio.h" in the kernel, beside the driver */
#endif

/* SET_IOMMU's type, beside VFIO_TYPE1v2_IOMMU. */
#define OWN_TYPE 77
/* Commands of its own: how many pins there are; crash. */
#define OWN_COUNT_PINS _IO(VFIO_TYPE, VFIO_BASE + 100)
#define OWN_CRASH _IO(VFIO_TYPE, VFIO_BASE + 101)

enum { LACK_NOTHING, LACK_PIN, LACK_USERS, LACK_COPY, LACK_REST, LACK_MANDATORY, LACK_UNREGISTER };
static int lack;
module_param(lack, int, 0444);
MODULE_PARM_DESC(lack, "which callbacks are missing");
static int refuse;
module_param(refuse, int, 0444);
MODULE_PARM_DESC(refuse, "the errno of open (below 100), or of attach_group (100 + errno)");
static bool copies;
module_param(copies, bool, 0444);
MODULE_PARM_DESC(copies, "begin a mapping with the user's bytes");

struct own_mapping {
  struct list_head link;
  u64 iova;
  unsigned int count;
  struct page** pages;
  unsigned int pins;
};
struct own {
  struct mutex lock;
  struct list_head mappings;
  struct list_head users; /* vfio_device.iommu_entry, since 6.0 */
  struct blocking_notifier_head chain;
  struct iommu_group* group;
  unsigned int groups, pages;
  char text[16];
};

/* Nobody's but a leak checker's: what a crash leaves behind is known here. */
static struct own* volatile newest;

static struct own_mapping* find(struct own* own, u64 iova) {
  struct own_mapping* mapping;

  list_for_each_entry(mapping, &own->mappings, link) {
    if (iova >= mapping->iova && iova - mapping->iova < (u64)mapping->count << PAGE_SHIFT) return mapping;
  }
  return NULL;
}

static struct page* page_at(struct own_mapping* mapping, u64 iova) {
  return mapping->pages[(iova - mapping->iova) >> PAGE_SHIFT];
}

static void free_mapping(struct own* own, struct own_mapping* mapping) {
  list_del(&mapping->link);
  while (mapping->count > 0) {
    __free_page(mapping->pages[--mapping->count]);
    --own->pages;
  }
  kfree(mapping->pages);
  kfree(mapping);
}

static void* own_open(unsigned long type) {
  struct own* own;

  if (refuse > 0 && refuse < 100) return ERR_PTR(-refuse);
  if (type != OWN_TYPE && type != VFIO_TYPE1v2_IOMMU) return ERR_PTR(-EINVAL);
  own = kzalloc(sizeof(*own), GFP_KERNEL);
  if (!own) return ERR_PTR(-ENOMEM);
  mutex_init(&own->lock);
  INIT_LIST_HEAD(&own->mappings);
  INIT_LIST_HEAD(&own->users);
  BLOCKING_INIT_NOTIFIER_HEAD(&own->chain);
  strscpy(own->text, "own", sizeof(own->text));
  newest = own;
  return own;
}

static void own_release(void* iommu_data) {
  struct own* own = iommu_data;

  pr_info("released with %u groups, users %s\n", own->groups,
          list_empty(&own->users) && !own->chain.head ? "none" : "left");
  while (!list_empty(&own->mappings))
    free_mapping(own, list_first_entry(&own->mappings, struct own_mapping, link));
  if (newest == own) newest = NULL;
  kfree(own);
}

static int attach(struct own* own, struct iommu_group* group) {
  if (refuse > 100) return -(refuse - 100);
  mutex_lock(&own->lock);
  own->group = group;
  ++own->groups;
  mutex_unlock(&own->lock);
  pr_info("group %d attached\n", iommu_group_id(group));
  return 0;
}
#if UMDEV_KERNEL_API < UMDEV_KERNEL_5_16
static int own_attach_group(void* iommu_data, struct iommu_group* group) {
  return attach(iommu_data, group);
}
#else
static int own_attach_group(void* iommu_data, struct iommu_group* group, enum vfio_group_type type) {
  return type == VFIO_EMULATED_IOMMU ? attach(iommu_data, group) : -EINVAL;
}
#endif
static void own_detach_group(void* iommu_data, struct iommu_group* group) {
  struct own* own = iommu_data;

  mutex_lock(&own->lock);
  if (own->group == group) own->group = NULL;
  --own->groups;
  mutex_unlock(&own->lock);
}

/* --- Commands. */

static long map_dma(struct own* own, struct vfio_iommu_type1_dma_map* map) {
  struct own_mapping* mapping;
  unsigned int count = (unsigned int)(map->size >> PAGE_SHIFT);

  if (!map->size || !PAGE_ALIGNED(map->iova | map->size) || count > 1024) return -EINVAL;
  if (find(own, map->iova)) return -EEXIST;
  mapping = kzalloc(sizeof(*mapping), GFP_KERNEL);
  if (!mapping) return -ENOMEM;
  mapping->iova = map->iova;
  list_add(&mapping->link, &own->mappings);
  mapping->pages = kcalloc(count, sizeof(*mapping->pages), GFP_KERNEL);
  while (mapping->pages && mapping->count < count) {
    struct page* page = alloc_page(GFP_KERNEL | __GFP_ZERO);

    if (!page) break;
    mapping->pages[mapping->count] = page;
    ++own->pages;
    if (copies &&
        copy_from_user(page_address(page), (void __user*)(map->vaddr + ((u64)mapping->count << PAGE_SHIFT)),
                       PAGE_SIZE)) {
      ++mapping->count;
      free_mapping(own, mapping);
      return -EFAULT;
    }
    ++mapping->count;
  }
  if (mapping->count == count) return 0;
  free_mapping(own, mapping);
  return -ENOMEM;
}

/* Tells everybody, and returns when they have let go. The lock is not held. */
static void tell_users(struct own* own, u64 iova, u64 size) {
#if UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(6, 0, 0)
  struct vfio_iommu_type1_dma_unmap gone = {.iova = iova, .size = size};

  blocking_notifier_call_chain(&own->chain, VFIO_IOMMU_NOTIFY_DMA_UNMAP, &gone);
#else
  struct vfio_device* device;

  list_for_each_entry(device, &own->users, iommu_entry) {
    if (device->ops->dma_unmap) device->ops->dma_unmap(device, iova, size);
  }
#endif
}

static long unmap_dma(struct own* own, struct vfio_iommu_type1_dma_unmap* unmap) {
  struct own_mapping* mapping = find(own, unmap->iova);

  if (!mapping) {
    unmap->size = 0;
    return 0;
  }
  if (mapping->iova != unmap->iova || (u64)mapping->count << PAGE_SHIFT != unmap->size) return -EINVAL;
  if (mapping->pins) {
    mutex_unlock(&own->lock);
    tell_users(own, unmap->iova, unmap->size);
    mutex_lock(&own->lock);
    if (mapping->pins) return -EBUSY;
  }
  free_mapping(own, mapping);
  return 0;
}

static long count_pins(struct own* own) {
  struct own_mapping* mapping;
  long pins = 0;

  list_for_each_entry(mapping, &own->mappings, link) pins += mapping->pins;
  return pins;
}

static long get_info(void __user* arg) {
  struct vfio_iommu_type1_info info;

  if (copy_from_user(&info, arg, offsetofend(struct vfio_iommu_type1_info, iova_pgsizes))) return -EFAULT;
  if (info.argsz < offsetofend(struct vfio_iommu_type1_info, iova_pgsizes)) return -EINVAL;
  info.flags = VFIO_IOMMU_INFO_PGSIZES;
  info.iova_pgsizes = PAGE_SIZE;
  return copy_to_user(arg, &info, offsetofend(struct vfio_iommu_type1_info, iova_pgsizes)) ? -EFAULT : 0;
}

static long own_ioctl(void* iommu_data, unsigned int cmd, unsigned long arg) {
  struct own* own = iommu_data; /* NULL: no container has chosen this driver yet */
  struct vfio_iommu_type1_dma_map map;
  struct vfio_iommu_type1_dma_unmap unmap;
  long result;

  switch (cmd) {
    case VFIO_CHECK_EXTENSION:
      return arg == OWN_TYPE || arg == VFIO_TYPE1v2_IOMMU;
    case VFIO_IOMMU_GET_INFO:
      return get_info((void __user*)arg);
    case VFIO_IOMMU_MAP_DMA:
      if (copy_from_user(&map, (void __user*)arg, offsetofend(struct vfio_iommu_type1_dma_map, size)))
        return -EFAULT;
      if (map.argsz < offsetofend(struct vfio_iommu_type1_dma_map, size)) return -EINVAL;
      mutex_lock(&own->lock);
      result = map_dma(own, &map);
      mutex_unlock(&own->lock);
      return result;
    case VFIO_IOMMU_UNMAP_DMA:
      if (copy_from_user(&unmap, (void __user*)arg, offsetofend(struct vfio_iommu_type1_dma_unmap, size)))
        return -EFAULT;
      if (unmap.argsz < offsetofend(struct vfio_iommu_type1_dma_unmap, size)) return -EINVAL;
      mutex_lock(&own->lock);
      result = unmap_dma(own, &unmap);
      mutex_unlock(&own->lock);
      if (result) return result;
      return copy_to_user((void __user*)arg, &unmap, offsetofend(struct vfio_iommu_type1_dma_unmap, size))
                 ? -EFAULT
                 : 0;
    case OWN_COUNT_PINS:
      mutex_lock(&own->lock);
      result = count_pins(own);
      mutex_unlock(&own->lock);
      return result;
    case OWN_CRASH:
      *(volatile int*)(void*)(own->text - (char*)own->text) = 1;
      return 0;
    default:
      return -ENOTTY;
  }
}

/* --- Pins. */

static int pin_one(struct own* own, u64 iova, struct page** page) {
  struct own_mapping* mapping = find(own, iova);

  if (!mapping) return -EINVAL;
  *page = page_at(mapping, iova);
  ++mapping->pins;
  return 0;
}
static void unpin_one(struct own* own, u64 iova) {
  struct own_mapping* mapping = find(own, iova);

  if (mapping && mapping->pins) --mapping->pins;
}

#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 0, 0)
static void own_unpin_pages(void* iommu_data, dma_addr_t user_iova, int npage) {
  struct own* own = iommu_data;

  mutex_lock(&own->lock);
  for (; npage > 0; --npage, user_iova += PAGE_SIZE) unpin_one(own, user_iova);
  mutex_unlock(&own->lock);
}
static int own_pin_pages(void* iommu_data, struct iommu_group* group, dma_addr_t user_iova, int npage,
                         int prot, struct page** pages) {
  struct own* own = iommu_data;
  int n, result = 0;

  mutex_lock(&own->lock);
  if (group != own->group || !(prot & (IOMMU_READ | IOMMU_WRITE))) result = -ENODEV;
  for (n = 0; n < npage && !result; ++n) result = pin_one(own, user_iova + ((u64)n << PAGE_SHIFT), &pages[n]);
  if (result)
    for (--n; n-- > 0;) unpin_one(own, user_iova + ((u64)n << PAGE_SHIFT));
  mutex_unlock(&own->lock);
  return result ? result : npage;
}
static void own_register_device(void* iommu_data, struct vfio_device* vdev) {
  struct own* own = iommu_data;

  pr_info("device %s is open\n", dev_name(vdev->dev));
  mutex_lock(&own->lock);
  list_add(&vdev->iommu_entry, &own->users);
  mutex_unlock(&own->lock);
}
static void own_unregister_device(void* iommu_data, struct vfio_device* vdev) {
  struct own* own = iommu_data;

  mutex_lock(&own->lock);
  list_del(&vdev->iommu_entry);
  mutex_unlock(&own->lock);
}
#else
static int own_unpin_pages(void* iommu_data, unsigned long* user_pfn, int npage) {
  struct own* own = iommu_data;
  int n;

  mutex_lock(&own->lock);
  for (n = 0; n < npage; ++n) unpin_one(own, (u64)user_pfn[n] << PAGE_SHIFT);
  mutex_unlock(&own->lock);
  return npage;
}
static int pin_frames(struct own* own, unsigned long* user_pfn, int npage, unsigned long* phys_pfn) {
  int n, result = 0;

  mutex_lock(&own->lock);
  for (n = 0; n < npage && !result; ++n) {
    struct page* page;

    result = pin_one(own, (u64)user_pfn[n] << PAGE_SHIFT, &page);
    if (!result) phys_pfn[n] = page_to_pfn(page);
  }
  if (result)
    for (--n; n-- > 0;) unpin_one(own, (u64)user_pfn[n] << PAGE_SHIFT);
  mutex_unlock(&own->lock);
  return result ? result : npage;
}
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 8, 0)
static int own_pin_pages(void* iommu_data, struct iommu_group* group, unsigned long* user_pfn, int npage,
                         int prot, unsigned long* phys_pfn) {
  struct own* own = iommu_data;

  return group == own->group ? pin_frames(own, user_pfn, npage, phys_pfn) : -ENODEV;
}
#else
static int own_pin_pages(void* iommu_data, unsigned long* user_pfn, int npage, int prot,
                         unsigned long* phys_pfn) {
  return pin_frames(iommu_data, user_pfn, npage, phys_pfn);
}
#endif
static int own_register_notifier(void* iommu_data, unsigned long* events, struct notifier_block* nb) {
  struct own* own = iommu_data;

  if (*events & ~VFIO_IOMMU_NOTIFY_DMA_UNMAP) return -EINVAL;
  return blocking_notifier_chain_register(&own->chain, nb);
}
static int own_unregister_notifier(void* iommu_data, struct notifier_block* nb) {
  return blocking_notifier_chain_unregister(&((struct own*)iommu_data)->chain, nb);
}
#endif

#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 7, 0)
static int own_dma_rw(void* iommu_data, dma_addr_t user_iova, void* data, size_t count, bool write) {
  struct own* own = iommu_data;
  int result = 0;

  mutex_lock(&own->lock);
  while (count > 0 && !result) {
    struct own_mapping* mapping = find(own, user_iova);
    size_t part = min_t(size_t, count, PAGE_SIZE - offset_in_page(user_iova));

    if (mapping) {
      char* at = (char*)page_address(page_at(mapping, user_iova)) + offset_in_page(user_iova);

      memcpy(write ? at : data, write ? data : at, part);
    } else {
      result = -EINVAL;
    }
    data = (char*)data + part;
    user_iova += part;
    count -= part;
  }
  mutex_unlock(&own->lock);
  return result;
}
#endif

/* --- What only some vintages have. */

#if UMDEV_KERNEL_API < UMDEV_KERNEL_5_16
static ssize_t own_read(void* iommu_data, char __user* buf, size_t count, loff_t* ppos) {
  struct own* own = iommu_data;

  count = min_t(size_t, count, sizeof(own->text));
  return copy_to_user(buf, own->text, count) ? -EFAULT : (ssize_t)count;
}
static ssize_t own_write(void* iommu_data, const char __user* buf, size_t count, loff_t* size) {
  struct own* own = iommu_data;

  if (count > sizeof(own->text)) return -ENOSPC;
  return copy_from_user(own->text, buf, count) ? -EFAULT : (ssize_t)count;
}
static int own_mmap(void* iommu_data, struct vm_area_struct* vma) {
  struct own* own = iommu_data;
  struct own_mapping* mapping = find(own, (u64)vma->vm_pgoff << PAGE_SHIFT);

  return mapping ? vm_insert_page(vma, vma->vm_start, page_at(mapping, (u64)vma->vm_pgoff << PAGE_SHIFT))
                 : -ENXIO;
}
#endif
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 12, 0)
static struct iommu_domain* own_group_domain(void* iommu_data, struct iommu_group* group) {
  return group == ((struct own*)iommu_data)->group ? (struct iommu_domain*)iommu_data : ERR_PTR(-ENODEV);
}
#if UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(6, 2, 0)
static void own_notify(void* iommu_data, enum vfio_iommu_notify_type event) {
  if (event == VFIO_IOMMU_CONTAINER_CLOSE) pr_info("the container is closed\n");
}
#endif
#endif

static struct vfio_iommu_driver_ops own_ops = {
    .name = "own-memory",
    .owner = THIS_MODULE,
    .open = own_open,
    .release = own_release,
#if UMDEV_KERNEL_API < UMDEV_KERNEL_5_16
    .read = own_read,
    .write = own_write,
    .mmap = own_mmap,
#endif
    .ioctl = own_ioctl,
    .attach_group = own_attach_group,
    .detach_group = own_detach_group,
    .pin_pages = own_pin_pages,
    .unpin_pages = own_unpin_pages,
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 0, 0)
    .register_device = own_register_device,
    .unregister_device = own_unregister_device,
#else
    .register_notifier = own_register_notifier,
    .unregister_notifier = own_unregister_notifier,
#endif
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 7, 0)
    .dma_rw = own_dma_rw,
#endif
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 12, 0)
    .group_iommu_domain = own_group_domain,
#if UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(6, 2, 0)
    .notify = own_notify,
#endif
#endif
};

static void leave_out(void) {
  if (lack == LACK_PIN) own_ops.pin_pages = NULL;
  if (lack == LACK_MANDATORY) own_ops.attach_group = NULL;
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 0, 0)
  if (lack == LACK_USERS) own_ops.register_device = NULL;
  if (lack == LACK_USERS || lack == LACK_UNREGISTER) own_ops.unregister_device = NULL;
#else
  if (lack == LACK_USERS) own_ops.register_notifier = NULL;
#endif
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 7, 0)
  if (lack == LACK_COPY) own_ops.dma_rw = NULL;
#endif
#if UMDEV_KERNEL_API < UMDEV_KERNEL_5_16
  if (lack == LACK_REST) own_ops.read = NULL, own_ops.write = NULL, own_ops.mmap = NULL;
#endif
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 12, 0)
  if (lack == LACK_REST) own_ops.group_iommu_domain = NULL;
#endif
}

static int __init own_init(void) {
  int result;

  leave_out();
  result = vfio_register_iommu_driver(&own_ops);
  if (!result) pr_info("a second time: %d\n", vfio_register_iommu_driver(&own_ops));
  return result;
}

static void __exit own_exit(void) {
  vfio_unregister_iommu_driver(&own_ops);
  vfio_unregister_iommu_driver(&own_ops); /* nothing is there any more, and nothing happens */
}

module_init(own_init);
module_exit(own_exit);
MODULE_LICENSE("GPL v2");
MODULE_DESCRIPTION("an IOMMU driver with memory of its own");

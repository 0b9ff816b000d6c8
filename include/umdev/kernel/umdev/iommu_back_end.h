/*
 * An IOMMU driver of a module, as umdev calls it: what the vintages have differently is made equal by
 * vfio_iommu_driver.h.
 */
#pragma once

#include "objects.h"

UMDEV_C_BEGIN

struct iommu_domain;

/* As many pages as one call pins or unpins. */
#define UMDEV_IOMMU_PAGES_MAX 64

/* A device that is open in a container, as its back end has it. */
struct umdev_iommu_user {
  struct vfio_device device;   /* since 6.0: with dma_unmap in its ops */
  struct notifier_block block; /* up to 5.19 */
  struct device dev;           /* device.dev: a name, and nothing behind it */
};

/* `ops` is the driver's own table, in the form of its vintage; `data` is what open() has given. Null is what
 * the driver does not have: pins, users, dma_rw, group_iommu_domain, notify; and up to 5.15 read, write and
 * mmap. */
struct umdev_iommu_ops {
  umdev_u32 size; /* of this table */
  umdev_u32 reserved;
  const char* name;
  void* (*open)(unsigned long type);
  void (*release)(void* data);
  long (*ioctl)(void* data, unsigned int command, unsigned long argument);
  ssize_t (*read)(void* data, char* buffer, size_t count, umdev_loff_t* position);
  ssize_t (*write)(void* data, const char* buffer, size_t count, umdev_loff_t* position);
  int (*mmap)(void* data, struct vm_area_struct* area);
  /* `kind`: enum vfio_group_type. */
  int (*attach_group)(const void* ops, void* data, struct iommu_group* group, int kind);
  void (*detach_group)(void* data, struct iommu_group* group);
  /* All of them, or an error. */
  int (*pin_pages)(const void* ops, void* data, struct iommu_group* group, umdev_u64 iova, int count,
                   int prot, struct page** pages);
  void (*unpin_pages)(const void* ops, void* data, umdev_u64 iova, int count);
  int (*register_user)(const void* ops, void* data, struct umdev_iommu_user* user);
  void (*unregister_user)(const void* ops, void* data, struct umdev_iommu_user* user);
  int (*dma_rw)(void* data, umdev_u64 iova, void* bytes, size_t count, bool write);
  struct iommu_domain* (*group_iommu_domain)(void* data, struct iommu_group* group);
  void (*notify)(const void* ops, void* data, int event);
};

UMDEV_C_END

/*
 * The objects that a driver and umdev both look into, under the kernel's names and with the members that
 * drivers touch. All-zero is a legal state of each that drivers make themselves: "not initialised yet". What
 * umdev keeps of an object hangs on its `umdev` member.
 */
#pragma once

#include "base.h"

UMDEV_C_BEGIN

struct UMDEV_CLASS;
struct attribute_group;
struct bus_type;
struct dma_buf;
struct device;
struct device_driver;
struct eventfd_ctx;
struct file;
struct file_operations;
struct inode;
struct iommu_group;
struct kvm;
struct mdev_device;
struct mdev_type;
struct module;
struct page;
struct vfio_device;
struct vfio_group;
struct vm_area_struct;

struct list_head {
  struct list_head *next, *prev;
};

/* One who wants to be told (linux/notifier.h). */
struct notifier_block {
  int (*notifier_call)(struct notifier_block* block, unsigned long action, void* data);
  struct notifier_block* next;
  int priority;
};

struct kobject {
  const char* name;
  struct kobject* parent;
};

struct attribute {
  const char* name;
  umdev_umode_t mode;
};

struct bin_attribute;

struct attribute_group {
  const char* name;
  umdev_umode_t (*is_visible)(struct kobject*, struct attribute*, int);
  umdev_umode_t (*is_bin_visible)(struct kobject*, const struct bin_attribute*, int);
  struct attribute** attrs;
  struct bin_attribute** bin_attrs;
};

struct device_attribute {
  struct attribute attr;
  ssize_t (*show)(struct device* dev, struct device_attribute* attr, char* buf);
  ssize_t (*store)(struct device* dev, struct device_attribute* attr, const char* buf, size_t count);
};

struct UMDEV_CLASS {
  const char* name;
  struct module* owner;
  const struct attribute_group** class_groups;
  const struct attribute_group** dev_groups;
  char* (*devnode)(const struct device* dev, umdev_umode_t* mode);
  void (*dev_release)(struct device* dev);
};

struct bus_type {
  const char* name;
};

struct device_driver {
  const char* name;
  struct bus_type* bus;
  struct module* owner;
  const char* mod_name;
  const struct attribute_group** groups;
  const struct attribute_group** dev_groups;
};

struct device {
  struct kobject kobj;
  struct device* parent;
  const char* init_name;
  struct bus_type* bus;
  struct device_driver* driver;
  void* platform_data;
  void* driver_data;
  dev_t devt;
  const struct UMDEV_CLASS* UMDEV_CLASS;
  const struct attribute_group** groups;
  void (*release)(struct device* dev);
  struct iommu_group* iommu_group;
  void* umdev;
};

/* A GUID as mdev has it: 16 bytes in the order of the text. */
struct umdev_uuid {
  unsigned char b[16];
};

struct mdev_parent {
  struct device* dev;
  void* umdev;
};

struct mdev_type {
  const char* sysfs_name;
  const char* pretty_name;
  struct mdev_parent* parent;
};

struct mdev_device {
  struct device dev;
  struct umdev_uuid uuid;
  struct mdev_type* type;
  bool active;
  struct device* iommu_device;
  void* driver_data; /* mdev_set_drvdata(), where that is not the device's */
  unsigned int type_group;
  void* umdev;
};

struct task_struct {
  char comm[16];
  int pid;
  void* umdev;
};

struct vfio_migration_ops;
struct vfio_log_ops;
struct vfio_device_ops;

struct vfio_device {
  struct device* dev;
  const struct vfio_device_ops* ops;
  umdev_u64 migration_flags;
  const struct vfio_migration_ops* mig_ops;
  const struct vfio_log_ops* log_ops;
  unsigned int index;
  struct kvm* kvm;
  void* umdev;
  struct list_head iommu_entry; /* an IOMMU driver's, since 6.0 */
};

struct inode {
  dev_t i_rdev;
  void* i_private;
};

struct file {
  const struct file_operations* f_op;
  unsigned int f_flags;
  unsigned int f_mode;
  umdev_loff_t f_pos;
  void* private_data;
  struct inode* f_inode;
  void* umdev;
};

struct poll_table_struct;

struct file_operations {
  struct module* owner;
  umdev_loff_t (*llseek)(struct file*, umdev_loff_t, int);
  ssize_t (*read)(struct file*, char*, size_t, umdev_loff_t*);
  ssize_t (*write)(struct file*, const char*, size_t, umdev_loff_t*);
  unsigned int (*poll)(struct file*, struct poll_table_struct*);
  long (*unlocked_ioctl)(struct file*, unsigned int, unsigned long);
  long (*compat_ioctl)(struct file*, unsigned int, unsigned long);
  int (*mmap)(struct file*, struct vm_area_struct*);
  int (*open)(struct inode*, struct file*);
  int (*release)(struct inode*, struct file*);
};

typedef unsigned int umdev_vm_fault_t;

struct vm_fault {
  struct vm_area_struct* vma;
  unsigned int flags;
  unsigned long pgoff;
  unsigned long address;
  struct page* page;
};

struct vm_operations_struct {
  void (*open)(struct vm_area_struct* area);
  void (*close)(struct vm_area_struct* area);
  umdev_vm_fault_t (*fault)(struct vm_fault* vmf);
};

struct dma_buf_attachment;
struct sg_table;

enum dma_data_direction { DMA_BIDIRECTIONAL = 0, DMA_TO_DEVICE = 1, DMA_FROM_DEVICE = 2, DMA_NONE = 3 };

struct dma_buf_ops {
  int (*attach)(struct dma_buf*, struct dma_buf_attachment*);
  void (*detach)(struct dma_buf*, struct dma_buf_attachment*);
  struct sg_table* (*map_dma_buf)(struct dma_buf_attachment*, enum dma_data_direction direction);
  void (*unmap_dma_buf)(struct dma_buf_attachment*, struct sg_table*, enum dma_data_direction direction);
  void (*release)(struct dma_buf*);
  int (*mmap)(struct dma_buf*, struct vm_area_struct* vma);
};

struct dma_buf {
  size_t size;
  const struct dma_buf_ops* ops;
  void* priv;
  void* umdev;
};

/* A mapping that a client asks for: never in this process's memory, so its addresses are only offsets. */
struct vm_area_struct {
  unsigned long vm_start;
  unsigned long vm_end;
  unsigned long vm_pgoff;
  unsigned long vm_flags;
  unsigned long vm_page_prot;
  const struct vm_operations_struct* vm_ops;
  struct file* vm_file;
  void* vm_private_data;
  void* umdev;
};

UMDEV_C_END

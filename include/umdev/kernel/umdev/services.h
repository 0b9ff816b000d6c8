/*
 * The table of services behind the kernel's names: the headers in linux/ are inline functions over it.
 *
 * It only grows at its end: a module that was compiled for a shorter table goes on working. Everything that
 * the vintages have differently is made equal by the headers, so that there is one table for all of them.
 *
 * Errors are the kernel's: negative errno values, or pointers that IS_ERR() knows.
 */
#pragma once

#include "objects.h"

UMDEV_C_BEGIN

/* The callbacks of a VFIO device, for a `self` of each form that they had: the driver's opaque data up
 * to 5.12, the embedded struct vfio_device since, the struct mdev_device where a parent answers for its
 * devices. */
#define UMDEV_DEVICE_CALLBACKS(self)                                                \
  int (*open)(self);                                                                \
  void (*close)(self);                                                              \
  ssize_t (*read)(self, char* buffer, size_t count, umdev_loff_t* position);        \
  ssize_t (*write)(self, const char* buffer, size_t count, umdev_loff_t* position); \
  long (*ioctl)(self, unsigned int command, unsigned long argument);                \
  int (*mmap)(self, struct vm_area_struct * area);                                  \
  void (*request)(self, unsigned int count);                                        \
  int (*match)(self, char* name)

struct iommu_domain;
struct iommufd_ctx;
struct umdev_iommu_ops;
struct umdev_iommu_user;
struct vfio_info_cap;
struct vfio_region_info;

struct umdev_device_ops {
  const char* name;
  UMDEV_DEVICE_CALLBACKS(struct vfio_device*);
  int (*init)(struct vfio_device*);
  void (*release)(struct vfio_device*);
  void (*dma_unmap)(struct vfio_device*, umdev_u64 iova, umdev_u64 length);
  int (*device_feature)(struct vfio_device*, umdev_u32 flags, void* argument, size_t size);
  int (*get_region_info_caps)(struct vfio_device*, struct vfio_region_info*, struct vfio_info_cap*);
  int (*match_token_uuid)(struct vfio_device*, const struct umdev_uuid*);
};

/* Asked when its user's memory comes from an iommufd; the last two may be null. */
struct umdev_iommufd_ops {
  int (*bind)(struct vfio_device*, struct iommufd_ctx*, umdev_u32* device_id);
  void (*unbind)(struct vfio_device*);
  int (*attach)(struct vfio_device*, umdev_u32* object);
  void (*detach)(struct vfio_device*);
  int (*attach_pasid)(struct vfio_device*, umdev_u32 pasid, umdev_u32* object);
  void (*detach_pasid)(struct vfio_device*, umdev_u32 pasid);
};

struct umdev_data_ops {
  const char* name;
  UMDEV_DEVICE_CALLBACKS(void*);
};

struct umdev_parent_callbacks {
  UMDEV_DEVICE_CALLBACKS(struct mdev_device*);
};

/* How the core is to treat a device, by its vintage. */
enum umdev_device_rule {
  umdev_open_each_file = 1, /* open and release for each file (up to 5.14), not for the first and the last */
  umdev_pins_always = 2,    /* pins need no dma_unmap callback (up to 5.19): a notifier is registered later */
  umdev_removes_first =
      4, /* a parent's remove is told before the VFIO device goes, and may refuse (up to 5.1) */
  umdev_needs_open = 8,    /* a parent without open cannot be opened: -EINVAL (up to 5.14) */
  umdev_stores_types = 16, /* struct umdev_parent_ops goes as far as store_type */
};

struct umdev_mdev_driver {
  const char* name;
  const char* device_api;
  unsigned int max_instances;
  int (*probe)(struct mdev_device*);
  void (*remove)(struct mdev_device*);
  int (*probe_device)(struct device*); /* up to 5.12 */
  void (*remove_device)(struct device*);
  unsigned int (*get_available)(struct mdev_type*);
  ssize_t (*show_description)(struct mdev_type*, char* buffer);
  const struct attribute_group** dev_groups;
  bool matches_all; /* up to 5.12: the bus gives it every device */
};

/* Parents up to 6.0, whose driver is asked by the core. */
struct umdev_parent_ops {
  /* The driver that its devices are given to, by its struct device_driver; null: the first that takes them,
   * which is vfio_mdev as a rule. */
  struct device_driver* driver;
  /* A type's attribute: the headers know in which form the vintage calls it. */
  ssize_t (*show_type)(struct attribute*, struct mdev_type*, struct kobject*, struct device*, char* buffer);
  const struct attribute_group** dev_attr_groups;
  const struct attribute_group** mdev_attr_groups;
  struct attribute_group** supported_type_groups;
  int (*create)(struct mdev_device*);
  int (*create_of)(struct kobject* type, struct mdev_device*); /* up to 5.12 */
  int (*remove)(struct mdev_device*);
  const struct umdev_parent_callbacks* callbacks;
  unsigned int rules; /* enum umdev_device_rule */
  ssize_t (*store_type)(struct attribute*, struct mdev_type*, struct kobject*, struct device*,
                        const char* text, size_t size);
};

struct umdev_services {
  umdev_u32 size; /* of this table */
  umdev_u32 reserved;

  /* --- Messages. `format` may begin with a level (KERN_INFO ...). */
  int (*printk)(struct module*, const char* format, ...) UMDEV_PRINTF(2, 3);
  int (*dev_printk)(struct module*, const struct device*, const char* format, ...) UMDEV_PRINTF(3, 4);
  void (*warn)(struct module*, const char* file, int line, const char* what);
  void (*bug)(struct module*, const char* file, int line) __attribute__((noreturn));

  /* --- Memory. Zeroed where `zero`. */
  void* (*allocate)(size_t size, bool zero);
  void* (*reallocate)(const void* memory, size_t size);
  void (*free)(const void* memory);

  /* --- The memory of whoever asks: bytes of the request in service. They return how many were not copied. */
  unsigned long (*copy_to_user)(void* to, const void* from, unsigned long size);
  unsigned long (*copy_from_user)(void* to, const void* from, unsigned long size);

  /* --- Waiting. Sleeps until `*word` is not `expected` any more, somebody wakes it, or `nanoseconds` have
   * passed (0: no limit; then it returns false). A call that has to wait leaves the thread that serves
   * clients to others. */
  bool (*wait)(const int* word, int expected, umdev_u64 nanoseconds);
  void (*wake)(const int* word, bool all);
  void (*sleep)(umdev_u64 nanoseconds);

  /* --- Devices and classes. */
  void (*device_initialize)(struct device*);
  int (*device_add)(struct device*);
  void (*device_del)(struct device*);
  struct device* (*get_device)(struct device*);
  void (*put_device)(struct device*);
  int (*dev_set_name)(struct device*, const char* format, va_list arguments);
  /* Of a class without its type: C's name for it is no name in C++, and a function's type is checked by
   * sanitizers over both. */
  int (*class_register)(struct module*, void* registered);
  void (*class_unregister)(const void* registered);
  int (*alloc_chrdev_region)(dev_t* first, unsigned int base, unsigned int count, const char* name);
  void (*unregister_chrdev_region)(dev_t first, unsigned int count);

  /* --- VFIO devices. The ops are copied. */
  struct vfio_device* (*vfio_alloc_device)(size_t size, struct device*, const struct umdev_device_ops*);
  void (*vfio_put_device)(struct vfio_device*);
  int (*vfio_init_device)(struct vfio_device*, struct device*, const struct umdev_device_ops*,
                          unsigned int rules);
  int (*vfio_init_data)(struct vfio_device*, struct device*, const struct umdev_data_ops*, void* data,
                        unsigned int rules);
  void (*vfio_uninit_device)(struct vfio_device*);
  int (*vfio_register_device)(struct vfio_device*, bool emulated);
  void (*vfio_unregister_device)(struct vfio_device*);

  /* --- Mediated devices. */
  int (*mdev_register_driver)(struct module*, struct device_driver*, const struct umdev_mdev_driver*);
  void (*mdev_unregister_driver)(struct device_driver*);
  int (*mdev_register_parent)(struct mdev_parent*, struct device*, struct device_driver*, struct mdev_type**,
                              unsigned int count);
  void (*mdev_unregister_parent)(struct mdev_parent*);

  /* --- eventfds: of descriptors that came with the request in service. */
  struct eventfd_ctx* (*eventfd_ctx_fdget)(int fd);
  void (*eventfd_ctx_put)(struct eventfd_ctx*);
  int (*eventfd_signal)(struct eventfd_ctx*, umdev_u64 count);

  /* --- Memory that clients map. */
  void* (*vmalloc_user)(size_t size);
  void (*vfree)(const void* memory);
  int (*remap_vmalloc_range)(struct vm_area_struct*, unsigned long at, void* memory, unsigned long offset,
                             unsigned long size);
  int (*vm_insert_page)(struct vm_area_struct*, unsigned long at, struct page*);
  struct page* (*alloc_pages)(unsigned int order);
  void (*get_page)(struct page*);
  void (*put_page)(struct page*);
  void* (*page_address)(const struct page*);
  struct page* (*nth_page)(struct page*, unsigned long n);

  /* --- dma-bufs. A descriptor of one cannot be had yet: dma_buf_fd() is -EOPNOTSUPP. */
  struct dma_buf* (*dma_buf_export)(const struct dma_buf_ops*, size_t size, void* priv);
  int (*dma_buf_fd)(struct dma_buf*, int flags);
  void (*dma_buf_get)(struct dma_buf*);
  void (*dma_buf_put)(struct dma_buf*);

  /* --- Parents up to 6.0. */
  int (*mdev_register_device)(struct device*, const struct umdev_parent_ops*);
  void (*mdev_unregister_device)(struct device*);
  struct kobject* (*mdev_type_kobj)(struct mdev_type*);
  unsigned int (*mdev_type_group)(const struct mdev_type*);

  /* --- VFIO devices up to 5.18, by their struct device. */
  int (*vfio_add_group_dev)(struct device*, const struct umdev_data_ops*, void* data, unsigned int rules);
  void* (*vfio_del_group_dev)(struct device*);
  struct vfio_device* (*vfio_device_get_from_dev)(struct device*);
  void (*vfio_device_put)(struct vfio_device*);
  void* (*vfio_device_data)(struct vfio_device*);
  void (*vfio_assign_device_set)(struct vfio_device*, const void* id);

  /* --- IOMMU groups. */
  struct iommu_group* (*iommu_group_alloc)(void);
  struct iommu_group* (*iommu_group_get)(struct device*, bool allow_no_iommu);
  void (*iommu_group_put)(struct iommu_group*);
  int (*iommu_group_add_device)(struct iommu_group*, struct device*);
  void (*iommu_group_remove_device)(struct device*);
  int (*iommu_group_id)(struct iommu_group*);

  /* --- The memory of the device's user. The device is open. */
  int (*vfio_pin_pages)(struct vfio_device*, umdev_u64 iova, int count, int prot, struct page** pages);
  void (*vfio_unpin_pages)(struct vfio_device*, umdev_u64 iova, int count);
  int (*vfio_dma_rw)(struct vfio_device*, umdev_u64 iova, void* data, size_t size, bool write);
  /* Of an mdev: the VFIO device that was made of it. */
  struct vfio_device* (*vfio_of_device)(struct device*);
  /* Called before memory goes, up to 5.19: `unmap(data, iova, size)`. One a device; null takes it away. */
  int (*vfio_on_unmap)(struct vfio_device*, void (*unmap)(void*, umdev_u64, umdev_u64), void* data);

  /* --- Files of a module's own operations, and the states of migration (of enum vfio_device_mig_state). */
  struct file* (*anon_inode_getfile)(struct module*, const char* name, const struct file_operations*,
                                     void* priv, int flags);
  struct file* (*get_file)(struct file*);
  void (*fput)(struct file*);
  int (*vfio_mig_get_next_state)(umdev_u64 migration_flags, umdev_u32 from, umdev_u32 wanted,
                                 umdev_u32* next);

  /* --- Work and timers: `run(item)` later, in `nanoseconds` or more, on a thread that may sleep. An item is
   * known by its address, waits at most once, and never runs beside itself. They end with the module. */
  struct workqueue_struct* (*alloc_workqueue)(struct module*, const char* name, bool ordered);
  /* Waits for what is in it. */
  void (*destroy_workqueue)(struct workqueue_struct*);
  /* Waits for what is in it now; null: in the module's own. */
  void (*flush_workqueue)(struct module*, struct workqueue_struct*);
  /* Whether it was waiting already: then nothing changes, but for its time if it is to be `anew`. */
  bool (*defer)(struct module*, struct workqueue_struct*, void* item, void (*run)(void* item),
                umdev_u64 nanoseconds, bool anew);
  /* Whether it was waiting. With `wait` it does not run any more either. */
  bool (*cancel_deferred)(struct module*, void* item, bool wait);
  /* Runs what waits at once, and waits for its end; whether there was anything to wait for. */
  bool (*flush_deferred)(struct module*, void* item);
  bool (*is_deferred)(struct module*, const void* item);

  /* --- Threads. */
  struct task_struct* (*kthread_create)(struct module*, int (*function)(void* data), void* data,
                                        const char* format, va_list arguments);
  /* Begins, or ends a sleep in schedule_timeout(); 1 for what there was to wake. */
  int (*wake_up_process)(struct task_struct*);
  /* Asks it to end and waits for that; what it has returned, or -EINTR: it has never begun. */
  int (*kthread_stop)(struct task_struct*);
  bool (*kthread_should_stop)(void);
  /* Never null: outside of threads the module's own. */
  struct task_struct* (*current_task)(void);

  /* --- External users of groups, by a device or by the file that its VFIO user has open; and the virtual
   * machine that devices are told of. */
  struct file* (*group_file)(struct module*, struct device*);
  struct vfio_group* (*vfio_group_acquire)(struct module*, struct device*, struct file*);
  void (*vfio_group_release)(struct vfio_group*);
  int (*vfio_group_id)(struct vfio_group*);
  long (*vfio_group_check_extension)(struct vfio_group*, unsigned long extension);
  bool (*vfio_group_is_of_file)(struct vfio_group*, struct file*);
  /* Where its pins are made; null: it has more than one device. */
  struct vfio_device* (*vfio_group_device)(struct vfio_group*);
  void (*vfio_group_set_kvm)(struct vfio_group*, struct kvm*);
  struct iommu_group* (*vfio_file_iommu_group)(struct file*);
  bool (*vfio_file_has_dev)(struct file*, struct vfio_device*);
  bool (*vfio_file_enforced_coherent)(struct file*);
  void (*vfio_file_set_kvm)(struct file*, struct kvm*);
  /* `tell(data, kvm)` when one comes or goes while the device is registered. One a device; null takes it
   * away. */
  int (*vfio_on_kvm)(struct vfio_device*, void (*tell)(void*, struct kvm*), void* data);

  /* --- IOMMU drivers (iommu_back_end.h), known by their own table `ops`. */
  int (*vfio_register_iommu_driver)(struct module*, const void* ops, const struct umdev_iommu_ops*);
  void (*vfio_unregister_iommu_driver)(struct module*, const void* ops);
  /* Tells a user that memory goes, and returns when it has let go of it (or has been made to). */
  void (*iommu_user_unmap)(struct umdev_iommu_user*, umdev_u64 iova, umdev_u64 size);
  struct iommu_domain* (*vfio_group_iommu_domain)(struct vfio_group*);

  /* --- Descriptors that came with the request in service, as files: null for any other number. */
  struct file* (*fget)(struct module*, int fd);
  struct eventfd_ctx* (*eventfd_ctx_fileget)(struct file*);

  /* --- iommufd. The callbacks of a device that has them (copied), before it is registered; and the work in
   * them that is umdev's own. */
  void (*vfio_on_iommufd)(struct vfio_device*, const struct umdev_iommufd_ops*);
  int (*vfio_iommufd_bind)(struct vfio_device*, struct iommufd_ctx*, umdev_u32* device_id);
  void (*vfio_iommufd_unbind)(struct vfio_device*);
  int (*vfio_iommufd_attach)(struct vfio_device*, umdev_u32* object);
  void (*vfio_iommufd_detach)(struct vfio_device*);
};

UMDEV_C_END

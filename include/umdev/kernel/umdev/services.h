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

struct iommufd_ctx;
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
  const char*
      driver; /* the mdev driver that its devices are given to; null: vfio_mdev, or any that matches */
  const struct attribute_group** dev_attr_groups;
  const struct attribute_group** mdev_attr_groups;
  struct attribute_group** supported_type_groups;
  int (*create)(struct mdev_device*);
  int (*create_of)(struct kobject* type, struct mdev_device*); /* up to 5.12 */
  int (*remove)(struct mdev_device*);
  const struct umdev_parent_callbacks* callbacks;
  unsigned int rules; /* enum umdev_device_rule */
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
  int (*class_register)(struct module*, struct UMDEV_CLASS*);
  void (*class_unregister)(const struct UMDEV_CLASS*);
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
};

UMDEV_C_END

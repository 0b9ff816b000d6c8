/* Mediated devices up to 6.0: parents that answer for their devices, and drivers of the bus beside them. */
#pragma once

#include <linux/device.h>
#include <linux/uuid.h>

/* 5.13 gave the callbacks the embedded structures, and a parent a driver of its own. */
#define UMDEV_MDEV_BY_TYPE (UMDEV_KERNEL_API >= UMDEV_KERNEL_5_13)
#define UMDEV_OPENS_DEVICE (UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 15, 0))
/* 5.19 took the parent's callbacks away: all is in the driver. */
#define UMDEV_PARENT_IS_DRIVER (UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(5, 19, 0))

UMDEV_C_BEGIN

#if UMDEV_MDEV_BY_TYPE
struct mdev_driver {
  int (*probe)(struct mdev_device* dev);
  void (*remove)(struct mdev_device* dev);
#if UMDEV_PARENT_IS_DRIVER
  struct attribute_group** supported_type_groups;
#endif
  struct device_driver driver;
};
struct mdev_type_attribute {
  struct attribute attr;
  ssize_t (*show)(struct mdev_type* mtype, struct mdev_type_attribute* attr, char* buf);
  ssize_t (*store)(struct mdev_type* mtype, struct mdev_type_attribute* attr, const char* buf, size_t count);
};
#else
struct mdev_driver {
  const char* name;
  int (*probe)(struct device* dev);
  void (*remove)(struct device* dev);
  struct device_driver driver;
};
struct mdev_type_attribute {
  struct attribute attr;
  ssize_t (*show)(struct kobject* kobj, struct device* dev, char* buf);
  ssize_t (*store)(struct kobject* kobj, struct device* dev, const char* buf, size_t count);
};
#endif

#if UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(4, 11, 0)
/* Its name until shortly before 4.10. */
#define parent_ops mdev_parent_ops
#endif
#if !UMDEV_PARENT_IS_DRIVER
struct mdev_parent_ops {
  struct module* owner;
#if UMDEV_MDEV_BY_TYPE
  struct mdev_driver* device_driver;
#endif
  const struct attribute_group** dev_attr_groups;
  const struct attribute_group** mdev_attr_groups;
  struct attribute_group** supported_type_groups;
#if UMDEV_MDEV_BY_TYPE
  int (*create)(struct mdev_device* mdev);
#else
  int (*create)(struct kobject* kobj, struct mdev_device* mdev);
#endif
  int (*remove)(struct mdev_device* mdev);
#if UMDEV_OPENS_DEVICE
  int (*open_device)(struct mdev_device* mdev);
  void (*close_device)(struct mdev_device* mdev);
#else
  int (*open)(struct mdev_device* mdev);
  void (*release)(struct mdev_device* mdev);
#endif
  ssize_t (*read)(struct mdev_device* mdev, char __user* buf, size_t count, loff_t* ppos);
  ssize_t (*write)(struct mdev_device* mdev, const char __user* buf, size_t count, loff_t* ppos);
  long (*ioctl)(struct mdev_device* mdev, unsigned int cmd, unsigned long arg);
  int (*mmap)(struct mdev_device* mdev, struct vm_area_struct* vma);
  void (*request)(struct mdev_device* mdev, unsigned int count);
};
#endif

UMDEV_C_END

#define MDEV_TYPE_ATTR(_name, _mode, _show, _store) \
  struct mdev_type_attribute mdev_type_attr_##_name = __ATTR(_name, _mode, _show, _store)
#define MDEV_TYPE_ATTR_RO(_name) struct mdev_type_attribute mdev_type_attr_##_name = __ATTR_RO(_name)
#define MDEV_TYPE_ATTR_WO(_name) struct mdev_type_attribute mdev_type_attr_##_name = __ATTR_WO(_name)
#define MDEV_TYPE_ATTR_RW(_name) struct mdev_type_attribute mdev_type_attr_##_name = __ATTR_RW(_name)

static inline ssize_t umdev_show_type(struct attribute* attr, struct mdev_type* type, struct kobject* kobj,
                                      struct device* dev, char* buffer) {
  struct mdev_type_attribute* shown = container_of(attr, struct mdev_type_attribute, attr);
  if (!shown->show) return -EIO;
#if UMDEV_MDEV_BY_TYPE
  (void)kobj, (void)dev;
  return shown->show(type, shown, buffer);
#else
  (void)type;
  return shown->show(kobj, dev, buffer);
#endif
}

static inline ssize_t umdev_store_type(struct attribute* attr, struct mdev_type* type, struct kobject* kobj,
                                       struct device* dev, const char* text, size_t size) {
  struct mdev_type_attribute* stored = container_of(attr, struct mdev_type_attribute, attr);
  if (!stored->store) return -EIO;
#if UMDEV_MDEV_BY_TYPE
  (void)kobj, (void)dev;
  return stored->store(type, stored, text, size);
#else
  (void)type;
  return stored->store(kobj, dev, text, size);
#endif
}

/* --- Drivers of the bus. Up to 5.12 the bus gives them every device that none has; since, those of a parent
 * that names them. */
#if UMDEV_MDEV_BY_TYPE
static inline int mdev_register_driver(struct mdev_driver* drv) {
  struct umdev_mdev_driver driver = {};
  driver.name = drv->driver.name;
  driver.probe = drv->probe;
  driver.remove = drv->remove;
  driver.dev_groups = drv->driver.dev_groups;
  return umdev_kernel->mdev_register_driver(THIS_MODULE, &drv->driver, &driver);
}
static inline unsigned int mdev_get_type_group_id(struct mdev_device* mdev) {
  return umdev_kernel->mdev_type_group(mdev->type);
}
static inline unsigned int mtype_get_type_group_id(struct mdev_type* type) {
  return umdev_kernel->mdev_type_group(type);
}
static inline struct device* mtype_get_parent_dev(struct mdev_type* type) {
  return type->parent->dev;
}
#else
static inline int mdev_register_driver(struct mdev_driver* drv, struct module* owner) {
  struct umdev_mdev_driver driver = {};
  drv->driver.name = drv->name;
  drv->driver.owner = owner;
  driver.name = drv->name;
  driver.probe_device = drv->probe;
  driver.remove_device = drv->remove;
  driver.dev_groups = drv->driver.dev_groups;
  driver.matches_all = true;
  return umdev_kernel->mdev_register_driver(THIS_MODULE, &drv->driver, &driver);
}
#endif
static inline void mdev_unregister_driver(struct mdev_driver* drv) {
  umdev_kernel->mdev_unregister_driver(&drv->driver);
}

/* --- Parents. -EINVAL: what is mandatory is missing; -EEXIST: the device is one already. */
#if UMDEV_PARENT_IS_DRIVER
static inline int mdev_register_device(struct device* dev, struct mdev_driver* drv) {
  struct umdev_parent_ops parent = {};
  if (!drv->supported_type_groups) return -EINVAL;
  parent.driver = &drv->driver;
  parent.show_type = umdev_show_type;
  parent.store_type = umdev_store_type;
  parent.rules |= umdev_stores_types;
  parent.supported_type_groups = drv->supported_type_groups;
  return umdev_kernel->mdev_register_device(dev, &parent);
}
#else
static inline int mdev_register_device(struct device* dev, const struct mdev_parent_ops* ops) {
  struct umdev_parent_callbacks callbacks = {};
  struct umdev_parent_ops parent = {};
  if (!ops || !ops->supported_type_groups) return -EINVAL;
#if UMDEV_MDEV_BY_TYPE
  if (!ops->device_driver && (!ops->create || !ops->remove)) return -EINVAL;
  parent.driver = ops->device_driver ? &ops->device_driver->driver : NULL;
  parent.create = ops->create;
#else
  if (!ops->create || !ops->remove) return -EINVAL;
  parent.create_of = ops->create;
#endif
#if UMDEV_OPENS_DEVICE
  callbacks.open = ops->open_device;
  callbacks.close = ops->close_device;
#else
  callbacks.open = ops->open;
  callbacks.close = ops->release;
  parent.rules |= umdev_open_each_file | umdev_needs_open;
#endif
  parent.rules |= umdev_pins_always;
#if UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(5, 2, 0)
  parent.rules |= umdev_removes_first;
#endif
  callbacks.read = ops->read;
  callbacks.write = ops->write;
  callbacks.ioctl = ops->ioctl;
  callbacks.mmap = ops->mmap;
  callbacks.request = ops->request;
  parent.remove = ops->remove;
  parent.show_type = umdev_show_type;
  parent.store_type = umdev_store_type;
  parent.rules |= umdev_stores_types;
  parent.dev_attr_groups = ops->dev_attr_groups;
  parent.mdev_attr_groups = ops->mdev_attr_groups;
  parent.supported_type_groups = ops->supported_type_groups;
  parent.callbacks = &callbacks;
  return umdev_kernel->mdev_register_device(dev, &parent);
}
#endif
static inline void mdev_unregister_device(struct device* dev) {
  umdev_kernel->mdev_unregister_device(dev);
}

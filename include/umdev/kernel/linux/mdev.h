/* Mediated devices. Drivers of the bus and parents, in the forms of the vintages. */
#pragma once

#include <linux/device.h>
#include <linux/mod_devicetable.h>
#include <linux/uuid.h>

static inline struct mdev_device* to_mdev_device(struct device* dev) {
  return container_of(dev, struct mdev_device, dev);
}
static inline struct device* mdev_dev(struct mdev_device* mdev) {
  return &mdev->dev;
}

#if UMDEV_KERNEL_API >= UMDEV_KERNEL_6_1

UMDEV_C_BEGIN
struct mdev_driver {
  const char* device_api;
  unsigned int max_instances;
  int (*probe)(struct mdev_device* dev);
  void (*remove)(struct mdev_device* dev);
  unsigned int (*get_available)(struct mdev_type* type);
  ssize_t (*show_description)(struct mdev_type* type, char* buffer);
  struct device_driver driver;
};
UMDEV_C_END

/* -EINVAL: no device API; -EEXIST: there is a driver of that name. */
static inline int mdev_register_driver(struct mdev_driver* drv) {
  struct umdev_mdev_driver driver = {};
  driver.name = drv->driver.name;
  driver.device_api = drv->device_api;
  driver.max_instances = drv->max_instances;
  driver.probe = drv->probe;
  driver.remove = drv->remove;
  driver.get_available = drv->get_available;
  driver.show_description = drv->show_description;
  driver.dev_groups = drv->driver.dev_groups;
  if (!drv->device_api) return -EINVAL;
  return umdev_kernel->mdev_register_driver(THIS_MODULE, &drv->driver, &driver);
}
static inline void mdev_unregister_driver(struct mdev_driver* drv) {
  umdev_kernel->mdev_unregister_driver(&drv->driver);
}
static inline int mdev_register_parent(struct mdev_parent* parent, struct device* dev,
                                       struct mdev_driver* drv, struct mdev_type** types,
                                       unsigned int count) {
  return umdev_kernel->mdev_register_parent(parent, dev, &drv->driver, types, count);
}
static inline void mdev_unregister_parent(struct mdev_parent* parent) {
  umdev_kernel->mdev_unregister_parent(parent);
}

#else
#include <umdev/mdev_parent.h>
#endif

static inline struct device* mdev_parent_dev(struct mdev_device* mdev) {
  return mdev->dev.parent;
}
static inline void* mdev_get_drvdata(struct mdev_device* mdev) {
  return mdev->driver_data;
}
static inline void mdev_set_drvdata(struct mdev_device* mdev, void* data) {
  mdev->driver_data = data;
}
static inline struct mdev_device* mdev_from_dev(struct device* dev) {
  return to_mdev_device(dev);
}
/* Up to 5.0 by value, since by pointer. */
#if UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(5, 1, 0)
static inline uuid_le mdev_uuid(struct mdev_device* mdev) {
  return mdev->uuid;
}
#else
static inline const guid_t* mdev_uuid(struct mdev_device* mdev) {
  return &mdev->uuid;
}
#endif

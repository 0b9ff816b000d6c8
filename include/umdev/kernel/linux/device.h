/* Devices, classes, drivers. */
#pragma once

#include <linux/atomic.h>
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#define DEVICE_ATTR(_name, _mode, _show, _store) \
  struct device_attribute dev_attr_##_name = __ATTR(_name, _mode, _show, _store)
#define DEVICE_ATTR_RO(_name) struct device_attribute dev_attr_##_name = __ATTR_RO(_name)
#define DEVICE_ATTR_WO(_name) struct device_attribute dev_attr_##_name = __ATTR_WO(_name)
#define DEVICE_ATTR_RW(_name) struct device_attribute dev_attr_##_name = __ATTR_RW(_name)
#define to_dev_attr(pointer) container_of(pointer, struct device_attribute, attr)
#define kobj_to_dev(pointer) container_of(pointer, struct device, kobj)

static inline const char* dev_name(const struct device* dev) {
  return dev->kobj.name ? dev->kobj.name : dev->init_name;
}
static inline void* dev_get_drvdata(const struct device* dev) {
  return dev->driver_data;
}
static inline void dev_set_drvdata(struct device* dev, void* data) {
  dev->driver_data = data;
}
static inline const char* dev_driver_string(const struct device* dev) {
  if (dev->driver) return dev->driver->name;
  if (dev->bus) return dev->bus->name;
  return dev->UMDEV_CLASS ? dev->UMDEV_CLASS->name : "";
}
UMDEV_C_BEGIN
UMDEV_PRINTF(2, 3) static inline int dev_set_name(struct device* dev, const char* format, ...) {
  va_list arguments;
  int result;
  va_start(arguments, format);
  result = umdev_kernel->dev_set_name(dev, format, arguments);
  va_end(arguments);
  return result;
}
UMDEV_C_END

static inline void device_initialize(struct device* dev) {
  umdev_kernel->device_initialize(dev);
}
static inline int __must_check device_add(struct device* dev) {
  return umdev_kernel->device_add(dev);
}
static inline void device_del(struct device* dev) {
  umdev_kernel->device_del(dev);
}
static inline struct device* get_device(struct device* dev) {
  return dev ? umdev_kernel->get_device(dev) : NULL;
}
static inline void put_device(struct device* dev) {
  if (dev) umdev_kernel->put_device(dev);
}
static inline int __must_check device_register(struct device* dev) {
  device_initialize(dev);
  return device_add(dev);
}
static inline void device_unregister(struct device* dev) {
  device_del(dev);
  put_device(dev);
}

/* The vintages' classes: made by class_create() until 6.3 with an owner, registered as constants since. */
static inline struct UMDEV_CLASS* umdev_class_create(const char* name) {
  struct UMDEV_CLASS* made = (struct UMDEV_CLASS*)kzalloc(sizeof(struct UMDEV_CLASS), GFP_KERNEL);
  int result;
  if (!made) return (struct UMDEV_CLASS*)ERR_PTR(-ENOMEM);
  made->name = name;
  result = umdev_kernel->class_register(THIS_MODULE, made);
  if (!result) return made;
  kfree(made);
  return (struct UMDEV_CLASS*)ERR_PTR(result);
}
#if UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(6, 4, 0)
#define class_create(owner, name) ((void)(owner), umdev_class_create(name))
#else
#define class_create(name) umdev_class_create(name)
#endif
static inline int __must_check class_register(const struct UMDEV_CLASS* registered) {
  return umdev_kernel->class_register(THIS_MODULE, (struct UMDEV_CLASS*)registered);
}
static inline void class_unregister(const struct UMDEV_CLASS* registered) {
  umdev_kernel->class_unregister(registered);
}
static inline void class_destroy(struct UMDEV_CLASS* made) {
  if (IS_ERR_OR_NULL(made)) return;
  umdev_kernel->class_unregister(made);
  kfree(made);
}

#define umdev_dev_printk(level, dev, format, ...) \
  umdev_kernel->dev_printk(THIS_MODULE, dev, level format, ##__VA_ARGS__)
#define dev_emerg(dev, format, ...) umdev_dev_printk(KERN_EMERG, dev, format, ##__VA_ARGS__)
#define dev_err(dev, format, ...) umdev_dev_printk(KERN_ERR, dev, format, ##__VA_ARGS__)
#define dev_warn(dev, format, ...) umdev_dev_printk(KERN_WARNING, dev, format, ##__VA_ARGS__)
#define dev_notice(dev, format, ...) umdev_dev_printk(KERN_NOTICE, dev, format, ##__VA_ARGS__)
#define dev_info(dev, format, ...) umdev_dev_printk(KERN_INFO, dev, format, ##__VA_ARGS__)
#define dev_dbg(dev, format, ...) umdev_dev_printk(KERN_DEBUG, dev, format, ##__VA_ARGS__)
#define dev_err_ratelimited dev_err
#define dev_warn_ratelimited dev_warn
#define dev_info_ratelimited dev_info
#define dev_dbg_ratelimited dev_dbg

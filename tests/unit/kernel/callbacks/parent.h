/* Parents and drivers of the bus up to 6.0: types are groups of attributes. */
#pragma once

#include <linux/mdev.h>

#include "tests/unit/kernel/callbacks/device.h"

/* --- Attributes, of the types, the parent and the devices. */

struct type_attributes {
  struct attribute *name, *device_api, *description, *available_instances, *colour;
};
static struct type_attributes the_type_attributes;

#if UMDEV_MDEV_BY_TYPE
#define TYPE_SHOW_ARGUMENTS struct mdev_type *mtype, struct mdev_type_attribute *attr, char *buf
#define TYPE_STORE_ARGUMENTS \
  struct mdev_type *mtype, struct mdev_type_attribute *attr, const char *buf, size_t count
#define UNUSED_TYPE (void)mtype, (void)attr
#else
#define TYPE_SHOW_ARGUMENTS struct kobject *kobj, struct device *dev, char *buf
#define TYPE_STORE_ARGUMENTS struct kobject *kobj, struct device *dev, const char *buf, size_t count
#define UNUSED_TYPE (void)kobj, (void)dev
#endif

#define TYPE_TEXT(name, text)                       \
  static ssize_t name##_show(TYPE_SHOW_ARGUMENTS) { \
    UNUSED_TYPE;                                    \
    SAY_CALLED(type_attributes_##name);             \
    return scnprintf(buf, PAGE_SIZE, "%s\n", text); \
  }                                                 \
  static MDEV_TYPE_ATTR_RO(name);                   \
  static struct attribute* const type_attributes_##name = &mdev_type_attr_##name.attr

TYPE_TEXT(name, "Every");
TYPE_TEXT(device_api, VFIO_DEVICE_API_PCI_STRING);
TYPE_TEXT(description, "has every callback");
TYPE_TEXT(available_instances, "1");

static ssize_t mdev_type_attribute_show(TYPE_SHOW_ARGUMENTS) {
  UNUSED_TYPE;
  SAY_CALLED(type_attributes_colour);
  SAY_CALLED(mdev_type_attribute_show);
  return scnprintf(buf, PAGE_SIZE, "red\n");
}
static ssize_t mdev_type_attribute_store(TYPE_STORE_ARGUMENTS) {
  UNUSED_TYPE;
  (void)buf;
  SAY_CALLED(mdev_type_attribute_store);
  return (ssize_t)count;
}
static struct mdev_type_attribute the_mdev_type_attribute = {.attr = {.name = "colour", .mode = 0644}};
static struct attribute* const type_attributes_colour = &the_mdev_type_attribute.attr;

static struct attribute* type_attrs[6];
static struct attribute_group type_group = {.name = "one", .attrs = type_attrs};
static struct attribute_group* type_groups[] = {&type_group, NULL};

/* Those that are there. */
static void gather_type_attributes(void) {
  struct attribute* const given[] = {the_type_attributes.name, the_type_attributes.device_api,
                                     the_type_attributes.description, the_type_attributes.available_instances,
                                     the_type_attributes.colour};
  struct attribute** place = type_attrs;
  unsigned int n;
  for (n = 0; n < ARRAY_SIZE(given); ++n)
    if (given[n]) *place++ = given[n];
}

/* --- The driver of the bus. */

static struct mdev_driver the_mdev_driver;
#if UMDEV_MDEV_BY_TYPE
static struct device_driver the_device_driver;
static struct device* dev_of(struct mdev_device* mdev) {
  return mdev_dev(mdev);
}
#define PROBED struct mdev_device
#if UMDEV_PARENT_IS_DRIVER
#define mdev_driver_supported_type_groups type_groups
#endif
#else
static struct device* dev_of(struct device* dev) {
  return dev;
}
#define PROBED struct device
#define mdev_driver_name "every"
#endif

static int mdev_driver_probe(PROBED* probed) {
  SAY_CALLED(mdev_driver_probe);
  return begin_card(dev_of(probed));
}
static void mdev_driver_remove(PROBED* probed) {
  (void)probed;
  SAY_CALLED(mdev_driver_remove);
  end_card();
}

/* --- The parent that makes its devices itself. */

#if !UMDEV_PARENT_IS_DRIVER
static struct mdev_parent_ops the_mdev_parent_ops;

#define OF(member) mdev_parent_ops_##member
#define SELF struct mdev_device
#include "tests/unit/kernel/callbacks/device_functions.inc"
#undef OF
#undef SELF

#if UMDEV_MDEV_BY_TYPE
#define mdev_parent_ops_device_driver (&the_mdev_driver)
static int mdev_parent_ops_create(struct mdev_device* mdev) {
#else
static int mdev_parent_ops_create(struct kobject* kobj, struct mdev_device* mdev) {
  (void)kobj;
#endif
  (void)mdev;
  SAY_CALLED(mdev_parent_ops_create);
  return 0;
}
static int mdev_parent_ops_remove(struct mdev_device* mdev) {
  (void)mdev;
  SAY_CALLED(mdev_parent_ops_remove);
  return 0;
}
#define mdev_parent_ops_owner THIS_MODULE
#define mdev_parent_ops_supported_type_groups type_groups
DEVICE_FILE(mdev_parent_ops, dev_attr_groups, of_the_parent);
DEVICE_FILE(mdev_parent_ops, mdev_attr_groups, of_the_device);
#endif

static struct device every_device;

static int begin_driver(void) {
  gather_type_attributes();
#if UMDEV_MDEV_BY_TYPE
  the_mdev_driver.driver = the_device_driver;
  return mdev_register_driver(&the_mdev_driver);
#else
  return own ? mdev_register_driver(&the_mdev_driver, THIS_MODULE) : 0;
#endif
}
static void end_driver(void) {
#if !UMDEV_MDEV_BY_TYPE
  if (!own) return;
#endif
  mdev_unregister_driver(&the_mdev_driver);
}
static int begin_parent(void) {
#if UMDEV_PARENT_IS_DRIVER
  return mdev_register_device(&every_device, &the_mdev_driver);
#else
#if UMDEV_MDEV_BY_TYPE
  /* A parent that names a driver needs not make devices, and the other way round. */
  if (own)
    the_mdev_parent_ops.create = NULL, the_mdev_parent_ops.remove = NULL;
  else
    the_mdev_parent_ops.device_driver = NULL;
#endif
  return mdev_register_device(&every_device, &the_mdev_parent_ops);
#endif
}
static void end_parent(void) {
  mdev_unregister_device(&every_device);
}

/* The driver of the bus since 6.1, with its parent and its type. */
#pragma once

#include <linux/mdev.h>

#include "tests/unit/kernel/callbacks/device.h"

static struct mdev_driver the_mdev_driver;
static struct device_driver the_device_driver;
#define mdev_driver_device_api VFIO_DEVICE_API_PCI_STRING
#define mdev_driver_max_instances 1

static int mdev_driver_probe(struct mdev_device* mdev) {
  SAY_CALLED(mdev_driver_probe);
  return begin_card(mdev_dev(mdev));
}
static void mdev_driver_remove(struct mdev_device* mdev) {
  (void)mdev;
  SAY_CALLED(mdev_driver_remove);
  end_card();
}
static unsigned int mdev_driver_get_available(struct mdev_type* type) {
  (void)type;
  SAY_CALLED(mdev_driver_get_available);
  return 1;
}
static ssize_t mdev_driver_show_description(struct mdev_type* type, char* buffer) {
  (void)type;
  SAY_CALLED(mdev_driver_show_description);
  return sysfs_emit(buffer, "has every callback\n");
}

static struct mdev_type the_mdev_type;
#define mdev_type_sysfs_name "one"
#define mdev_type_pretty_name "Every"
static struct mdev_type* types[] = {&the_mdev_type};

static struct device every_device;
static struct mdev_parent every_parent;

static int begin_driver(void) {
  the_mdev_driver.driver = the_device_driver;
  return mdev_register_driver(&the_mdev_driver);
}
static void end_driver(void) {
  mdev_unregister_driver(&the_mdev_driver);
}
static int begin_parent(void) {
  return mdev_register_parent(&every_parent, &every_device, &the_mdev_driver, types, ARRAY_SIZE(types));
}
static void end_parent(void) {
  mdev_unregister_parent(&every_parent);
}

/* Character devices: a driver's own are registered, and have no node in /dev. */
#pragma once

#include <linux/device.h>
#include <linux/fs.h>

UMDEV_C_BEGIN
struct cdev {
  struct module* owner;
  const struct file_operations* ops;
  dev_t dev;
  unsigned int count;
};
UMDEV_C_END

static inline void cdev_init(struct cdev* cdev, const struct file_operations* ops) {
  memset(cdev, 0, sizeof(*cdev));
  cdev->ops = ops;
}
static inline int cdev_add(struct cdev* cdev, dev_t dev, unsigned int count) {
  cdev->dev = dev, cdev->count = count;
  return 0;
}
static inline void cdev_del(struct cdev* cdev) {
  cdev->count = 0;
}

/* kobjects: of devices, and of the types that parents up to 6.0 are asked to create. */
#pragma once

#include <linux/kernel.h>

static inline const char* kobject_name(const struct kobject* object) {
  return object->name;
}

/* Attributes. */
#pragma once

#include <linux/idr.h>
#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/stat.h>

#define __ATTR(_name, _mode, _show, _store) \
  {.attr = {.name = #_name, .mode = (_mode)}, .show = _show, .store = _store}
#define __ATTR_RO(_name) __ATTR(_name, 0444, _name##_show, NULL)
#define __ATTR_WO(_name) __ATTR(_name, 0200, NULL, _name##_store)
#define __ATTR_RW(_name) __ATTR(_name, 0644, _name##_show, _name##_store)
#define ATTRIBUTE_GROUPS(_name)                                                 \
  static const struct attribute_group _name##_group = {.attrs = _name##_attrs}; \
  static const struct attribute_group* _name##_groups[] = {&_name##_group, NULL}

UMDEV_C_BEGIN
UMDEV_PRINTF(2, 3) static inline int sysfs_emit(char* buffer, const char* format, ...) {
  va_list arguments;
  int length;
  va_start(arguments, format);
  length = vsnprintf(buffer, 4096, format, arguments);
  va_end(arguments);
  return length < 4096 ? length : 4095;
}
UMDEV_PRINTF(3, 4) static inline int scnprintf(char* buffer, size_t size, const char* format, ...) {
  va_list arguments;
  int length;
  va_start(arguments, format);
  length = vsnprintf(buffer, size, format, arguments);
  va_end(arguments);
  return length < (int)size ? length : size ? (int)size - 1 : 0;
}
UMDEV_PRINTF(3, 4) static inline int sysfs_emit_at(char* buffer, int at, const char* format, ...) {
  va_list arguments;
  int length;
  va_start(arguments, format);
  length = vsnprintf(buffer + at, (size_t)(4096 - at), format, arguments);
  va_end(arguments);
  return length < 4096 - at ? length : 4095 - at;
}
UMDEV_C_END

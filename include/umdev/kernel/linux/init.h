/* Where a module begins and ends. */
#pragma once

#include <umdev/entry.h>

#define module_init(function) \
  UMDEV_C_BEGIN               \
  int init_module(void) {     \
    return function();        \
  }                           \
  UMDEV_C_END
#define module_exit(function) \
  UMDEV_C_BEGIN               \
  void cleanup_module(void) { \
    function();               \
  }                           \
  UMDEV_C_END

#define subsys_initcall(function) module_init(function)
#define late_initcall(function) module_init(function)
#define device_initcall(function) module_init(function)

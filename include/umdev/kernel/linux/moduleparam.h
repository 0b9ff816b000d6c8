/* Parameters of a module: set before module_init by --module-param. */
#pragma once

#include <umdev/entry.h>

/* The type is joined at once: `bool` is a macro in C. */
#define umdev_parameter_entry(_name, _value, _type, _room, _permissions)   \
  static const struct umdev_parameter UMDEV_UNIQUE(umdev_parameter_entry_) \
      __attribute__((used, section("umdev_parameters"), aligned(8))) = {   \
          _name, (void*)(_value), _type, (unsigned int)(_room), (_permissions)}
#define module_param_named(name, variable, type, permissions) \
  umdev_parameter_entry(#name, &(variable), umdev_parameter_##type, sizeof(variable), permissions)
#define module_param(name, type, permissions) \
  umdev_parameter_entry(#name, &(name), umdev_parameter_##type, sizeof(name), permissions)
#define module_param_string(name, string, length, permissions) \
  umdev_parameter_entry(#name, string, umdev_parameter_string, length, permissions)
#define MODULE_PARM_DESC(parameter, text) MODULE_INFO(parm, #parameter ":" text)

/*
 * What a compiled module gives to whoever loads it, and what it is given.
 *
 * A module is a shared object with one symbol, `umdev_module`. It has no undefined symbols of umdev's: when
 * it is loaded, the loader puts a table of services (services.h) into it, and its world (which tree, which
 * VFIO core) follows from the call that it is in. So it can be loaded by any program, without symbols
 * exported by that, and two worlds in one process have modules of their own.
 */
#pragma once

#include "objects.h"

UMDEV_C_BEGIN

struct umdev_services;

/* Changes when a module compiled before cannot be loaded any more. */
#define UMDEV_MODULE_ABI 1

enum umdev_parameter_type {
  umdev_parameter_bool,
  umdev_parameter_byte,
  umdev_parameter_short,
  umdev_parameter_ushort,
  umdev_parameter_int,
  umdev_parameter_uint,
  umdev_parameter_long,
  umdev_parameter_ulong,
  umdev_parameter_ullong,
  umdev_parameter_charp,
  umdev_parameter_string, /* a char array of `room` bytes */
};

/* module_param() and its like. */
struct umdev_parameter {
  const char* name;
  void* value;
  enum umdev_parameter_type type;
  unsigned int room;
  unsigned int permissions;
};

/* MODULE_LICENSE() and its like: tag "license" and so on; of "parm" the text is "name:meaning". */
struct umdev_module_note {
  const char* tag;
  const char* text;
};

struct module {
  const char* name;
  void* umdev;
};

struct umdev_module {
  umdev_u32 abi;           /* UMDEV_MODULE_ABI */
  umdev_u32 api;           /* the vintage, UMDEV_KERNEL_API */
  umdev_u32 services_size; /* of the table that it was compiled for */
  umdev_u32 reserved;
  const char* name;
  struct module* self;
  const struct umdev_services** services; /* the loader sets it before init */
  int (*init)(void);                      /* may be null */
  void (*exit)(void);                     /* null: it cannot be unloaded, as in the kernel */
  const struct umdev_parameter* parameters;
  const struct umdev_parameter* parameters_end;
  const struct umdev_module_note* notes;
  const struct umdev_module_note* notes_end;
};

#define UMDEV_MODULE_SYMBOL "umdev_module"

UMDEV_C_END

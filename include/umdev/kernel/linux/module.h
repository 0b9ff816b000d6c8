/* Modules. */
#pragma once

#include <linux/errno.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/stat.h>

#define MODULE_LICENSE(text) MODULE_INFO(license, text)
#define MODULE_AUTHOR(text) MODULE_INFO(author, text)
#define MODULE_DESCRIPTION(text) MODULE_INFO(description, text)
#define MODULE_VERSION(text) MODULE_INFO(version, text)
#define MODULE_ALIAS(text) MODULE_INFO(alias, text)
#define MODULE_SOFTDEP(text) MODULE_INFO(softdep, text)
#if UMDEV_KERNEL_API < UMDEV_KERNEL_VERSION(6, 13, 0)
#define MODULE_IMPORT_NS(space) MODULE_INFO(import_ns, #space)
#else
#define MODULE_IMPORT_NS(space) MODULE_INFO(import_ns, space)
#endif
#define MODULE_DEVICE_TABLE(type, table) UMDEV_DECLARATION

/* Who uses a module keeps it from being unloaded; the instances of its types do so themselves. */
static inline bool try_module_get(struct module* module) {
  (void)module;
  return true;
}
static inline void __module_get(struct module* module) {
  (void)module;
}
static inline void module_put(struct module* module) {
  (void)module;
}

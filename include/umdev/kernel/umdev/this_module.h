/* THIS_MODULE: an address that is constant in every file of one shared object, and is that object's own. */
#pragma once

#include <umdev/kernel.h>
#include <umdev/module.h>

#ifndef KBUILD_MODNAME
#define KBUILD_MODNAME "module"
#endif

UMDEV_C_BEGIN
struct module __this_module __attribute__((weak, visibility("hidden"))) = {KBUILD_MODNAME, NULL};
UMDEV_C_END

#define THIS_MODULE (&__this_module)

/* The vintage as the kernel's version. */
#pragma once

#include <umdev/base.h>

#define KERNEL_VERSION(major, minor, patch) UMDEV_KERNEL_VERSION(major, minor, patch)
#define LINUX_VERSION_CODE UMDEV_KERNEL_API

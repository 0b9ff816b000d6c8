/*
 * The ground that the kernel headers of umdev stand on: the vintage, the two languages, scalar types.
 *
 * They give a driver the kernel's names in user space: written afresh, of the facts of the kernel's interface
 * only. Compile with -I<here>/include/umdev/kernel -std=gnu11 (or C++), -fno-strict-aliasing,
 * -DKBUILD_MODNAME='"name"', and the vintage: -DUMDEV_KERNEL_API=0x060100.
 */
#pragma once

#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Which kernel's API: as the kernel's LINUX_VERSION_CODE. */
#define UMDEV_KERNEL_VERSION(major, minor, patch) (((major) << 16) + ((minor) << 8) + (patch))
#define UMDEV_KERNEL_4_10 0x040a00
/* The form between two releases, of the series that brought vfio_init_group_dev() into 5.13. */
#define UMDEV_KERNEL_5_13_RC 0x050cff
#define UMDEV_KERNEL_5_13 0x050d00
#define UMDEV_KERNEL_5_16 0x051000
#define UMDEV_KERNEL_6_1 0x060100
#define UMDEV_KERNEL_6_12 0x060c00
#define UMDEV_KERNEL_7_0 0x070000
#ifndef UMDEV_KERNEL_API
#define UMDEV_KERNEL_API UMDEV_KERNEL_7_0
#endif

#ifdef __cplusplus
#define UMDEV_C_BEGIN extern "C" {
#define UMDEV_C_END }
/* What is a keyword in C++. */
#define UMDEV_CLASS class_
#else
#define UMDEV_C_BEGIN
#define UMDEV_C_END
#define UMDEV_CLASS class
#endif

#define UMDEV_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))

UMDEV_C_BEGIN

/* As the kernel has them: 64 bits are long long, whatever the C library thinks. */
typedef unsigned char umdev_u8;
typedef unsigned short umdev_u16;
typedef unsigned int umdev_u32;
typedef unsigned long long umdev_u64;
typedef long long umdev_loff_t;
typedef unsigned short umdev_umode_t;

UMDEV_C_END

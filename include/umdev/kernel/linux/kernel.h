/* The kernel's everyday macros. */
#pragma once

#include <linux/bug.h>
#include <linux/err.h>
#include <linux/kstrtox.h>
#include <linux/limits.h>
#include <linux/log2.h>
#include <linux/overflow.h>
#include <linux/printk.h>
#include <linux/string.h>
#include <linux/types.h>

#define container_of(pointer, type, member) ((type*)(void*)((char*)(pointer) - offsetof(type, member)))
#ifndef offsetofend
#define offsetofend(type, member) (offsetof(type, member) + sizeof(((type*)0)->member))
#endif
#define sizeof_field(type, member) sizeof(((type*)0)->member)
#define FIELD_SIZEOF(type, member) sizeof_field(type, member)
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define umdev_align_mask(value, mask) (((value) + (mask)) & ~(mask))
#define ALIGN(value, alignment) umdev_align_mask(value, (__typeof__(value))(alignment) - 1)
#define ALIGN_DOWN(value, alignment) ((value) & ~((__typeof__(value))(alignment) - 1))
#define IS_ALIGNED(value, alignment) (((value) & ((__typeof__(value))(alignment) - 1)) == 0)
#define DIV_ROUND_UP(dividend, divisor) (((dividend) + (divisor) - 1) / (divisor))
#define roundup(value, step) ((((value) + ((step) - 1)) / (step)) * (step))
#define rounddown(value, step) ((value) - ((value) % (step)))
#define round_up(value, step) ((((value) - 1) | ((__typeof__(value))((step) - 1))) + 1)
#define round_down(value, step) ((value) & ~((__typeof__(value))((step) - 1)))

#ifndef __cplusplus
#define min(left, right)                                 \
  ({                                                     \
    __typeof__(left) umdev_left = (left);                \
    __typeof__(right) umdev_right = (right);             \
    umdev_left < umdev_right ? umdev_left : umdev_right; \
  })
#define max(left, right)                                 \
  ({                                                     \
    __typeof__(left) umdev_left = (left);                \
    __typeof__(right) umdev_right = (right);             \
    umdev_left > umdev_right ? umdev_left : umdev_right; \
  })
#define swap(left, right)                 \
  do {                                    \
    __typeof__(left) umdev_left = (left); \
    (left) = (right);                     \
    (right) = umdev_left;                 \
  } while (0)
#define clamp(value, low, high) min(max(value, low), high)
#endif
#define min_t(type, left, right) ((type)(left) < (type)(right) ? (type)(left) : (type)(right))
#define max_t(type, left, right) ((type)(left) > (type)(right) ? (type)(left) : (type)(right))
#define clamp_t(type, value, low, high) min_t(type, max_t(type, value, low), high)

#define upper_32_bits(value) ((u32)(((u64)(value)) >> 32))
#define lower_32_bits(value) ((u32)((value) & 0xffffffffU))

#define might_sleep() \
  do {                \
  } while (0)

/* The kernel's everyday macros. */
#pragma once

#include <asm/byteorder.h>
#include <linux/bits.h>
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
/* Constant where the pointer is to something constant. */
#ifdef __cplusplus
#define container_of_const(pointer, type, member) container_of(pointer, type, member)
#else
#define container_of_const(pointer, type, member)                                              \
  _Generic((pointer),                                                                          \
      const __typeof__(((type*)0)->member)*: (const type*)container_of(pointer, type, member), \
      default: container_of(pointer, type, member))
#endif
#define typeof_member(type, member) __typeof__(((type*)0)->member)
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
#define clamp_val(value, low, high) clamp_t(__typeof__(value), value, low, high)
#define min3(first, second, third) min(min(first, second), third)
#define max3(first, second, third) max(max(first, second), third)
#define min_not_zero(left, right)                                                               \
  ({                                                                                            \
    __typeof__(left) umdev_first = (left);                                                      \
    __typeof__(right) umdev_second = (right);                                                   \
    !umdev_first ? umdev_second : !umdev_second ? umdev_first : min(umdev_first, umdev_second); \
  })
#endif
#define min_t(type, left, right) ((type)(left) < (type)(right) ? (type)(left) : (type)(right))
#define max_t(type, left, right) ((type)(left) > (type)(right) ? (type)(left) : (type)(right))
#define clamp_t(type, value, low, high) min_t(type, max_t(type, value, low), high)

#define DIV_ROUND_CLOSEST(dividend, divisor) (((dividend) + (divisor) / 2) / (divisor))
#define DIV_ROUND_UP_ULL(dividend, divisor) DIV_ROUND_UP((unsigned long long)(dividend), divisor)
#define DIV_ROUND_DOWN_ULL(dividend, divisor) ((unsigned long long)(dividend) / (divisor))
#define PTR_ALIGN(pointer, alignment) ((__typeof__(pointer))ALIGN((unsigned long)(pointer), alignment))

#define upper_16_bits(value) ((u16)((value) >> 16))
#define lower_16_bits(value) ((u16)((value) & 0xffff))
#define upper_32_bits(value) ((u32)(((u64)(value)) >> 32))
#define lower_32_bits(value) ((u32)((value) & 0xffffffffU))

#define might_sleep() \
  do {                \
  } while (0)

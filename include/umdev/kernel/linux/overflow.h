/* Arithmetic that says when it went wrong. */
#pragma once

#include <linux/types.h>

#define check_add_overflow(left, right, sum) __builtin_add_overflow(left, right, sum)
#define check_sub_overflow(left, right, difference) __builtin_sub_overflow(left, right, difference)
#define check_mul_overflow(left, right, product) __builtin_mul_overflow(left, right, product)

static inline size_t array_size(size_t count, size_t size) {
  size_t bytes;
  return __builtin_mul_overflow(count, size, &bytes) ? SIZE_MAX : bytes;
}
static inline size_t size_add(size_t left, size_t right) {
  size_t sum;
  return __builtin_add_overflow(left, right, &sum) ? SIZE_MAX : sum;
}
#define struct_size(pointer, member, count) \
  size_add(sizeof(*(pointer)), array_size(count, sizeof(*(pointer)->member)))

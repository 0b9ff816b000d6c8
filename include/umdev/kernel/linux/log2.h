/* Powers of two. */
#pragma once

#include <linux/types.h>

static inline bool is_power_of_2(unsigned long value) {
  return value != 0 && (value & (value - 1)) == 0;
}
static inline int ilog2(u64 value) {
  return value ? 63 - __builtin_clzll(value) : -1;
}
static inline unsigned long roundup_pow_of_two(unsigned long value) {
  return value <= 1 ? 1 : 1UL << (64 - __builtin_clzl(value - 1));
}
static inline unsigned long rounddown_pow_of_two(unsigned long value) {
  return 1UL << ilog2(value);
}
static inline int fls(unsigned int value) {
  return value ? 32 - __builtin_clz(value) : 0;
}
static inline int fls64(u64 value) {
  return value ? 64 - __builtin_clzll(value) : 0;
}
static inline unsigned long __ffs(unsigned long value) {
  return (unsigned long)__builtin_ctzl(value);
}

/* Numbers at any address. */
#pragma once

#include <asm/byteorder.h>
#include <string.h>

#define UMDEV_UNALIGNED(order, bits)                                              \
  static inline u##bits get_unaligned_##order##bits(const void* place) {          \
    u##bits value;                                                                \
    memcpy(&value, place, sizeof(value));                                         \
    return order##bits##_to_cpu((__##order##bits)value);                          \
  }                                                                               \
  static inline void put_unaligned_##order##bits(u##bits value, void* place) {    \
    const __##order##bits ordered = (__##order##bits)cpu_to_##order##bits(value); \
    memcpy(place, &ordered, sizeof(ordered));                                     \
  }
UMDEV_UNALIGNED(le, 16)
UMDEV_UNALIGNED(le, 32)
UMDEV_UNALIGNED(le, 64)
UMDEV_UNALIGNED(be, 16)
UMDEV_UNALIGNED(be, 32)
UMDEV_UNALIGNED(be, 64)
#undef UMDEV_UNALIGNED

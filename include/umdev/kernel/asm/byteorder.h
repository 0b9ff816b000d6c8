/* The order of bytes, by the names that the user API does not have. */
#pragma once

#include_next <asm/byteorder.h>
#include <linux/types.h>

#define cpu_to_le16(value) __cpu_to_le16(value)
#define cpu_to_le32(value) __cpu_to_le32(value)
#define cpu_to_le64(value) __cpu_to_le64(value)
#define le16_to_cpu(value) __le16_to_cpu(value)
#define le32_to_cpu(value) __le32_to_cpu(value)
#define le64_to_cpu(value) __le64_to_cpu(value)
#define cpu_to_be16(value) __cpu_to_be16(value)
#define cpu_to_be32(value) __cpu_to_be32(value)
#define cpu_to_be64(value) __cpu_to_be64(value)
#define be16_to_cpu(value) __be16_to_cpu(value)
#define be32_to_cpu(value) __be32_to_cpu(value)
#define be64_to_cpu(value) __be64_to_cpu(value)
#define le16_to_cpup(place) __le16_to_cpup(place)
#define le32_to_cpup(place) __le32_to_cpup(place)
#define le64_to_cpup(place) __le64_to_cpup(place)
#define swab16(value) __builtin_bswap16(value)
#define swab32(value) __builtin_bswap32(value)
#define swab64(value) __builtin_bswap64(value)

#define UMDEV_ADD_TO_LE(bits)                                               \
  static inline void le##bits##_add_cpu(__le##bits* place, u##bits value) { \
    *place = cpu_to_le##bits((u##bits)(le##bits##_to_cpu(*place) + value)); \
  }
UMDEV_ADD_TO_LE(16)
UMDEV_ADD_TO_LE(32)
UMDEV_ADD_TO_LE(64)
#undef UMDEV_ADD_TO_LE

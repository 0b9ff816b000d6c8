/* Fields of registers, by their masks. */
#pragma once

#include <linux/bits.h>

#define umdev_shift_of(mask) (__builtin_ffsll((long long)(mask)) - 1)
#define FIELD_MAX(mask) ((__typeof__(mask))((mask) >> umdev_shift_of(mask)))
#define FIELD_FIT(mask, value) \
  (!((((__typeof__(mask))(value)) << umdev_shift_of(mask)) & ~(mask)) && (u64)(value) <= FIELD_MAX(mask))
#define FIELD_PREP(mask, value) (((__typeof__(mask))(value) << umdev_shift_of(mask)) & (mask))
#define FIELD_GET(mask, word) ((__typeof__(mask))(((word) & (mask)) >> umdev_shift_of(mask)))

/* Arrays of bits. What lies behind the last bit in its word is nobody's. */
#pragma once

#include <linux/bitops.h>
#include <linux/slab.h>
#include <linux/string.h>

#define BITS_TO_LONGS(bits) (((bits) + BITS_PER_LONG - 1) / BITS_PER_LONG)
#define DECLARE_BITMAP(name, bits) unsigned long name[BITS_TO_LONGS(bits)]

static inline void bitmap_zero(unsigned long* bitmap, unsigned int bits) {
  memset(bitmap, 0, BITS_TO_LONGS(bits) * sizeof(*bitmap));
}
static inline void bitmap_fill(unsigned long* bitmap, unsigned int bits) {
  memset(bitmap, 0xff, BITS_TO_LONGS(bits) * sizeof(*bitmap));
}
static inline void bitmap_copy(unsigned long* to, const unsigned long* from, unsigned int bits) {
  memcpy(to, from, BITS_TO_LONGS(bits) * sizeof(*to));
}
static inline void bitmap_set(unsigned long* bitmap, unsigned int from, unsigned int count) {
  for (; count > 0; --count, ++from) __set_bit(from, bitmap);
}
static inline void bitmap_clear(unsigned long* bitmap, unsigned int from, unsigned int count) {
  for (; count > 0; --count, ++from) __clear_bit(from, bitmap);
}
static inline bool bitmap_empty(const unsigned long* bitmap, unsigned int bits) {
  return find_first_bit(bitmap, bits) == bits;
}
static inline bool bitmap_full(const unsigned long* bitmap, unsigned int bits) {
  return find_first_zero_bit(bitmap, bits) == bits;
}
static inline unsigned int bitmap_weight(const unsigned long* bitmap, unsigned int bits) {
  unsigned long bit;
  unsigned int weight = 0;
  for_each_set_bit(bit, bitmap, bits)++ weight;
  return weight;
}
static inline unsigned long* bitmap_zalloc(unsigned int bits, gfp_t flags) {
  return (unsigned long*)kcalloc(BITS_TO_LONGS(bits), sizeof(unsigned long), flags);
}
static inline void bitmap_free(const unsigned long* bitmap) {
  kfree(bitmap);
}

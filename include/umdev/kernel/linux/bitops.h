/* Single bits of arrays of words; those without underscores are atomic. */
#pragma once

#include <linux/bits.h>
#include <linux/log2.h>
#include <strings.h>

static inline void __set_bit(unsigned long number, volatile unsigned long* words) {
  words[BIT_WORD(number)] = words[BIT_WORD(number)] | BIT_MASK(number);
}
static inline void __clear_bit(unsigned long number, volatile unsigned long* words) {
  words[BIT_WORD(number)] = words[BIT_WORD(number)] & ~BIT_MASK(number);
}
static inline bool test_bit(unsigned long number, const volatile unsigned long* words) {
  return (__atomic_load_n(&words[BIT_WORD(number)], __ATOMIC_RELAXED) & BIT_MASK(number)) != 0;
}
static inline bool test_and_set_bit(unsigned long number, volatile unsigned long* words) {
  return (__atomic_fetch_or(&words[BIT_WORD(number)], BIT_MASK(number), __ATOMIC_SEQ_CST) &
          BIT_MASK(number)) != 0;
}
static inline bool test_and_clear_bit(unsigned long number, volatile unsigned long* words) {
  return (__atomic_fetch_and(&words[BIT_WORD(number)], ~BIT_MASK(number), __ATOMIC_SEQ_CST) &
          BIT_MASK(number)) != 0;
}
static inline void set_bit(unsigned long number, volatile unsigned long* words) {
  (void)test_and_set_bit(number, words);
}
static inline void clear_bit(unsigned long number, volatile unsigned long* words) {
  (void)test_and_clear_bit(number, words);
}

#define hweight8(word) ((unsigned int)__builtin_popcount((u8)(word)))
#define hweight16(word) ((unsigned int)__builtin_popcount((u16)(word)))
#define hweight32(word) ((unsigned int)__builtin_popcount((u32)(word)))
#define hweight64(word) ((unsigned int)__builtin_popcountll((u64)(word)))
#define hweight_long(word) ((unsigned int)__builtin_popcountl((unsigned long)(word)))

/* The first at `from` or behind it that is (un)set; `size` when there is none. */
static inline unsigned long umdev_find_bit(const unsigned long* words, unsigned long size, unsigned long from,
                                           unsigned long inverted) {
  while (from < size) {
    const unsigned long word = (words[BIT_WORD(from)] ^ inverted) & (~0UL << (from % BITS_PER_LONG));
    const unsigned long begin = from - from % BITS_PER_LONG;
    if (word) {
      const unsigned long found = begin + __ffs(word);
      return found < size ? found : size;
    }
    from = begin + BITS_PER_LONG;
  }
  return size;
}
static inline unsigned long find_next_bit(const unsigned long* words, unsigned long size,
                                          unsigned long from) {
  return umdev_find_bit(words, size, from, 0);
}
static inline unsigned long find_next_zero_bit(const unsigned long* words, unsigned long size,
                                               unsigned long from) {
  return umdev_find_bit(words, size, from, ~0UL);
}
#define find_first_bit(words, size) find_next_bit(words, size, 0)
#define find_first_zero_bit(words, size) find_next_zero_bit(words, size, 0)

#define for_each_set_bit(number, words, size)                     \
  for ((number) = find_first_bit(words, size); (number) < (size); \
       (number) = find_next_bit(words, size, (number) + 1))
#define for_each_clear_bit(number, words, size)                        \
  for ((number) = find_first_zero_bit(words, size); (number) < (size); \
       (number) = find_next_zero_bit(words, size, (number) + 1))

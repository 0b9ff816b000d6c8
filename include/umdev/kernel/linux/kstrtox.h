/* Numbers from text, as a store() of an attribute reads them: the whole text is the number, but for a newline
 * at its end. -EINVAL no number, -ERANGE one that does not fit. */
#pragma once

#include <linux/errno.h>
#include <linux/types.h>

static inline int umdev_digit_of(char letter) {
  if (letter >= '0' && letter <= '9') return letter - '0';
  if (letter >= 'a' && letter <= 'z') return letter - 'a' + 10;
  if (letter >= 'A' && letter <= 'Z') return letter - 'A' + 10;
  return 99;
}

/* `base` 0: 0x is hexadecimal, a leading 0 octal. */
static inline int kstrtoull(const char* text, unsigned int base, unsigned long long* result) {
  unsigned long long value = 0;
  const char* at = text + (*text == '+');
  const bool has_prefix = at[0] == '0' && (at[1] == 'x' || at[1] == 'X');
  if (base == 0) base = has_prefix ? 16 : at[0] == '0' ? 8 : 10;
  if (base == 16 && has_prefix) at += 2;
  if ((unsigned int)umdev_digit_of(*at) >= base) return -EINVAL;
  for (; (unsigned int)umdev_digit_of(*at) < base; ++at) {
    if (__builtin_mul_overflow(value, (unsigned long long)base, &value)) return -ERANGE;
    if (__builtin_add_overflow(value, (unsigned long long)umdev_digit_of(*at), &value)) return -ERANGE;
  }
  if (*at == '\n') ++at;
  if (*at) return -EINVAL;
  *result = value;
  return 0;
}

static inline int kstrtoll(const char* text, unsigned int base, long long* result) {
  unsigned long long size;
  const bool negative = *text == '-';
  int error;
  if (negative && text[1] == '+') return -EINVAL;
  error = kstrtoull(text + negative, base, &size);
  if (error) return error;
  if (size > (unsigned long long)__LONG_LONG_MAX__ + negative) return -ERANGE;
  *result = (long long)(negative ? 0 - size : size);
  return 0;
}

#define UMDEV_KSTRTO(name, type, wide, parse)                                 \
  static inline int name(const char* text, unsigned int base, type* result) { \
    wide value;                                                               \
    const int error = parse(text, base, &value);                              \
    if (error) return error;                                                  \
    if ((wide)(type)value != value) return -ERANGE;                           \
    *result = (type)value;                                                    \
    return 0;                                                                 \
  }
UMDEV_KSTRTO(kstrtoul, unsigned long, unsigned long long, kstrtoull)
UMDEV_KSTRTO(kstrtouint, unsigned int, unsigned long long, kstrtoull)
UMDEV_KSTRTO(kstrtou64, u64, unsigned long long, kstrtoull)
UMDEV_KSTRTO(kstrtou32, u32, unsigned long long, kstrtoull)
UMDEV_KSTRTO(kstrtou16, u16, unsigned long long, kstrtoull)
UMDEV_KSTRTO(kstrtou8, u8, unsigned long long, kstrtoull)
UMDEV_KSTRTO(kstrtol, long, long long, kstrtoll)
UMDEV_KSTRTO(kstrtoint, int, long long, kstrtoll)
UMDEV_KSTRTO(kstrtos64, s64, long long, kstrtoll)
UMDEV_KSTRTO(kstrtos32, s32, long long, kstrtoll)
UMDEV_KSTRTO(kstrtos16, s16, long long, kstrtoll)
UMDEV_KSTRTO(kstrtos8, s8, long long, kstrtoll)
#undef UMDEV_KSTRTO

/* y, Y, t, T, 1, on; n, N, f, F, 0, off. */
static inline int kstrtobool(const char* text, bool* result) {
  switch (*text) {
    case 'y':
    case 'Y':
    case 't':
    case 'T':
    case '1':
      *result = true;
      return 0;
    case 'n':
    case 'N':
    case 'f':
    case 'F':
    case '0':
      *result = false;
      return 0;
    case 'o':
    case 'O':
      if (text[1] != 'n' && text[1] != 'N' && text[1] != 'f' && text[1] != 'F') return -EINVAL;
      *result = text[1] == 'n' || text[1] == 'N';
      return 0;
    default:
      return -EINVAL;
  }
}

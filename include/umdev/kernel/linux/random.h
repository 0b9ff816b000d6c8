/* Numbers that nobody can guess. */
#pragma once

#include <linux/types.h>
#include <sys/random.h>

static inline void get_random_bytes(void* bytes, size_t size) {
  char* at = (char*)bytes;
  while (size > 0) {
    const ssize_t given = getrandom(at, size, 0);
    if (given <= 0) continue; /* a signal */
    at += given;
    size -= (size_t)given;
  }
}
static inline u32 get_random_u32(void) {
  u32 value;
  get_random_bytes(&value, sizeof(value));
  return value;
}
static inline u64 get_random_u64(void) {
  u64 value;
  get_random_bytes(&value, sizeof(value));
  return value;
}

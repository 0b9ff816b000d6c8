/* Strings: the C library's, and the kernel's own. */
#pragma once

#include <linux/slab.h>
#include <linux/types.h>
#include <string.h>

#define strscpy(to, from, size) umdev_strscpy(to, from, size)

static inline ssize_t umdev_strscpy(char* to, const char* from, size_t size) {
  size_t length = strnlen(from, size);
  if (size == 0) return -7; /* E2BIG */
  if (length == size) --length, to[length] = 0;
  memcpy(to, from, length);
  to[length] = 0;
  return from[length] ? -7 : (ssize_t)length;
}
static inline bool sysfs_streq(const char* left, const char* right) {
  while (*left && *left == *right) ++left, ++right;
  if (*left == *right) return true;
  if (!*left && *right == '\n' && !right[1]) return true;
  return *left == '\n' && !left[1] && !*right;
}
static inline void* kmemdup(const void* from, size_t size, gfp_t flags) {
  void* copy = kmalloc(size, flags);
  if (copy) memcpy(copy, from, size);
  return copy;
}
static inline char* kstrdup(const char* from, gfp_t flags) {
  return from ? (char*)kmemdup(from, strlen(from) + 1, flags) : NULL;
}

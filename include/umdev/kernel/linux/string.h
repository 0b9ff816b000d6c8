/* Strings: the C library's, and the kernel's own. */
#pragma once

#include <linux/slab.h>
#include <linux/types.h>
#include <stdio.h>
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
static inline char* kstrndup(const char* from, size_t most, gfp_t flags) {
  const size_t length = from ? strnlen(from, most) : 0;
  char* copy = from ? (char*)kmalloc(length + 1, flags) : NULL;
  if (!copy) return NULL;
  memcpy(copy, from, length);
  copy[length] = 0;
  return copy;
}
/* `size` bytes of no text, as a text. */
static inline char* kmemdup_nul(const char* from, size_t size, gfp_t flags) {
  char* copy = from ? (char*)kmalloc(size + 1, flags) : NULL;
  if (!copy) return NULL;
  memcpy(copy, from, size);
  copy[size] = 0;
  return copy;
}
/* The caller frees the text; NULL: there is no memory. */
UMDEV_PRINTF(2, 0) static inline char* kvasprintf(gfp_t flags, const char* format, va_list arguments) {
  va_list again;
  char* text;
  int length;
  va_copy(again, arguments);
  length = vsnprintf(NULL, 0, format, arguments);
  text = length < 0 ? NULL : (char*)kmalloc((size_t)length + 1, flags);
  if (text) vsnprintf(text, (size_t)length + 1, format, again);
  va_end(again);
  return text;
}
UMDEV_PRINTF(2, 3) static inline char* kasprintf(gfp_t flags, const char* format, ...) {
  va_list arguments;
  char* text;
  va_start(arguments, format);
  text = kvasprintf(flags, format, arguments);
  va_end(arguments);
  return text;
}
static inline char* skip_spaces(const char* text) {
  while (*text == ' ' || (*text >= '\t' && *text <= '\r')) ++text;
  return (char*)text;
}
/* Without the spaces around it: they are cut off at the end, skipped at the begin. */
static inline char* strim(char* text) {
  size_t length = strlen(text);
  while (length > 0 && *skip_spaces(text + length - 1) == 0) text[--length] = 0;
  return skip_spaces(text);
}
static inline int match_string(const char* const* texts, size_t count, const char* text) {
  size_t n;
  for (n = 0; n < count && texts[n]; ++n)
    if (!strcmp(texts[n], text)) return (int)n;
  return -22; /* EINVAL */
}
static inline void memzero_explicit(void* memory, size_t size) {
  memset(memory, 0, size);
  __asm__ __volatile__("" : : "r"(memory) : "memory");
}

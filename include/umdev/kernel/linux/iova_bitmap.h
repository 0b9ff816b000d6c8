/* Bitmaps of what a device has written: log_read_and_clear is given one to set bits in (since 6.1). */
#pragma once

#include <linux/err.h>
#include <linux/errno.h>
#include <linux/slab.h>
#include <linux/types.h>
#include <linux/uaccess.h>
#include <umdev/ranges.h>

#if UMDEV_KERNEL_API >= UMDEV_KERNEL_6_1

typedef int (*iova_bitmap_fn_t)(struct iova_bitmap* bitmap, unsigned long iova, size_t length, void* opaque);

/* The pages that [iova, iova + length) touches; what lies outside of the bitmap is ignored. */
static inline void iova_bitmap_set(struct iova_bitmap* bitmap, unsigned long iova, size_t length) {
  const unsigned long end = bitmap->iova + (bitmap->length - 1);
  unsigned long last = iova + (length - 1), page;
  if (!length || last < iova || last < bitmap->iova || iova > end) return;
  if (iova < bitmap->iova) iova = bitmap->iova;
  if (last > end) last = end;
  last = (last - bitmap->iova) / bitmap->page_size;
  for (page = (iova - bitmap->iova) / bitmap->page_size; page <= last; ++page)
    bitmap->bits[page / 64] |= 1ULL << (page % 64);
}

static inline size_t umdev_iova_bitmap_bytes(const struct iova_bitmap* bitmap) {
  return DIV_ROUND_UP(DIV_ROUND_UP(bitmap->length, bitmap->page_size), 64) * sizeof(u64);
}
/* Over bits of the user's; -ENOMEM, -EINVAL as pointers. */
static inline struct iova_bitmap* iova_bitmap_alloc(unsigned long iova, size_t length,
                                                    unsigned long page_size, u64 __user* data) {
  struct iova_bitmap* bitmap;
  if (!length || !page_size) return (struct iova_bitmap*)ERR_PTR(-EINVAL);
  bitmap = (struct iova_bitmap*)kzalloc(sizeof(*bitmap), GFP_KERNEL);
  if (!bitmap) return (struct iova_bitmap*)ERR_PTR(-ENOMEM);
  bitmap->iova = iova;
  bitmap->length = length;
  bitmap->page_size = page_size;
  bitmap->data = data;
  bitmap->bits = (u64*)kzalloc(umdev_iova_bitmap_bytes(bitmap), GFP_KERNEL);
  if (bitmap->bits) return bitmap;
  kfree(bitmap);
  return (struct iova_bitmap*)ERR_PTR(-ENOMEM);
}
static inline void iova_bitmap_free(struct iova_bitmap* bitmap) {
  kfree(bitmap->bits);
  kfree(bitmap);
}
/* Calls `fn` for the whole of it, and gives the user the bits; the error of `fn`, or -EFAULT. */
static inline int iova_bitmap_for_each(struct iova_bitmap* bitmap, void* opaque, iova_bitmap_fn_t fn) {
  const size_t size = umdev_iova_bitmap_bytes(bitmap);
  int result;
  if (copy_from_user(bitmap->bits, bitmap->data, size)) return -EFAULT;
  result = fn(bitmap, bitmap->iova, bitmap->length, opaque);
  if (result) return result;
  return copy_to_user(bitmap->data, bitmap->bits, size) ? -EFAULT : 0;
}

#endif

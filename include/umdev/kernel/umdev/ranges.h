/*
 * Ranges of IOVA, and bitmaps of what was written in them, as the callbacks of a device's log are given them.
 * Trees of the kernel's kind: their nodes are members of what they order.
 */
#pragma once

#include "base.h"

UMDEV_C_BEGIN

struct rb_node {
  struct rb_node* umdev_parent;
  struct rb_node* rb_right;
  struct rb_node* rb_left;
};
struct rb_root {
  struct rb_node* rb_node;
};
struct rb_root_cached {
  struct rb_root rb_root;
  struct rb_node* rb_leftmost;
};

/* [start, last]. */
struct interval_tree_node {
  struct rb_node rb;
  unsigned long start;
  unsigned long last;
  unsigned long __subtree_last;
};

/* One bit for each `page_size` of bytes from `iova` on. */
struct iova_bitmap {
  unsigned long iova;
  size_t length;
  unsigned long page_size;
  umdev_u64* bits;
  umdev_u64* data; /* the user's, of one that iova_bitmap_alloc() has made */
};

UMDEV_C_END

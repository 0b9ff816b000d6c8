/* Trees of intervals [start, last], by their start. Who asks for those in a range is given them one after the
 * other, which for the few hundred that there are of a device costs little. */
#pragma once

#include <linux/rbtree.h>

/* With the first at hand since 4.14. */
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(4, 14, 0)
#define umdev_interval_root rb_root_cached
#define umdev_interval_first(root) rb_first_cached(root)
#define umdev_interval_top(root) (&(root)->rb_root)
#else
#define umdev_interval_root rb_root
#define umdev_interval_first(root) rb_first(root)
#define umdev_interval_top(root) (root)
#endif

static inline void interval_tree_insert(struct interval_tree_node* node, struct umdev_interval_root* root) {
  struct rb_node **link = &umdev_interval_top(root)->rb_node, *parent = NULL;
  bool leftmost = true;
  while (*link) {
    parent = *link;
    if (node->start < rb_entry(parent, struct interval_tree_node, rb)->start) {
      link = &parent->rb_left;
    } else {
      link = &parent->rb_right;
      leftmost = false;
    }
  }
  rb_link_node(&node->rb, parent, link);
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(4, 14, 0)
  rb_insert_color_cached(&node->rb, root, leftmost);
#else
  (void)leftmost;
  rb_insert_color(&node->rb, root);
#endif
}
static inline void interval_tree_remove(struct interval_tree_node* node, struct umdev_interval_root* root) {
#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(4, 14, 0)
  rb_erase_cached(&node->rb, root);
#else
  rb_erase(&node->rb, root);
#endif
}

static inline struct interval_tree_node* umdev_interval_from(struct rb_node* at, unsigned long start,
                                                             unsigned long last) {
  for (; at; at = rb_next(at)) {
    struct interval_tree_node* node = rb_entry(at, struct interval_tree_node, rb);
    if (node->start > last) return NULL;
    if (node->last >= start) return node;
  }
  return NULL;
}
static inline struct interval_tree_node* interval_tree_iter_first(struct umdev_interval_root* root,
                                                                  unsigned long start, unsigned long last) {
  return umdev_interval_from(umdev_interval_first(root), start, last);
}
static inline struct interval_tree_node* interval_tree_iter_next(struct interval_tree_node* node,
                                                                 unsigned long start, unsigned long last) {
  return umdev_interval_from(rb_next(&node->rb), start, last);
}

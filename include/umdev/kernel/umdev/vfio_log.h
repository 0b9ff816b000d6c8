/* What a device's log is made with: the ranges that its user wants logged. */
#pragma once

#include <linux/interval_tree.h>
#include <linux/iova_bitmap.h>

#if UMDEV_KERNEL_API >= UMDEV_KERNEL_VERSION(6, 6, 0)
/* Makes at most `req_nodes` of `cur_nodes` ranges, for hardware that has no more: those with the smallest
 * gaps between them become one. What is left out of the tree stays its owner's. */
static inline void vfio_combine_iova_ranges(struct rb_root_cached* root, u32 cur_nodes, u32 req_nodes) {
  struct interval_tree_node *node, *next, *before, *after;
  unsigned long gap, least;
  for (; cur_nodes > req_nodes && cur_nodes > 1; --cur_nodes) {
    before = after = NULL;
    least = ULONG_MAX;
    for (node = interval_tree_iter_first(root, 0, ULONG_MAX); node; node = next) {
      next = interval_tree_iter_next(node, 0, ULONG_MAX);
      gap = next ? next->start - node->last : 0;
      if (!next || gap > least) continue;
      least = gap;
      before = node;
      after = next;
    }
    if (!after) return;
    before->last = after->last;
    interval_tree_remove(after, root);
  }
}
#endif

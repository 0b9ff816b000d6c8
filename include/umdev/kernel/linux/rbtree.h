/* Sorted trees: whoever inserts finds the place, links, and has the tree balanced.
 *
 * Balanced not by colours but by chance, which needs no place in a node: each has a weight that follows from
 * its address, and none is below a lighter one. Paths are logarithmic on average. */
#pragma once

#include <linux/kernel.h>
#include <umdev/ranges.h>

#ifdef __cplusplus
#define RB_ROOT (rb_root{})
#define RB_ROOT_CACHED (rb_root_cached{})
#else
#define RB_ROOT ((struct rb_root){NULL})
#define RB_ROOT_CACHED ((struct rb_root_cached){{NULL}, NULL})
#endif
#define RB_EMPTY_ROOT(root) ((root)->rb_node == NULL)
/* One that is in no tree is its own parent. */
#define RB_EMPTY_NODE(node) ((node)->umdev_parent == (node))
#define RB_CLEAR_NODE(node) ((node)->umdev_parent = (node))
#define rb_parent(node) ((node)->umdev_parent)
#define rb_entry(pointer, type, member) container_of(pointer, type, member)
#define rb_entry_safe(pointer, type, member)                \
  ({                                                        \
    __typeof__(pointer) umdev_node = (pointer);             \
    umdev_node ? rb_entry(umdev_node, type, member) : NULL; \
  })

static inline u64 umdev_rb_weight(const struct rb_node* node) {
  u64 mixed = (u64)(uintptr_t)node;
  mixed = (mixed ^ (mixed >> 31)) * 0x9e3779b97f4a7c15ULL;
  mixed = (mixed ^ (mixed >> 29)) * 0xd1b54a32d192ed03ULL;
  return mixed ^ (mixed >> 32);
}
/* `to`, which may be NULL, in the place of `from`. */
static inline void umdev_rb_put(struct rb_root* root, struct rb_node* parent, struct rb_node* from,
                                struct rb_node* to) {
  if (!parent)
    root->rb_node = to;
  else if (parent->rb_left == from)
    parent->rb_left = to;
  else
    parent->rb_right = to;
  if (to) to->umdev_parent = parent;
}
/* A node and its parent change places. */
static inline void umdev_rb_lift(struct rb_root* root, struct rb_node* node) {
  struct rb_node *parent = node->umdev_parent, *between;
  umdev_rb_put(root, parent->umdev_parent, parent, node);
  if (parent->rb_left == node) {
    between = node->rb_right;
    parent->rb_left = between;
    node->rb_right = parent;
  } else {
    between = node->rb_left;
    parent->rb_right = between;
    node->rb_left = parent;
  }
  parent->umdev_parent = node;
  if (between) between->umdev_parent = parent;
}

static inline void rb_link_node(struct rb_node* node, struct rb_node* parent, struct rb_node** link) {
  node->umdev_parent = parent;
  node->rb_left = node->rb_right = NULL;
  *link = node;
}
static inline void rb_insert_color(struct rb_node* node, struct rb_root* root) {
  while (node->umdev_parent && umdev_rb_weight(node) > umdev_rb_weight(node->umdev_parent))
    umdev_rb_lift(root, node);
}
static inline void rb_erase(struct rb_node* node, struct rb_root* root) {
  while (node->rb_left && node->rb_right)
    umdev_rb_lift(root, umdev_rb_weight(node->rb_left) > umdev_rb_weight(node->rb_right) ? node->rb_left
                                                                                         : node->rb_right);
  umdev_rb_put(root, node->umdev_parent, node, node->rb_left ? node->rb_left : node->rb_right);
}
static inline void rb_replace_node(struct rb_node* victim, struct rb_node* node, struct rb_root* root) {
  *node = *victim;
  umdev_rb_put(root, victim->umdev_parent, victim, node);
  if (node->rb_left) node->rb_left->umdev_parent = node;
  if (node->rb_right) node->rb_right->umdev_parent = node;
}

static inline struct rb_node* rb_first(const struct rb_root* root) {
  struct rb_node* node = root->rb_node;
  while (node && node->rb_left) node = node->rb_left;
  return node;
}
static inline struct rb_node* rb_last(const struct rb_root* root) {
  struct rb_node* node = root->rb_node;
  while (node && node->rb_right) node = node->rb_right;
  return node;
}
static inline struct rb_node* rb_next(const struct rb_node* node) {
  if (RB_EMPTY_NODE(node)) return NULL;
  if (node->rb_right) {
    node = node->rb_right;
    while (node->rb_left) node = node->rb_left;
    return (struct rb_node*)node;
  }
  while (node->umdev_parent && node->umdev_parent->rb_right == node) node = node->umdev_parent;
  return node->umdev_parent;
}
static inline struct rb_node* rb_prev(const struct rb_node* node) {
  if (RB_EMPTY_NODE(node)) return NULL;
  if (node->rb_left) {
    node = node->rb_left;
    while (node->rb_right) node = node->rb_right;
    return (struct rb_node*)node;
  }
  while (node->umdev_parent && node->umdev_parent->rb_left == node) node = node->umdev_parent;
  return node->umdev_parent;
}

/* Children before their parents: for whoever frees all of them. */
static inline struct rb_node* umdev_rb_deepest(const struct rb_node* node) {
  while (node && (node->rb_left || node->rb_right)) node = node->rb_left ? node->rb_left : node->rb_right;
  return (struct rb_node*)node;
}
static inline struct rb_node* rb_first_postorder(const struct rb_root* root) {
  return umdev_rb_deepest(root->rb_node);
}
static inline struct rb_node* rb_next_postorder(const struct rb_node* node) {
  const struct rb_node* parent = node ? node->umdev_parent : NULL;
  if (parent && node == parent->rb_left && parent->rb_right) return umdev_rb_deepest(parent->rb_right);
  return (struct rb_node*)parent;
}
#define rbtree_postorder_for_each_entry_safe(entry, following, root, member)                            \
  for ((entry) = rb_entry_safe(rb_first_postorder(root), __typeof__(*(entry)), member);                 \
       (entry) &&                                                                                       \
       ((following) = rb_entry_safe(rb_next_postorder(&(entry)->member), __typeof__(*(entry)), member), \
       true);                                                                                           \
       (entry) = (following))

/* The same with the first at hand. */
#define rb_first_cached(root) ((root)->rb_leftmost)
static inline void rb_insert_color_cached(struct rb_node* node, struct rb_root_cached* root, bool leftmost) {
  if (leftmost) root->rb_leftmost = node;
  rb_insert_color(node, &root->rb_root);
}
static inline struct rb_node* rb_erase_cached(struct rb_node* node, struct rb_root_cached* root) {
  struct rb_node* first = NULL;
  if (root->rb_leftmost == node) first = root->rb_leftmost = rb_next(node);
  rb_erase(node, &root->rb_root);
  return first;
}
static inline void rb_replace_node_cached(struct rb_node* victim, struct rb_node* node,
                                          struct rb_root_cached* root) {
  if (root->rb_leftmost == victim) root->rb_leftmost = node;
  rb_replace_node(victim, node, &root->rb_root);
}

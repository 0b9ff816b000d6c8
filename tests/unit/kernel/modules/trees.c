/* What orders things: trees, intervals, arrays, numbers, bitmaps of IOVA, chains of notifiers. module_init
 * says the line of the first that is wrong. */
#include <linux/idr.h>
#include <linux/interval_tree.h>
#include <linux/iova_bitmap.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/rbtree.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "tests/unit/kernel/modules/checks.h"

#define COUNT 400

struct item {
  struct rb_node node;
  unsigned int key;
};
static struct item items[COUNT];

static void insert(struct item* item, struct rb_root* root) {
  struct rb_node **link = &root->rb_node, *parent = NULL;
  while (*link) {
    parent = *link;
    link = item->key < rb_entry(parent, struct item, node)->key ? &parent->rb_left : &parent->rb_right;
  }
  rb_link_node(&item->node, parent, link);
  rb_insert_color(&item->node, root);
}
static unsigned int depth_of(const struct rb_node* node) {
  unsigned int left, right;
  if (!node) return 0;
  left = depth_of(node->rb_left);
  right = depth_of(node->rb_right);
  return 1 + (left > right ? left : right);
}
/* In order, both ways, `step` apart. */
static int check_order(const struct rb_root* root, unsigned int count, unsigned int first,
                       unsigned int step) {
  unsigned int n = 0;
  struct rb_node* node;
  for (node = rb_first(root); node; node = rb_next(node), ++n)
    CHECK(rb_entry(node, struct item, node)->key == first + n * step);
  CHECK(n == count);
  for (node = rb_last(root); node; node = rb_prev(node))
    CHECK(rb_entry(node, struct item, node)->key == first + --n * step);
  CHECK(n == 0);
  return 0;
}

static int check_trees(void) {
  struct rb_root root = RB_ROOT;
  struct item *item, *next, other = {.key = 1};
  unsigned int n, wrong;
  RB_CLEAR_NODE(&items[0].node);
  CHECK(RB_EMPTY_ROOT(&root) && RB_EMPTY_NODE(&items[0].node) && !rb_first(&root) && !rb_last(&root));
  for (n = 0; n < COUNT; ++n) {
    items[n].key = n;
    insert(&items[n], &root);
  }
  wrong = (unsigned int)check_order(&root, COUNT, 0, 1);
  if (wrong) return (int)wrong;
  CHECK(depth_of(root.rb_node) < COUNT / 8); /* inserted in their order, and yet no list */
  for (n = 0; n < COUNT; n += 2) rb_erase(&items[n].node, &root);
  wrong = (unsigned int)check_order(&root, COUNT / 2, 1, 2);
  if (wrong) return (int)wrong;
  rb_replace_node(&items[1].node, &other.node, &root);
  CHECK(rb_first(&root) == &other.node && rb_prev(&items[3].node) == &other.node);
  n = 0;
  rbtree_postorder_for_each_entry_safe(item, next, &root, node) {
    item->node.rb_left = item->node.rb_right = NULL; /* nobody looks at it again */
    ++n;
  }
  CHECK(n == COUNT / 2);
  return 0;
}

static int check_intervals(void) {
  struct rb_root_cached root = RB_ROOT_CACHED;
  struct interval_tree_node nodes[] = {{.start = 50, .last = 59},
                                       {.start = 0, .last = 9},
                                       {.start = 20, .last = 29},
                                       {.start = 20, .last = ULONG_MAX}};
  struct interval_tree_node* found;
  unsigned int n;
  CHECK(!interval_tree_iter_first(&root, 0, ULONG_MAX));
  for (n = 0; n < 3; ++n) interval_tree_insert(&nodes[n], &root);
  CHECK(rb_first_cached(&root) == &nodes[1].rb);
  CHECK(!interval_tree_iter_first(&root, 10, 19) && !interval_tree_iter_first(&root, 60, ULONG_MAX));
  found = interval_tree_iter_first(&root, 9, 50);
  CHECK(found == &nodes[1]);
  found = interval_tree_iter_next(found, 9, 50);
  CHECK(found == &nodes[2]);
  found = interval_tree_iter_next(found, 9, 50);
  CHECK(found == &nodes[0] && !interval_tree_iter_next(found, 9, 50));
  interval_tree_insert(&nodes[3], &root);
  CHECK(interval_tree_iter_first(&root, 1000, 1000) == &nodes[3]);
  interval_tree_remove(&nodes[1], &root);
  CHECK(interval_tree_iter_first(&root, 0, 19) == NULL && rb_first_cached(&root) != &nodes[1].rb);
  return 0;
}

static int check_arrays(void) {
  struct xarray xa;
  DEFINE_XARRAY_ALLOC1(from_one);
  unsigned long index, sum = 0;
  void* entry;
  u32 id = 77;
  int object;
  xa_init(&xa);
  CHECK(xa_empty(&xa) && !xa_load(&xa, 0) && !xa_erase(&xa, 3));
  CHECK(!xa_store(&xa, ULONG_MAX, &object, GFP_KERNEL) && !xa_store(&xa, 7, &id, GFP_KERNEL));
  CHECK(xa_store(&xa, 7, &object, GFP_KERNEL) == &id && xa_load(&xa, 7) == &object);
  CHECK(xa_insert(&xa, 7, &id, GFP_KERNEL) == -EBUSY && xa_insert(&xa, 8, &id, GFP_KERNEL) == 0);
  xa_for_each(&xa, index, entry) sum += index & 0xff;
  CHECK(sum == 7 + 8 + 0xff);
  CHECK(xa_alloc(&from_one, &id, &object, xa_limit_32b, GFP_KERNEL) == 0 && id == 1);
  CHECK(xa_alloc(&from_one, &id, &object, XA_LIMIT(1, 2), GFP_KERNEL) == 0 && id == 2);
  CHECK(xa_alloc(&from_one, &id, &object, XA_LIMIT(1, 2), GFP_KERNEL) == -EBUSY);
  CHECK(xa_erase(&from_one, 1) == &object);
  CHECK(xa_alloc(&from_one, &id, &object, xa_limit_32b, GFP_KERNEL) == 0 && id == 1);
  xa_destroy(&from_one);
  xa_destroy(&xa);
  CHECK(xa_empty(&xa) && xa_empty(&from_one));
  return 0;
}

static int check_numbers(void) {
  DEFINE_IDA(ida);
  CHECK(ida_is_empty(&ida) && ida_alloc(&ida, GFP_KERNEL) == 0 && ida_alloc(&ida, GFP_KERNEL) == 1);
  CHECK(ida_alloc_min(&ida, 5, GFP_KERNEL) == 5 && ida_alloc_max(&ida, 1, GFP_KERNEL) == -ENOSPC);
  ida_free(&ida, 0);
  CHECK(ida_alloc_max(&ida, 1, GFP_KERNEL) == 0);
  ida_destroy(&ida);
  CHECK(ida_is_empty(&ida));
  return 0;
}

static int check_bitmaps(void) {
  u64 bits[2] = {};
  struct iova_bitmap bitmap = {.iova = 0x10000, .length = 80 * 4096, .page_size = 4096, .bits = bits};
  iova_bitmap_set(&bitmap, 0x10fff, 2); /* the end of a page, and the begin of the next */
  CHECK(bits[0] == 3 && !bits[1]);
  iova_bitmap_set(&bitmap, 0, 0x10000); /* before it */
  iova_bitmap_set(&bitmap, 0x10000 + 80 * 4096, 4096);
  iova_bitmap_set(&bitmap, 0x10000, 0);
  CHECK(bits[0] == 3 && !bits[1]);
  iova_bitmap_set(&bitmap, 0, 0x10001);
  iova_bitmap_set(&bitmap, 0x10000 + 63 * 4096,
                  ~0x20000UL + 0x20000UL - (0x10000 + 63 * 4096)); /* to the end */
  CHECK(bits[0] == (3 | 1ULL << 63) && bits[1] == 0xffff);
  CHECK(PTR_ERR(iova_bitmap_alloc(0, 0, 4096, bits)) == -EINVAL);
  return 0;
}

static int told;
static int tell(struct notifier_block* block, unsigned long action, void* data) {
  told = told * 10 + block->priority;
  return block->priority == 5 ? notifier_from_errno(-EPERM) : NOTIFY_OK;
}
static int check_chains(void) {
  BLOCKING_NOTIFIER_HEAD(chain);
  struct notifier_block low = {.notifier_call = tell, .priority = 1};
  struct notifier_block high = {.notifier_call = tell, .priority = 9};
  struct notifier_block stops = {.notifier_call = tell, .priority = 5};
  CHECK(blocking_notifier_call_chain(&chain, 0, NULL) == NOTIFY_DONE);
  CHECK(!blocking_notifier_chain_register(&chain, &low) && !blocking_notifier_chain_register(&chain, &high));
  CHECK(blocking_notifier_chain_register(&chain, &high) == -EEXIST);
  CHECK(blocking_notifier_call_chain(&chain, 0, NULL) == NOTIFY_OK && told == 91);
  CHECK(!blocking_notifier_chain_register(&chain, &stops));
  CHECK(notifier_to_errno(blocking_notifier_call_chain(&chain, 0, NULL)) == -EPERM && told == 9195);
  CHECK(!blocking_notifier_chain_unregister(&chain, &stops));
  CHECK(blocking_notifier_chain_unregister(&chain, &stops) == -ENOENT);
  return 0;
}

static int __init trees_init(void) {
  int (*const checks[])(void) = {check_trees,   check_intervals, check_arrays,
                                 check_numbers, check_bitmaps,   check_chains};
  return run_checks(checks, ARRAY_SIZE(checks));
}
static void __exit trees_exit(void) {}

module_init(trees_init);
module_exit(trees_exit);
MODULE_LICENSE("GPL");

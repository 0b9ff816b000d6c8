/* Tables of lists, whose size is a constant power of two. */
#pragma once

#include <linux/list.h>
#include <linux/log2.h>

#define DECLARE_HASHTABLE(name, bits) struct hlist_head name[1 << (bits)]
#define DEFINE_HASHTABLE(name, bits) DECLARE_HASHTABLE(name, bits) = {{NULL}}
#define HASH_SIZE(table) ARRAY_SIZE(table)
#define HASH_BITS(table) ilog2(HASH_SIZE(table))

/* Of a number; the high bits are the good ones. */
static inline u32 hash_min(u64 value, int bits) {
  return bits > 0 ? (u32)((value * 0x9e3779b97f4a7c15ULL) >> (64 - bits)) : 0;
}

#define hash_init(table) memset(table, 0, sizeof(table))
#define hash_add(table, node, key) hlist_add_head(node, &(table)[hash_min(key, HASH_BITS(table))])
#define hash_del(node) hlist_del_init(node)
#define hash_hashed(node) (!hlist_unhashed(node))
#define hash_for_each(table, bucket, entry, member)                   \
  for ((bucket) = 0; (size_t)(bucket) < HASH_SIZE(table); ++(bucket)) \
  hlist_for_each_entry(entry, &(table)[bucket], member)
#define hash_for_each_safe(table, bucket, following, entry, member)   \
  for ((bucket) = 0; (size_t)(bucket) < HASH_SIZE(table); ++(bucket)) \
  hlist_for_each_entry_safe(entry, following, &(table)[bucket], member)
/* All whose key falls to the same list: the keys are to be compared. */
#define hash_for_each_possible(table, entry, member, key) \
  hlist_for_each_entry(entry, &(table)[hash_min(key, HASH_BITS(table))], member)

/* The everyday headers: bits, bytes, texts, lists, locks. module_init says the line of the first that is
 * wrong. */
#include <asm/byteorder.h>
#include <asm/unaligned.h>
#include <linux/bitfield.h>
#include <linux/bitmap.h>
#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/hashtable.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/rwsem.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "tests/unit/kernel/modules/checks.h"

static int check_bits(void) {
  DECLARE_BITMAP(bits, 100);
  unsigned long bit, sum = 0;
  u32 word = 0x12345678;
  CHECK(BIT(3) == 8 && BIT_ULL(40) == 1ULL << 40 && BITS_PER_TYPE(u16) == 16);
  CHECK(GENMASK(7, 4) == 0xf0 && GENMASK(63, 0) == ~0UL && GENMASK_ULL(39, 32) == 0xffULL << 32);
  CHECK(FIELD_GET(GENMASK(15, 8), word) == 0x56 && FIELD_PREP(GENMASK(15, 8), 0x1ff) == 0xff00);
  CHECK(FIELD_FIT(GENMASK(15, 8), 0xff) && !FIELD_FIT(GENMASK(15, 8), 0x100) && FIELD_MAX(0xf0U) == 15);
  bitmap_zero(bits, 100);
  CHECK(bitmap_empty(bits, 100) && find_first_bit(bits, 100) == 100 && find_first_zero_bit(bits, 100) == 0);
  set_bit(3, bits);
  __set_bit(70, bits);
  CHECK(!test_and_set_bit(99, bits) && test_and_set_bit(99, bits) && test_bit(70, bits) &&
        !test_bit(71, bits));
  for_each_set_bit(bit, bits, 100) sum += bit;
  CHECK(sum == 3 + 70 + 99 && bitmap_weight(bits, 99) == 2 && find_next_bit(bits, 99, 71) == 99);
  CHECK(test_and_clear_bit(3, bits) && !test_and_clear_bit(3, bits));
  bitmap_fill(bits, 100);
  bitmap_clear(bits, 60, 8);
  CHECK(find_first_zero_bit(bits, 100) == 60 && find_next_zero_bit(bits, 100, 68) == 100);
  bitmap_set(bits, 60, 8);
  CHECK(bitmap_full(bits, 100) && hweight32(0xf0f0) == 8 && hweight64(~0ULL) == 64);
  return 0;
}

static int check_bytes(void) {
  const u8 bytes[9] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  u8 room[9] = {0};
  __le32 counter = cpu_to_le32(0xffffffff);
  CHECK(*(const u8*)&counter == 0xff && le32_to_cpu(counter) == 0xffffffff);
  le32_add_cpu(&counter, 2);
  CHECK(le32_to_cpu(counter) == 1 && le16_to_cpu(cpu_to_le16(0x1234)) == 0x1234);
  CHECK(be16_to_cpu(cpu_to_be16(0x1234)) == 0x1234 && cpu_to_be32(1) == (__be32)swab32(1));
  CHECK(le64_to_cpu(cpu_to_le64(5)) == 5 && swab16(0x1234) == 0x3412 && swab64(1) == 1ULL << 56);
  CHECK(get_unaligned_le32(bytes + 1) == 0x04030201 && get_unaligned_be16(bytes + 1) == 0x0102);
  put_unaligned_le64(0x0807060504030201ULL, room + 1);
  CHECK(!memcmp(room, bytes, sizeof(room)));
  return 0;
}

static int check_numbers(void) {
  u8 small = 200;
  CHECK(min(3, 4) == 3 && max(3, 4) == 4 && min3(3, 1, 2) == 1 && max3(3, 1, 2) == 3);
  CHECK(clamp(7, 1, 5) == 5 && clamp_val(small, 0, 100) == 100 && min_t(u8, 0x101, 2) == 1);
  CHECK(min_not_zero(0, 4) == 4 && min_not_zero(4, 0) == 4 && min_not_zero(2, 4) == 2);
  CHECK(DIV_ROUND_CLOSEST(7, 4) == 2 && DIV_ROUND_UP_ULL(7, 4) == 2 && round_up(5, 4) == 8);
  CHECK(upper_32_bits(5ULL << 32) == 5 && lower_16_bits(0x12345) == 0x2345 && upper_16_bits(0x12345) == 1);
  CHECK(ktime_to_ms(ktime_sub(ktime_add_ns(7, 3000000), 7)) == 3 && ktime_get() > 0);
  CHECK(get_random_u64() != get_random_u64());
  return 0;
}

static int check_texts(void) {
  static const char* const names[] = {"one", "two", NULL};
  char spaced[] = " \tword \n", cut[4];
  char* text __free(kfree) = kasprintf(GFP_KERNEL, "%s-%d", "card", 7);
  char* part __free(kfree) = kstrndup("abcdef", 3, GFP_KERNEL);
  char* bytes __free(kfree) = kmemdup_nul("abcdef", 2, GFP_KERNEL);
  char* copy __free(kfree) = kstrdup("abc", GFP_KERNEL);
  u32* numbers __free(kfree) = (u32*)krealloc_array(NULL, 3, sizeof(u32), GFP_KERNEL);
  CHECK(text && part && bytes && copy && numbers && !krealloc_array(NULL, SIZE_MAX, 2, GFP_KERNEL));
  CHECK(!strcmp(text, "card-7") && !strcmp(part, "abc") && !strcmp(bytes, "ab") && !strcmp(copy, "abc"));
  CHECK(!kstrdup(NULL, GFP_KERNEL) && !kstrndup(NULL, 3, GFP_KERNEL));
  CHECK(!strcmp(strim(spaced), "word"));
  CHECK(match_string(names, 3, "two") == 1 && match_string(names, 3, "three") == -EINVAL);
  CHECK(scnprintf(cut, sizeof(cut), "%d", 12345) == 3 && !strcmp(cut, "123"));
  memzero_explicit(cut, sizeof(cut));
  CHECK(!cut[0]);
  return 0;
}

struct item {
  int value;
  struct list_head link;
  struct hlist_node node;
};

static int check_lists(void) {
  struct item items[4] = {{.value = 1}, {.value = 2}, {.value = 3}, {.value = 4}}, *each, *following;
  LIST_HEAD(left);
  LIST_HEAD(right);
  int seen = 0;
  list_add_tail(&items[0].link, &left);
  CHECK(list_is_singular(&left) && list_is_first(&items[0].link, &left));
  list_add_tail(&items[1].link, &right);
  list_add_tail(&items[2].link, &right);
  list_splice_tail_init(&right, &left);
  CHECK(list_empty(&right));
  list_replace(&items[1].link, &items[3].link);
  list_for_each_entry(each, &left, link) seen = seen * 10 + each->value;
  CHECK(seen == 143);
  each = &items[0];
  list_for_each_entry_continue(each, &left, link) seen = seen * 10 + each->value;
  CHECK(seen == 14343 && list_entry_is_head(each, &left, link));
  list_for_each_entry_safe_reverse(each, following, &left, link) {
    seen = seen * 10 + each->value;
    list_del(&each->link);
  }
  CHECK(seen == 14343341 && list_empty(&left));
  return 0;
}

static int check_tables(void) {
  DEFINE_HASHTABLE(table, 2);
  struct item items[9] = {{.value = 0}}, *each;
  struct hlist_node* following;
  size_t bucket;
  int n, found = 0;
  for (n = 0; n < 9; ++n) {
    items[n].value = n;
    hash_add(table, &items[n].node, n);
  }
  hash_for_each_possible(table, each, node, 5) found += each->value == 5;
  CHECK(found == 1);
  hash_for_each_safe(table, bucket, following, each, node) if (each->value % 2) hash_del(&each->node);
  found = 0;
  hash_for_each(table, bucket, each, node)++ found;
  CHECK(found == 5 && !hash_hashed(&items[5].node) && hash_hashed(&items[4].node));
  hash_del(&items[5].node); /* once more */
  return 0;
}

static DECLARE_RWSEM(semaphore);
static DEFINE_MUTEX(mutex);

static bool is_held_in_scope(void) {
  guard(mutex)(&mutex);
  return mutex_is_locked(&mutex);
}
static int check_locks(void) {
  down_read(&semaphore);
  CHECK(down_read_trylock(&semaphore) && !down_write_trylock(&semaphore));
  up_read(&semaphore);
  up_read(&semaphore);
  down_write(&semaphore);
  CHECK(!down_read_trylock(&semaphore) && !down_write_trylock(&semaphore));
  downgrade_write(&semaphore);
  CHECK(down_read_trylock(&semaphore));
  up_read(&semaphore);
  up_read(&semaphore);
  CHECK(down_write_trylock(&semaphore));
  up_write(&semaphore);
  CHECK(!rwsem_is_locked(&semaphore));
  CHECK(is_held_in_scope() && !mutex_is_locked(&mutex));
  scoped_guard(mutex, &mutex) CHECK(mutex_is_locked(&mutex));
  CHECK(!mutex_is_locked(&mutex));
  return 0;
}

static int check_containers(void) {
  const struct item item = {.value = 7};
  const struct list_head* link = &item.link;
  struct list_head* const writable = (struct list_head*)link;
  static_assert(
      __builtin_types_compatible_p(__typeof__(container_of_const(writable, struct item, link)), struct item*),
      "not constant");
  CHECK(container_of_const(link, struct item, link)->value == 7);
  return 0;
}

static int __init small_init(void) {
  int (*const checks[])(void) = {check_bits,  check_bytes,  check_numbers, check_texts,
                                 check_lists, check_tables, check_locks,   check_containers};
  return run_checks(checks, ARRAY_SIZE(checks));
}
static void __exit small_exit(void) {}
module_init(small_init) module_exit(small_exit) MODULE_LICENSE("GPL");

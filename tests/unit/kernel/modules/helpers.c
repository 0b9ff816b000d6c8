/* The parts of the headers that need no device: module_init says the line of the first that is wrong. */
#include <linux/idr.h>
#include <linux/kref.h>
#include <linux/kstrtox.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/string.h>
#include <linux/vfio.h>

#include "tests/unit/kernel/modules/checks.h"

struct item {
  int value;
  struct list_head link;
};

static int check_lists(void) {
  struct item items[3] = {{.value = 1}, {.value = 2}, {.value = 3}}, *each, *following;
  LIST_HEAD(list);
  int seen = 0;
  CHECK(list_empty(&list));
  list_add_tail(&items[1].link, &list);
  list_add_tail(&items[2].link, &list);
  list_add(&items[0].link, &list);
  list_for_each_entry(each, &list, link) seen = seen * 10 + each->value;
  CHECK(seen == 123);
  list_for_each_entry_safe(each, following, &list, link) {
    if (each->value == 2) list_del(&each->link);
  }
  CHECK(list_first_entry(&list, struct item, link)->value == 1);
  CHECK(list_last_entry(&list, struct item, link)->value == 3);
  return 0;
}

static int check_idr(void) {
  DEFINE_IDR(idr);
  int first = 1, second = 2;
  CHECK(idr_alloc(&idr, &first, 0, 0, GFP_KERNEL) == 0);
  CHECK(idr_alloc(&idr, &second, 0, 0, GFP_KERNEL) == 1);
  CHECK(idr_alloc(&idr, &second, 0, 2, GFP_KERNEL) == -ENOSPC);
  CHECK(idr_remove(&idr, 0) == &first && !idr_find(&idr, 0) && idr_find(&idr, 1) == &second);
  CHECK(idr_alloc(&idr, &first, 0, 0, GFP_KERNEL) == 0);
  idr_destroy(&idr);
  CHECK(idr_is_empty(&idr));
  return 0;
}

static int released;
static void release(struct kref* kref) {
  (void)kref;
  ++released;
}
static int check_counts(void) {
  struct kref kref;
  size_t sum;
  kref_init(&kref);
  kref_get(&kref);
  CHECK(!kref_put(&kref, release) && kref_put(&kref, release) && released == 1);
  CHECK(!kref_get_unless_zero(&kref));
  CHECK(check_add_overflow((size_t)-1, (size_t)1, &sum) && array_size((size_t)-1, 2) == SIZE_MAX);
  CHECK(roundup_pow_of_two(5) == 8 && is_power_of_2(8) && ilog2(9) == 3);
  CHECK(DIV_ROUND_UP(9, 4) == 3 && ALIGN(5, 4) == 8 && ARRAY_SIZE("abc") == 4);
  return 0;
}

static int check_strings(void) {
  char text[4];
  CHECK(strscpy(text, "abcdef", sizeof(text)) == -E2BIG && !strcmp(text, "abc"));
  CHECK(strscpy(text, "ab", sizeof(text)) == 2);
  CHECK(sysfs_streq("on\n", "on") && !sysfs_streq("on", "off"));
  CHECK(IS_ERR(ERR_PTR(-ENOMEM)) && PTR_ERR(ERR_PTR(-ENOMEM)) == -ENOMEM && !IS_ERR(text));
  return 0;
}

static int check_numbers(void) {
  unsigned int u = 0;
  unsigned long long wide = 0;
  long long whole = 0;
  bool flag = false;
  u8 byte;
  int i = 0;
  CHECK(!kstrtouint("42\n", 10, &u) && u == 42 && !kstrtouint("+7", 10, &u) && u == 7);
  CHECK(!kstrtouint("0x2a", 0, &u) && u == 42 && !kstrtouint("052", 0, &u) && u == 42);
  CHECK(!kstrtouint("2a", 16, &u) && u == 42 && !kstrtouint("0", 0, &u) && u == 0);
  CHECK(kstrtouint("", 10, &u) == -EINVAL && kstrtouint("\n", 10, &u) == -EINVAL);
  CHECK(kstrtouint("-1", 10, &u) == -EINVAL && kstrtouint("4 2", 10, &u) == -EINVAL);
  CHECK(kstrtouint("42\n\n", 10, &u) == -EINVAL && kstrtouint("0x", 0, &u) == -EINVAL);
  CHECK(kstrtouint("4294967296", 10, &u) == -ERANGE && kstrtou8("256", 10, &byte) == -ERANGE);
  CHECK(!kstrtoint("-2147483648", 10, &i) && i == -2147483647 - 1);
  CHECK(kstrtoint("2147483648", 10, &i) == -ERANGE);
  CHECK(!kstrtoll("-9223372036854775808", 10, &whole) && whole < 0);
  CHECK(kstrtoll("-9223372036854775809", 10, &whole) == -ERANGE);
  CHECK(!kstrtoull("18446744073709551615", 10, &wide) && wide == ~0ULL);
  CHECK(kstrtoull("18446744073709551616", 10, &wide) == -ERANGE);
  CHECK(!kstrtobool("on", &flag) && flag && !kstrtobool("off\n", &flag) && !flag);
  CHECK(kstrtobool("maybe", &flag) == -EINVAL);
  return 0;
}

static int check_capabilities(void) {
  struct vfio_info_cap caps = {NULL, 0};
  struct vfio_info_cap_header *first, *second, *third;
  CHECK(!IS_ERR(vfio_info_cap_add(&caps, 12, 1, 1)) && caps.size == 16);
  CHECK(!IS_ERR(vfio_info_cap_add(&caps, 16, 2, 1)) && !IS_ERR(vfio_info_cap_add(&caps, 8, 3, 2)));
  first = caps.buf;
  CHECK(first->id == 1 && first->next == 16);
  vfio_info_cap_shift(&caps, 100);
  second = (struct vfio_info_cap_header*)(void*)((char*)caps.buf + first->next - 100);
  CHECK(first->next == 116 && second->id == 2 && second->next == 132);
  third = (struct vfio_info_cap_header*)(void*)((char*)caps.buf + second->next - 100);
  CHECK(third->id == 3 && third->version == 2 && third->next == 0);
  kfree(caps.buf);
  return 0;
}

static int check_irqs(void) {
  struct vfio_irq_set set = {
      .argsz = 24, .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, .count = 1};
  size_t size = 7;
  CHECK(!vfio_set_irqs_validate_and_prepare(&set, 1, 5, &size) && size == 4);
  set.argsz = 23;
  CHECK(vfio_set_irqs_validate_and_prepare(&set, 1, 5, &size) == -EINVAL);
  set.argsz = 24;
  set.start = 0xffffffff;
  CHECK(vfio_set_irqs_validate_and_prepare(&set, 1, 5, &size) == -EINVAL);
  set.start = 1;
  CHECK(vfio_set_irqs_validate_and_prepare(&set, 1, 5, &size) == -EINVAL);
  set.start = 0;
  set.index = 5;
  CHECK(vfio_set_irqs_validate_and_prepare(&set, 1, 5, &size) == -EINVAL);
  set.index = 0;
  set.flags |= VFIO_IRQ_SET_DATA_BOOL;
  CHECK(vfio_set_irqs_validate_and_prepare(&set, 1, 5, &size) == -EINVAL);
  CHECK(vfio_check_feature(VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET, 0, VFIO_DEVICE_FEATURE_GET,
                           8) == 0);
  CHECK(vfio_check_feature(VFIO_DEVICE_FEATURE_SET, 8, VFIO_DEVICE_FEATURE_GET, 8) == -EINVAL);
  CHECK(vfio_check_feature(VFIO_DEVICE_FEATURE_GET, 8, VFIO_DEVICE_FEATURE_GET, 8) == 1);
  return 0;
}

static int __init helpers_init(void) {
  int (*const checks[])(void) = {check_lists,   check_idr,          check_counts, check_strings,
                                 check_numbers, check_capabilities, check_irqs};
  return run_checks(checks, ARRAY_SIZE(checks));
}
static void __exit helpers_exit(void) {}
module_init(helpers_init) module_exit(helpers_exit) MODULE_LICENSE("GPL");

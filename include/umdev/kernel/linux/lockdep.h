/* Locks are not followed here; what a driver says of them is checked as far as it can be without. */
#pragma once

#include <linux/bug.h>

#define lockdep_assert_held(lock) WARN_ON(!(lock)->umdev_state)
struct lock_class_key {
  char umdev_unused;
};

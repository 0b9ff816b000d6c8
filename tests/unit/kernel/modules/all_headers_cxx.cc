// The same in C++.
#include "tests/unit/kernel/modules/all_headers.h"

static int begin() {
  pr_info("from C++\n");
  return 0;
}
static void end() {}

module_init(begin) module_exit(end) MODULE_LICENSE("GPL");

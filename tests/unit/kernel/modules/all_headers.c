/* Compiled for each vintage: the headers warn of nothing, and an empty module is one. */
#include "tests/unit/kernel/modules/all_headers.h"

MODULE_LICENSE("GPL");

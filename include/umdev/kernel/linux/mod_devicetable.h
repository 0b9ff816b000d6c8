/* Tables of ids, which nobody asks here. */
#pragma once

#include <linux/types.h>

// Memory in pages of 2 MiB, where it is large and used at random.
#pragma once

#include "umdev/support/bytes.h"

namespace umdev::os {

// Asks for huge pages where the memory is touched for the first time from now on, and is a whole huge page. A
// hint: nothing happens where the system has none to give.
void prefer_huge_pages(Bytes memory);

}  // namespace umdev::os

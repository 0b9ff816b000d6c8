#include "umdev/os/huge_pages.h"

#include <sys/mman.h>

namespace umdev::os {

void prefer_huge_pages(Bytes memory) {
  ::madvise(memory.data(), memory.size(), MADV_HUGEPAGE);
}

}  // namespace umdev::os

#include "umdev/kernel/world.h"

namespace umdev::kernel {

unsigned World::next_major() {
  Lock lock(mutex_);
  return next_major_++;
}

}  // namespace umdev::kernel

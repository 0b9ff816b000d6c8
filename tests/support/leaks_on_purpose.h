// A test in which a module, as it is written, leaves memory behind.
#pragma once

#include "umdev/support/sanitizers.h"

#if defined(UMDEV_ADDRESS_SANITIZER)
#include <sanitizer/lsan_interface.h>
#endif

namespace umdev::test {

// What this thread allocates while it lives is no leak to LeakSanitizer.
class LeaksOnPurpose {
 public:
#if defined(UMDEV_ADDRESS_SANITIZER)
  LeaksOnPurpose() { __lsan_disable(); }
  ~LeaksOnPurpose() { __lsan_enable(); }
#else
  LeaksOnPurpose() = default;
  ~LeaksOnPurpose() = default;
#endif
  LeaksOnPurpose(const LeaksOnPurpose&) = delete;
  LeaksOnPurpose& operator=(const LeaksOnPurpose&) = delete;
};

}  // namespace umdev::test

// The one door through which the core calls a driver.
#pragma once

#include <utility>

#include "umdev/support/assert.h"
#include "umdev/support/mutex.h"

namespace umdev::vfio {

// Calls into a driver. No core lock may be held: drivers take locks of their own and call back into the core.
template <typename Call>
decltype(auto) driver_call(Call&& call) {
  UMDEV_ASSERT(Mutex::count_held_by_this_thread() == 0,
               "a driver is called with a lock of the framework held");
  return std::forward<Call>(call)();
}

}  // namespace umdev::vfio

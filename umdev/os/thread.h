// Starting a thread.
#pragma once

#include <thread>

#include "umdev/support/error.h"
#include "umdev/support/host.h"

namespace umdev::os {

// Starts a thread that is named (at most 15 characters are kept) and gets no signals but those that its own
// instructions raise: SIGTERM and the like go to the main thread. EAGAIN when the system has no thread left.
Result<std::thread> start_thread(const char* name, Work body);

}  // namespace umdev::os

// Threads: how they start, and who runs first.
#pragma once

#include <thread>

#include "umdev/support/error.h"
#include "umdev/support/host.h"

namespace umdev::os {

// Starts a thread that is named (at most 15 characters are kept) and gets no signals but those that its own
// instructions raise: SIGTERM and the like go to the main thread. EAGAIN when the system has no thread left.
Result<std::thread> start_thread(const char* name, Work body);

// Puts the calling thread one step of nice before the others of the process; false where the system does not
// allow it (RLIMIT_NICE, CAP_SYS_NICE). For threads that answer others.
//
// To take a message from a socket wakes its sender, who waits on that same socket for the answer and finds
// none yet. Among equals, on one processor, the kernel runs it at once when it has used less time than the
// one who answers: two switches of context for nothing, before most answers. One step is enough against that,
// and takes from nobody else more than a quarter of what is their due.
bool prefer_this_thread();

}  // namespace umdev::os

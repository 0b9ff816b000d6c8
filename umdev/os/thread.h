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

// An address that no other thread has, as long as the calling one lives.
inline const void* this_thread_mark() {
  return __builtin_thread_pointer();
}

// Lets a thread run that will soon have done what the caller waits for, and is perhaps not running: call it
// again and again, with 0, 1, 2... Gives the processor to whoever else may have it, and from the 64th time on
// for a moment to threads of every priority.
void let_others_run(unsigned times);

// The costly half of a fence that costs the other side nothing: when it returns, every other thread of the
// process has passed a full memory barrier since the call, or was not running. Takes some microseconds.
// membarrier(2), PRIVATE_EXPEDITED. Precondition: can_fence_other_threads().
void fence_other_threads();
// Does the system have that? The first call asks it, which may take some milliseconds.
bool can_fence_other_threads();

}  // namespace umdev::os

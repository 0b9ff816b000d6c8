// Waiting for a completion, which modules do and nobody else: the kernel's functions return when it is over.
#pragma once

#include <memory>
#include <optional>

#include "umdev/kernel/calls.h"
#include "umdev/support/awaited.h"
#include "umdev/support/done.h"

namespace umdev::kernel {

struct Patience {
  // Then the answer is ETIMEDOUT, and what has begun goes on alone: what it touches it must own.
  std::optional<Duration> limit = {};
  // A thread that serves clients is left to them meanwhile; not where a lock is held.
  bool leaves_thread = true;
};

// Calls `begin` with a Done<T> and returns what that was completed with.
template <typename T = void, typename Begin>
Result<T> wait_for(Begin begin, Patience patience = {}) {
  const auto awaited = std::make_shared<Awaited<T>>();
  begin(Done<T>([awaited](Result<T> outcome) { awaited->complete(std::move(outcome)); }));
  if (patience.leaves_thread && !awaited->is_over()) Calls::about_to_wait();
  if (!patience.limit) return awaited->wait();
  if (auto outcome = awaited->wait_for(*patience.limit)) return std::move(*outcome);
  return fail(ETIMEDOUT, "the module does not answer");
}

}  // namespace umdev::kernel

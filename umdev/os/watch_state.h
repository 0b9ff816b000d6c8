// What an event loop keeps of one watch. For the loops themselves: the one of epoll and the one of the tests.
#pragma once

#include <cstdint>

#include "umdev/os/event_loop.h"

namespace umdev::os {

// Made by EventLoop::watch, owned by the Watch until it ends, and by the list of ended watches from then on.
struct Watch::State {
  int fd;
  std::uint32_t events;
  WatchCallback callback;
  bool ended = false;
  State* next_ended = nullptr;
};

}  // namespace umdev::os

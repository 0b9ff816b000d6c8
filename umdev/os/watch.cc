// The handle of a watch, whichever loop serves it.
#include <memory>
#include <utility>

#include "umdev/os/watch_state.h"

namespace umdev::os {

void EventLoop::free_ended_watches() {
  // One at a time: what a callback captured may own another watch.
  while (ended_watches_ != nullptr) {
    const std::unique_ptr<Watch::State> state(std::exchange(ended_watches_, ended_watches_->next_ended));
  }
}

Watch& Watch::operator=(Watch&& other) noexcept {
  if (this != &other) {
    cancel();
    loop_ = other.loop_;
    state_ = std::exchange(other.state_, nullptr);
  }
  return *this;
}

void Watch::cancel() {
  if (state_ != nullptr) loop_->end_watch(std::exchange(state_, nullptr));
}

}  // namespace umdev::os

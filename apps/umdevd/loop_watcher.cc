#include "apps/umdevd/loop_watcher.h"

#include <sys/epoll.h>

namespace umdev::daemon {
namespace {

// The loop's thread only, except `ended`.
struct State {
  std::atomic<bool> ended = false;
  InlineFunction<void(), 64> readable;
  os::Watch watch;
};

class LoopWatch final : public vfio::FdWatcher::Watch {
 public:
  LoopWatch(os::EventLoop& loop, std::shared_ptr<State> state) : loop_(loop), state_(std::move(state)) {}
  // The descriptor stays open until the loop has let go of it: it belongs to the callback.
  ~LoopWatch() override {
    state_->ended.store(true);
    loop_.post([state = std::move(state_)] {
      state->watch.cancel();
      state->readable.reset();
    });
  }

 private:
  os::EventLoop& loop_;
  std::shared_ptr<State> state_;
};

}  // namespace

Result<std::unique_ptr<vfio::FdWatcher::Watch>> LoopWatcher::watch(int fd,
                                                                   InlineFunction<void(), 64> readable) {
  auto state = std::make_shared<State>();
  state->readable = std::move(readable);
  loop_.post([this, fd, state] {
    if (state->ended.load()) return;
    // The watch does not own the state, which owns the watch.
    auto watch = loop_.watch(fd, EPOLLIN, [raw = state.get()](std::uint32_t) {
      if (!raw->ended.load()) raw->readable();
    });
    if (watch)
      state->watch = std::move(*watch);
    else
      log_.error("an eventfd cannot be watched: its interrupts stay masked");
  });
  return std::make_unique<LoopWatch>(loop_, std::move(state));
}

}  // namespace umdev::daemon

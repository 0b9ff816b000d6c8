#include "tests/support/test_host.h"

#include <algorithm>

namespace umdev::test {

struct ManualClock::State {
  using Key = std::pair<Time, std::uint64_t>;  // the number keeps timers of one moment in their order
  mutable Mutex mutex;
  Time now UMDEV_GUARDED_BY(mutex){};
  std::uint64_t next_number UMDEV_GUARDED_BY(mutex) = 0;
  std::map<Key, Work> timers UMDEV_GUARDED_BY(mutex);
};

namespace {

class PendingTimer final : public Timer::Pending {
 public:
  PendingTimer(std::shared_ptr<void> owner, InlineFunction<void()> cancel)
      : owner_(std::move(owner)), cancel_(std::move(cancel)) {}
  ~PendingTimer() override { cancel_(); }

 private:
  std::shared_ptr<void> owner_;
  InlineFunction<void()> cancel_;
};

}  // namespace

std::shared_ptr<ManualClock::State> ManualClock::make_state() {
  return std::make_shared<State>();
}

Time ManualClock::now() const {
  Lock lock(state_->mutex);
  return state_->now;
}

Timer ManualClock::at(Time when, Work work) {
  Lock lock(state_->mutex);
  const State::Key key{when, state_->next_number++};
  state_->timers.emplace(key, std::move(work));
  State* state = state_.get();
  return Timer(std::make_unique<PendingTimer>(state_, [state, key] {
    Work dropped;
    Lock cancel_lock(state->mutex);
    if (auto node = state->timers.extract(key)) dropped = std::move(node.mapped());
  }));
}

void ManualClock::advance(Duration by) {
  Time end;
  {
    Lock lock(state_->mutex);
    end = state_->now + by;
  }
  for (;;) {
    Work work;
    {
      Lock lock(state_->mutex);
      const auto first = state_->timers.begin();
      if (first == state_->timers.end() || first->first.first > end) {
        state_->now = end;
        return;
      }
      state_->now = std::max(state_->now, first->first.first);
      work = std::move(first->second);
      state_->timers.erase(first);
    }
    work();
  }
}

std::size_t ManualClock::pending_timers() const {
  Lock lock(state_->mutex);
  return state_->timers.size();
}

void QueueExecutor::post(Work work) {
  Lock lock(mutex_);
  queue_.push_back(std::move(work));
}

std::size_t QueueExecutor::run() {
  for (std::size_t ran = 0;; ++ran) {
    Work work;
    {
      Lock lock(mutex_);
      if (queue_.empty()) return ran;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    work();
  }
}

void RecordingLog::write(LogLevel level, std::string_view text) {
  Lock lock(mutex_);
  lines_.emplace_back(level, text);
}

std::size_t RecordingLog::count(LogLevel level) const {
  Lock lock(mutex_);
  return static_cast<std::size_t>(
      std::count_if(lines_.begin(), lines_.end(), [&](const auto& line) { return line.first == level; }));
}

bool RecordingLog::contains(std::string_view text) const {
  Lock lock(mutex_);
  return std::any_of(lines_.begin(), lines_.end(),
                     [&](const auto& line) { return line.second.find(text) != std::string::npos; });
}

void RecordingLog::clear() {
  std::vector<std::pair<LogLevel, std::string>> dropped;
  Lock lock(mutex_);
  lines_.swap(dropped);
}

}  // namespace umdev::test

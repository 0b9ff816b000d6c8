#include "umdev/os/thread_pool.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <deque>
#include <optional>

#include "umdev/os/thread.h"
#include "umdev/support/mutex.h"

namespace umdev::os {

namespace {

// What is waited for in one go: adding more to the present time might overflow.
constexpr Duration longest_wait = std::chrono::hours(24);

}  // namespace

struct ThreadPool::State {
  // Starts one more thread.
  static Result<> grow(const std::shared_ptr<State>& state) UMDEV_REQUIRES(state->mutex);

  // The next piece of work for the calling thread, or nothing when it is to end.
  std::optional<Work> wait_for_work() UMDEV_EXCLUDES(mutex);

  std::array<char, 16> name{};
  ThreadPoolLimits limits;

  mutable Mutex mutex;
  Condition work_is_there;
  Condition thread_has_ended;
  std::deque<Work> queue UMDEV_GUARDED_BY(mutex);
  std::size_t threads UMDEV_GUARDED_BY(mutex) = 0;
  std::size_t waiting UMDEV_GUARDED_BY(mutex) = 0;
  bool stopping UMDEV_GUARDED_BY(mutex) = false;
  bool abandoned UMDEV_GUARDED_BY(mutex) = false;
};

Result<> ThreadPool::State::grow(const std::shared_ptr<State>& state) {
  auto thread = start_thread(state->name.data(), [state] { run_thread(*state); });
  if (!thread) return std::unexpected(thread.error());
  thread->detach();  // the count says when it has ended
  ++state->threads;
  return {};
}

std::optional<Work> ThreadPool::State::wait_for_work() {
  Lock lock(mutex);
  while (queue.empty() && !stopping) {
    ++waiting;
    bool woken = true;
    if (threads > limits.kept)
      woken = work_is_there.wait_for(mutex, limits.idle);
    else
      work_is_there.wait(mutex);
    --waiting;
    if (!woken && queue.empty() && threads > limits.kept) break;
  }
  if (queue.empty() || stopping) {
    --threads;
    thread_has_ended.notify_all();
    return std::nullopt;
  }
  Work work = std::move(queue.front());
  queue.pop_front();
  return work;
}

void ThreadPool::run_thread(State& state) {
  while (std::optional<Work> work = state.wait_for_work()) (*work)();
}

Result<std::unique_ptr<ThreadPool>> ThreadPool::create(const char* name, ThreadPoolLimits limits) {
  if (limits.kept == 0 || limits.most < limits.kept || limits.idle < Duration::zero())
    return fail(EINVAL, "limits that make no sense");
  auto state = std::make_shared<State>();
  std::snprintf(state->name.data(), state->name.size(), "%s", name);
  state->limits = limits;
  state->limits.idle = std::min(limits.idle, longest_wait);
  std::unique_ptr<ThreadPool> pool(new ThreadPool(state));
  Lock lock(state->mutex);
  for (std::size_t index = 0; index < limits.kept; ++index) UMDEV_TRY(State::grow(state));
  return pool;
}

ThreadPool::~ThreadPool() {
  abandon_stuck(Duration::max());
  while (discard_pending()) {
  }
}

void ThreadPool::post(Work work) {
  Lock lock(state_->mutex);
  state_->queue.push_back(std::move(work));
  if (state_->stopping) return;
  if (state_->queue.size() > state_->waiting && state_->threads < state_->limits.most) {
    [[maybe_unused]] const auto grown =
        State::grow(state_);  // if not, one of the present ones takes the work
  }
  state_->work_is_there.notify_one();
}

bool ThreadPool::discard_pending() {
  std::deque<Work> pending;  // destroyed outside the lock, since that may complete something
  Lock lock(state_->mutex);
  pending.swap(state_->queue);
  return !pending.empty();
}

std::size_t ThreadPool::abandon_stuck(Duration deadline) {
  {
    Lock lock(state_->mutex);
    state_->stopping = true;
    state_->work_is_there.notify_all();
  }
  discard_pending();
  const auto start = std::chrono::steady_clock::now();
  Lock lock(state_->mutex);
  while (state_->threads > 0 && !state_->abandoned) {
    if (deadline == Duration::max()) {
      state_->thread_has_ended.wait(state_->mutex);
      continue;
    }
    const Duration left = deadline - (std::chrono::steady_clock::now() - start);
    if (left <= Duration::zero())
      state_->abandoned = true;
    else
      state_->thread_has_ended.wait_for(state_->mutex, std::min(left, longest_wait));
  }
  return state_->threads;
}

std::size_t ThreadPool::count_threads() const {
  Lock lock(state_->mutex);
  return state_->threads;
}

}  // namespace umdev::os

// os::EventLoop and os::WorkerPool on the network's clock and executor.
#include "umdev/os/event_loop.h"

#include <sys/epoll.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "tests/support/fake_os/network.h"
#include "umdev/os/watch_state.h"
#include "umdev/os/worker_pool.h"
#include "umdev/support/assert.h"

namespace umdev::os {

struct EventLoop::Shared {
  struct Entry {
    Watch::State* state;
    std::optional<std::uint64_t> told;  // which edge; of these events
  };
  // Is there something to tell? By edge, what was told is not told again.
  static std::uint32_t news(Entry& entry) {
    test::FakeNetwork& network = test::FakeNetwork::instance();
    const Watch::State& state = *entry.state;
    const std::uint32_t events = network.ready(state.fd) & (state.events | EPOLLHUP | EPOLLERR);
    const std::uint64_t edge = network.edges(state.fd);
    if (events == 0 || ((state.events & EPOLLET) != 0 && entry.told == edge)) return 0;
    entry.told = edge;
    return events;
  }
  Entry& entry_of(const Watch::State* state) { return *std::ranges::find(watches, state, &Entry::state); }

  std::vector<Entry> watches;
};
struct EventLoop::Batch {};

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
  return std::unique_ptr<EventLoop>(new EventLoop(UniqueFd(), std::make_shared<Shared>()));
}

EventLoop::EventLoop(UniqueFd, std::shared_ptr<Shared> shared)
    : shared_(std::move(shared)), batch_(std::make_unique<Batch>()) {}

EventLoop::~EventLoop() {
  UMDEV_ASSERT(shared_->watches.empty(), "a watch outlives its loop");
}

void EventLoop::post(Work work) {
  test::FakeNetwork::instance().host().executor().post(std::move(work));
}

Time EventLoop::now() const {
  return test::FakeNetwork::instance().host().clock().now();
}

Timer EventLoop::at(Time when, Work work) {
  return test::FakeNetwork::instance().host().clock().at(when, std::move(work));
}

bool EventLoop::on_loop_thread() const {
  return true;
}

void EventLoop::assert_on_loop_thread() const {}

bool EventLoop::discard_pending() {
  return false;
}

// One look at every descriptor, then the work that was posted. Time is the network's to move.
std::size_t EventLoop::run_once(Duration) {
  test::FakeNetwork& network = test::FakeNetwork::instance();
  std::size_t ran = 0;
  dispatching_ = true;
  const std::vector<Shared::Entry> batch = shared_->watches;
  for (const Shared::Entry& watched : batch) {
    Watch::State* const state = watched.state;
    if (state->ended) continue;
    const std::uint32_t events = Shared::news(shared_->entry_of(state));
    if (events == 0) continue;
    state->callback(events);
    ++ran;
  }
  free_ended_watches();
  dispatching_ = false;
  return ran + network.host().run();
}

Result<Watch> EventLoop::watch(int fd, std::uint32_t events, WatchCallback callback) {
  test::FakeNetwork& network = test::FakeNetwork::instance();
  if (network.failing_watches > 0) {
    --network.failing_watches;
    return fail(ENOSPC, "no watch is left");
  }
  auto state = std::make_unique<Watch::State>(
      Watch::State{.fd = fd, .events = events, .callback = std::move(callback)});
  shared_->watches.push_back({.state = state.get(), .told = {}});
  return Watch(this, state.release());
}

void EventLoop::end_watch(Watch::State* state) {
  std::erase_if(shared_->watches, [state](const Shared::Entry& entry) { return entry.state == state; });
  // A watch ends before its descriptor is closed, whose number may be another's then.
  test::FakeNetwork::instance().forget(state->fd);
  state->ended = true;
  state->next_ended = std::exchange(ended_watches_, state);
  if (!dispatching_) free_ended_watches();
}

void Watch::set_events(std::uint32_t events) {
  UMDEV_ASSERT(state_ != nullptr, "the watch has ended");
  if (state_->events == events) return;
  state_->events = events;
  loop_->shared_->entry_of(state_).told.reset();
}

// --- Workers without threads.

struct WorkerPool::Worker {
  std::unique_ptr<EventLoop> loop;
};

Result<std::unique_ptr<WorkerPool>> WorkerPool::create(std::size_t count) {
  if (count == 0) return fail(EINVAL, "a pool without workers");
  std::vector<Worker> workers;
  for (std::size_t i = 0; i < count; ++i) workers.push_back({.loop = UMDEV_TRY(EventLoop::create())});
  return std::unique_ptr<WorkerPool>(new WorkerPool(std::move(workers)));
}

WorkerPool::WorkerPool(std::vector<Worker> workers) : workers_(std::move(workers)) {}

WorkerPool::~WorkerPool() = default;

std::size_t WorkerPool::size() const {
  return workers_.size();
}

EventLoop& WorkerPool::next() {
  return at(next_++ % workers_.size());
}

EventLoop& WorkerPool::at(std::size_t index) {
  return *workers_[index].loop;
}

void WorkerPool::stop() {}

}  // namespace umdev::os

#include "umdev/os/event_loop.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "umdev/os/spin_window.h"
#include "umdev/os/system_call.h"
#include "umdev/os/system_error.h"
#include "umdev/os/timer_queue.h"
#include "umdev/os/watch_state.h"
#include "umdev/support/mutex.h"

namespace umdev::os {

namespace {

// Compared before it is subtracted: the caller's time may lie anywhere.
Duration time_until(Time when) {
  const Time now = std::chrono::steady_clock::now();
  return when <= now ? Duration::zero() : when - now;
}

// How many events there are, waiting for one at most so long (or for ever).
int take_events(int epoll, std::span<epoll_event> events, std::optional<Duration> wait) {
  timespec timeout{};
  if (wait) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(*wait);
    timeout.tv_sec = seconds.count();
    timeout.tv_nsec = (*wait - seconds).count();
  }
  const long count = system_call<&::epoll_pwait2, SYS_epoll_pwait2>(
      epoll, events.data(), static_cast<int>(events.size()),
      static_cast<const timespec*>(wait ? &timeout : nullptr), static_cast<const sigset_t*>(nullptr));
  UMDEV_ASSERT(count >= 0 || count == -EINTR, "epoll_pwait2 failed");
  return static_cast<int>(std::max(count, 0L));
}

// The same without sleeping, for as long as this thread looks; at most for `wait`.
int look_for_events(int epoll, std::span<epoll_event> events, std::optional<Duration> wait) {
  const Duration window = spin_of_this_thread().next();
  if (window == Duration::zero()) return 0;
  const Time end = std::chrono::steady_clock::now() + (wait ? std::min(*wait, window) : window);
  int count = 0;
  do {
    count = take_events(epoll, events, Duration::zero());
  } while (count == 0 && std::chrono::steady_clock::now() < end);
  spin_of_this_thread().found(count != 0);
  return count;
}

}  // namespace

// What other threads reach. The loop takes the lock only when somebody has called it since it last did.
struct EventLoop::Shared {
  enum class State : std::uint8_t { awake, asleep, called };

  // After something has changed that the loop has to see. Does the caller have to wake it? Once per sleep,
  // whoever comes first.
  bool call() { return state.exchange(State::called) == State::asleep; }
  // The same where the loop need not hear of it before it wakes.
  void call_unless_asleep() {
    State awake = State::awake;
    state.compare_exchange_strong(awake, State::called);
  }

  // At the timers: when to do so again.
  Time look() UMDEV_REQUIRES(mutex) { return looks_at = timers.empty() ? Time::max() : timers.first().when; }

  std::atomic<State> state = State::awake;
  Mutex mutex;
  std::vector<Work> posted UMDEV_GUARDED_BY(mutex);
  TimerQueue timers UMDEV_GUARDED_BY(mutex);
  // When the loop looks at the timers though nobody calls: no later than the first of them is due.
  Time looks_at UMDEV_GUARDED_BY(mutex) = Time::max();
  EventFd waker;
};

// The loop's thread only: what is being worked off.
struct EventLoop::Batch {
  // A burst of posts must not hold memory for ever.
  static constexpr std::size_t kept_capacity = 4096;

  bool has_work() const { return next < work.size(); }

  bool has_posted = false;      // Shared has
  Time looks_at = Time::max();  // as Shared::looks_at
  std::array<epoll_event, 64> events;
  std::vector<Work> work;
  std::size_t next = 0;
};

class EventLoop::LoopTimer final : public Timer::Pending {
 public:
  LoopTimer(std::shared_ptr<Shared> shared, Time when, Work work) : shared_(std::move(shared)) {
    entry_.when = when;
    entry_.work = std::move(work);
    bool wakes = false;
    {
      Lock lock(shared_->mutex);
      shared_->timers.add(entry_);
      wakes = when < shared_->looks_at && shared_->call();
    }
    if (wakes) shared_->waker.signal();
  }
  LoopTimer(const LoopTimer&) = delete;
  LoopTimer& operator=(const LoopTimer&) = delete;
  // The work is destroyed with the entry, outside the lock, since it may complete something.
  ~LoopTimer() override {
    Lock lock(shared_->mutex);
    if (!entry_.is_queued()) return;
    if (entry_.when == shared_->looks_at) shared_->call_unless_asleep();
    shared_->timers.remove(entry_);
  }

 private:
  const std::shared_ptr<Shared> shared_;
  QueuedTimer entry_;
};

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno("epoll_create1 failed");
  auto shared = std::make_shared<Shared>();
  shared->waker = UMDEV_TRY(EventFd::create());
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;  // the one entry that is no watch
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, shared->waker.get(), &event) != 0)
    return fail_errno("cannot watch the loop's own eventfd");
  return std::unique_ptr<EventLoop>(new EventLoop(std::move(epoll), std::move(shared)));
}

EventLoop::EventLoop(UniqueFd epoll, std::shared_ptr<Shared> shared)
    : epoll_(std::move(epoll)), shared_(std::move(shared)), batch_(std::make_unique<Batch>()) {}

EventLoop::~EventLoop() {
  UMDEV_ASSERT(thread_ == 0, "a running loop is destroyed");
  while (discard_pending()) {
  }
  UMDEV_ASSERT(watches_ == 0, "a watch outlives its loop");
}

void EventLoop::post(Work work) {
  std::shared_ptr<Shared> woken;  // the work may end the loop before it is signalled
  {
    Lock lock(shared_->mutex);
    shared_->posted.push_back(std::move(work));
    // Who found others' work there need not call again.
    if (shared_->posted.size() == 1 && shared_->call()) woken = shared_;
  }
  // Not under the lock, which is the first thing that the loop wants.
  if (woken) woken->waker.signal();
}

Time EventLoop::now() const {
  return std::chrono::steady_clock::now();
}

Timer EventLoop::at(Time when, Work work) {
  return Timer(std::make_unique<LoopTimer>(shared_, when, std::move(work)));
}

void EventLoop::stop() {
  stopping_ = true;
  const std::shared_ptr<Shared> shared = shared_;  // the loop may end as soon as it is called
  if (shared->call()) shared->waker.signal();
}

bool EventLoop::on_loop_thread() const {
  const unsigned long thread = thread_;
  return thread == 0 || thread == ::pthread_self();
}

void EventLoop::assert_on_loop_thread() const {
  UMDEV_ASSERT(on_loop_thread(), "only for the loop's thread");
}

void EventLoop::enter() {
  unsigned long nobody = 0;
  UMDEV_ASSERT(thread_.compare_exchange_strong(nobody, ::pthread_self()), "the loop runs already");
}

void EventLoop::leave() {
  stopping_ = false;
  thread_ = 0;
}

void EventLoop::run() {
  enter();
  while (!stopping_) turn(std::nullopt);
  leave();
}

std::size_t EventLoop::run_once(Duration wait) {
  enter();
  const std::size_t ran = turn(std::max(wait, Duration::zero()));
  leave();
  return ran;
}

std::size_t EventLoop::turn(std::optional<Duration> wait) {
  std::size_t ran = dispatch(wait_for_events(wait));
  hear_calls();
  if (batch_->looks_at != Time::max()) {
    ran += run_due_timers();
    hear_calls();
  }
  if (batch_->has_work() || batch_->has_posted) ran += run_posted();
  return ran;
}

void EventLoop::hear_calls() {
  if (shared_->state.load() != Shared::State::called) return;
  // Before the look: whoever changes something after it calls again.
  shared_->state = Shared::State::awake;
  Lock lock(shared_->mutex);
  batch_->has_posted = !shared_->posted.empty();
  batch_->looks_at = shared_->look();
}

int EventLoop::wait_for_events(std::optional<Duration> wait) {
  hear_calls();
  if (batch_->has_work() || batch_->has_posted || stopping_) {
    wait = Duration::zero();
  } else if (batch_->looks_at != Time::max()) {
    const Duration due = time_until(batch_->looks_at);
    wait = wait ? std::min(*wait, due) : due;
  }
  Shared::State state = Shared::State::awake;
  if (wait == Duration::zero() || !shared_->state.compare_exchange_strong(state, Shared::State::asleep))
    return take_events(epoll_.get(), batch_->events, Duration::zero());
  // Whoever calls meanwhile signals the waker, which a look finds as well as a sleeper.
  int count = look_for_events(epoll_.get(), batch_->events, wait);
  if (count == 0) count = take_events(epoll_.get(), batch_->events, wait);
  state = Shared::State::asleep;
  shared_->state.compare_exchange_strong(state, Shared::State::awake);
  return count;
}

std::size_t EventLoop::dispatch(int count) {
  std::size_t ran = 0;
  dispatching_ = true;
  for (int index = 0; index < count; ++index) {
    const epoll_event& event = batch_->events[static_cast<std::size_t>(index)];
    auto* state = static_cast<Watch::State*>(event.data.ptr);
    if (state == nullptr) {
      shared_->waker.take();
      continue;
    }
    if (state->ended) continue;  // by an earlier callback of this batch
    state->callback(event.events);
    ++ran;
  }
  free_ended_watches();
  dispatching_ = false;
  return ran;
}

std::size_t EventLoop::run_due_timers() {
  // Measured once: a timer that sets itself again at once does not keep the loop from its descriptors.
  const Time due_before = now();
  if (batch_->looks_at > due_before) return 0;
  for (std::size_t ran = 0;; ++ran) {
    Work work;
    {
      Lock lock(shared_->mutex);
      batch_->looks_at = shared_->look();
      if (batch_->looks_at > due_before || stopping_) return ran;
      QueuedTimer& first = shared_->timers.first();
      shared_->timers.remove(first);
      work = std::move(first.work);
    }
    work();
  }
}

std::size_t EventLoop::run_posted() {
  if (!batch_->has_work()) {
    batch_->has_posted = false;
    if (batch_->work.capacity() > Batch::kept_capacity) std::vector<Work>().swap(batch_->work);
    batch_->work.clear();
    batch_->next = 0;
    Lock lock(shared_->mutex);
    batch_->work.swap(shared_->posted);
  }
  std::size_t ran = 0;
  for (Work work; !stopping_ && next_posted(work); ++ran) {
    work();
    work.reset();
  }
  return ran;
}

bool EventLoop::next_posted(Work& work) {
  if (!batch_->has_work()) return false;
  work = std::move(batch_->work[batch_->next++]);
  return true;
}

bool EventLoop::discard_pending() {
  UMDEV_ASSERT(thread_ == 0, "the loop runs");
  bool found = false;
  for (Work work; next_posted(work); work.reset()) found = true;
  std::vector<Work> posted;
  {
    Lock lock(shared_->mutex);
    posted.swap(shared_->posted);
  }
  found = found || !posted.empty();
  posted.clear();
  for (;;) {
    Work work;
    Lock lock(shared_->mutex);
    if (shared_->timers.empty()) return found;
    QueuedTimer& first = shared_->timers.first();
    shared_->timers.remove(first);
    work = std::move(first.work);
    found = true;
  }
}

Result<Watch> EventLoop::watch(int fd, std::uint32_t events, WatchCallback callback) {
  assert_on_loop_thread();
  auto state = std::make_unique<Watch::State>(
      Watch::State{.fd = fd, .events = events, .callback = std::move(callback)});
  epoll_event event{};
  event.events = events;
  event.data.ptr = state.get();
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    return fail_errno("cannot watch the descriptor");
  ++watches_;
  return Watch(this, state.release());
}

void EventLoop::end_watch(Watch::State* state) {
  assert_on_loop_thread();
  // A descriptor that was closed first may live on in the kernel (when a client holds a copy) and would call
  // back for ever.
  const int result = ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, state->fd, nullptr);
  UMDEV_ASSERT(result == 0, "a descriptor was closed before its watch ended");
  --watches_;
  state->ended = true;
  state->next_ended = std::exchange(ended_watches_, state);
  // In a batch of events: the batch may name it still, and its callback may be the one that runs.
  if (!dispatching_) free_ended_watches();
}

void Watch::set_events(std::uint32_t events) {
  UMDEV_ASSERT(state_ != nullptr, "the watch has ended");
  loop_->assert_on_loop_thread();
  if (state_->events == events) return;
  state_->events = events;
  epoll_event event{};
  event.events = events;
  event.data.ptr = state_;
  const int result = ::epoll_ctl(loop_->epoll_.get(), EPOLL_CTL_MOD, state_->fd, &event);
  UMDEV_ASSERT(result == 0, "a descriptor was closed before its watch ended");
}

}  // namespace umdev::os

// One thread that waits for descriptors, timers and posted work.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "umdev/os/event_fd.h"
#include "umdev/support/host.h"

namespace umdev::os {

class EventLoop;

// Called with what is ready (EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR, ...), on the loop's thread. May destroy
// its own watch and any other.
using WatchCallback = InlineFunction<void(std::uint32_t events), 48>;

// Watches one descriptor; the end of the Watch ends it, and no callback starts after that. Everything here is
// for the loop's thread only (or for any one thread while the loop does not run). Ends before the descriptor
// is closed and before the loop ends.
class [[nodiscard]] Watch {
 public:
  Watch() = default;
  Watch(Watch&& other) noexcept : loop_(other.loop_), state_(std::exchange(other.state_, nullptr)) {}
  Watch& operator=(Watch&& other) noexcept;
  ~Watch() { cancel(); }

  explicit operator bool() const { return state_ != nullptr; }

  // What to wait for from now on; 0 leaves only EPOLLERR and EPOLLHUP. Costs nothing when it is as before.
  void set_events(std::uint32_t events);

  void cancel();

 private:
  friend class EventLoop;
  struct State;
  Watch(EventLoop* loop, State* state) : loop_(loop), state_(state) {}

  EventLoop* loop_ = nullptr;
  State* state_ = nullptr;
};

// An Executor that runs posted work in the order in which it came, and a Clock (CLOCK_MONOTONIC). The loop's
// thread is the one inside run() or run_once(). Serving an event allocates nothing and takes no lock, but for
// work and timers that came meanwhile. While nothing happens it sleeps in the kernel.
//
// In one turn: the descriptors that were ready, then the timers that were due, then the work that was posted.
class EventLoop final : public Executor, public Clock {
 public:
  // EMFILE when there are no descriptors left for it (it needs two).
  static Result<std::unique_ptr<EventLoop>> create();

  // Work and timers that have not run are destroyed, so their completions end with ECANCELED. The loop does
  // not run any more, all watches have ended, and nobody posts any more.
  ~EventLoop() override;
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Any thread.
  void post(Work work) override;
  Time now() const override;
  [[nodiscard]] Timer at(Time when, Work work) override;

  // Any thread: run() returns after the piece of work that is running. When the loop does not run, the next
  // run() (or run_once()) runs nothing and returns. What is pending stays pending.
  void stop();

  // Loop's thread. Calls back whenever `events` of `fd` (which stays the caller's) are ready; level-triggered
  // unless EPOLLET is asked for. EPERM for what cannot be waited for (a regular file); EEXIST for what is
  // watched already; ENOSPC at the system's limit of watches.
  Result<Watch> watch(int fd, std::uint32_t events, WatchCallback callback);

  // Runs until stop(). Not from inside a callback.
  void run();

  // One turn, waiting at most `wait` for something to do; returns how many callbacks, timers and pieces of
  // work ran.
  std::size_t run_once(Duration wait = Duration::zero());

  // Destroys what is posted and the work of the timers, without running it. The loop does not run.
  // False when there was nothing.
  bool discard_pending();

  // True on the loop's thread, and on every thread while the loop does not run.
  bool on_loop_thread() const;
  void assert_on_loop_thread() const;

 private:
  friend class Watch;
  struct Shared;
  class LoopTimer;

  EventLoop(UniqueFd epoll, std::shared_ptr<Shared> shared);

  void enter();
  void leave();
  std::size_t turn(std::optional<Duration> wait);
  void hear_calls();
  int wait_for_events(std::optional<Duration> wait);
  std::size_t dispatch(int count);
  std::size_t run_due_timers();
  std::size_t run_posted();
  bool next_posted(Work& work);
  void end_watch(Watch::State* state);
  void free_ended_watches();

  const UniqueFd epoll_;
  // Outlives the loop while a Timer does.
  const std::shared_ptr<Shared> shared_;
  std::atomic<unsigned long> thread_ = 0;  // 0 while the loop does not run
  std::atomic<bool> stopping_ = false;

  // The loop's thread only.
  struct Batch;
  const std::unique_ptr<Batch> batch_;
  std::size_t watches_ = 0;
  Watch::State* ended_watches_ = nullptr;
  bool dispatching_ = false;
};

}  // namespace umdev::os

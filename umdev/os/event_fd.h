// Event counters that can be waited for: our own, and those that a client handed us.
#pragma once

#include <atomic>
#include <cstdint>

#include "umdev/os/unique_fd.h"
#include "umdev/os/write_watch.h"

namespace umdev::os {

// 0 when the descriptor is an eventfd (of either kind, counter or semaphore), EINVAL when it is something
// else, EBADF when it is not open. Needs /proc.
Result<> check_event_fd(int fd);

// Whether somebody's eventfds may still be signalled by write(): until the first of them made one wait, and
// never again after that. Any thread.
class EventFdTrust {
 public:
  bool holds() const { return !lost_.load(std::memory_order_relaxed); }
  void lose() { lost_.store(true, std::memory_order_relaxed); }

 private:
  std::atomic<bool> lost_ = false;
};

// An eventfd that is signalled as the kernel signals one: never waiting, whatever its other holders do. All
// members are safe from any thread.
class EventFd {
 public:
  // A new one with the count 0, non-blocking, for use inside this process. One that is handed to a client is
  // to be adopted instead (adopt(own.dup())), since the client may make it blocking.
  static Result<EventFd> create();

  // One that a client sent. EINVAL when it is no eventfd. `trust`, when it is given, must outlive it.
  //
  // The client may hand us a blocking eventfd whose count is at its maximum, where write() waits until
  // someone reads. O_NONBLOCK is no way out: it belongs to the open file, which the client shares, so setting
  // it would break the client's own blocking reads, and the client can clear it again. Nor is poll() before
  // write(): the client can fill the counter in between. There are two ways out:
  //  - write() while a WriteWatch would interrupt it. A client that makes one wait costs the thread that
  //    signals two of the watch's ticks, some 10 ms, and loses its trust: nothing that shares the trust is
  //    written to again. So this harm is done once for each thread that signals at that moment.
  //  - The one call that signals an eventfd from inside the kernel, as vfio-pci and KVM do
  //    (eventfd_signal(), which stops at the maximum): the completion of an asynchronous read or poll with
  //    IOCB_FLAG_RESFD (io_submit(2)). It never waits, and takes two to three times as long. It serves when
  //    there is no watch, no trust, or so few signals that the watch rests. Where the kernel does not offer
  //    it, poll() and write() remain.
  static Result<EventFd> adopt(UniqueFd fd, EventFdTrust* trust = nullptr);

  EventFd() = default;

  int get() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }
  Result<UniqueFd> dup() const { return fd_.dup(); }

  // Adds 1. Never waits, but once for a client that betrays its trust (see adopt): at the maximum the signal
  // is dropped, for its reader has one to come anyway. Has no error that a caller could act on.
  // In the header, for a return after a system call is not cheap (see WriteWatch).
  void signal() const {
    if (trust_ != nullptr && trust_->holds()) [[likely]] {
      const auto outcome = WriteWatch::add_one(fd_.get());
      if (outcome == WriteWatch::Outcome::done) [[likely]]
        return;
      if (outcome == WriteWatch::Outcome::interrupted) trust_->lose();
    }
    signal_slowly();
  }

  // The count, which becomes 0 (a semaphore: 1, and the count sinks by 1); 0 when there is nothing. Never
  // waits.
  std::uint64_t take() const;

 private:
  EventFd(UniqueFd fd, bool shared_with_client, EventFdTrust* trust)
      : fd_(std::move(fd)), shared_with_client_(shared_with_client), trust_(trust) {}

  void signal_slowly() const;

  UniqueFd fd_;
  bool shared_with_client_ = false;
  EventFdTrust* trust_ = nullptr;
};

}  // namespace umdev::os

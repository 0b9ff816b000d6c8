// Event counters that can be waited for: our own, and those that a client handed us.
#pragma once

#include <cstdint>

#include "umdev/os/unique_fd.h"

namespace umdev::os {

// 0 when the descriptor is an eventfd (of either kind, counter or semaphore), EINVAL when it is something
// else, EBADF when it is not open. Needs /proc.
Result<> check_event_fd(int fd);

// An eventfd that is signalled as the kernel signals one: never waiting, whatever its other holders do. All
// members are safe from any thread.
class EventFd {
 public:
  // A new one with the count 0, non-blocking, for use inside this process. One that is handed to a client is
  // to be adopted instead (adopt(own.dup())), since the client may make it blocking.
  static Result<EventFd> create();

  // One that a client sent. EINVAL when it is no eventfd.
  //
  // The client may hand us a blocking eventfd whose count is at its maximum, where write() waits until
  // someone reads. O_NONBLOCK is no way out: it belongs to the open file, which the client shares, so setting
  // it would break the client's own blocking reads, and the client can clear it again. Nor is poll() before
  // write(): the client can fill the counter in between. The one call that signals an eventfd from inside the
  // kernel, as vfio-pci and KVM do (eventfd_signal(), which stops at the maximum), is the completion of an
  // asynchronous read or poll with IOCB_FLAG_RESFD (io_submit(2)), so an adopted eventfd is signalled that
  // way. Where the kernel does not offer it, poll() and write() remain.
  static Result<EventFd> adopt(UniqueFd fd);

  EventFd() = default;

  int get() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }
  Result<UniqueFd> dup() const { return fd_.dup(); }

  // Adds 1. Never waits: at the maximum the signal is dropped, for its reader has one to come anyway. Has no
  // error that a caller could act on.
  void signal() const;

  // The count, which becomes 0 (a semaphore: 1, and the count sinks by 1); 0 when there is nothing. Never
  // waits.
  std::uint64_t take() const;

 private:
  EventFd(UniqueFd fd, bool shared_with_client)
      : fd_(std::move(fd)), shared_with_client_(shared_with_client) {}

  UniqueFd fd_;
  bool shared_with_client_ = false;
};

}  // namespace umdev::os

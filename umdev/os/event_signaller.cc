#include "umdev/os/event_signaller.h"

#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace umdev::os {

EventSignaller& EventSignaller::of_this_thread() {
  static thread_local EventSignaller signaller;
  return signaller;
}

EventSignaller::EventSignaller() : always_ready_(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (always_ready_ && ::syscall(SYS_io_setup, capacity, &context_) != 0) context_ = 0;
}

EventSignaller::~EventSignaller() {
  if (context_ != 0) ::syscall(SYS_io_destroy, context_);
}

bool EventSignaller::signal(int event_fd) {
  if (context_ == 0) return false;
  // A poll of something that is ready already: it completes inside io_submit(), and so signals there.
  iocb poll_request{};
  poll_request.aio_lio_opcode = IOCB_CMD_POLL;
  poll_request.aio_fildes = static_cast<std::uint32_t>(always_ready_.get());
  poll_request.aio_buf = POLLIN;
  poll_request.aio_flags = IOCB_FLAG_RESFD;
  poll_request.aio_resfd = static_cast<std::uint32_t>(event_fd);
  std::array<iocb*, 1> requests{&poll_request};
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (::syscall(SYS_io_submit, context_, 1L, requests.data()) == 1) return true;
    if (errno != EAGAIN) return false;
    discard_completions();
  }
  return false;
}

void EventSignaller::discard_completions() {
  std::array<io_event, capacity> events;
  timespec no_wait{};
  ::syscall(SYS_io_getevents, context_, 0L, static_cast<long>(capacity), events.data(), &no_wait);
}

}  // namespace umdev::os

#include "umdev/os/event_fd.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string_view>

#include "umdev/os/event_signaller.h"
#include "umdev/os/system_error.h"
#include "umdev/support/sanitizers.h"

namespace umdev::os {
namespace {

// ThreadSanitizer sees the order that read() and write() of an eventfd give to two threads, not that of
// io_submit() and preadv2().
constexpr bool use_plain_calls = has_thread_sanitizer;

bool is_ready(int fd, short events) {
  pollfd entry{.fd = fd, .events = events, .revents = 0};
  return retry_interrupted([&] { return ::poll(&entry, 1, 0); }) == 1 && (entry.revents & events) != 0;
}

void add_one(int fd) {
  const std::uint64_t one = 1;
  // EAGAIN: the counter is at its maximum, and its reader will wake without us.
  [[maybe_unused]] const auto written = retry_interrupted([&] { return ::write(fd, &one, sizeof one); });
}

}  // namespace

Result<> check_event_fd(int fd) {
  std::array<char, 40> path{};
  std::snprintf(path.data(), path.size(), "/proc/self/fd/%d", fd);
  std::array<char, 64> target{};
  const ssize_t length = ::readlink(path.data(), target.data(), target.size());
  if (length < 0) return fail(EBADF, "not an open descriptor");
  if (std::string_view(target.data(), static_cast<std::size_t>(length)) != "anon_inode:[eventfd]")
    return fail(EINVAL, "the descriptor is no eventfd");
  return {};
}

Result<EventFd> EventFd::create() {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) return fail_errno("eventfd failed");
  return EventFd(std::move(fd), false, nullptr);
}

Result<EventFd> EventFd::adopt(UniqueFd fd, EventFdTrust* trust) {
  UMDEV_TRY(check_event_fd(fd.get()));
  return EventFd(std::move(fd), true, trust);
}

void EventFd::signal_slowly() const {
  if (!shared_with_client_) return add_one(fd_.get());
  if (!use_plain_calls && EventSignaller::of_this_thread().signal(fd_.get())) return;
  if (is_ready(fd_.get(), POLLOUT)) add_one(fd_.get());
}

std::uint64_t EventFd::take() const {
  std::uint64_t count = 0;
  iovec into{.iov_base = &count, .iov_len = sizeof count};
  const bool plain = !shared_with_client_ || use_plain_calls;
  if (plain && shared_with_client_ && !is_ready(fd_.get(), POLLIN)) return 0;
  // RWF_NOWAIT makes this one read non-blocking, whatever the client has made of the open file.
  const auto got = retry_interrupted([&] {
    return plain ? ::read(fd_.get(), &count, sizeof count) : ::preadv2(fd_.get(), &into, 1, -1, RWF_NOWAIT);
  });
  return got == sizeof count ? count : 0;
}

}  // namespace umdev::os

#include "umdev/run/listener.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <algorithm>

#include "umdev/os/system_error.h"

namespace umdev::run {

std::optional<StoppedCall> Listener::wait() const {
  for (;;) {
    pollfd ready{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    os::retry_interrupted([&] { return ::poll(&ready, 1, -1); });
    if ((ready.revents & POLLIN) == 0) return std::nullopt;
    seccomp_notif notification{};
    if (::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_RECV, &notification) != 0) {
      // Whoever called has died before it was heard.
      if (errno == ENOENT || errno == EINTR) continue;
      return std::nullopt;
    }
    StoppedCall call{.id = notification.id,
                     .thread = static_cast<pid_t>(notification.pid),
                     .number = notification.data.nr,
                     .arguments = {}};
    std::copy_n(notification.data.args, call.arguments.size(), call.arguments.begin());
    return call;
  }
}

bool Listener::is_waiting(const StoppedCall& call) const {
  return ::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &call.id) == 0;
}

Result<> Listener::send(const StoppedCall& call, std::int64_t value, int error, std::uint32_t flags) const {
  seccomp_notif_resp response{.id = call.id, .val = value, .error = -error, .flags = flags};
  if (::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_SEND, &response) != 0)
    return os::fail_errno("nobody waits for the answer");
  return {};
}

void Listener::go_on(const StoppedCall& call) const {
  (void)send(call, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
}

Result<> Listener::answer(const StoppedCall& call, std::int64_t value) const {
  return send(call, value, 0, 0);
}

Result<> Listener::refuse(const StoppedCall& call, int error) const {
  return send(call, 0, error, 0);
}

Result<int> Listener::give(const StoppedCall& call, int fd) const {
  const seccomp_notif_addfd words{.id = call.id,
                                  .flags = 0,
                                  .srcfd = static_cast<std::uint32_t>(fd),
                                  .newfd = 0,
                                  .newfd_flags = O_CLOEXEC};
  const int number = ::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_ADDFD, &words);
  if (number < 0) return os::fail_errno("the caller cannot be given a descriptor");
  return number;
}

}  // namespace umdev::run

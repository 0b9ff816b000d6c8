#include "umdev/os/signal_fd.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include "umdev/os/system_error.h"

namespace umdev::os {

Result<SignalFd> SignalFd::create(std::initializer_list<int> signals) {
  sigset_t caught;
  sigemptyset(&caught);
  for (const int signal : signals)
    if (sigaddset(&caught, signal) != 0) return fail(EINVAL, "no such signal");
  UniqueFd fd(::signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno("signalfd failed");
  sigset_t before;
  if (const int code = ::pthread_sigmask(SIG_BLOCK, &caught, &before); code != 0)
    return fail(code, "cannot block the signals");
  return SignalFd(std::move(fd), before);
}

SignalFd::~SignalFd() {
  if (fd_) ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

std::optional<int> SignalFd::take() const {
  signalfd_siginfo info{};
  const ssize_t length = retry_interrupted([&] { return ::read(fd_.get(), &info, sizeof info); });
  if (length != sizeof info) return std::nullopt;
  return static_cast<int>(info.ssi_signo);
}

}  // namespace umdev::os

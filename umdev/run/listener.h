// The calls that a filter has stopped (install_filter), and how they are answered.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>

#include "umdev/os/unique_fd.h"

namespace umdev::run {

// A call that waits for an answer. Its thread waits with it, and takes no signal but the deadly ones.
struct StoppedCall {
  std::uint64_t id = 0;
  pid_t thread = 0;
  long number = 0;  // SYS_ioctl or SYS_mmap
  std::array<std::uint64_t, 6> arguments{};
};

// Thread-safe. Answers to a call whose thread has died meanwhile are lost: ENOENT.
class Listener {
 public:
  explicit Listener(os::UniqueFd fd) : fd_(std::move(fd)) {}

  int fd() const { return fd_.get(); }

  // Waits for a call; nothing once no process is left that has the filter.
  std::optional<StoppedCall> wait() const;

  // Is it still this call that waits? What was found out about its thread before is then true.
  bool is_waiting(const StoppedCall& call) const;

  // Lets the kernel do it as if there were no filter.
  void go_on(const StoppedCall& call) const;
  // The call's result, or its errno.
  Result<> answer(const StoppedCall& call, std::int64_t value) const;
  Result<> refuse(const StoppedCall& call, int error) const;
  // A new descriptor of the caller's for the open file behind `fd`, close-on-exec; its number. (Not as the
  // call's result in one step: ours has to be closed first.) EMFILE and the like are the caller's.
  Result<int> give(const StoppedCall& call, int fd) const;

 private:
  Result<> send(const StoppedCall& call, std::int64_t value, int error, std::uint32_t flags) const;

  const os::UniqueFd fd_;
};

}  // namespace umdev::run

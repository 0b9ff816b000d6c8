// Owns one file descriptor.
#pragma once

#include <utility>

#include "umdev/support/error.h"

namespace umdev::os {

// Closes its descriptor at the end. Empty is -1. Not thread-safe, as an int is not.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() {
    if (fd_ >= 0) reset();
  }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

  // Gives the descriptor up to the caller.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }

  // Closes what is owned, and owns `fd` from now on.
  void reset(int fd = -1);

  // A second descriptor of the same open file, close-on-exec. EBADF when empty; EMFILE at the limit.
  Result<UniqueFd> dup() const;

 private:
  int fd_ = -1;
};

// The same for a descriptor that is only borrowed.
Result<UniqueFd> duplicate(int fd);

}  // namespace umdev::os

// System calls of durable files that fail when the test says so.
#pragma once

#include <cerrno>
#include <string>

#include "umdev/os/durable_file.h"

namespace umdev::test {

// Not thread-safe.
class FailingFileCalls final : public os::FileCalls {
 public:
  // The call with this number, counted from 0 and from now, fails with `code`; a write takes half of its
  // bytes before that, as on a disk that is full.
  void fail_at(int number, int code) {
    next_ = 0;
    failing_ = number;
    code_ = code;
  }
  void fail_never() { failing_ = -1; }
  int calls() const { return next_; }

  ssize_t write(int fd, const void* bytes, std::size_t size) override {
    if (fails()) {
      [[maybe_unused]] const auto half = FileCalls::write(fd, bytes, size / 2);
      errno = code_;
      return -1;
    }
    return FileCalls::write(fd, bytes, size);
  }
  int fsync(int fd) override { return fails() ? -1 : FileCalls::fsync(fd); }
  int rename(int from_directory, const char* from, int to_directory, const char* to) override {
    return fails() ? -1 : FileCalls::rename(from_directory, from, to_directory, to);
  }
  int unlink(int directory, const char* name) override {
    return fails() ? -1 : FileCalls::unlink(directory, name);
  }

 private:
  bool fails() {
    if (next_++ != failing_) return false;
    errno = code_;
    return true;
  }

  int next_ = 0;
  int failing_ = -1;
  int code_ = EIO;
};

}  // namespace umdev::test

// A program that is run beside, and spoken with by lines.
#pragma once

#include <sys/types.h>

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "umdev/os/unique_fd.h"

namespace umdev::bench {

// Where a program of this build is, by its path below the build directory.
std::string built(const std::string& path);

class Child {
 public:
  // Its standard input and output are ours, its errors go where ours do.
  explicit Child(std::vector<std::string> words);
  // Waits for its end.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void say_line();
  // Nothing at its end.
  std::optional<std::string> next_line();
  // Nobody speaks to it any more: its exit status, -1 for a signal.
  int end();

 private:
  pid_t process_ = -1;
  os::UniqueFd input_;
  std::FILE* output_ = nullptr;
};

}  // namespace umdev::bench

// The client program, run on one case.
#pragma once

#include <sys/types.h>

#include <string>

#include "umdev/os/unique_fd.h"

namespace umdev::test {

// Waits a minute at most for whatever it is to say or do; ended with this object if it has not ended itself.
class ClientProgram {
 public:
  ClientProgram(const std::string& root, const std::string& name);
  ~ClientProgram();
  ClientProgram(const ClientProgram&) = delete;
  ClientProgram& operator=(const ClientProgram&) = delete;

  // The next word that it says; empty when it has ended.
  std::string word();
  void go_on();
  // Its exit status, -1 when it was killed.
  int status();

 private:
  pid_t pid_ = -1;
  os::UniqueFd to_;
  os::UniqueFd from_;
};

}  // namespace umdev::test

// The registers of a thread that has stopped for its tracer.
#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <vector>

#include "umdev/run/cpu_registers.h"
#include "umdev/support/bytes.h"
#include "umdev/support/error.h"

namespace umdev::run {

// On the thread that traces it. ESRCH: it has been killed.
class ThreadRegisters {
 public:
  // All but the vectors. ENOSYS: the thread runs code of another processor (32 bits).
  static Result<ThreadRegisters> read(pid_t thread);
  Result<> read_vectors();

  CpuRegisters& values() { return values_; }

  // Puts the values back; the vectors only where they have been read.
  Result<> write();

 private:
  explicit ThreadRegisters(pid_t thread) : thread_(thread) {}
  void copy_vectors(bool into_values);

  pid_t thread_;
  user_regs_struct raw_{};
  std::vector<std::byte> state_;  // XSAVE's, where the vectors are in
  CpuRegisters values_;
};

}  // namespace umdev::run

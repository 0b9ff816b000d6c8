// The thread that traces, against programs that stop for it all the time.
#include "umdev/run/tracer.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace umdev::run {
namespace {

struct NoRegisters final : MappedRegisters {
  std::shared_ptr<DeviceRegisters> of_memory(const os::FileIdentity&) const override { return nullptr; }
  bool may_touch(const os::FileIdentity&) const override { return true; }
};

// Each signal is a stop.
pid_t start_busy_program() {
  const pid_t program = ::fork();
  if (program != 0) return program;
  ::signal(SIGUSR1, [](int) {});
  for (;;) ::raise(SIGUSR1);
}

// In a process of its own: what hangs here hangs alone, and ends by its alarm.
int trace_and_end(unsigned times) {
  constexpr unsigned seconds = 60;
  ::alarm(seconds);
  const pid_t program = start_busy_program();
  const NoRegisters registers;
  bool traced = true;
  for (unsigned time = 0; traced && time != times; ++time) {
    auto tracer = Tracer::create(registers);
    if (!tracer) return 1;
    (*tracer)->post([&, &self = **tracer] { traced = bool{self.trace_process_of(program)}; });
  }
  ::kill(program, SIGKILL);
  ::waitpid(program, nullptr, 0);
  return traced ? 0 : 2;
}

TEST(Tracer, its_end_does_not_wait_for_programs_that_stop_for_it) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(trace_and_end(300));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace umdev::run

// Threads that trace programs, one for each supervisor that asks: an access of a program to a register is
// served in this process, and costs no call of the mount.
#pragma once

#include <sys/types.h>

#include <memory>
#include <vector>

#include "umdev/os/thread_pool.h"
#include "umdev/support/mutex.h"
#include "umdev/uapi/program_tracer.h"

namespace umdev::daemon {

struct TracerLimits {
  // Supervisors whose programs are traced; the others trace theirs themselves.
  std::size_t supervisors = 64;
};

// How many tracing threads there are.
struct TracerCount {
  Mutex mutex;
  Condition changed;
  std::size_t tracers UMDEV_GUARDED_BY(mutex) = 0;
};

// What a traced program does, and a device that is slow or never answers, holds up the other programs of the
// same supervisor, and nobody else: whatever waits for a tracing thread waits on a pool. Any thread.
class ProgramTracers final : public uapi::ProgramTracers {
 public:
  // EAGAIN.
  static Result<std::unique_ptr<ProgramTracers>> create(const TracerLimits& limits = {});
  // After end().
  ~ProgramTracers() override;

  // Memory of these mounts, served by this process, is not touched. Before the first tracer.
  void set_own_mounts(std::vector<dev_t> mounts) { own_mounts_ = std::move(mounts); }

  // Lets go of all programs, and traces no more. False when a device or a program does not come back within
  // `limit`: then the process has to end without destroying this.
  [[nodiscard]] bool end(Duration limit) UMDEV_EXCLUDES(mutex_);

  // ^uapi::ProgramTracers
  Result<std::unique_ptr<uapi::ProgramTracer>> create_tracer() override UMDEV_EXCLUDES(mutex_);

 private:
  class Tracing;
  class Desk;
  class Handle;

  ProgramTracers(const TracerLimits& limits, std::unique_ptr<os::ThreadPool> pool)
      : limits_(limits), pool_(std::move(pool)) {}

  const TracerLimits limits_;
  std::vector<dev_t> own_mounts_;
  const std::shared_ptr<TracerCount> count_ = std::make_shared<TracerCount>();
  Mutex mutex_;
  std::vector<std::weak_ptr<Desk>> desks_ UMDEV_GUARDED_BY(mutex_);
  const std::unique_ptr<os::ThreadPool> pool_;
};

}  // namespace umdev::daemon

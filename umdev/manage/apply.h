// Makes a host's devices what a desired state says.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "umdev/manage/definitions.h"
#include "umdev/manage/plan.h"

namespace umdev::manage {

struct StepReport {
  Step step;  // with the UUID that was made for it, once it has one
  bool done = false;
  std::string error;  // why not, when it was tried
};

struct ApplyReport {
  std::string set;
  std::vector<std::string> problems;  // not empty: nothing was done
  std::vector<StepReport> steps;
};

// Threads: any. Its functions wait for the disk, and apply() for drivers too: they are for threads that serve
// no client. Lifetimes: the world outlives it, and it outlives its calls.
class Applier {
 public:
  struct World {
    mdev::Bus* bus = nullptr;
    Definitions* definitions = nullptr;
    Executor* executor = nullptr;  // where steps run, side by side
  };
  explicit Applier(const World& world) : world_(world) {}

  // What apply() would do now. EPERM: the set is another user's; the disk's errors.
  Result<ApplyReport> plan(const Asker& asker, const DesiredState& desired) const;
  // Does it: first what is to go, then the rest. A step that fails stops no other, and leaves its device as
  // it was or gone; doing it again goes on where it ended, also after a crash. A device in use is not taken
  // away: its step fails with EBUSY. EAGAIN while another apply() runs; plan()'s errors.
  Result<ApplyReport> apply(const Asker& asker, const DesiredState& desired);

 private:
  class Run;

  Result<> check_set(const Asker& asker, const DesiredState& desired) const;
  Result<KnownHost> look() const;
  void add_undefined(KnownHost& host) const;
  void forget_leftovers(const DesiredState& desired, const KnownHost& host);

  const World world_;
  std::atomic<bool> applying_ = false;
};

}  // namespace umdev::manage

// The thread that traces those of the supervised programs' threads that must be: a traced thread obeys only
// the thread that traces it.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "umdev/os/interruption.h"
#include "umdev/os/memory_map.h"
#include "umdev/run/mapped_registers.h"
#include "umdev/support/host.h"
#include "umdev/support/inline_function.h"
#include "umdev/support/mutex.h"

namespace umdev::run {

// May the thread that asks trace this program?
using TraceCheck = InlineFunction<bool(), 64>;

// Programs are traced from the first mapping of registers until they end or become other programs, with all
// their threads and the children that they fork. They notice nothing of it: signals are delivered, stops
// stop, and a thread that ends is let go before anybody can see that it has. Only SIGBUS of an access to
// registers is served and not delivered (serve_fault); meanwhile the other traced threads wait, when they
// fault too.
//
// post() is any thread's; the rest of the members are the work's, on the tracing thread.
class Tracer {
 public:
  // EAGAIN; EBUSY: see Interruption. The registers outlive it.
  static Result<std::unique_ptr<Tracer>> create(const MappedRegisters& registers);
  // Lets go of everything that is traced. Posted work that has not begun is dropped.
  ~Tracer();

  // Runs `work` on the tracing thread; returns when it has been heard.
  void post(Work work) UMDEV_EXCLUDES(mutex_);

  bool traces(pid_t thread) const { return threads_.contains(thread); }
  // The thread's process, whose other threads may run. EBUSY: somebody else traces it, or we may not; ESRCH.
  // `is_allowed` is asked once the thread is traced, and so cannot become another program unnoticed: EPERM
  // where it says no, and the thread is let go.
  Result<> trace_process_of(pid_t thread, TraceCheck is_allowed = [] { return true; });
  // One that somebody else has seen the end of.
  void forget(pid_t thread) { threads_.erase(thread); }

 private:
  // What threads of one process have in common.
  struct Process {
    pid_t id = 0;
    std::optional<os::MemoryMap> map;  // opened at the first fault
  };

  Tracer(const MappedRegisters& registers, os::Interruption interruption)
      : registers_(registers), interruption_(std::move(interruption)) {}
  void run() UMDEV_EXCLUDES(mutex_);
  bool do_posted() UMDEV_EXCLUDES(mutex_);
  bool seize(pid_t thread);
  bool seize_all(pid_t process);
  std::shared_ptr<Process> process_of(pid_t thread);
  void take(pid_t thread, int status);
  void take_event(pid_t thread, int event, int signal);
  void take_signal(pid_t thread, int signal);
  void let_go(pid_t thread, int signal = 0);

  const MappedRegisters& registers_;
  const os::Interruption interruption_;
  std::map<pid_t, std::shared_ptr<Process>> threads_;  // the tracing thread's
  std::set<pid_t> unwanted_;                           // of these: let go when they stop
  Mutex mutex_;
  Condition changed_;
  std::vector<Work> posted_ UMDEV_GUARDED_BY(mutex_);
  bool ends_ UMDEV_GUARDED_BY(mutex_) = false;
  bool has_ended_ UMDEV_GUARDED_BY(mutex_) = false;  // hears nobody any more
  std::thread thread_;
};

}  // namespace umdev::run

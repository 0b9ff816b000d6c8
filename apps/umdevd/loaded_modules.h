// The modules of the daemon: kernel::Loader, for the control socket.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "umdev/control/modules.h"
#include "umdev/kernel/loader.h"
#include "umdev/support/mutex.h"

namespace umdev::daemon {

// Any thread. What waits runs on `threads`, which have ended before this does, as the clock has.
class LoadedModules final : public control::Modules {
 public:
  LoadedModules(kernel::Loader& loader, Executor& threads, Clock& clock, Log& log)
      : loader_(loader), threads_(threads), clock_(clock), log_(log) {}

  // ^control::Modules
  std::vector<kernel::ModuleInfo> modules() const override;
  void add(std::string path, Parameters parameters, Done<std::string> done) override;
  void remove(const std::string& name, bool force, Done<> done) override;

 private:
  Error explain(const std::string& name, const Error& error) UMDEV_EXCLUDES(mutex_);
  Error keep_text(const kernel::Refusal& refusal) UMDEV_EXCLUDES(mutex_);

  kernel::Loader& loader_;
  Executor& threads_;
  Clock& clock_;
  Log& log_;
  // An Error's text lives as long as the daemon does: what the dynamic linker says has to be kept somewhere.
  // Each is kept once, and no more than so many.
  static constexpr std::size_t texts_max = 1000;
  Mutex mutex_;
  std::set<std::string, std::less<>> texts_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::daemon

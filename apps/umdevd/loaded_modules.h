// The modules of the daemon: kernel::Loader, for the control socket.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "umdev/control/modules.h"
#include "umdev/kernel/loader.h"
#include "umdev/support/mutex.h"

namespace umdev::daemon {

// "6.1", of a number as LINUX_VERSION_CODE; "5.13-rc" for the form between two releases.
std::string api_text(std::uint32_t api);

// Any thread. What waits runs on `threads`, which have ended before this does.
class LoadedModules final : public control::Modules {
 public:
  LoadedModules(kernel::Loader& loader, Executor& threads, Log& log)
      : loader_(loader), threads_(threads), log_(log) {}

  // ^control::Modules
  std::vector<control::ModuleReport> modules() const override;
  void add(std::string path, Parameters parameters, Done<std::string> done) override;
  void remove(const std::string& name, bool force, Done<> done) override;

 private:
  Error keep_text(const kernel::Refusal& refusal) UMDEV_EXCLUDES(mutex_);

  kernel::Loader& loader_;
  Executor& threads_;
  Log& log_;
  // An Error's text lives as long as the daemon does: what the dynamic linker says has to be kept somewhere.
  // Each is kept once, and no more than so many.
  static constexpr std::size_t texts_max = 1000;
  Mutex mutex_;
  std::set<std::string, std::less<>> texts_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::daemon

// The modules of a world: insmod, lsmod and rmmod.
//
// Threads: every member from any thread; those that say so wait for what the module waits for, so they are
// for threads that serve no client. Lifetime: the world outlives it. When it is destroyed nothing of it runs
// any more: end_all() first.
#pragma once

#include <expected>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "umdev/kernel/module.h"
#include "umdev/kernel/module_file.h"
#include "umdev/kernel/module_info.h"
#include "umdev/support/mutex.h"

namespace umdev::kernel {

class Loader {
 public:
  using Parameters = std::vector<std::pair<std::string, std::string>>;

  explicit Loader(World& world) : world_(world) {}
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // Loads a module, sets its parameters and lets it begin; its name. Nothing of it is left when that fails:
  // ModuleFile::open()'s errors; EEXIST, one of this name is there; EINVAL and the like, a parameter; what
  // its module_init() has answered; EIO, it has crashed in that (then its code stays mapped). Waits.
  std::expected<std::string, Refusal> add(const std::string& path, const Parameters& parameters)
      UMDEV_EXCLUDES(mutex_);

  // Lets it end, and unloads it. ENOENT; EAGAIN, it is beginning or ending; Module::exit()'s EBUSY, unless
  // `forced`; EIO, it has crashed: only by force, and its code stays mapped. Waits, for as long as the module
  // makes it wait. One that is ending is given up by `forced`: what waits in it is left, what runs goes on
  // without it, and its code and its memory stay; ETIMEDOUT where even its module_exit runs for ever.
  Result<> remove(std::string_view name, bool forced) UMDEV_EXCLUDES(mutex_);

  // By force, what came last first. Waits.
  void end_all() UMDEV_EXCLUDES(mutex_);

  // What the end of a module that is ending waits for; empty for any other.
  std::vector<std::string> unfinished(std::string_view name) const UMDEV_EXCLUDES(mutex_);
  // Whether something of a module that was given up may still run: nothing that it may touch can be
  // destroyed.
  bool has_abandoned() const UMDEV_EXCLUDES(mutex_);

  // In the order of the names.
  std::vector<ModuleInfo> list() const UMDEV_EXCLUDES(mutex_);

 private:
  struct Entry {
    std::string path;
    ModuleState state = ModuleState::coming;
    unsigned number = 0;  // the order in which they came
    std::unique_ptr<ModuleFile> file;
    std::unique_ptr<Module> module;
  };
  using Begun = std::expected<void, Refusal>;

  Begun begin(Entry& entry, const Parameters& parameters);
  void drop(const std::string& name) UMDEV_EXCLUDES(mutex_);
  Result<> give_up(const std::shared_ptr<Entry>& entry) UMDEV_EXCLUDES(mutex_);
  ModuleInfo describe(const std::string& name, const Entry& entry) const UMDEV_REQUIRES(mutex_);

  World& world_;
  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<Entry>, std::less<>> entries_ UMDEV_GUARDED_BY(mutex_);
  unsigned last_number_ UMDEV_GUARDED_BY(mutex_) = 0;
  Condition dropped_;
  std::vector<std::shared_ptr<Entry>> abandoned_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::kernel

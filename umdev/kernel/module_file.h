// A shared object with a module in it, mapped into this process.
#pragma once

#include <expected>
#include <memory>
#include <string>

#include "include/umdev/kernel/umdev/module.h"
#include "umdev/os/crash_guard.h"
#include "umdev/support/error.h"

namespace umdev::kernel {

// Why something could not be loaded: the error, and all that is known of it, for people.
struct Refusal {
  Error error;
  std::string text;
};

// Its memory is given back by the destructor, unless it is to be kept.
class ModuleFile {
 public:
  // Maps it, which runs what is to be run at its beginning (constructors of C++). ENOENT and the like;
  // ENOEXEC: no module, one that lacks something, one that wants AddressSanitizer in a process that has it
  // not.
  //
  // Every call maps it anew, with variables of its own: one that is mapped already, for another world or
  // since it has crashed, is mapped from a copy. (The dynamic linker goes by the name and by the file.)
  static std::expected<std::unique_ptr<ModuleFile>, Refusal> open(const std::string& path);
  ~ModuleFile();
  ModuleFile(const ModuleFile&) = delete;
  ModuleFile& operator=(const ModuleFile&) = delete;

  const ::umdev_module& object() const { return *object_; }
  // Its code; named after the module, both for as long as this lives.
  const os::GuardedCode& code() const { return code_; }
  // From now on it stays mapped for as long as the process lives: something of it may still be in use.
  void keep() { kept_ = true; }

 private:
  explicit ModuleFile(void* handle) : handle_(handle) {}
  static std::expected<std::unique_ptr<ModuleFile>, Refusal> map(const std::string& name);
  // Nobody has begun with it yet.
  bool is_fresh() const { return object_->self->umdev == nullptr; }

  void* const handle_;
  const ::umdev_module* object_ = nullptr;
  os::GuardedCode code_;
  bool kept_ = false;
};

}  // namespace umdev::kernel

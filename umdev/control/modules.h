// What management asks of whoever has loaded drivers, which it does not know: whoever puts the world together
// tells it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "umdev/support/done.h"

namespace umdev::control {

// A driver that was loaded.
struct ModuleReport {
  struct Parameter {
    std::string name;
    std::string value;
    std::string meaning;
  };
  std::string name;
  std::string path;
  std::string api;    // the kernel's interface that it was compiled for: "6.1"
  std::string state;  // "live", "coming", "going", or "crashed"
  std::string crash;  // what it crashed in; empty otherwise
  std::string description;
  std::string license;
  std::string version;
  std::vector<std::string> parents;
  std::uint32_t instances = 0;
  std::uint32_t open_files = 0;
  std::vector<Parameter> parameters;
};

// Any thread.
class Modules {
 public:
  using Parameters = std::vector<std::pair<std::string, std::string>>;

  virtual ~Modules() = default;
  virtual std::vector<ModuleReport> modules() const = 0;
  // Loads a file, and completes with the module's name when it has begun. ENOENT and the like; ENOEXEC: no
  // module, or one that does not go with this program; EEXIST: one of this name is there; EINVAL: a
  // parameter; what the module's own beginning has answered.
  virtual void add(std::string path, Parameters parameters, Done<std::string> done) = 0;
  // Ends and unloads it. ENOENT; EBUSY: a device of it is open, or it cannot end, and not `force`; EAGAIN: it
  // is beginning or ending. EIO: it has crashed: what it had is gone, its code stays.
  virtual void remove(const std::string& name, bool force, Done<> done) = 0;
};

}  // namespace umdev::control

// What management asks of whoever has loaded drivers, which it does not know: whoever puts the world together
// tells it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "umdev/kernel/module_info.h"
#include "umdev/support/done.h"

namespace umdev::control {

// Any thread.
class Modules {
 public:
  using Parameters = std::vector<std::pair<std::string, std::string>>;

  virtual ~Modules() = default;
  virtual std::vector<kernel::ModuleInfo> modules() const = 0;
  // Loads a file, and completes with the module's name when it has begun. ENOENT and the like; ENOEXEC: no
  // module, or one that does not go with this program; EEXIST: one of this name is there; EINVAL: a
  // parameter; what the module's own beginning has answered.
  virtual void add(std::string path, Parameters parameters, Done<std::string> done) = 0;
  // Ends and unloads it. ENOENT; EBUSY: a device of it is open, or it cannot end, and not `force`; EAGAIN: it
  // is beginning or ending. EIO: it has crashed: what it had is gone, its code stays. ETIMEDOUT: it does not
  // come to its end, of which the text says why; it goes when it does, or is given up by another `force`.
  virtual void remove(const std::string& name, bool force, Done<> done) = 0;
};

}  // namespace umdev::control

// What management asks of the other doors, which it does not know: whoever puts the world together tells it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "umdev/control/topic.h"
#include "umdev/support/uuid.h"

namespace umdev::control {

// Where a VMM reaches an instance.
struct SocketPaths {
  std::string path;  // absolute; empty: the instance has no socket
  // A way to the same socket through this process's own descriptors (/proc/PID/fd/N/...), short enough for
  // every client of this machine that may look into this process; empty: there is none.
  std::string short_path;
};

struct SessionReport {
  std::string device;  // the instance's UUID
  std::int64_t pid = 0;
  bool open = false;  // it has the device
  std::uint32_t mappings = 0;
};

// Numbers of one kind, under the names that `status` shows.
struct NumberGroup {
  std::string name;
  std::vector<std::pair<std::string, std::uint64_t>> numbers;
};

// Any thread.
class Doors {
 public:
  virtual ~Doors() = default;
  virtual SocketPaths socket_of(const Uuid& uuid) const = 0;
  // The messages that pass on the instance's socket from now on. ENODEV: it has none.
  virtual Result<std::unique_ptr<Topic>> trace_of(const Uuid& uuid) const = 0;
  virtual std::vector<SessionReport> sessions() const = 0;
  virtual std::vector<NumberGroup> numbers() const = 0;
};

}  // namespace umdev::control

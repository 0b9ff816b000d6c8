// Moves instances to another daemon, or into a file, and takes them in: while somebody uses them, too.
//
// A move has three steps, so that whoever carries the stream does so with rights of its own, and the source
// goes only when the target has answered:
//   save()   the device stops, and its state is in the stream; it waits
//   load()   at the target: an instance under the same UUID, which its first user finds as it was
//   end()    at the source: it moved, and the instance goes; or it stays, and runs on
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "umdev/manage/moved_instance.h"
#include "umdev/mdev/bus.h"
#include "umdev/support/done.h"
#include "umdev/support/host.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/core.h"

namespace umdev::manage {

// Any thread. No lock is held while anything is called. What it is lent outlives it; calls that are under way
// keep what they need of it.
class Mover {
 public:
  // How long a device that was saved waits for end(); then it runs on.
  static constexpr Duration patience = std::chrono::seconds(30);

  Mover(mdev::Bus& bus, vfio::Core& core, DeviceHost& host);
  // Devices that wait run on.
  ~Mover();
  Mover(const Mover&) = delete;
  Mover& operator=(const Mover&) = delete;

  // Stops the device and answers with its stream. A device that nobody uses has the state of power-on.
  // ENODEV no such instance, or it has no VFIO device; EOPNOTSUPP its driver cannot move it; EBUSY it is
  // being moved already, by us or by its user; E2BIG; what the driver says. After an error it runs on.
  void save(const Uuid& uuid, Done<std::vector<std::byte>> done);
  // What became of a device that was saved: `moved` removes it, its users with it; otherwise it runs on.
  // ESRCH: it is not waiting (any more).
  void end(const Uuid& uuid, bool moved, Done<> done);
  // Makes the instance of a stream, of the parent of that name (empty: of the source's parent), and tries
  // whether its state fits. EINVAL for the stream and for a state that is not this device's;
  // mdev::Bus::create's errors; after an error nothing is left of it.
  void load(ConstBytes stream, const std::string& parent, const mdev::Owner& owner, Done<Uuid> done);

 private:
  class State;
  const std::shared_ptr<State> state_;
};

}  // namespace umdev::manage

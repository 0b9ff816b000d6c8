// Moves instances to another daemon, or into a file, and takes them in: while somebody uses them, too.
//
// A move has three steps, so that whoever carries the stream does so with rights of its own, and the source
// goes only when the target has answered:
//   save()   the device stops, its sessions paused, and its state is in the stream; it waits
//   load()   at the target: an instance under the same UUID, which its first user finds as it was
//   end()    at the source: it moved, and the instance goes; or it stays, and runs on
//
// A client that comes along is served by the source until save(), by nobody then, and by the target as soon
// as end() has said so (handover.h): not before, and not when the target has gone by then.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "umdev/manage/moved_instance.h"
#include "umdev/mdev/bus.h"
#include "umdev/os/unique_fd.h"
#include "umdev/support/done.h"
#include "umdev/support/host.h"
#include "umdev/vfio/core.h"
#include "umdev/vfio/device_sessions.h"
#include "umdev/vfio/fd_watcher.h"

namespace umdev::manage {

// Any thread. No lock is held while anything is called. What it is lent outlives it; calls that are under way
// keep what they need of it.
// What becomes of the client that is connected to a device: it has to connect again at the other place, or
// its session goes along where it can.
enum class Clients : std::uint8_t { leave, come_along };

struct Departure {
  std::vector<std::byte> stream;
  std::vector<os::UniqueFd> descriptors;  // of a client that comes along
  std::string_view why;                   // one that was to does not
};

class Mover {
 public:
  // How long a device that was saved waits for end(); then it runs on.
  static constexpr Duration patience = std::chrono::seconds(30);

  // Where sessions are: they are paused while their device stands still. Clients come along where both are.
  struct Doors {
    vfio::SessionDoor* sessions = nullptr;
    vfio::FdWatcher* watcher = nullptr;
  };
  Mover(mdev::Bus& bus, vfio::Core& core, DeviceHost& host, Doors doors);
  // Devices that wait run on.
  ~Mover();
  Mover(const Mover&) = delete;
  Mover& operator=(const Mover&) = delete;

  // Pauses the device's sessions, stops it, and answers with its stream. A device that nobody uses has the
  // state of power-on. ENODEV no such instance, or it has no VFIO device; EOPNOTSUPP its driver cannot move
  // it; EBUSY it is being moved already, by us or by its user; E2BIG; what the driver says. After an error it
  // runs on.
  void save(const Uuid& uuid, Clients clients, Done<Departure> done);
  // What became of a device that was saved: `moved` removes it, its users with it; otherwise it runs on.
  // ESRCH: it is not waiting (any more). EPIPE: it was to be `moved` with its client, but the target has
  // gone: it runs on.
  void end(const Uuid& uuid, bool moved, Done<> done);
  // Makes the instance of a stream, of the parent of that name (empty: of the source's parent), and tries
  // whether its state fits. EINVAL for the stream and for a state that is not this device's;
  // mdev::Bus::create's errors; after an error nothing is left of it.
  // A client that came along has the device then, and is served when the source's end() has said so; when it
  // says that the client stays, the instance is removed again.
  void load(ConstBytes stream, std::vector<os::UniqueFd> descriptors, const std::string& parent,
            const mdev::Owner& owner, Done<Uuid> done);

 private:
  class State;
  const std::shared_ptr<State> state_;
};

}  // namespace umdev::manage

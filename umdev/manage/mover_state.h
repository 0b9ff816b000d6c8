// Inside of Mover; included by this room's sources only.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "umdev/manage/handover.h"
#include "umdev/manage/mover.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/device_file.h"
#include "umdev/vfio/fd_watcher.h"
#include "umdev/vfio/group.h"

namespace umdev::manage {

// A use of a device: somebody else's file, or a container, a group and a file of our own.
struct Use {
  std::shared_ptr<vfio::RegisteredDevice> device;
  std::shared_ptr<vfio::Container> container;
  std::shared_ptr<vfio::GroupFile> group;
  std::shared_ptr<vfio::DeviceFile> file;

  bool is_ours() const { return container != nullptr; }
};

// Opens a device as everybody does.
void open_device(vfio::Core& core, std::shared_ptr<vfio::RegisteredDevice> device,
                 Done<std::shared_ptr<Use>> done);

class Mover::State : public std::enable_shared_from_this<State> {
 public:
  State(mdev::Bus& the_bus, vfio::Core& the_core, DeviceHost& the_host, Doors the_doors)
      : bus(the_bus), core(the_core), host(the_host), doors(the_doors) {}

  class Saving;
  class Loading;
  // A device that stands still until somebody says what became of it; without a use while it is being saved,
  // or comes in.
  struct Waiting {
    std::shared_ptr<Use> use;
    std::shared_ptr<vfio::DeviceSessions> sessions;  // that are paused; null: it has none
    std::shared_ptr<const MovedInstance> moved;
    os::UniqueFd token;  // of a session that goes along: our end
    Timer timer;
  };
  // One that came in with a client, and waits for the source's word.
  struct Arriving {
    std::weak_ptr<vfio::DeviceFile> file;  // the client's
    std::shared_ptr<vfio::DeviceSessions> sessions;
    std::unique_ptr<vfio::FdWatcher::Watch> watch;
  };

  Result<> reserve(const Uuid& uuid) UMDEV_EXCLUDES(mutex);
  void forget(const Uuid& uuid) UMDEV_EXCLUDES(mutex);
  void wait(const Uuid& uuid, Waiting saved) UMDEV_EXCLUDES(mutex);
  void end(const Uuid& uuid, bool moved, Done<> done) UMDEV_EXCLUDES(mutex);
  void end_all() UMDEV_EXCLUDES(mutex);
  // The device runs on with its state, also when nobody else uses it, and so do its sessions. `outcome` is
  // what to complete with then.
  static void run_on(Waiting waited, Done<> done, Result<> outcome = {});

  // mover_in.cc
  std::shared_ptr<vfio::DeviceSessions> sessions_of(const vfio::RegisteredDevice& device) const;
  Result<> wait_for_word(const Uuid& uuid, os::UniqueFd token, Arriving arriving) UMDEV_EXCLUDES(mutex);
  void word_came(const Uuid& uuid, Word word) UMDEV_EXCLUDES(mutex);
  // What waits for the end of an arrival runs now. Only then: a pause must not overtake the resume before it.
  void arrived(const Uuid& uuid) UMDEV_EXCLUDES(mutex);
  // Takes the work, to be run when the instance has arrived; false (and it stays) when it is not arriving.
  bool run_after_arrival(const Uuid& uuid, Work& work) UMDEV_EXCLUDES(mutex);

  mdev::Bus& bus;
  vfio::Core& core;
  DeviceHost& host;
  const Doors doors;

  Mutex mutex;
  std::map<Uuid, Waiting> waiting UMDEV_GUARDED_BY(mutex);
  std::map<Uuid, Arriving> arriving UMDEV_GUARDED_BY(mutex);
  // From when it is there until its sessions were resumed.
  std::map<Uuid, std::vector<Work>> after_arrival UMDEV_GUARDED_BY(mutex);
};

}  // namespace umdev::manage

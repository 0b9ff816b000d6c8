// Brings a device into the state in which an instance left another place.
#pragma once

#include <memory>

#include "umdev/manage/moved_instance.h"
#include "umdev/vfio/arrival.h"
#include "umdev/vfio/device_file.h"

namespace umdev::manage {

// The device is in `until` (RUNNING or STOP) with that state when it completes with success. EINVAL: it is
// another device, or its driver refuses the stream; EOPNOTSUPP: it does not migrate. After an error it has no
// state worth using.
void restore(std::shared_ptr<const MovedInstance> moved, std::shared_ptr<vfio::DeviceFile> file,
             vfio::MigrationState until, Done<> done);

// An instance that has come, for its first user.
class Arrived final : public vfio::Arrival {
 public:
  explicit Arrived(std::shared_ptr<const MovedInstance> moved,
                   vfio::MigrationState until = vfio::MigrationState::running)
      : moved_(std::move(moved)), until_(until) {}
  // ^vfio::Arrival
  void restore(const std::shared_ptr<vfio::DeviceFile>& file, Done<> done) override {
    manage::restore(moved_, file, until_, std::move(done));
  }

 private:
  const std::shared_ptr<const MovedInstance> moved_;
  const vfio::MigrationState until_;
};

}  // namespace umdev::manage

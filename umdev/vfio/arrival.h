// A device that came from another place, until its first user takes it up.
#pragma once

#include <memory>

#include "umdev/support/done.h"

namespace umdev::vfio {

class DeviceFile;

// What the next one who opens a device finds instead of power-on. See RegisteredDevice::set_arrival().
class Arrival {
 public:
  virtual ~Arrival() = default;
  // Brings the device into the state in which it left. Called on any thread, with no lock held; an error is
  // the error of opening the device, and the arrival stays for whoever opens it next.
  virtual void restore(const std::shared_ptr<DeviceFile>& file, Done<> done) = 0;
};

}  // namespace umdev::vfio

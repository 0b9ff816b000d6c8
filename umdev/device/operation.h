// An operation on a device, running or waiting. Only the device's own files include this.
#pragma once

#include "umdev/device/device.h"

namespace umdev::device {

struct Device::Operation {
  Request request;
  std::shared_ptr<Driver> driver = {};
  RemovePolicy policy = RemovePolicy::wait;
  bool limited = true;  // counts against waiting_limit
  Done<> done;
  std::vector<std::shared_ptr<BindObserver>> observers = {};  // who has heard of the beginning
};

}  // namespace umdev::device

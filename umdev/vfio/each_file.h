// For a device that wants to hear of every file of its user, as drivers of the kernel did up to 5.14: a
// Device that is this too is told of all but the first and the last, which open_device() and close_device()
// stand for.
#pragma once

#include "umdev/support/done.h"

namespace umdev::vfio {

class User;

// Threads and errors as of open_device() and close_device(), from the same queue.
class EachFile {
 public:
  virtual ~EachFile() = default;
  // One more file of a user that has the device open. An error is the error of opening it, and only that.
  virtual void open_file(User& user, Done<> done) = 0;
  // One that is not the last was closed.
  virtual void close_file(User& user, Done<> done) = 0;
};

}  // namespace umdev::vfio

// The sessions of a device's clients, as whoever moves the device sees them. A door implements both.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "umdev/os/unique_fd.h"
#include "umdev/support/done.h"

namespace umdev::vfio {

// A connected session on its way to another place, in its door's own form. The descriptors are copies.
struct MovedSession {
  std::vector<std::byte> stream;
  std::vector<os::UniqueFd> descriptors;
  bool shares_device =
      false;  // its client has descriptors of the device's own: memory that it maps, eventfds
};

// The sessions on one device's socket, those that have the device and those that do not. Any thread; nothing
// waits. Shared: whoever has it may use it after the socket was closed, and nothing happens then.
class DeviceSessions {
 public:
  virtual ~DeviceSessions() = default;

  // Every session ends the message that it is at, and handles no further one until resume(): its client's
  // bytes stay where they are, and who connects meanwhile is not answered. Only what is answered to the
  // device itself (its accesses to the client's memory) goes on. Completes when all stand; what they wait for
  // has deadlines of its own. One pause at a time.
  virtual void pause(Done<> done) = 0;
  virtual void resume() = 0;

  // While they are paused, and the device stands still: the session that has the device, or nothing when none
  // has. It is frozen from then on, nothing is read or sent, until resume(), or until its socket is closed:
  // then its connection lives on in the copy. An error says what of it cannot move; then it is only paused.
  virtual void take(Done<std::optional<MovedSession>> done) = 0;
  // While they are paused: a session from another place opens the device, and is frozen until resume().
  // EINVAL for a session that cannot be one of this device's; the errors of opening it, and of mapping its
  // client's memory. After an error nothing of it is left, and its client has noticed nothing.
  virtual void adopt(MovedSession session, Done<> done) = 0;
};

// Where they are found.
class SessionDoor {
 public:
  virtual ~SessionDoor() = default;
  // Of the device with that name (RegisteredDevice::name()); null when it has no socket. Any thread.
  virtual std::shared_ptr<DeviceSessions> sessions_of(std::string_view device) = 0;
};

}  // namespace umdev::vfio

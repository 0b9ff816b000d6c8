// Uevents through the kernel: what is given here, everyone who listens for uevents in one network namespace
// (udev, above all) gets as if the kernel had sent it itself.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "umdev/os/unique_fd.h"

namespace umdev::os {

class UeventSocket {
 public:
  // For the network namespace of the calling thread. Whether it may inject is not known yet.
  static Result<UeventSocket> create();
  // For the namespace at `path` (/run/netns/NAME, /proc/PID/ns/net), which is entered by a thread that ends
  // at once: EPERM without CAP_SYS_ADMIN in it; ENOENT; EINVAL for what is no network namespace.
  static Result<UeventSocket> create_in(const std::string& path);

  // EPERM where inject() would say so. Nobody gets anything.
  Result<> check();

  // Sends one to all listeners of the namespace, whose queues the kernel holds: never waits. `environment` is
  // "KEY=VALUE" strings, ACTION and DEVPATH among them; SEQNUM is the kernel's to add, so it is left out.
  // EPERM without CAP_SYS_ADMIN in the user namespace that owns the network namespace; EINVAL for an event
  // above the kernel's limit (2048 bytes). Any one thread at a time.
  Result<> inject(std::string_view action, std::string_view devpath,
                  std::span<const std::string> environment);

 private:
  explicit UeventSocket(UniqueFd socket) : socket_(std::move(socket)) {}
  Result<> read_acknowledgement();

  UniqueFd socket_;
};

}  // namespace umdev::os

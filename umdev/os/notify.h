// The service manager that started this process: word to it (sd_notify(3)), and sockets from it
// (sd_listen_fds(3)).
#pragma once

#include <string>
#include <vector>

#include "umdev/os/unique_fd.h"
#include "umdev/support/error.h"

namespace umdev::os {

// Sends a state, for example "READY=1", "STOPPING=1" or "STATUS=...", one NAME=VALUE a line. False when no
// service manager wants to know.
Result<bool> notify_service_manager(const char* state);

// A descriptor that came with the start of the process, under the name of FileDescriptorName=.
struct PassedDescriptor {
  std::string name;
  UniqueFd fd;
};

// Takes them, once: children of this process do not see them any more. Before other threads run, since it
// changes the environment.
Result<std::vector<PassedDescriptor>> take_passed_descriptors();

}  // namespace umdev::os

// Word to the service manager that started this process (sd_notify(3)).
#pragma once

#include "umdev/support/error.h"

namespace umdev::os {

// Sends a state, for example "READY=1", "STOPPING=1" or "STATUS=...", one NAME=VALUE a line. False when no
// service manager wants to know.
Result<bool> notify_service_manager(const char* state);

}  // namespace umdev::os

#include "umdev/os/notify.h"

#include <systemd/sd-daemon.h>

namespace umdev::os {

Result<bool> notify_service_manager(const char* state) {
  const int result = ::sd_notify(0, state);
  if (result < 0) return fail(-result, "cannot reach the service manager");
  return result > 0;
}

}  // namespace umdev::os

#include "umdev/os/notify.h"

#include <systemd/sd-daemon.h>

#include <cstdlib>
#include <memory>

namespace umdev::os {

Result<bool> notify_service_manager(const char* state) {
  const int result = ::sd_notify(0, state);
  if (result < 0) return fail(-result, "cannot reach the service manager");
  return result > 0;
}

Result<std::vector<PassedDescriptor>> take_passed_descriptors() {
  char** names = nullptr;
  const int count = ::sd_listen_fds_with_names(/*unset_environment=*/1, &names);
  if (count < 0) return fail(-count, "the descriptors of the service manager cannot be taken");
  std::vector<PassedDescriptor> passed;
  for (int i = 0; i < count; ++i) {
    const std::unique_ptr<char, void (*)(void*)> name(names[i], std::free);
    passed.push_back({.name = name.get(), .fd = UniqueFd(SD_LISTEN_FDS_START + i)});
  }
  std::free(static_cast<void*>(names));
  return passed;
}

}  // namespace umdev::os

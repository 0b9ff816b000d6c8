#include "umdev/uapi/traced_devices.h"

#include "umdev/os/memfd.h"

namespace umdev::uapi {

Result<os::UniqueFd> make_faults(FileTable& files) {
  os::UniqueFd faults = UMDEV_TRY(os::create_memfd("umdev-registers", 0));
  files.add_device_memory(UMDEV_TRY(os::identity_of(faults.get())));
  return faults;
}

Result<std::shared_ptr<const TracedDevices::Entry>> TracedDevices::of(
    const std::shared_ptr<ioctl::File>& device) {
  Lock lock(mutex_);
  if (const auto known = entries_.find(device); known != entries_.end()) return known->second;
  std::erase_if(entries_, [](const auto& entry) { return entry.first.expired(); });
  auto made = std::make_shared<Entry>();
  made->registers = UMDEV_TRY(Registers::of(device, log_));
  made->faults = UMDEV_TRY(make_faults(files_));
  made->identity = UMDEV_TRY(os::identity_of(made->faults.get()));
  entries_.emplace(device, made);
  return made;
}

}  // namespace umdev::uapi

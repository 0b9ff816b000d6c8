#include "umdev/ioctl/pci_commands.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <utility>
#include <vector>

#include "umdev/abi/vfio.h"
#include "umdev/abi/vfio_ioctl.h"
#include "umdev/ioctl/argument.h"
#include "umdev/ioctl/group_file.h"
#include "umdev/pci/pci_device.h"
#include "umdev/pci/slot.h"
#include "umdev/vfio/hot_reset.h"
#include "umdev/vfio/io_events.h"

namespace umdev::ioctl {
namespace {

using Slot = std::vector<pci::SlotFunction>;
using Groups = std::vector<std::shared_ptr<vfio::GroupFile>>;

// --- IOEVENTFD

bool overlaps(std::uint64_t begin, std::uint64_t size, std::uint64_t other, std::uint64_t other_size) {
  return begin < other + other_size && other < begin + size;
}

// In the kernel's order. BARs only; and not the MSI-X table, which is not the user's to write.
Result<> check_io_event(const pci::ConfigLayout& layout, const vfio::IoEvent& event) {
  if (event.region > abi::vfio_pci_bar5_region_index) return fail(EINVAL, "only writes to a BAR");
  if (!range_fits(event.offset, event.size, layout.bars()[event.region].size))
    return fail(EINVAL, "the write does not lie inside the BAR");
  const pci::MsixCapability& msix = layout.msix();
  constexpr std::uint64_t entry_size = 16;
  if (layout.msix_vectors() != 0 && msix.table_bar == event.region &&
      overlaps(event.offset, event.size, msix.table_offset, layout.msix_vectors() * entry_size))
    return fail(EINVAL, "the write would be one to the MSI-X table");
  if (event.size == sizeof(std::uint64_t)) return fail(EINVAL, "no writes of 8 bytes");
  return {};
}

// --- Hot reset

// What a function of the slot is to whoever asks by an iommufd (vfio_iommufd_get_dev_id).
std::uint32_t device_id(const iommu::Iommufd& iommufd, const vfio::DeviceRef& device) {
  if (const auto file = device->open_file())
    if (const auto id = iommufd.device_of(*file->iommu())) return *id;
  return device->group()->iommu_group().is_owned_by(&iommufd) ? abi::vfio_pci_devid_owned
                                                              : abi::vfio_pci_devid_not_owned;
}

Result<Groups> take_groups(Caller& caller, UserAddress address, std::uint32_t count) {
  Groups groups;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto fd = UMDEV_TRY(read_value<std::int32_t>(caller, address + i * sizeof(std::int32_t)));
    const auto file = std::dynamic_pointer_cast<GroupFile>(UMDEV_TRY(caller.file(fd)));
    if (!file) return fail(EINVAL, "the descriptor is of no group");
    groups.push_back(file->group());
  }
  return groups;
}

// May whoever has these groups, or this iommufd, reset all functions of the slot?
struct Ownership {
  Groups groups;
  std::shared_ptr<iommu::Iommufd> iommufd;
  std::vector<vfio::DeviceRef> devices;

  bool has(const vfio::DeviceRef& device) const {
    if (iommufd) return device_id(*iommufd, device) != abi::vfio_pci_devid_not_owned;
    return std::ranges::any_of(groups, [&](const auto& group) { return group->has_device(*device); });
  }
  Result<> check() const {
    if (!std::ranges::all_of(devices, [this](const auto& device) { return has(device); }))
      return fail(EINVAL, "a function of the slot is not the caller's");
    return {};
  }
};

Result<std::shared_ptr<Ownership>> begin_hot_reset(const PciCommand& command, Caller& caller,
                                                   UserAddress argument) {
  Slot slot = UMDEV_TRY(pci::slot_of(command.world->core, command.device->device()));
  const auto asked = UMDEV_TRY(read_argsz<abi::VfioPciHotReset>(caller, argument));
  if (asked.flags != 0) return fail(EINVAL, "a hot reset has no flags");
  if ((asked.count != 0) == (command.binding != nullptr))
    return fail(EINVAL, "groups are shown by who has the device by its group, and by nobody else");
  if (asked.count > slot.size()) return fail(EINVAL, "more groups than functions");
  auto ownership = std::make_shared<Ownership>();
  ownership->groups = UMDEV_TRY(take_groups(caller, argument + sizeof asked, asked.count));
  if (command.binding) ownership->iommufd = command.binding->iommufd();
  for (pci::SlotFunction& function : slot) ownership->devices.push_back(std::move(function.device));
  return ownership;
}

}  // namespace

Result<> set_io_event(const PciCommand& command, Caller& caller, UserAddress argument) {
  const vfio::RegisteredDevice& registered = command.device->device();
  const auto stay = registered.enter();
  const auto* const function = dynamic_cast<const pci::PciDevice*>(&registered.device());
  if (function == nullptr || !pci::address_of(registered))
    return fail(ENOTTY, "the device is no function of a PCI bus");
  constexpr std::size_t minsz = offsetof(abi::VfioDeviceIoeventfd, reserved);
  const auto asked = UMDEV_TRY(read_argsz<abi::VfioDeviceIoeventfd>(caller, argument, minsz));
  const std::uint32_t size = asked.flags;
  if ((size & ~abi::vfio_device_ioeventfd_size_mask) != 0 || !std::has_single_bit(size) || asked.fd < -1)
    return fail(EINVAL, "not exactly one size, or no descriptor");
  const vfio::IoEvent event{
      .region = static_cast<std::uint32_t>(std::min<std::uint64_t>(asked.offset >> abi::vfio_pci_offset_shift,
                                                                   std::uint32_t{abi::vfio_pci_num_regions})),
      .offset = asked.offset & ((std::uint64_t{1} << abi::vfio_pci_offset_shift) - 1),
      .size = size,
      .data = asked.data};
  UMDEV_TRY(check_io_event(function->layout(), event));
  vfio::IoEvents& events = command.device->io_events();
  if (asked.fd < 0) return events.remove(event);
  UMDEV_TRY(events.may_add(event));
  return events.add(event, UMDEV_TRY(caller.take_fd(asked.fd)));
}

Result<> get_hot_reset_info(const PciCommand& command, Caller& caller, UserAddress argument) {
  const Slot slot = UMDEV_TRY(pci::slot_of(command.world->core, command.device->device()));
  auto info = UMDEV_TRY(read_argsz<abi::VfioPciHotResetInfo>(caller, argument));
  const std::size_t room = (info.argsz - sizeof info) / sizeof(abi::VfioPciDependentDevice);
  info.flags = 0;
  info.count = static_cast<std::uint32_t>(slot.size());
  std::vector<abi::VfioPciDependentDevice> devices;
  bool all_owned = true;
  for (const auto& [address, device] : slot) {
    const std::uint32_t id = command.binding ? device_id(*command.binding->iommufd(), device)
                                             : device->group()->iommu_group().number();
    all_owned = all_owned && id != abi::vfio_pci_devid_not_owned;
    devices.push_back({.group_id = id,
                       .segment = address.domain,
                       .bus = address.bus,
                       .devfn = static_cast<std::uint8_t>(address.device << 3U | address.function)});
  }
  if (command.binding)
    info.flags =
        abi::vfio_pci_hot_reset_flag_dev_id | (all_owned ? abi::vfio_pci_hot_reset_flag_dev_id_owned : 0);
  UMDEV_TRY(write_value(caller, argument, info));
  if (room < devices.size()) return fail(ENOSPC, "argsz leaves no room for all functions");
  return caller.write(argument + sizeof info, std::as_bytes(std::span(devices)));
}

void hot_reset(const PciCommand& command, Caller& caller, UserAddress argument, Done<Answer> done) {
  const auto begun = begin_hot_reset(command, caller, argument);
  if (!begun) return done(std::unexpected(begun.error()));
  std::vector<vfio::DeviceRef> devices;
  for (const vfio::DeviceRef& device : (*begun)->devices)
    if (auto reference = vfio::DeviceRef::try_get(device.shared())) devices.push_back(std::move(reference));
  auto kept = std::make_shared<Done<Answer>>(std::move(done));
  vfio::hot_reset(
      std::move(devices), [ownership = *begun] { return ownership->check(); },
      [kept](Result<> result) { (*kept)(success(result)); });
}

}  // namespace umdev::ioctl

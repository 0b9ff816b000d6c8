#include "umdev/mdev/vfio_mdev.h"

#include <array>

#include "umdev/abi/vfio.h"
#include "umdev/mdev/instance.h"
#include "umdev/vfio/core.h"

namespace umdev::mdev {
namespace {

constexpr std::array<std::string_view, 5> all_device_apis{
    abi::vfio_device_api_pci_string, abi::vfio_device_api_platform_string, abi::vfio_device_api_amba_string,
    abi::vfio_device_api_ccw_string, abi::vfio_device_api_ap_string};

// The driver data of a bound instance.
struct Binding {
  Registration registration;
  bool is_physical = false;
};

Result<vfio::DeviceRegistration> register_with(vfio::Core& core, std::unique_ptr<vfio::Device> device,
                                               const std::shared_ptr<Instance>& instance, bool is_physical) {
  if (!is_physical) return core.register_emulated_device(std::move(device), {.parent = instance});
  const auto group = UMDEV_TRY(core.create_iommu_group("", vfio::IommuGroup::Kind::physical));
  UMDEV_TRY(core.add_to_iommu_group(group, instance));
  auto registered = core.register_device(std::move(device), {.parent = instance});
  if (!registered) core.remove_from_iommu_group(instance);
  return registered;
}

}  // namespace

std::span<const std::string_view> VfioMdev::device_apis() const {
  return all_device_apis;
}

void VfioMdev::probe_instance(Instance& instance, Done<> done) {
  auto shared = std::static_pointer_cast<Instance>(instance.shared_from_this());
  auto probed = std::make_shared<Done<>>(std::move(done));
  instance.take_device([this, shared, probed](Result<std::unique_ptr<vfio::Device>> device) {
    if (!device) return (*probed)(std::unexpected(device.error()));
    if (!*device) return (*probed)(fail(EIO, "the parent's driver made no device"));
    const bool is_physical = is_physical_ != nullptr && is_physical_(*shared);
    auto registered = register_with(core_, std::move(*device), shared, is_physical);
    if (!registered) return (*probed)(std::unexpected(registered.error()));
    shared->set_vfio_device(std::move(registered->device));
    auto binding = std::make_shared<Binding>();
    binding->registration = std::move(registered->registration);
    binding->is_physical = is_physical;
    shared->set_driver_data(std::move(binding));
    (*probed)({});
  });
}

void VfioMdev::remove_instance(Instance& instance, RemovePolicy policy, Done<> done) {
  auto shared = std::static_pointer_cast<Instance>(instance.shared_from_this());
  auto binding = std::static_pointer_cast<Binding>(instance.driver_data());
  auto removed = std::make_shared<Done<>>(std::move(done));
  binding->registration.unregister(policy, [this, shared, binding, removed](Result<> result) {
    if (result) shared->set_vfio_device(nullptr);
    if (result && binding->is_physical) core_.remove_from_iommu_group(shared);
    (*removed)(std::move(result));
  });
}

void VfioMdev::force_remove_instance(Instance& instance) {
  if (const auto device = instance.vfio_device()) device->force();
}

}  // namespace umdev::mdev

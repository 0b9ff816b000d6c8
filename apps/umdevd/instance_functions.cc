#include "apps/umdevd/instance_functions.h"

#include <algorithm>
#include <optional>

#include "umdev/control/management.h"

namespace umdev::daemon {
namespace {

// Where its creator wants it.
std::optional<std::string_view> asked_for(const mdev::Instance& instance) {
  const auto& attributes = instance.attributes();
  const auto found =
      std::ranges::find(attributes, control::pci_attribute,
                        [](const auto& attribute) -> std::string_view { return attribute.first; });
  return found == attributes.end() ? std::nullopt : std::optional<std::string_view>(found->second);
}

}  // namespace

Result<std::unique_ptr<InstanceFunctions>> InstanceFunctions::create(device::Model& model, vfio::Core& core) {
  // Its constructor is private.
  return std::unique_ptr<InstanceFunctions>(
      new InstanceFunctions(UMDEV_TRY(pci::PciBus::create(model, core))));
}

bool InstanceFunctions::is_function(const mdev::Instance& instance) {
  return asked_for(instance).has_value();
}

Result<> InstanceFunctions::show(mdev::Instance& instance) {
  const auto text = asked_for(instance);
  if (!text) return {};
  const auto address = UMDEV_TRY(pci::Address::parse(*text));
  UMDEV_TRY(bus_->add(address, instance, instance.vfio_device()));
  return {};
}

void InstanceFunctions::hide(mdev::Instance& instance, RemovePolicy policy, Done<> done) {
  const auto text = asked_for(instance);
  if (!text) return done();
  const auto address = pci::Address::parse(*text);
  if (!address) return done();
  bus_->remove(*address, instance, policy, std::move(done));
}

bool InstanceFunctions::has_virtual_functions(const mdev::Instance& instance) const {
  return bus_->has_virtual_functions(instance);
}

}  // namespace umdev::daemon

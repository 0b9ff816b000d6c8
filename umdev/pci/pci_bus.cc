#include "umdev/pci/pci_bus.h"

#include <optional>
#include <utility>

#include "umdev/pci/pci_device.h"
#include "umdev/pci/pci_function.h"

namespace umdev::pci {
namespace {

constexpr std::string_view vfio_pci_name = "vfio-pci";

// vfio-pci has no ids of its own: it takes what is overridden to it.
class Policy final : public device::BusPolicy {
 public:
  bool match(const device::Device& device, const device::Driver& driver) const override {
    return static_cast<const PciFunction&>(device).driver_override() == driver.name();
  }
};

class VfioPci final : public device::Driver {
 public:
  std::string_view name() const override { return vfio_pci_name; }
  std::string_view module_name() const override { return "vfio_pci"; }
  bool manages_dma() const override { return true; }
  Result<> probe(device::Device& device) override { return PciFunction::from(device).show_to_vfio(); }
  void remove(device::Device& device) override { PciFunction::from(device).hide_from_vfio(); }
};

// What the function looks like, asked of a device that cannot go meanwhile.
Result<ConfigLayout> layout_of(const std::shared_ptr<vfio::RegisteredDevice>& device) {
  const auto stay = device->enter();
  const auto reference = vfio::DeviceRef::try_get(device);
  if (!reference) return fail(ENODEV, "the device is being unregistered");
  const auto* function = dynamic_cast<const PciDevice*>(&device->device());
  if (function == nullptr)
    return fail(EOPNOTSUPP, "the device is not one that can be shown as a PCI function");
  return function->layout();
}

}  // namespace

Result<std::unique_ptr<PciBus>> PciBus::create(device::Model& model) {
  auto bus = UMDEV_TRY(device::Bus::create(model, "pci", std::make_unique<Policy>()));
  auto roots = UMDEV_TRY(device::Class::create(model, "pci_bus"));
  // Its constructor is private.
  std::unique_ptr<PciBus> made(new PciBus(model, std::move(bus), std::move(roots)));
  made->vfio_pci_ = std::make_shared<VfioPci>();
  made->registration_ = UMDEV_TRY(made->bus_->register_driver(made->vfio_pci_));
  return made;
}

PciBus::~PciBus() {
  if (registration_) registration_.unregister(RemovePolicy::force, [](Result<>) {});
  decltype(roots_) roots;
  {
    Lock lock(mutex_);
    roots.swap(roots_);
    if (iommu_) roots[""] = std::move(iommu_);
  }
  for (const auto& [name, root] : roots) root->remove(RemovePolicy::force, [](Result<>) {});
}

// Once.
Result<> PciBus::show_surroundings() {
  if (iommu_) return {};
  tree::Transaction transaction(model_.tree());
  const tree::Directory modules = transaction.add_directory(model_.tree().root(), "module");
  for (const char* name : {"vfio", "vfio_pci"}) transaction.add_directory(modules, name);
  auto made = std::make_shared<device::Device>(
      model_, device::Device::Spec{.name = "dmar0",
                                   .device_class = UMDEV_TRY(device::Class::create(model_, "iommu"))});
  tree::NodeHandle shown = UMDEV_TRY(transaction.commit());
  UMDEV_TRY(made->add());
  modules_ = std::move(shown);
  iommu_ = std::move(made);
  return {};
}

Result<std::shared_ptr<device::Device>> PciBus::root_of(const Address& address) {
  Lock lock(mutex_);
  std::shared_ptr<device::Device>& root = roots_[address.root()];
  if (root) return root;
  UMDEV_TRY(show_surroundings());
  auto made = std::make_shared<device::Device>(
      model_, device::Device::Spec{.name = address.root(), .device_class = root_class_});
  UMDEV_TRY(made->add());
  root = std::move(made);
  return root;
}

Result<std::shared_ptr<device::Device>> PciBus::add(const Address& address, device::Device& of,
                                                    std::shared_ptr<vfio::RegisteredDevice> device) {
  const ConfigLayout layout = UMDEV_TRY(layout_of(device));
  auto function = std::make_shared<PciFunction>(model_, UMDEV_TRY(root_of(address)), bus_, address,
                                                std::move(device), layout, of.path());
  function->set_driver_override(std::string(vfio_pci_name));
  UMDEV_TRY(function->add(
      [&function = *function](tree::Transaction& transaction, const tree::Directory& directory) {
        function.stage(transaction, directory);
      }));
  return function;
}

void PciBus::remove(const Address& address, const device::Device& of, Done<> done) {
  const auto function = bus_->find_device(address.to_string());
  if (!function || !PciFunction::from(**function).is_of(of)) return done();
  (*function)->remove(RemovePolicy::force, std::move(done));
}

}  // namespace umdev::pci

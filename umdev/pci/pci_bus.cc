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
  Result<> probe(device::Device& device) override { return PciFunction::from(device).bind_to_vfio(); }
  void begin_remove(device::Device& device, RemovePolicy policy, Done<> done) override {
    PciFunction::from(device).unbind_from_vfio(policy, std::move(done));
  }
  void force_remove(device::Device& device) override { PciFunction::from(device).force_unbind(); }
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

Result<std::unique_ptr<PciBus>> PciBus::create(device::Model& model, vfio::Core& core) {
  auto bus = UMDEV_TRY(device::Bus::create(model, "pci", std::make_unique<Policy>()));
  auto roots = UMDEV_TRY(device::Class::create(model, "pci_bus"));
  // Its constructor is private.
  std::unique_ptr<PciBus> made(new PciBus(model, core, std::move(bus), std::move(roots)));
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
  const PciFunction::Place place{
      .model = model_, .root = UMDEV_TRY(root_of(address)), .bus = bus_, .address = address};
  auto virtual_functions = virtual_functions_of(layout, device);
  auto function = std::make_shared<ShownFunction>(place, layout, std::move(device), of.path(),
                                                  std::move(virtual_functions));
  function->set_driver_override(std::string(vfio_pci_name));
  UMDEV_TRY(function->show());
  Lock lock(mutex_);
  shown_[&of] = function;
  return function;
}

std::unique_ptr<VirtualFunctions> PciBus::virtual_functions_of(
    const ConfigLayout& layout, const std::shared_ptr<vfio::RegisteredDevice>& device) {
  if (layout.sriov().total == 0) return nullptr;
  return std::make_unique<VirtualFunctions>(
      VirtualFunctions::World{.core = core_,
                              .model = model_,
                              .bus = bus_,
                              .root_of = [this](const Address& address) { return root_of(address); }},
      layout.sriov(), device);
}

std::shared_ptr<ShownFunction> PciBus::shown(const device::Device& of) const {
  Lock lock(mutex_);
  const auto found = shown_.find(&of);
  return found == shown_.end() ? nullptr : found->second.lock();
}

bool PciBus::has_virtual_functions(const device::Device& of) const {
  const auto function = shown(of);
  return function && function->virtual_functions() != nullptr && function->virtual_functions()->count() != 0;
}

void PciBus::remove(const Address& address, const device::Device& of, RemovePolicy policy, Done<> done) {
  const std::shared_ptr<ShownFunction> function = shown(of);
  if (!function || function->address() != address) return done();
  auto removed = std::make_shared<Done<>>(std::move(done));
  function->remove(policy, [this, function, of = &of, removed](Result<> result) {
    if (!result && result.error().code == EBUSY) return (*removed)(std::move(result));
    {
      Lock lock(mutex_);
      const auto found = shown_.find(of);
      if (found != shown_.end() && found->second.lock() == function) shown_.erase(found);
    }
    (*removed)({});
  });
}

}  // namespace umdev::pci

#include <string>

#include "umdev/kernel/belongings.h"
#include "umdev/kernel/device_record.h"
#include "umdev/kernel/mdev_driver.h"
#include "umdev/kernel/module.h"
#include "umdev/kernel/waiting.h"
#include "umdev/mdev/parent.h"

namespace umdev::kernel {
namespace {

// What hangs on a struct mdev_parent.
struct ParentRecord {
  Module& module;
  Registration registration;
};

// What the bus is given for an instance: the real device is registered by the module's probe.
class ToBeProbed final : public vfio::Device {
 public:
  explicit ToBeProbed(std::string name) : name_(std::move(name)) {}
  std::string_view name() const override { return name_; }
  vfio::DeviceInfo info() const override { return {}; }
  Result<vfio::RegionInfo> region_info(std::uint32_t) const override { return fail(EINVAL, "not probed"); }
  Result<vfio::IrqInfo> irq_info(std::uint32_t) const override { return fail(EINVAL, "not probed"); }

 private:
  const std::string name_;
};

// Empty too when the module crashes in it.
std::string description_of(Module& module, const ::umdev_mdev_driver& callbacks, ::mdev_type* type) {
  if (callbacks.show_description == nullptr) return {};
  std::string text(tree::attribute_size, '\0');
  ssize_t length = 0;
  module.call("show_description", type->sysfs_name,
              [&] { length = callbacks.show_description(type, text.data()); });
  text.resize(length < 0 ? 0 : static_cast<std::size_t>(length));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::string text_or_empty(const char* text) {
  return text == nullptr ? std::string() : text;
}

}  // namespace

::mdev_type* ModuleParent::find_type(const mdev::Type& type) const {
  for (::mdev_type* each : types_)
    if (type.spec().name == each->sysfs_name) return each;
  return nullptr;
}

void ModuleParent::create(const mdev::CreateRequest&, const mdev::Type&, DeviceHost&,
                          Done<std::unique_ptr<vfio::Device>> done) {
  done(std::make_unique<ToBeProbed>(std::string(driver_->name())));
}

std::optional<std::uint32_t> ModuleParent::available(const mdev::Type& type) const {
  const auto ask = driver_->callbacks().get_available;
  ::mdev_type* const object = find_type(type);
  if (ask == nullptr || object == nullptr) return std::nullopt;
  const CallName name{
      .module = &driver_->module(), .callback = "get_available", .device = object->sysfs_name};
  const auto answer = driver_->module().world().calls().ask(
      name, [ask, object](Call&) -> Result<std::uint32_t> { return ask(object); });
  return answer ? *answer : 0;
}

int mdev_register_parent(::mdev_parent* parent, ::device* dev, ::device_driver* driver, ::mdev_type** types,
                         unsigned count) {
  Module& module = *current_call()->module;
  *parent = {};
  const auto made = module.world().drivers().find(driver);
  DeviceRecord* const record = DeviceRecord::of(dev);
  if (!made || record == nullptr || !record->node) return -EINVAL;
  const auto& callbacks = made->callbacks();
  mdev::ParentSpec spec{.device = record->node,
                        .types = {},
                        .resources = {},
                        .max_instances = {},
                        .bus_driver = std::string(made->name())};
  // get_available() comes before it; with neither there may be none.
  if (callbacks.get_available == nullptr) spec.max_instances = callbacks.max_instances;
  for (::mdev_type* type : std::span(types, count)) {
    type->parent = parent;
    spec.types.push_back({.name = text_or_empty(type->sysfs_name),
                          .pretty_name = text_or_empty(type->pretty_name),
                          .description = description_of(module, callbacks, type),
                          .device_api = text_or_empty(callbacks.device_api),
                          .cost = {}});
  }
  if (module.has_crashed()) return -EIO;
  parent->dev = dev;
  auto registration = module.world().bus().register_parent(
      std::move(spec), std::make_unique<ModuleParent>(made, std::vector(types, types + count)));
  if (!registration) return -registration.error().code;
  parent->umdev = std::make_unique<ParentRecord>(module, std::move(*registration)).release();
  module.belongings().add(parent, "parent", record->name, [parent] { mdev_unregister_parent(parent); });
  return 0;
}

void mdev_unregister_parent(::mdev_parent* parent) {
  const std::unique_ptr<ParentRecord> record(
      static_cast<ParentRecord*>(std::exchange(parent->umdev, nullptr)));
  if (!record) return;
  record->module.belongings().remove(parent);
  const auto policy = record->module.is_forced() ? RemovePolicy::force : RemovePolicy::wait;
  static_cast<void>(wait_for([&](Done<> done) { record->registration.unregister(policy, std::move(done)); }));
}

}  // namespace umdev::kernel

#include "umdev/kernel/device_record.h"

#include <cstdio>

#include "umdev/kernel/belongings.h"
#include "umdev/kernel/module.h"
#include "umdev/kernel/waiting.h"

namespace umdev::kernel {
namespace {

Module& current_module() {
  Call* const call = current_call();
  UMDEV_ASSERT(call != nullptr, "a service was called outside of a module's call");
  return *call->module;
}

DeviceRecord& record_of(::device* dev) {
  if (dev->umdev == nullptr) dev->umdev = std::make_unique<DeviceRecord>(current_module()).release();
  return *static_cast<DeviceRecord*>(dev->umdev);
}

std::shared_ptr<::device> resolve(device::Device& device) {
  return {device.shared_from_this(), &static_cast<ModuleNode&>(device).object()};
}

}  // namespace

void device_initialize(::device* dev) {
  record_of(dev).references = 1;
}

int dev_set_name(::device* dev, const char* format, va_list arguments) {
  char name[256];
  const int length = std::vsnprintf(name, sizeof(name), format, arguments);
  if (length < 0 || length >= static_cast<int>(sizeof(name))) return -ENOMEM;
  DeviceRecord& record = record_of(dev);
  record.name = name;
  dev->kobj.name = record.name.c_str();
  return 0;
}

int device_add(::device* dev) {
  DeviceRecord& record = record_of(dev);
  Module& module = record.module;
  if (record.name.empty() && dev->init_name != nullptr) record.name = dev->init_name;
  if (record.name.empty() || record.node) return -EINVAL;
  dev->kobj.name = record.name.c_str();
  const DeviceRecord* const parent = DeviceRecord::of(dev->parent);
  std::shared_ptr<device::Class> device_class;
  if (dev->class_ != nullptr) device_class = module.world().classes().find(dev->class_);
  if (dev->class_ != nullptr && !device_class) return -EINVAL;
  record.attributes = std::make_unique<AttributeTables>(module, dev->groups, &resolve);
  const auto groups = record.attributes->groups();
  auto node = std::make_shared<ModuleNode>(module.world().model(),
                                           device::Device::Spec{.name = record.name,
                                                                .parent = parent ? parent->node : nullptr,
                                                                .device_class = std::move(device_class),
                                                                .groups = {groups.begin(), groups.end()}},
                                           *dev);
  if (const auto added = node->add(); !added) return -added.error().code;
  record.node = std::move(node);
  get_device(dev);
  module.belongings().add(dev, "device", record.name, [dev] { device_del(dev); });
  return 0;
}

void device_del(::device* dev) {
  DeviceRecord* const record = DeviceRecord::of(dev);
  if (record == nullptr || !record->node) return;
  record->module.belongings().remove(dev);
  const auto node = std::exchange(record->node, nullptr);
  static_cast<void>(wait_for([&](Done<> done) { node->remove(RemovePolicy::wait, std::move(done)); }));
  put_device(dev);
}

::device* get_device(::device* dev) {
  ++record_of(dev).references;
  return dev;
}

void put_device(::device* dev) {
  DeviceRecord* const last = DeviceRecord::of(dev);
  if (last == nullptr || last->references.fetch_sub(1) != 1 || last->mdev != nullptr) return;
  std::unique_ptr<DeviceRecord> record(last);
  Log& log = record->module.world().log();
  const std::string name = std::move(record->name);
  dev->umdev = nullptr;
  dev->kobj.name = name.c_str();
  record.reset();
  if (dev->release != nullptr) {
    // The driver's memory ends here, as a rule; its name may be printed once more.
    dev->release(dev);
  } else {
    dev->kobj.name = nullptr;
    log.warning("device '" + name + "' does not have a release() function: it is leaked, or worse");
  }
}

int class_register(::module* owner, void* registered) {
  auto* const made = static_cast<::class_*>(registered);
  auto& module = *static_cast<Module*>(owner->umdev);
  if (made->name == nullptr) return -EINVAL;
  auto created = device::Class::create(module.world().model(), made->name);
  if (!created) return -created.error().code;
  module.world().classes().add(made, std::move(*created));
  module.belongings().add(made, "class", made->name, [made] { class_unregister(made); });
  return 0;
}

void class_unregister(const void* registered) {
  const auto* const made = static_cast<const ::class_*>(registered);
  Module& module = current_module();
  module.belongings().remove(made);
  static_cast<void>(module.world().classes().take(made));
}

}  // namespace umdev::kernel

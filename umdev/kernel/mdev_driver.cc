#include "umdev/kernel/mdev_driver.h"

#include <array>

#include "umdev/abi/vfio.h"
#include "umdev/kernel/belongings.h"
#include "umdev/kernel/mdev_record.h"
#include "umdev/kernel/module.h"
#include "umdev/kernel/vfio_record.h"
#include "umdev/kernel/waiting.h"
#include "umdev/mdev/parent.h"

namespace umdev::kernel {
namespace {

constexpr std::array<std::string_view, 5> all_device_apis{
    abi::vfio_device_api_pci_string, abi::vfio_device_api_platform_string, abi::vfio_device_api_amba_string,
    abi::vfio_device_api_ccw_string, abi::vfio_device_api_ap_string};

std::vector<std::string_view> device_apis_of(const ::umdev_mdev_driver& callbacks) {
  if (callbacks.device_api != nullptr) return {callbacks.device_api};
  return {all_device_apis.begin(), all_device_apis.end()};
}

std::shared_ptr<::device> resolve(device::Device& device) {
  const auto record = MdevRecord::of(device);
  return record ? std::shared_ptr<::device>(record, &record->mdev().dev) : nullptr;
}

Result<> to_result(int answer, std::string_view what) {
  if (answer == 0) return {};
  return fail(answer < 0 ? -answer : EIO, what);
}

}  // namespace

ModuleDriver::ModuleDriver(Module& module, ::device_driver& object, const ::umdev_mdev_driver& callbacks)
    : module_(module),
      object_(object),
      callbacks_(callbacks),
      name_(callbacks.name),
      device_apis_(device_apis_of(callbacks)),
      attributes_(module, callbacks.dev_groups, &resolve) {}

std::string_view ModuleDriver::module_name() const {
  return module_.name();
}

struct ModuleDriver::ProbeTask final : Task {
  ProbeTask(ModuleDriver& to, std::shared_ptr<mdev::Instance> of, Done<> then)
      : driver(to), instance(std::move(of)), done(std::move(then)) {}
  ModuleDriver& driver;
  std::shared_ptr<mdev::Instance> instance;
  Done<> done;
  Result<> result;

  void run(Call& call) override {
    auto record = driver.find_or_make(*instance);
    if (!record) {
      result = fail(ENODEV, "the instance is no module's");
      return;
    }
    record->set_instance(instance);
    call.pages = &record->pages();
    record->mdev().dev.driver = &driver.object_;
    // Before probe: what probe registers may be looked at at once.
    instance->set_driver_data(record);
    const auto& callbacks = driver.callbacks_;
    const int answer = callbacks.probe_device != nullptr ? callbacks.probe_device(&record->mdev().dev)
                       : callbacks.probe != nullptr      ? callbacks.probe(&record->mdev())
                                                         : 0;
    result = to_result(answer, "the module's probe failed");
    if (!result) instance->set_driver_data(nullptr);
  }
  void crashed() override {
    result = module_crashed();
    instance->set_driver_data(nullptr);
  }
  // Lets go of the instance first, as everything does here: what waits for this may be the last that happens.
  void finish() override {
    instance.reset();
    done(std::move(result));
  }
};

// A parent up to 6.0 has made the record with the device; one of later kernels leaves that to its driver.
std::shared_ptr<MdevRecord> ModuleDriver::find_or_make(mdev::Instance& instance) {
  if (auto made = module_.world().find_mdev(instance.uuid())) return made;
  const auto* const parent = dynamic_cast<ModuleParent*>(&instance.mdev_parent().driver());
  if (parent == nullptr) return nullptr;
  return MdevRecord::make(module_, instance.uuid(), parent->find_type(instance.type()));
}

void ModuleDriver::probe_instance(mdev::Instance& instance, Done<> done) {
  auto shared = std::static_pointer_cast<mdev::Instance>(instance.shared_from_this());
  const CallName name{.module = &module_, .callback = "probe", .device = instance.name().c_str()};
  module_.world().calls().post(name, ProbeTask(*this, std::move(shared), std::move(done)));
}

struct ModuleDriver::RemoveTask final : Task {
  RemoveTask(ModuleDriver& to, std::shared_ptr<mdev::Instance> of, Done<> then)
      : driver(to), instance(std::move(of)), done(std::move(then)) {}
  ModuleDriver& driver;
  std::shared_ptr<mdev::Instance> instance;
  Done<> done;

  void run(Call& call) override {
    const auto owned = MdevRecord::of(*instance);
    MdevRecord& record = *owned;
    call.pages = &record.pages();
    const auto& callbacks = driver.callbacks_;
    if (callbacks.remove_device != nullptr) callbacks.remove_device(&record.mdev().dev);
    if (callbacks.remove != nullptr) callbacks.remove(&record.mdev());
  }
  void finish() override {
    instance.reset();
    done();
  }
};

// Nobody asks what has crashed: its VFIO device is taken away from outside, its memory stays.
void ModuleDriver::take_away(const MdevRecord& record, RemovePolicy policy, Done<> done) {
  const auto vfio = record.vfio();
  if (!vfio) return done();
  auto removed = std::make_shared<Done<>>(std::move(done));
  vfio->unregister(policy, [&module = vfio->module(), object = vfio->object(), removed](Result<> result) {
    if (result) {
      module.belongings().remove(object);
      vfio_uninit_device(object);
    }
    (*removed)(std::move(result));
  });
}

void ModuleDriver::remove_instance(mdev::Instance& instance, RemovePolicy policy, Done<> done) {
  auto shared = std::static_pointer_cast<mdev::Instance>(instance.shared_from_this());
  const auto record = MdevRecord::of(instance);
  record->set_removal(policy);
  if (module_.crash()) return take_away(*record, policy, std::move(done));
  auto removed = std::make_shared<Done<>>(std::move(done));
  auto go_on = [this, shared, removed](Result<> result) {
    if (!result) return (*removed)(std::move(result));
    const CallName name{.module = &module_, .callback = "remove", .device = shared->name().c_str()};
    module_.world().calls().post(name, RemoveTask(*this, shared, std::move(*removed)));
  };
  // The kernel's remove cannot refuse. So that nothing has changed when a busy device stays, the VFIO device
  // goes first, and the module's vfio_unregister_group_dev() finds it gone.
  const auto vfio = record->vfio();
  if (policy == RemovePolicy::busy && vfio) return vfio->unregister(policy, std::move(go_on));
  go_on({});
}

void ModuleDriver::force_remove_instance(mdev::Instance& instance) {
  if (const auto device = instance.vfio_device()) device->force();
}

int mdev_register_driver(::module* owner, ::device_driver* driver, const ::umdev_mdev_driver* callbacks) {
  auto& module = *static_cast<Module*>(owner->umdev);
  if (callbacks->name == nullptr) return -EINVAL;
  if (module.world().drivers().find(driver)) return -EBUSY;
  auto made = std::make_shared<ModuleDriver>(module, *driver, *callbacks);
  auto registered = wait_for<>([&](Done<> done) {
    auto registration = module.world().bus().register_driver(module.world().wrap(made), std::move(done));
    if (registration) made->set_registration(std::move(*registration));
  });
  // A registration that fails drops its Done, one that succeeds completes it.
  if (!registered) return registered.error().code == ECANCELED ? -EEXIST : -registered.error().code;
  module.world().drivers().add(driver, std::move(made));
  module.belongings().add(driver, "mdev driver", callbacks->name,
                          [driver] { mdev_unregister_driver(driver); });
  return 0;
}

void mdev_unregister_driver(::device_driver* driver) {
  Module& module = *current_call()->module;
  const auto made = module.world().drivers().take(driver);
  if (!made) return;
  module.belongings().remove(driver);
  auto registration = made->take_registration();
  const auto policy = module.is_forced() ? RemovePolicy::force : RemovePolicy::wait;
  static_cast<void>(wait_for([&](Done<> done) { registration.unregister(policy, std::move(done)); }));
}

}  // namespace umdev::kernel

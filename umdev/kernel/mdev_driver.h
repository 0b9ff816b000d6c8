// A module's driver of the mdev bus (struct mdev_driver), and the parents that are registered with it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "include/umdev/kernel/umdev/services.h"
#include "umdev/kernel/attribute_tables.h"
#include "umdev/mdev/bus_driver.h"
#include "umdev/mdev/parent_driver.h"
#include "umdev/support/registration.h"

namespace umdev::kernel {

class MdevRecord;
class Module;
class World;

// Probe and remove of the module run on threads that may wait.
class ModuleDriver final : public mdev::BusDriver {
 public:
  ModuleDriver(Module& module, ::device_driver& object, const ::umdev_mdev_driver& callbacks);

  Module& module() const { return module_; }
  const ::umdev_mdev_driver& callbacks() const { return callbacks_; }
  void set_registration(Registration registration) { registration_ = std::move(registration); }
  Registration take_registration() { return std::move(registration_); }

  // ^device::Driver
  std::string_view name() const override { return name_; }
  std::string_view module_name() const override;
  device::AttributeGroups device_groups() const override { return attributes_.groups(); }

  // ^mdev::BusDriver
  std::span<const std::string_view> device_apis() const override { return device_apis_; }
  void probe_instance(mdev::Instance& instance, Done<> done) override;
  void remove_instance(mdev::Instance& instance, RemovePolicy policy, Done<> done) override;
  void force_remove_instance(mdev::Instance& instance) override;

 private:
  std::shared_ptr<MdevRecord> find_or_make(mdev::Instance& instance);
  struct ProbeTask;
  struct RemoveTask;
  static void take_away(const MdevRecord& record, RemovePolicy policy, Done<> done);

  Module& module_;
  ::device_driver& object_;
  const ::umdev_mdev_driver callbacks_;
  const std::string name_;
  const std::vector<std::string_view> device_apis_;
  const AttributeTables attributes_;
  Registration registration_;
};

// A parent of a module of 6.1 and later: what is asked of it is asked of its driver.
class ModuleParent final : public mdev::ParentDriver {
 public:
  ModuleParent(std::shared_ptr<ModuleDriver> driver, std::vector<::mdev_type*> types)
      : driver_(std::move(driver)), types_(std::move(types)) {}

  Module& module() const { return driver_->module(); }
  // The module's structure for a type of the parent; null when it is none of its own.
  ::mdev_type* find_type(const mdev::Type& type) const;

  // ^mdev::ParentDriver
  void create(const mdev::CreateRequest& request, const mdev::Type& type, DeviceHost& host,
              Done<std::unique_ptr<vfio::Device>> done) override;
  std::optional<std::uint32_t> available(const mdev::Type& type) const override;

 private:
  const std::shared_ptr<ModuleDriver> driver_;
  const std::vector<::mdev_type*> types_;
};

// The services.
int mdev_register_driver(::module* owner, ::device_driver* driver, const ::umdev_mdev_driver* callbacks);
void mdev_unregister_driver(::device_driver* driver);
int mdev_register_parent(::mdev_parent* parent, ::device* dev, ::device_driver* driver, ::mdev_type** types,
                         unsigned count);
void mdev_unregister_parent(::mdev_parent* parent);

}  // namespace umdev::kernel

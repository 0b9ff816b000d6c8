// Parents of modules up to 6.0 (mdev_register_device() with mdev_parent_ops): they describe their types by
// attributes and answer for their devices themselves.
//
//   4.10 to 5.12   create(kobj, mdev); devices go to vfio_mdev, or to another driver of the bus that takes
//   them 5.13 to 5.18   create(mdev), or a `device_driver` that the devices are given to 5.19 to 6.0    a
//   driver only
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "include/umdev/kernel/umdev/services.h"
#include "umdev/kernel/attribute_tables.h"
#include "umdev/mdev/parent.h"
#include "umdev/mdev/parent_driver.h"
#include "umdev/mdev/type_attributes.h"

namespace umdev::kernel {

class MdevRecord;
class Module;

class LegacyParent final : public mdev::ParentDriver, public mdev::TypeAttributes {
 public:
  LegacyParent(Module& module, ::device* dev, const ::umdev_parent_ops& ops);

  Module& module() const { return module_; }

  // "mtty-1": what the types' kobjects are called. First of all; false: a type has no name.
  bool name_types(std::string_view driver_string);
  // What the attributes of the types say.
  Result<std::vector<mdev::TypeSpec>> types();

  // ^mdev::ParentDriver
  void create(const mdev::CreateRequest& request, const mdev::Type& type, DeviceHost& host,
              Done<std::unique_ptr<vfio::Device>> done) override;
  // Up to 5.1 the module's own `remove` decides, and has removed the device when it agrees.
  Result<> remove(mdev::Instance& instance, bool forced) override;
  std::optional<std::uint32_t> available(const mdev::Type& type) const override;
  device::AttributeGroups parent_groups() const override { return parent_attributes_.groups(); }
  device::AttributeGroups instance_groups() const override { return instance_attributes_.groups(); }

  // ^mdev::TypeAttributes
  std::vector<tree::AttributeSpec> attributes_of(const mdev::Type& type) override;

 private:
  friend ::kobject* mdev_type_kobj(::mdev_type* type);
  friend unsigned mdev_type_group(const ::mdev_type* type);
  // The module sees the first member.
  struct Type {
    ::mdev_type type = {};
    ::kobject kobj = {};
    ::mdev_parent parent = {};
    std::string id;
    unsigned index = 0;
    const ::attribute_group* group = nullptr;
  };
  struct CreateTask;
  class TypeFile;

  // `is_guarded`: the call that this is in ends where the module crashes.
  Result<std::string> show(Type& type, std::string_view attribute, bool is_guarded) const;
  Type* find_type(const mdev::Type& type) const;

  Module& module_;
  ::device* const dev_;
  const ::umdev_parent_ops ops_;
  const ::umdev_parent_callbacks callbacks_;
  const AttributeTables parent_attributes_;
  const AttributeTables instance_attributes_;
  std::vector<std::unique_ptr<Type>> types_;
};

// The services.
int mdev_register_device(::device* dev, const ::umdev_parent_ops* ops);
void mdev_unregister_device(::device* dev);
::kobject* mdev_type_kobj(::mdev_type* type);
unsigned mdev_type_group(const ::mdev_type* type);

}  // namespace umdev::kernel

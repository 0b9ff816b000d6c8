// A parent: a physical device whose driver offers mediated devices, and the types that it offers.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "umdev/device/device.h"
#include "umdev/mdev/parent_driver.h"
#include "umdev/mdev/resource_ledger.h"
#include "umdev/mdev/types.h"
#include "umdev/support/gate.h"
#include "umdev/tree/transaction.h"

namespace umdev::mdev {

class Bus;
class Parent;

// What a parent is registered with.
struct ParentSpec {
  // The physical device, added to the model. Its name is the parent's name in class/mdev_bus.
  std::shared_ptr<device::Device> device;
  std::vector<TypeSpec> types;                 // at least one
  Resources resources;                         // the totals of its ledger
  std::optional<std::uint32_t> max_instances;  // of all types together: EUSERS when they are used up
  // The bus driver that each instance is attached to; creation fails when it is not there or its probe does.
  // Empty: instances are offered to every bus driver that takes their device API, now or when one is
  // registered (the rule of kernels 4.10 to 5.12).
  std::string bus_driver = "vfio_mdev";
};

// One type of one parent.
class Type {
 public:
  Type(Parent& parent, TypeSpec spec, std::string id)
      : parent_(parent), spec_(std::move(spec)), id_(std::move(id)) {}
  const std::string& id() const { return id_; }
  const TypeSpec& spec() const { return spec_; }
  const std::string& pretty_name() const {
    return spec_.pretty_name.empty() ? spec_.name : spec_.pretty_name;
  }
  Parent& parent() const { return parent_; }
  // How many more can be made; advisory, since nothing is reserved.
  std::uint32_t available() const;
  // mdev_supported_types/<id> and its devices/.
  tree::Directory directory() const { return directory_; }
  tree::Directory devices_directory() const { return devices_directory_; }

 private:
  friend class Parent;
  Parent& parent_;
  const TypeSpec spec_;
  const std::string id_;
  tree::Directory directory_;
  tree::Directory devices_directory_;
};

// Shared by the bus, its registration and its instances. All members from any thread.
class Parent : public std::enable_shared_from_this<Parent> {
 public:
  // EINVAL: no device, no driver, no type, a type without name or device_api, a cost that the ledger does not
  // have, two types of one name.
  static Result<std::shared_ptr<Parent>> create(Bus& bus, ParentSpec spec,
                                                std::unique_ptr<ParentDriver> driver);

  const std::string& name() const { return spec_.device->name(); }
  const ParentSpec& spec() const { return spec_; }
  const std::shared_ptr<device::Device>& device() const { return spec_.device; }
  ParentDriver& driver() const { return *driver_; }
  Bus& bus() const { return bus_; }
  const std::vector<std::unique_ptr<Type>>& types() const { return types_; }
  const Type* find_type(std::string_view id) const;

  ResourceLedger& ledger() const { return *ledger_; }
  // The counter behind max_instances.
  ResourceLedger& instance_counter() const { return *instance_counter_; }
  // Creations and removals under way; closed by unregistration.
  Gate& operations() { return operations_; }
  // True while it has an instance, or one is under way.
  bool in_use() const;

  // Asks the vendor for the device of an instance. ETIMEDOUT after Limits::access_deadline. `request` must
  // live until this returns.
  void make_device(const CreateRequest& request, const Type& type, Done<std::unique_ptr<vfio::Device>> done);

  // Its part of the tree: types, the vendor's attributes, the link in class/mdev_bus.
  Result<> publish();
  void unpublish_link();
  // Completes when no show or store of them runs any more.
  void unpublish_types(Done<> done);

 private:
  Parent(Bus& bus, ParentSpec spec, std::unique_ptr<ParentDriver> driver);
  void publish_type(tree::Transaction& transaction, const tree::Directory& types, Type& type);

  Bus& bus_;
  const ParentSpec spec_;
  const std::unique_ptr<ParentDriver> driver_;
  const std::shared_ptr<ResourceLedger> ledger_;
  const std::shared_ptr<ResourceLedger> instance_counter_;
  std::vector<std::unique_ptr<Type>> types_;
  Gate operations_;
  tree::NodeHandle nodes_;
  tree::NodeHandle link_;
};

}  // namespace umdev::mdev

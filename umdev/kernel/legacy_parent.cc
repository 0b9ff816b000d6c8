#include "umdev/kernel/legacy_parent.h"

#include <charconv>
#include <cstddef>
#include <cstring>

#include "umdev/kernel/belongings.h"
#include "umdev/kernel/device_record.h"
#include "umdev/kernel/mdev_driver.h"
#include "umdev/kernel/mdev_record.h"
#include "umdev/kernel/module.h"
#include "umdev/kernel/module_device.h"
#include "umdev/kernel/waiting.h"

namespace umdev::kernel {
namespace {

std::shared_ptr<::device> resolve_parent(device::Device& device) {
  return {device.shared_from_this(), &static_cast<ModuleNode&>(device).object()};
}

// By its UUID, for the driver of the bus that has it may be anybody's. The world follows from the parent,
// whose driver this is.
std::shared_ptr<::device> resolve_mdev(device::Device& device) {
  auto& instance = mdev::Instance::from(device);
  const DeviceRecord* const parent = DeviceRecord::of(resolve_parent(*instance.mdev_parent().device()).get());
  if (parent == nullptr) return nullptr;
  const auto record = parent->module.world().find_mdev(instance.uuid());
  return record ? std::shared_ptr<::device>(record, &record->mdev().dev) : nullptr;
}

// A device that a driver of a module is given: it makes the VFIO device itself.
class KeptForDriver final : public vfio::Device {
 public:
  explicit KeptForDriver(std::shared_ptr<MdevRecord> record) : record_(std::move(record)) {}
  std::string_view name() const override { return record_->device().name; }
  vfio::DeviceInfo info() const override { return {}; }
  Result<vfio::RegionInfo> region_info(std::uint32_t) const override { return fail(EINVAL, "not probed"); }
  Result<vfio::IrqInfo> irq_info(std::uint32_t) const override { return fail(EINVAL, "not probed"); }

 private:
  const std::shared_ptr<MdevRecord> record_;
};

std::string without_newline(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

const ::umdev_parent_callbacks no_callbacks{};

// As much of it as the module was compiled with.
::umdev_parent_ops copy_of(const ::umdev_parent_ops& ops) {
  ::umdev_parent_ops copy{};
  const bool is_whole = (ops.rules & ::umdev_stores_types) != 0;
  std::memcpy(&copy, &ops, is_whole ? sizeof(ops) : offsetof(::umdev_parent_ops, store_type));
  return copy;
}

// What the bus shows itself of a type.
bool is_documented(std::string_view attribute) {
  return attribute == "name" || attribute == "description" || attribute == "device_api" ||
         attribute == "available_instances";
}

}  // namespace

LegacyParent::LegacyParent(Module& module, ::device* dev, const ::umdev_parent_ops& ops)
    : module_(module),
      dev_(dev),
      ops_(copy_of(ops)),
      callbacks_(ops.callbacks != nullptr ? *ops.callbacks : no_callbacks),
      parent_attributes_(module, ops.dev_attr_groups, &resolve_parent),
      instance_attributes_(module, ops.mdev_attr_groups, &resolve_mdev) {
  unsigned index = 0;
  for (::attribute_group** group = ops.supported_type_groups; *group != nullptr; ++group, ++index) {
    auto type = std::make_unique<Type>();
    type->group = *group;
    type->index = index;
    type->parent.dev = dev;
    type->type = {.sysfs_name = (*group)->name, .pretty_name = (*group)->name, .parent = &type->parent};
    types_.push_back(std::move(type));
  }
}

bool LegacyParent::name_types(std::string_view driver_string) {
  for (const auto& type : types_) {
    if (type->group->name == nullptr) return false;
    type->id = std::string(driver_string) + "-" + type->group->name;
    type->kobj.name = type->id.c_str();
    type->kobj.parent = &dev_->kobj;
  }
  return true;
}

Result<std::string> LegacyParent::show(Type& type, std::string_view attribute, bool is_guarded) const {
  for (::attribute** each = type.group->attrs; each != nullptr && *each != nullptr; ++each) {
    if ((*each)->name != attribute) continue;
    std::string text(tree::attribute_size, '\0');
    ssize_t length = 0;
    const auto ask = [&] { length = ops_.show_type(*each, &type.type, &type.kobj, dev_, text.data()); };
    if (is_guarded)
      ask();
    else if (!module_.call(("show of the type's " + std::string(attribute)).c_str(), type.group->name, ask))
      return module_crashed();
    if (length < 0) return fail(static_cast<int>(-length), "the type's show failed");
    text.resize(std::min(static_cast<std::size_t>(length), tree::show_limit));
    return without_newline(std::move(text));
  }
  return std::string();
}

Result<std::vector<mdev::TypeSpec>> LegacyParent::types() {
  std::vector<mdev::TypeSpec> specs;
  for (const auto& type : types_) {
    specs.push_back({.name = type->group->name,
                     .pretty_name = UMDEV_TRY(show(*type, "name", false)),
                     .description = UMDEV_TRY(show(*type, "description", false)),
                     .device_api = UMDEV_TRY(show(*type, "device_api", false)),
                     .cost = {}});
  }
  return specs;
}

// A file of the vendor's own in a type's directory.
class LegacyParent::TypeFile final : public tree::Attribute {
  template <typename Body>
  auto ask(const char* callback, Body body) const {
    const CallName name{.module = &parent_.module_, .callback = callback, .device = type_.id.c_str()};
    return parent_.module_.world().calls().ask(name, std::move(body));
  }

 public:
  TypeFile(const LegacyParent& parent, Type& type, ::attribute& attribute)
      : parent_(parent), type_(type), attribute_(attribute) {}

  // ^tree::Attribute
  Result<std::string> show() override {
    return ask("show", [this](Call&) -> Result<std::string> {
      std::string text(tree::attribute_size, '\0');
      const ssize_t length =
          parent_.ops_.show_type(&attribute_, &type_.type, &type_.kobj, parent_.dev_, text.data());
      if (length < 0) return fail(static_cast<int>(-length), "the type's show failed");
      text.resize(std::min(static_cast<std::size_t>(length), tree::show_limit));
      return text;
    });
  }
  void store(std::string_view text, Done<std::size_t> done) override {
    done(ask("store", [this, copy = std::string(text)](Call&) -> Result<std::size_t> {
      if (parent_.ops_.store_type == nullptr) return fail(EIO, "the module's types cannot be written");
      const ssize_t length = parent_.ops_.store_type(&attribute_, &type_.type, &type_.kobj, parent_.dev_,
                                                     copy.c_str(), copy.size());
      if (length < 0) return fail(static_cast<int>(-length), "the type's store failed");
      return static_cast<std::size_t>(length);
    }));
  }

 private:
  const LegacyParent& parent_;
  Type& type_;
  ::attribute& attribute_;
};

std::vector<tree::AttributeSpec> LegacyParent::attributes_of(const mdev::Type& type) {
  std::vector<tree::AttributeSpec> files;
  Type* const own = find_type(type);
  if (own == nullptr) return files;
  for (::attribute** each = own->group->attrs; each != nullptr && *each != nullptr; ++each)
    if (!is_documented((*each)->name))
      files.push_back({.name = (*each)->name,
                       .mode = (*each)->mode,
                       .attribute = std::make_unique<TypeFile>(*this, *own, **each)});
  return files;
}

LegacyParent::Type* LegacyParent::find_type(const mdev::Type& type) const {
  for (const auto& each : types_)
    if (type.spec().name == each->group->name) return each.get();
  return nullptr;
}

struct LegacyParent::CreateTask final : Task {
  CreateTask(LegacyParent& of, std::shared_ptr<MdevRecord> to, Done<std::unique_ptr<vfio::Device>> then)
      : parent(of), record(std::move(to)), done(std::move(then)) {}
  LegacyParent& parent;
  std::shared_ptr<MdevRecord> record;
  Done<std::unique_ptr<vfio::Device>> done;
  Result<> result;

  void run(Call& call) override {
    call.pages = &record->pages();
    const auto& ops = parent.ops_;
    auto* const type = reinterpret_cast<Type*>(record->mdev().type);
    const int answer = ops.create_of != nullptr ? ops.create_of(&type->kobj, &record->mdev())
                       : ops.create != nullptr  ? ops.create(&record->mdev())
                                                : 0;
    if (answer != 0) result = fail(answer < 0 ? -answer : EIO, "the parent's create failed");
  }
  void crashed() override { result = module_crashed(); }
  // Lets go of the record first: what waits for the creation may be the last that happens.
  void finish() override {
    if (!result) {
      record.reset();
      return done(std::unexpected(result.error()));
    }
    record->set_remove(parent.ops_.remove);
    if (parent.ops_.driver != nullptr) return done(std::make_unique<KeptForDriver>(std::move(record)));
    auto vfio =
        std::make_shared<VfioRecord>(parent.module_, nullptr, &record->mdev().dev,
                                     ParentCallbacks{parent.callbacks_, &record->mdev()}, parent.ops_.rules);
    record->set_vfio(vfio);
    record.reset();
    done(std::make_unique<ModuleDevice>(std::move(vfio), nullptr));
  }
};

void LegacyParent::create(const mdev::CreateRequest& request, const mdev::Type& type, DeviceHost&,
                          Done<std::unique_ptr<vfio::Device>> done) {
  Type* const object = find_type(type);
  if (object == nullptr) return done(fail(EINVAL, "no type of this parent"));
  auto record = MdevRecord::make(module_, request.uuid, &object->type);
  const CallName name{.module = &module_, .callback = "create", .device = record->device().name.c_str()};
  module_.world().calls().post(name, CreateTask(*this, std::move(record), std::move(done)));
}

Result<> LegacyParent::remove(mdev::Instance& instance, bool forced) {
  if ((ops_.rules & ::umdev_removes_first) == 0) return {};
  const auto record = module_.world().find_mdev(instance.uuid());
  const auto remove = record ? record->remove() : nullptr;
  if (remove == nullptr) return {};
  const CallName name{.module = &module_, .callback = "remove", .device = instance.name().c_str()};
  const auto answer = module_.world().calls().ask(name, [remove, record](Call& call) -> Result<int> {
    call.pages = &record->pages();
    return remove(&record->mdev());
  });
  if (!answer) return std::unexpected(answer.error());
  if (*answer != 0 && !forced) return fail(*answer < 0 ? -*answer : EBUSY, "the parent refuses");
  record->set_remove(nullptr);
  // A device that another driver of the bus made goes on until that one is told.
  if (const auto vfio = record->vfio(); vfio && std::holds_alternative<ParentCallbacks>(vfio->callbacks()))
    vfio->retire();
  return {};
}

std::optional<std::uint32_t> LegacyParent::available(const mdev::Type& type) const {
  Type* const object = find_type(type);
  if (object == nullptr) return 0;
  const CallName name{.module = &module_, .callback = "available_instances", .device = object->group->name};
  const auto answer = module_.world().calls().ask(name, [this, object](Call&) -> Result<std::string> {
    return show(*object, "available_instances", true);
  });
  std::uint32_t count = 0;
  if (answer) std::from_chars(answer->data(), answer->data() + answer->size(), count);
  return count;
}

// --- The services.

int mdev_register_device(::device* dev, const ::umdev_parent_ops* ops) {
  Module& module = *current_call()->module;
  const DeviceRecord* const record = DeviceRecord::of(dev);
  if (record == nullptr || !record->node) return -EINVAL;
  if (module.world().parents().find(dev)) return -EEXIST;
  std::string driver_name;
  if (ops->driver != nullptr) {
    const auto driver = module.world().drivers().find(ops->driver);
    if (!driver) return -EINVAL;
    driver_name = driver->name();
  }
  auto parent = std::make_unique<LegacyParent>(module, dev, *ops);
  if (!parent->name_types(device::dev_driver_string(*record->node))) return -EINVAL;
  auto types = parent->types();
  if (!types) return -types.error().code;
  auto registration = module.world().bus().register_parent({.device = record->node,
                                                            .types = std::move(*types),
                                                            .resources = {},
                                                            .max_instances = {},
                                                            .bus_driver = std::move(driver_name)},
                                                           std::move(parent));
  if (!registration) return -registration.error().code;
  module.world().parents().add(dev, std::make_shared<Registration>(std::move(*registration)));
  module.belongings().add(dev, "parent", record->name, [dev] { mdev_unregister_device(dev); });
  return 0;
}

void mdev_unregister_device(::device* dev) {
  Module& module = *current_call()->module;
  const auto registration = module.world().parents().take(dev);
  if (!registration) return;
  module.belongings().remove(dev);
  const auto policy = module.is_forced() ? RemovePolicy::force : RemovePolicy::wait;
  static_cast<void>(wait_for([&](Done<> done) { registration->unregister(policy, std::move(done)); }));
}

::kobject* mdev_type_kobj(::mdev_type* type) {
  return &reinterpret_cast<LegacyParent::Type*>(type)->kobj;
}

unsigned mdev_type_group(const ::mdev_type* type) {
  return reinterpret_cast<const LegacyParent::Type*>(type)->index;
}

}  // namespace umdev::kernel

#include "umdev/mdev/parent.h"

#include <algorithm>

#include "umdev/mdev/bus.h"
#include "umdev/mdev/type_attributes.h"
#include "umdev/support/deadline.h"
#include "umdev/vfio/driver_call.h"

namespace umdev::mdev {
namespace {

// A write of a UUID makes an instance; it completes when that is complete.
class CreateAttribute final : public tree::Attribute {
 public:
  explicit CreateAttribute(const Type& type) : type_(type) {}
  void store_from(const tree::Writer& writer, std::string_view text, Done<std::size_t> done) override {
    const auto uuid = Uuid::parse_create(text);
    if (!uuid) return done(std::unexpected(uuid.error()));
    auto written = std::make_shared<Done<std::size_t>>(std::move(done));
    Parent& parent = type_.parent();
    parent.bus().create({.parent = parent.name(),
                         .type = type_.id(),
                         .uuid = *uuid,
                         .owner = {.uid = writer.uid, .pid = writer.pid, .door = "tree"},
                         .attributes = {}},
                        [written, size = text.size()](Result<> result) {
                          (*written)(result ? Result<std::size_t>(size) : std::unexpected(result.error()));
                        });
  }

 private:
  const Type& type_;
};

class AvailableAttribute final : public tree::Attribute {
 public:
  explicit AvailableAttribute(const Type& type) : type_(type) {}
  Result<std::string> show() override { return std::to_string(type_.available()) + "\n"; }

 private:
  const Type& type_;
};

Result<> check(const ParentSpec& spec, const ResourceLedger& ledger) {
  if (spec.types.empty()) return fail(EINVAL, "a parent offers at least one type");
  for (const TypeSpec& type : spec.types) {
    if (type.name.empty()) return fail(EINVAL, "a type has a name");
    if (type.device_api.empty()) return fail(EINVAL, "a type has a device API");
    if (!ledger.covers(type.cost))
      return fail(EINVAL, "a type costs something that the parent does not have");
    if (std::count_if(spec.types.begin(), spec.types.end(),
                      [&](const TypeSpec& other) { return other.name == type.name; }) != 1)
      return fail(EINVAL, "two types have one name");
  }
  return {};
}

constexpr std::string_view instances_counter = "instances";

std::uint32_t limit_of(const ParentSpec& spec) {
  return spec.max_instances.value_or(UINT32_MAX);
}

}  // namespace

std::uint32_t Type::available() const {
  const std::uint32_t slots = parent_.instance_counter().available({{std::string(instances_counter), 1}});
  if (const auto answer = vfio::driver_call([&] { return parent_.driver().available(*this); }))
    return std::min(*answer, slots);
  return std::min(slots, parent_.ledger().available(spec_.cost));
}

Result<std::shared_ptr<Parent>> Parent::create(Bus& bus, ParentSpec spec,
                                               std::unique_ptr<ParentDriver> driver) {
  if (!spec.device) return fail(EINVAL, "a parent is a device");
  if (!driver) return fail(EINVAL, "a parent has a driver");
  std::shared_ptr<Parent> parent(
      new Parent(bus, std::move(spec), std::move(driver)));  // its constructor is private
  UMDEV_TRY(check(parent->spec_, *parent->ledger_));
  return parent;
}

Parent::Parent(Bus& bus, ParentSpec spec, std::unique_ptr<ParentDriver> driver)
    : bus_(bus),
      spec_(std::move(spec)),
      driver_(std::move(driver)),
      ledger_(std::make_shared<ResourceLedger>(spec_.resources)),
      instance_counter_(
          std::make_shared<ResourceLedger>(Resources{{std::string(instances_counter), limit_of(spec_)}})) {
  const std::string prefix = device::dev_driver_string(*spec_.device) + "-";
  for (const TypeSpec& type : spec_.types)
    types_.push_back(std::make_unique<Type>(*this, type, prefix + type.name));
}

const Type* Parent::find_type(std::string_view id) const {
  for (const auto& type : types_)
    if (type->id() == id) return type.get();
  return nullptr;
}

bool Parent::in_use() const {
  return instance_counter_->available({{std::string(instances_counter), 1}}) != limit_of(spec_);
}

void Parent::make_device(const CreateRequest& request, const Type& type,
                         Done<std::unique_ptr<vfio::Device>> done) {
  // A driver may sit in create() for longer than the deadline, and then for longer than its parent's
  // registration.
  const auto self = shared_from_this();
  auto bounded = with_deadline<std::unique_ptr<vfio::Device>>(
      bus_.host().clock(), bus_.limits().access_deadline, std::move(done), {});
  vfio::driver_call([&] { driver_->create(request, type, bus_.host(), std::move(bounded)); });
}

Result<> Parent::publish() {
  const tree::Directory directory = spec_.device->directory();
  tree::Transaction transaction(bus_.model().tree());
  const tree::Directory types = transaction.add_directory(directory, "mdev_supported_types");
  for (const auto& type : types_) publish_type(transaction, types, *type);
  device::stage_groups(transaction, directory, spec_.device, driver_->parent_groups());
  nodes_ = UMDEV_TRY(transaction.commit());
  auto link = bus_.parent_class().add_link(*spec_.device);
  if (!link) {
    unpublish_types(Done<>([keep = shared_from_this()](Result<>) {}));
    return std::unexpected(link.error());
  }
  link_ = std::move(*link);
  return {};
}

void Parent::publish_type(tree::Transaction& transaction, const tree::Directory& types, Type& type) {
  type.directory_ = transaction.add_directory(types, type.id());
  const auto text = [&](std::string name, const std::string& value) {
    transaction.add_attribute(type.directory_,
                              {.name = std::move(name), .attribute = tree::text_attribute(value + "\n")});
  };
  transaction.add_attribute(
      type.directory_,
      {.name = "create", .mode = 0200, .attribute = std::make_unique<CreateAttribute>(type)});
  transaction.add_attribute(type.directory_, {.name = "available_instances",
                                              .attribute = std::make_unique<AvailableAttribute>(type)});
  text("name", type.pretty_name());
  text("device_api", type.spec().device_api);
  if (!type.spec().description.empty()) text("description", type.spec().description);
  if (auto* const vendor = dynamic_cast<TypeAttributes*>(driver_.get()))
    for (tree::AttributeSpec& attribute : vendor->attributes_of(type))
      transaction.add_attribute(type.directory_, std::move(attribute));
  type.devices_directory_ = transaction.add_directory(type.directory_, "devices");
}

void Parent::unpublish_link() {
  link_.remove();
}

void Parent::unpublish_types(Done<> done) {
  nodes_.remove(std::move(done));
}

}  // namespace umdev::mdev

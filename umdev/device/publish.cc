// How a device shows itself: its directory, its links, its events.
#include "umdev/device/device.h"

namespace umdev::device {

namespace {

class GroupAttribute final : public tree::Attribute {
 public:
  GroupAttribute(std::shared_ptr<Device> device, const DeviceAttribute& attribute)
      : device_(std::move(device)), attribute_(attribute) {}

  Result<std::string> show() override {
    return attribute_.show != nullptr ? attribute_.show(*device_, attribute_) : Attribute::show();
  }
  void store(std::string_view text, Done<std::size_t> done) override {
    if (attribute_.store != nullptr) {
      attribute_.store(*device_, attribute_, text, std::move(done));
    } else {
      Attribute::store(text, std::move(done));
    }
  }

 private:
  // Shared, as a store may still run on another thread when an attribute has been removed by name. The tree
  // drops it with the node.
  const std::shared_ptr<Device> device_;
  const DeviceAttribute& attribute_;
};

std::string device_number_text(const DeviceNumber& number) {
  return std::to_string(number.major) + ":" + std::to_string(number.minor) + "\n";
}

std::string octal(tree::Mode mode) {
  std::string digits;
  for (unsigned rest = mode; rest != 0; rest /= 8)
    digits.insert(digits.begin(), static_cast<char>('0' + rest % 8));
  return "0" + digits;
}

constexpr const char* uevent_name = "uevent";

}  // namespace

void stage_groups(tree::Transaction& transaction, const tree::Directory& directory,
                  const std::shared_ptr<Device>& device, AttributeGroups groups) {
  for (const AttributeGroup* group : groups) {
    const tree::Directory place =
        group->name.empty() ? directory : transaction.add_directory(directory, std::string(group->name));
    for (const DeviceAttribute& attribute : group->attributes) {
      const tree::Mode mode =
          group->is_visible != nullptr ? group->is_visible(*device, attribute) : attribute.mode;
      if (mode == 0) continue;
      transaction.add_attribute(
          place, {std::string(attribute.name), mode, std::make_unique<GroupAttribute>(device, attribute)});
    }
  }
}

Result<std::string> Device::show_uevent(Device& device, const DeviceAttribute&) {
  std::string text;
  for (const std::string& entry : device.environment()) text += entry + "\n";
  return text;
}

void Device::store_uevent(Device& device, const DeviceAttribute&, std::string_view text,
                          Done<std::size_t> done) {
  Result<SyntheticEvent> event = parse_synthetic_event(text);
  if (!event) return done(std::unexpected(event.error()));
  device.emit(event->action, std::move(event->environment));
  done(text.size());
}

Result<std::string> Device::show_dev(Device& device, const DeviceAttribute&) {
  return device_number_text(*device.number_);
}

const AttributeGroup& Device::uevent_group() {
  static constexpr DeviceAttribute attributes[] = {
      {.name = uevent_name, .mode = 0644, .show = show_uevent, .store = store_uevent}};
  static constexpr AttributeGroup group{.attributes = attributes};
  return group;
}

const AttributeGroup& Device::dev_group() {
  static constexpr DeviceAttribute attributes[] = {{.name = "dev", .mode = 0444, .show = show_dev}};
  static constexpr AttributeGroup group{.attributes = attributes};
  return group;
}

std::string Device::subsystem() const {
  if (bus_) return bus_->name();
  return class_ ? class_->name() : std::string();
}

// The directory that the device's own is to be in (the kernel's get_device_parent()).
Result<tree::Directory> Device::find_place() {
  if (parent_ && !parent_->is_added()) return fail(ENODEV, "the parent is not there");
  if (!class_) return parent_ ? parent_->directory() : model_.devices();
  if (parent_ && parent_->device_class()) return parent_->directory();
  const tree::Directory above = parent_ ? parent_->directory() : model_.virtual_devices();
  shared_ = UMDEV_TRY(SharedDirectory::acquire(model_, above, class_->name()));
  return shared_.directory();
}

Result<> Device::publish(Stage& stage) {
  const tree::Directory place = UMDEV_TRY(find_place());
  const std::shared_ptr<Device> self = shared_from_this();
  tree::Transaction transaction(model_.tree());
  const tree::Directory directory = transaction.add_directory(place, name_);
  const AttributeGroup* const own[] = {&uevent_group()};
  stage_groups(transaction, directory, self, own);
  if (number_) {
    const AttributeGroup* const dev[] = {&dev_group()};
    stage_groups(transaction, directory, self, dev);
  }
  stage_groups(transaction, directory, self, groups_);
  if (bus_) {
    transaction.add_link(directory, "subsystem", bus_->directory());
    transaction.add_link(bus_->devices_directory(), name_, directory);
  } else if (class_) {
    transaction.add_link(directory, "subsystem", class_->directory());
  }
  if (class_) {
    transaction.add_link(class_->directory(), name_, directory);
    if (parent_) transaction.add_link(directory, "device", parent_->directory());
  }
  if (stage) stage(transaction, directory);
  links_ = UMDEV_TRY(transaction.commit());
  nodes_ = links_.split(directory.node());
  std::string path = directory.path();
  Lock lock(mutex_);
  directory_ = directory;
  path_ = std::move(path);
  return {};
}

Result<> Device::publish_driver_groups(Driver& driver) {
  if (driver.device_groups().empty()) return {};
  tree::Transaction transaction(model_.tree());
  stage_groups(transaction, directory(), shared_from_this(), driver.device_groups());
  driver_groups_ = UMDEV_TRY(transaction.commit());
  return {};
}

Result<> Device::publish_binding(Driver& driver) {
  UMDEV_TRY(publish_driver_groups(driver));
  tree::Transaction transaction(model_.tree());
  transaction.add_link(directory(), "driver", driver.directory());
  transaction.add_link(driver.directory(), name_, directory());
  Result<tree::NodeHandle> links = transaction.commit();
  if (!links) {
    driver_groups_.remove();
    return std::unexpected(links.error());
  }
  driver_links_ = std::move(*links);
  return {};
}

Environment Device::environment() const {
  Environment environment;
  if (number_) {
    environment.push_back("MAJOR=" + std::to_string(number_->major));
    environment.push_back("MINOR=" + std::to_string(number_->minor));
    environment.push_back("DEVNAME=" + (number_->node_name.empty() ? name_ : number_->node_name));
    if (number_->node_mode) environment.push_back("DEVMODE=" + octal(*number_->node_mode));
  }
  if (const auto driver = is_bound() ? this->driver() : nullptr)
    environment.push_back("DRIVER=" + std::string(driver->name()));
  add_to_environment(environment);
  return environment;
}

void Device::emit_now(Action action, Environment extra) {
  if (!bus_ && !class_) return;
  Uevent event = make_uevent(action, path(), subsystem(), std::move(extra), environment());
  model_.events().emit(std::move(event), event_batch().get());
}

void Device::emit(Action action, Environment extra) {
  if (is_added()) emit_now(action, std::move(extra));
}

void Device::hold_events(std::shared_ptr<EventBatch> batch) {
  Lock lock(mutex_);
  batch_.swap(batch);
}

std::shared_ptr<EventBatch> Device::event_batch() const {
  {
    Lock lock(mutex_);
    if (batch_) return batch_;
  }
  return parent_ ? parent_->event_batch() : nullptr;
}

}  // namespace umdev::device

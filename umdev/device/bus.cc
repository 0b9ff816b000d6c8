#include "umdev/device/bus.h"

#include <algorithm>

#include "umdev/device/device.h"
#include "umdev/support/parse.h"

namespace umdev::device {

namespace {

std::string_view without_newline(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  return text;
}

// Completes a store when an operation has ended: with the count, or the operation's error. (A Done does not
// fit into a Done.)
Done<> count_when_done(std::size_t count, Done<std::size_t> done) {
  return [count, done = std::make_unique<Done<std::size_t>>(std::move(done))](Result<> result) mutable {
    if (result) {
      (*done)(count);
    } else {
      (*done)(std::unexpected(result.error()));
    }
  };
}

// Counts completions of which each may come from any thread; calls on when the last one is there.
class Join {
 public:
  explicit Join(Done<> done) : done_(std::move(done)) {}
  static Done<> expect(const std::shared_ptr<Join>& join) {
    join->pending_.fetch_add(1);
    return [join](Result<>) { join->arrive(); };
  }
  void arrive() {
    if (pending_.fetch_sub(1) == 1 && done_) done_();
  }

 private:
  std::atomic<std::size_t> pending_ = 1;  // the one who starts it all arrives too
  Done<> done_;
};

void add_uevent_attribute(tree::Transaction& transaction, const tree::Directory& directory, Events& events,
                          std::string devpath, std::string_view subsystem) {
  struct Source {
    Events& events;
    const std::string devpath;
    const std::string subsystem;
  };
  auto source = std::make_shared<Source>(events, std::move(devpath), std::string(subsystem));
  auto store = [source](std::string_view text, Done<std::size_t> done) {
    Result<SyntheticEvent> event = parse_synthetic_event(text);
    if (!event) return done(std::unexpected(event.error()));
    source->events.emit(
        make_uevent(event->action, source->devpath, source->subsystem, std::move(event->environment)));
    done(text.size());
  };
  transaction.add_attribute(directory, {"uevent", 0200, tree::function_attribute({}, std::move(store))});
}

}  // namespace

class Bus::DriverEntry final : public Registration::Entry {
 public:
  DriverEntry(std::shared_ptr<Bus> bus, std::shared_ptr<Driver> driver)
      : bus_(std::move(bus)), driver_(std::move(driver)) {}
  void unregister(RemovePolicy policy, Done<> done) override {
    bus_->unregister_driver(driver_, policy, std::move(done));
  }

 private:
  const std::shared_ptr<Bus> bus_;
  const std::shared_ptr<Driver> driver_;
};

Bus::Bus(Model& model, std::string name, std::unique_ptr<const BusPolicy> policy)
    : model_(model), name_(std::move(name)), policy_(std::move(policy)) {}

Bus::~Bus() = default;

Result<std::shared_ptr<Bus>> Bus::create(Model& model, std::string name,
                                         std::unique_ptr<const BusPolicy> policy) {
  std::shared_ptr<Bus> bus(new Bus(model, std::move(name), std::move(policy)));
  UMDEV_TRY(bus->publish());
  return bus;
}

Result<> Bus::publish() {
  tree::Transaction transaction(model_.tree());
  const tree::Directory directory = transaction.add_directory(model_.buses(), name_);
  devices_directory_ = transaction.add_directory(directory, "devices");
  drivers_directory_ = transaction.add_directory(directory, "drivers");
  const std::weak_ptr<Bus> weak = weak_from_this();
  auto show_autoprobe = [weak]() -> Result<std::string> {
    const auto bus = weak.lock();
    if (!bus) return fail(ENODEV, "the bus is gone");
    return bus->autoprobe() ? "1\n" : "0\n";
  };
  auto store_autoprobe = [weak](std::string_view text, Done<std::size_t> done) {
    const auto bus = weak.lock();
    if (!bus) return done(fail(ENODEV, "the bus is gone"));
    const Result<bool> autoprobe = parse_bool(text);
    if (!autoprobe) return done(std::unexpected(autoprobe.error()));
    bus->set_autoprobe(*autoprobe);
    done(text.size());
  };
  auto store_probe = [weak](std::string_view text, Done<std::size_t> done) {
    const auto bus = weak.lock();
    if (!bus) return done(fail(ENODEV, "the bus is gone"));
    const Result<std::shared_ptr<Device>> device = bus->find_device(text);
    if (!device) return done(std::unexpected(device.error()));
    bus->probe(*device, count_when_done(text.size(), std::move(done)));
  };
  transaction.add_attribute(
      directory, {"drivers_autoprobe", 0644, tree::function_attribute(show_autoprobe, store_autoprobe)});
  transaction.add_attribute(directory, {"drivers_probe", 0200, tree::function_attribute({}, store_probe)});
  add_uevent_attribute(transaction, directory, model_.events(), "/bus/" + name_, "bus");
  nodes_ = UMDEV_TRY(transaction.commit());
  return {};
}

Result<tree::NodeHandle> Bus::publish_driver(const std::shared_ptr<Driver>& driver) {
  tree::Transaction transaction(model_.tree());
  const std::string driver_name(driver->name());
  const tree::Directory directory = transaction.add_directory(drivers_directory_, driver_name);
  const std::weak_ptr<Driver> weak = driver;
  auto store_bind = [weak](std::string_view text, Done<std::size_t> done) {
    const auto self = weak.lock();
    const auto bus = self ? self->bus() : nullptr;
    if (!bus) return done(fail(ENODEV, "the driver is not registered"));
    const Result<std::shared_ptr<Device>> device = bus->find_device(text);
    if (!device) return done(std::unexpected(device.error()));
    if (!bus->match(**device, *self)) return done(fail(ENODEV, "the driver does not match the device"));
    (*device)->attach(self, count_when_done(text.size(), std::move(done)));
  };
  auto store_unbind = [weak](std::string_view text, Done<std::size_t> done) {
    const auto self = weak.lock();
    const auto bus = self ? self->bus() : nullptr;
    if (!bus) return done(fail(ENODEV, "the driver is not registered"));
    const Result<std::shared_ptr<Device>> device = bus->find_device(text);
    if (!device) return done(std::unexpected(device.error()));
    (*device)->detach(self, RemovePolicy::wait, count_when_done(text.size(), std::move(done)));
  };
  transaction.add_attribute(directory, {"bind", 0200, tree::function_attribute({}, store_bind)});
  transaction.add_attribute(directory, {"unbind", 0200, tree::function_attribute({}, store_unbind)});
  add_uevent_attribute(transaction, directory, model_.events(), "/bus/" + name_ + "/drivers/" + driver_name,
                       "drivers");
  if (!driver->module_name().empty())
    transaction.add_link_to_path(directory, "module", "/module/" + std::string(driver->module_name()));
  driver->stage(transaction, directory);
  return transaction.commit();
}

Result<Registration> Bus::register_driver(std::shared_ptr<Driver> driver, Done<> probed) {
  {
    Lock lock(driver->mutex_);
    if (driver->bus_) return fail(EBUSY, "the driver is registered already");
    driver->bus_ = shared_from_this();
  }
  Result<tree::NodeHandle> nodes = publish_driver(driver);
  {
    Lock lock(driver->mutex_);
    if (!nodes) {
      driver->bus_ = nullptr;
      return std::unexpected(nodes.error());
    }
    driver->nodes_ = std::move(*nodes);
    driver->accepts_ = true;
  }
  {
    Lock lock(mutex_);
    drivers_.push_back(driver);
  }
  Registration registration(std::make_shared<DriverEntry>(shared_from_this(), driver));
  if (autoprobe()) {
    probe_all(driver, std::move(probed));
  } else if (probed) {
    probed();
  }
  return registration;
}

void Bus::unregister_driver(const std::shared_ptr<Driver>& driver, RemovePolicy policy, Done<> done) {
  std::vector<std::shared_ptr<Device>> devices;
  {
    Lock lock(driver->mutex_);
    if (policy == RemovePolicy::busy && !driver->devices_.empty()) {
      devices.assign(driver->devices_.begin(), driver->devices_.end());
    } else {
      driver->accepts_ = false;
      devices.assign(driver->devices_.begin(), driver->devices_.end());
    }
  }
  if (policy == RemovePolicy::busy && !devices.empty()) return done(fail(EBUSY, "the driver has devices"));
  {
    Lock lock(mutex_);
    std::erase(drivers_, driver);
  }
  struct End {
    std::shared_ptr<Driver> driver;
    Done<> done;
  };
  auto end = std::make_unique<End>(driver, std::move(done));
  auto join = std::make_shared<Join>([end = std::move(end)](Result<>) mutable {
    Driver& self = *end->driver;
    tree::NodeHandle nodes;
    {
      Lock lock(self.mutex_);
      nodes = std::move(self.nodes_);
    }
    nodes.remove([end = std::move(end)](Result<>) {
      std::shared_ptr<Bus> bus;
      {
        Lock lock(end->driver->mutex_);
        bus = std::move(end->driver->bus_);
      }
      end->done();
    });
  });
  const RemovePolicy unbind = policy == RemovePolicy::force ? RemovePolicy::force : RemovePolicy::wait;
  for (const auto& device : devices) device->request_detach(driver, unbind, false, Join::expect(join));
  join->arrive();
}

void Bus::insert(const std::shared_ptr<Device>& device) {
  Lock lock(mutex_);
  devices_.emplace(device->name(), device);
}

void Bus::erase(const std::shared_ptr<Device>& device) {
  Lock lock(mutex_);
  const auto found = devices_.find(device->name());
  if (found != devices_.end() && found->second == device) devices_.erase(found);
}

Result<std::shared_ptr<Device>> Bus::find_device(std::string_view name) const {
  Lock lock(mutex_);
  const auto found = devices_.find(without_newline(name));
  if (found == devices_.end()) return fail(ENODEV, "the bus has no device of that name");
  return found->second;
}

Result<std::shared_ptr<Driver>> Bus::find_driver(std::string_view name) const {
  for (const auto& driver : drivers()) {
    if (driver->name() == without_newline(name)) return driver;
  }
  return fail(ENODEV, "the bus has no driver of that name");
}

std::vector<std::shared_ptr<Device>> Bus::devices() const {
  Lock lock(mutex_);
  std::vector<std::shared_ptr<Device>> devices;
  devices.reserve(devices_.size());
  for (const auto& [name, device] : devices_) devices.push_back(device);
  return devices;
}

std::vector<std::shared_ptr<Driver>> Bus::drivers() const {
  Lock lock(mutex_);
  return drivers_;
}

// One device, driver after driver.
struct Bus::DeviceProbe : std::enable_shared_from_this<DeviceProbe> {
  std::shared_ptr<Bus> bus;
  std::shared_ptr<Device> device;
  std::vector<std::shared_ptr<Driver>> drivers;
  std::size_t next = 0;
  Done<> done;

  void step() {
    while (next < drivers.size() && device->driver() == nullptr) {
      const auto& driver = drivers[next++];
      if (!bus->match(*device, *driver)) continue;
      // A driver that fails does not keep the next one from trying its luck.
      device->attach(driver, [self = shared_from_this()](Result<> result) {
        if (result) self->next = self->drivers.size();
        self->step();
      });
      return;
    }
    if (done) done();
  }
};

void Bus::probe(const std::shared_ptr<Device>& device, Done<> done) {
  auto probe = std::make_shared<DeviceProbe>();
  probe->bus = shared_from_this();
  probe->device = device;
  probe->drivers = drivers();
  probe->done = std::move(done);
  probe->step();
}

// One driver, all devices at once: they are independent of each other.
void Bus::probe_all(const std::shared_ptr<Driver>& driver, Done<> done) {
  auto join = std::make_shared<Join>(std::move(done));
  for (const auto& device : devices()) {
    if (device->driver() == nullptr && match(*device, *driver)) device->attach(driver, Join::expect(join));
  }
  join->arrive();
}

}  // namespace umdev::device

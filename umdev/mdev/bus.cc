#include "umdev/mdev/bus.h"

#include <algorithm>

#include "umdev/mdev/creation.h"
#include "umdev/support/assert.h"
#include "umdev/vfio/driver_call.h"

namespace umdev::mdev {
namespace {

// An instance of a parent that names no bus driver is offered to every one that takes its device API. A
// parent that names one attaches it explicitly, and nothing ever matches.
class MdevPolicy final : public device::BusPolicy {
 public:
  bool match(const device::Device& device, const device::Driver& driver) const override {
    const auto& instance = static_cast<const Instance&>(device);
    if (!instance.mdev_parent().spec().bus_driver.empty()) return false;
    const auto apis = static_cast<const BusDriver&>(driver).device_apis();
    return std::find(apis.begin(), apis.end(), instance.type().spec().device_api) != apis.end();
  }
};

}  // namespace

class Bus::ParentEntry final : public Registration::Entry {
 public:
  ParentEntry(Bus& bus, std::shared_ptr<Parent> parent) : bus_(bus), parent_(std::move(parent)) {}
  void unregister(RemovePolicy policy, Done<> done) override {
    bus_.unregister_parent(parent_, policy, std::move(done));
  }

 private:
  Bus& bus_;
  const std::shared_ptr<Parent> parent_;
};

Result<std::unique_ptr<Bus>> Bus::create(device::Model& model, DeviceHost& host, const Limits& limits) {
  auto bus = UMDEV_TRY(device::Bus::create(model, "mdev", std::make_unique<MdevPolicy>()));
  auto parent_class = UMDEV_TRY(device::Class::create(model, "mdev_bus"));
  return std::unique_ptr<Bus>(new Bus(model, host, limits, std::move(bus), std::move(parent_class)));
}

Bus::Bus(device::Model& model, DeviceHost& host, const Limits& limits, std::shared_ptr<device::Bus> bus,
         std::shared_ptr<device::Class> parent_class)
    : model_(model),
      host_(host),
      limits_(limits),
      bus_(std::move(bus)),
      parent_class_(std::move(parent_class)),
      registry_(limits.instances) {}

Bus::~Bus() {
  UMDEV_ASSERT(parents_.empty(), "the mdev bus went away under its parents");
}

Result<Registration> Bus::register_driver(std::shared_ptr<BusDriver> driver, Done<> probed) {
  if (driver->device_apis().empty()) return fail(EINVAL, "a bus driver takes at least one device API");
  return bus_->register_driver(std::move(driver), std::move(probed));
}

// --- Parents.

Result<Registration> Bus::register_parent(ParentSpec spec, std::unique_ptr<ParentDriver> driver) {
  auto parent = UMDEV_TRY(Parent::create(*this, std::move(spec), std::move(driver)));
  {
    Lock lock(mutex_);
    if (!parents_.try_emplace(parent->name()).second)
      return fail(EEXIST, "this parent is registered already");
  }
  const Result<> published = parent->publish();
  {
    Lock lock(mutex_);
    if (published)
      parents_.at(parent->name()) = parent;
    else
      parents_.erase(parent->name());
  }
  if (!published) return std::unexpected(published.error());
  parent->device()->emit(device::Action::change, {"MDEV_STATE=registered"});
  return Registration(std::make_shared<ParentEntry>(*this, std::move(parent)));
}

void Bus::unregister_parent(const std::shared_ptr<Parent>& parent, RemovePolicy policy, Done<> done) {
  if (policy == RemovePolicy::busy && parent->in_use()) return done(fail(EBUSY, "the parent has instances"));
  auto ended = std::make_shared<Done<>>(std::move(done));
  // New creations and removals are refused from here on; those under way end first, then the instances go.
  parent->operations().close([this, parent, policy, ended](Result<>) {
    parent->unpublish_link();
    remove_children(parent, policy, [this, parent, ended](Result<>) {
      parent->unpublish_types([this, parent, ended](Result<>) {
        parent->device()->emit(device::Action::change, {"MDEV_STATE=unregistered"});
        {
          Lock lock(mutex_);
          parents_.erase(parent->name());
        }
        (*ended)();
      });
    });
  });
  if (policy != RemovePolicy::force) return;
  for (const auto& instance : registry_.list()) {
    Done<> nobody([](Result<>) {});
    if (&instance->mdev_parent() == parent.get()) (void)join_removal(instance->uuid(), nobody);
  }
}

void Bus::remove_children(const std::shared_ptr<Parent>& parent, RemovePolicy policy, Done<> done) {
  auto all_gone = std::make_shared<Gate>();
  for (auto& instance : registry_.list()) {
    // All are active: what was under way has ended, and nothing new can begin.
    if (&instance->mdev_parent() != parent.get() || !registry_.begin_removal(*instance)) continue;
    auto pass = std::make_shared<Gate::Pass>(all_gone->enter());
    remove_instance(std::move(instance), policy == RemovePolicy::busy ? RemovePolicy::wait : policy,
                    /*forced=*/true, Gate::Pass(), [all_gone, pass](Result<>) { pass->leave(); });
  }
  auto finished = std::make_shared<Done<>>(std::move(done));
  all_gone->close([all_gone, finished](Result<>) { (*finished)(); });
}

Result<std::shared_ptr<Parent>> Bus::find_parent(std::string_view name) const {
  Lock lock(mutex_);
  const auto parent = parents_.find(name);
  if (parent == parents_.end() || !parent->second) return fail(ENODEV, "no such parent");
  return parent->second;
}

std::vector<std::shared_ptr<Parent>> Bus::parents() const {
  Lock lock(mutex_);
  std::vector<std::shared_ptr<Parent>> parents;
  parents.reserve(parents_.size());
  for (const auto& [name, parent] : parents_)
    if (parent) parents.push_back(parent);
  return parents;
}

// --- Instances.

void Bus::create(CreateRequest request, Done<> done) {
  Creation::start(*this, registry_, std::move(request), std::move(done));
}

void Bus::remove(const Uuid& uuid, RemovePolicy policy, Done<> done) {
  if (policy == RemovePolicy::force && join_removal(uuid, done)) return;
  auto instance = registry_.find(uuid);
  if (!instance) return done(std::unexpected(instance.error()));
  // Inside the gate before the claim: an unregistration, which waits for those inside, then finds every
  // instance free to be claimed by itself.
  Gate::Pass pass = (*instance)->mdev_parent().operations().enter();
  if (!pass) return done(fail(ENODEV, "the parent is being unregistered"));
  if (Result<> claimed = registry_.begin_removal(**instance); !claimed) {
    // Another one was quicker.
    if (policy == RemovePolicy::force && join_removal(uuid, done)) return;
    return done(claimed);
  }
  remove_instance(std::move(*instance), policy, /*forced=*/policy == RemovePolicy::force, std::move(pass),
                  std::move(done));
}

bool Bus::join_removal(const Uuid& uuid, Done<>& done) {
  const auto instance = registry_.find_removing(uuid);
  if (!instance) return false;
  auto joined = std::make_shared<Done<>>(std::move(done));
  Done<> ended([this, uuid, joined](Result<> result) {
    if (!*joined) return;  // it had ended
    if (result) return (*joined)();
    remove(uuid, RemovePolicy::force, std::move(*joined));  // it was refused, and this one cannot be
  });
  if (instance->force_removal(ended)) return true;
  done = std::move(*joined);
  return false;
}

namespace {

bool has_users(const Instance& instance) {
  const auto device = instance.vfio_device();
  return device && device->reference_count() > 0;
}

}  // namespace

void Bus::remove_instance(std::shared_ptr<Instance> instance, RemovePolicy policy, bool forced,
                          Gate::Pass pass, Done<> done) {
  struct Ending {
    std::shared_ptr<Instance> instance;
    Gate::Pass pass;
    Done<> done;
  };
  auto ending = std::make_shared<Ending>(instance, std::move(pass), std::move(done));
  Done<> ended([this, ending](Result<> result) {
    const std::shared_ptr<Instance> gone = std::move(ending->instance);
    if (!result) {
      registry_.cancel_removal(gone->uuid());
    } else {
      gone->release();
      registry_.release(gone->uuid());
    }
    gone->end_removal(result);
    ending->pass.leave();
    ending->done(result);
  });
  if (policy == RemovePolicy::busy && has_users(*instance))
    return ended(fail(EBUSY, "the instance is in use"));
  const Result<> agreed =
      vfio::driver_call([&] { return instance->mdev_parent().driver().remove(*instance, forced); });
  if (!agreed && !forced) return ended(agreed);
  // From here on nobody can remove it a second time. Under `busy` it may yet stay, and then keeps the file.
  if (policy != RemovePolicy::busy) {
    for (const std::string_view name : {"remove", "mdev_type"}) {
      [[maybe_unused]] const Result<> removed = instance->directory().remove(name);
    }
  }
  instance->run_removal(policy, std::move(ended));
}

}  // namespace umdev::mdev

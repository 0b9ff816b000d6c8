#include "umdev/mdev/creation.h"

#include "umdev/vfio/driver_call.h"

namespace umdev::mdev {

void Creation::start(Bus& bus, Registry& registry, CreateRequest request, Done<> done) {
  std::shared_ptr<Creation> creation(
      new Creation(bus, registry, std::move(request), std::move(done)));  // private
  if (Result<> drawn = creation->draw(); !drawn) return creation->give_up(drawn.error());
  creation->ask_vendor();
}

Result<> Creation::draw() {
  parent_ = UMDEV_TRY(bus_.find_parent(request_.parent));
  type_ = parent_->find_type(request_.type);
  if (type_ == nullptr) return fail(EINVAL, "the parent has no such type");
  UMDEV_TRY(registry_.reserve(request_.uuid));
  reserved_ = true;
  auto slot = parent_->instance_counter().draw({{"instances", 1}});
  if (!slot) return fail(EUSERS, "the parent has as many instances as it may");
  pass_ = parent_->operations().enter();
  if (!pass_) return fail(ENODEV, "the parent is being unregistered");
  auto lease = UMDEV_TRY(parent_->ledger().draw(type_->spec().cost));
  instance_ = std::make_shared<Instance>(parent_, *type_, request_, bus_.device_bus());
  instance_->lease_ = std::move(lease);
  instance_->instance_slot_ = std::move(*slot);
  return {};
}

void Creation::ask_vendor() {
  // Its request is the vendor's until create() returns, which may be after the deadline.
  const auto self = shared_from_this();
  parent_->make_device(request_, *type_, [self](Result<std::unique_ptr<vfio::Device>> device) {
    if (!device) return self->give_up(device.error());
    if (!*device) return self->give_up(Error{EIO, "the parent's driver made no device"});
    self->add_to_bus(std::move(*device));
  });
}

void Creation::add_to_bus(std::unique_ptr<vfio::Device> device) {
  instance_->set_device(std::move(device));
  // Whoever hears of the instance finds all of it: events wait until the last link is there.
  events_ = std::make_shared<device::EventBatch>(bus_.model().events());
  instance_->hold_events(events_);
  const Result<> added = instance_->add(
      [this](tree::Transaction& transaction, const tree::Directory& directory) {
        transaction.add_link(directory, "mdev_type", type_->directory());
        transaction.add_link(type_->devices_directory(), instance_->name(), directory);
      },
      Done<>([self = shared_from_this()](Result<>) { self->attach_bus_driver(); }));
  if (!added) {
    events_->discard();
    forget_device();
    give_up(added.error());
  }
}

void Creation::attach_bus_driver() {
  if (!instance_->is_added()) return;  // add() says why
  const std::string& name = parent_->spec().bus_driver;
  if (name.empty()) return succeed();  // offered to every driver already
  auto driver = bus_.device_bus()->find_driver(name);
  if (!driver) return undo(Error{ENODEV, "the parent's bus driver is not registered"});
  instance_->attach(std::move(*driver), [self = shared_from_this()](Result<> attached) {
    if (!attached) return self->undo(attached.error());
    self->succeed();
  });
}

void Creation::succeed() {
  registry_.activate(request_.uuid, instance_);
  events_->release();
  pass_.leave();
  done_();
}

void Creation::give_up(Error error) {
  if (instance_) instance_->release();
  instance_.reset();
  if (reserved_) registry_.release(request_.uuid);
  pass_.leave();
  done_(std::unexpected(error));
}

void Creation::undo(Error error) {
  instance_->remove(RemovePolicy::force, [self = shared_from_this(), error](Result<>) {
    // "add" and "remove" of what never was ready are kept from everybody.
    self->events_->discard();
    self->forget_device();
    self->give_up(error);
  });
}

// The vendor made the device of an instance that does not come to be: it is told as of any that goes (as the
// kernel does, whose vendors free in `remove` what they allocated in `create`).
void Creation::forget_device() {
  [[maybe_unused]] const Result<> forced =
      vfio::driver_call([&] { return parent_->driver().remove(*instance_, /*forced=*/true); });
}

}  // namespace umdev::mdev

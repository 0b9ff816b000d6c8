// A device's operations: add, attach, detach, remove. One runs at a time (busy_); the others wait in a queue.
// Each is a chain of steps, of which any may end later, on another thread. Only the step that runs touches
// the Operation and the device's node handles, so these need no lock.
#include <algorithm>

#include "umdev/device/operation.h"

namespace umdev::device {

namespace {

void assert_no_lock() {
  UMDEV_ASSERT(Mutex::count_held_by_this_thread() == 0, "drivers and observers are called without locks");
}

}  // namespace

Done<> Device::then(std::unique_ptr<Operation> operation, void (Device::*step)(std::unique_ptr<Operation>)) {
  return [self = shared_from_this(), operation = std::move(operation), step](Result<>) mutable {
    ((*self).*step)(std::move(operation));
  };
}

Done<> Device::then(std::unique_ptr<Operation> operation,
                    void (Device::*step)(std::unique_ptr<Operation>, Result<>)) {
  return [self = shared_from_this(), operation = std::move(operation), step](Result<> result) mutable {
    ((*self).*step)(std::move(operation), std::move(result));
  };
}

// --- One at a time.

void Device::request(std::unique_ptr<Operation> operation) {
  Result<> refused;
  std::shared_ptr<Driver> hurried;
  {
    Lock lock(mutex_);
    if (life_ == Life::made || life_ == Life::removed) {
      refused = fail(ENODEV, "the device is not there");
    } else if (busy_ && operation->limited && waiting_.size() >= waiting_limit) {
      refused = fail(EAGAIN, "too many requests wait for the device");
    } else if (busy_) {
      if (operation->policy == RemovePolicy::force) {
        forced_ = true;
        if (unbinding_ == Unbinding::entered) hurried = driver_;
      }
      waiting_.push_back(std::exchange(operation, nullptr));
    } else {
      busy_ = true;
      forced_ = false;
    }
  }
  if (hurried) hurried->force_remove(*this);
  if (!refused) return operation->done(std::move(refused));
  if (operation) start(std::move(operation));
}

void Device::start(std::unique_ptr<Operation> operation) {
  switch (operation->request) {
    case Request::attach:
      return begin_attach(std::move(operation));
    case Request::detach:
      return begin_detach(std::move(operation));
    case Request::remove:
      return begin_removal(std::move(operation));
  }
}

void Device::finish(std::unique_ptr<Operation> operation, Result<> result) {
  end_operation(std::move(operation->done), std::move(result));
}

void Device::end_operation(Done<> done, Result<> result) {
  const std::shared_ptr<Device> self = shared_from_this();
  std::unique_ptr<Operation> next;
  {
    Lock lock(mutex_);
    if (waiting_.empty()) {
      busy_ = false;
    } else {
      next = std::move(waiting_.front());
      waiting_.pop_front();
      forced_ = std::ranges::any_of(
          waiting_, [](const auto& waiting) { return waiting->policy == RemovePolicy::force; });
    }
  }
  if (done) done(std::move(result));
  if (next) start(std::move(next));
}

Result<> Device::add(Stage stage, Done<> probed) {
  const std::shared_ptr<Device> self = shared_from_this();
  {
    Lock lock(mutex_);
    if (life_ == Life::removed) return fail(ENODEV, "the device was removed");
    if (life_ != Life::made) return fail(EBUSY, "the device was added already");
    life_ = Life::adding;
    busy_ = true;
  }
  Result<> published = publish(stage);
  if (!published) {
    shared_ = {};
    {
      Lock lock(mutex_);
      life_ = Life::made;
    }
    if (published.error().code == ENOENT) published = fail(ENODEV, "the parent is going");
    end_operation({}, {});
    if (probed) probed();
    return published;
  }
  self_ = self;
  {
    Lock lock(mutex_);
    life_ = Life::added;
  }
  if (bus_) bus_->insert(self);
  emit_now(Action::add, {});
  end_operation({}, {});
  if (bus_ && bus_->autoprobe()) {
    bus_->probe(self, std::move(probed));
  } else if (probed) {
    probed();
  }
  return {};
}

// --- Attach.

void Device::attach(std::shared_ptr<Driver> driver, Done<> done) {
  request(std::make_unique<Operation>(Request::attach, std::move(driver), RemovePolicy::wait, true,
                                      std::move(done)));
}

void Device::begin_attach(std::unique_ptr<Operation> operation) {
  Result<> result;
  {
    Lock lock(mutex_);
    if (life_ != Life::added) {
      result = fail(ENODEV, "the device is not there");
    } else if (driver_) {
      result = fail(EBUSY, "the device has a driver");
    }
  }
  if (result) result = operation->driver->take(shared_from_this());
  if (!result) return finish(std::move(operation), result);
  {
    Lock lock(mutex_);
    driver_ = operation->driver;
    operation->observers = observers_;
  }
  if (result = ask_observers(*operation); !result) return bind_failed(std::move(operation), result.error());
  assert_no_lock();
  Driver& driver = *operation->driver;
  driver.begin_probe(*this, then(std::move(operation), &Device::probed));
}

// Those that agreed are left in the operation.
Result<> Device::ask_observers(Operation& operation) {
  assert_no_lock();
  for (std::size_t index = 0; index < operation.observers.size(); ++index) {
    const Result<> answer = operation.observers[index]->driver_binding(*this, *operation.driver);
    if (answer) continue;
    operation.observers.resize(index);
    return answer;
  }
  return {};
}

void Device::probed(std::unique_ptr<Operation> operation, Result<> result) {
  if (!result) return bind_failed(std::move(operation), result.error());
  if (const Result<> published = publish_binding(*operation->driver); !published) {
    struct Failure {
      std::unique_ptr<Operation> operation;
      Error error;
    };
    Driver& driver = *operation->driver;
    auto failure = std::make_unique<Failure>(std::move(operation), published.error());
    driver.begin_remove(*this, RemovePolicy::force,
                        [self = shared_from_this(), failure = std::move(failure)](Result<>) {
                          self->bind_failed(std::move(failure->operation), failure->error);
                        });
    return;
  }
  bound(std::move(operation));
}

void Device::bound(std::unique_ptr<Operation> operation) {
  {
    Lock lock(mutex_);
    bound_ = true;
  }
  assert_no_lock();
  for (const auto& observer : operation->observers) observer->driver_bound(*this, *operation->driver);
  emit_now(Action::bind, {});
  finish(std::move(operation), {});
}

void Device::bind_failed(std::unique_ptr<Operation> operation, Error error) {
  forget_driver(*operation);
  for (const auto& observer : operation->observers) observer->driver_bind_failed(*this, *operation->driver);
  finish(std::move(operation), std::unexpected(error));
}

void Device::forget_driver(Operation& operation) {
  std::shared_ptr<void> data;  // destroyed without the lock
  {
    Lock lock(mutex_);
    data = std::move(driver_data_);
    driver_ = nullptr;
    bound_ = false;
  }
  operation.driver->give_back(shared_from_this());
}

// --- Detach.

void Device::detach(std::shared_ptr<Driver> driver, RemovePolicy policy, Done<> done) {
  request_detach(std::move(driver), policy, true, std::move(done));
}

void Device::request_detach(std::shared_ptr<Driver> driver, RemovePolicy policy, bool limited, Done<> done) {
  request(std::make_unique<Operation>(Request::detach, std::move(driver), policy, limited, std::move(done)));
}

void Device::begin_detach(std::unique_ptr<Operation> operation) {
  bool has_it = false;
  {
    Lock lock(mutex_);
    has_it = bound_ && (!operation->driver || operation->driver == driver_);
    if (has_it) {
      operation->driver = driver_;
      operation->observers = observers_;
    }
  }
  if (!has_it) return finish(std::move(operation), fail(ENODEV, "the device is not bound to that driver"));
  assert_no_lock();
  for (const auto& observer : operation->observers) observer->driver_unbinding(*this, *operation->driver);
  // Where the driver may refuse, the links stay until it has agreed; its attributes cannot, as they show its
  // data.
  if (operation->policy == RemovePolicy::busy) return remove_driver_groups(std::move(operation));
  driver_links_.remove(then(std::move(operation), &Device::remove_driver_groups));
}

void Device::remove_driver_groups(std::unique_ptr<Operation> operation) {
  driver_groups_.remove(then(std::move(operation), &Device::remove_driver));
}

void Device::remove_driver(std::unique_ptr<Operation> operation) {
  assert_no_lock();
  const std::shared_ptr<Device> self = shared_from_this();
  const std::shared_ptr<Driver> driver = operation->driver;
  std::uint32_t ticket = 0;
  {
    Lock lock(mutex_);
    if (forced_ && operation->policy == RemovePolicy::wait) operation->policy = RemovePolicy::force;
    unbinding_ = Unbinding::entering;
    ticket = ++unbinding_ticket_;
  }
  const RemovePolicy policy = operation->policy;
  driver->begin_remove(*this, policy, then(std::move(operation), &Device::driver_removed));
  if (policy != RemovePolicy::wait) return;
  // A removal that became a forced one meanwhile is told so, once the driver knows of it at all.
  bool forced = false;
  {
    Lock lock(mutex_);
    if (unbinding_ != Unbinding::entering || unbinding_ticket_ != ticket) return;
    unbinding_ = Unbinding::entered;
    forced = forced_;
  }
  if (forced) driver->force_remove(*this);
}

void Device::driver_removed(std::unique_ptr<Operation> operation, Result<> result) {
  {
    Lock lock(mutex_);
    unbinding_ = Unbinding::no;
  }
  if (result || operation->policy != RemovePolicy::busy) {
    driver_links_.remove(then(std::move(operation), &Device::unbound));
    return;
  }
  if (const Result<> published = publish_driver_groups(*operation->driver); !published) {
    // The names were ours a moment ago. Should another have taken one, the device goes on without its
    // attributes.
  }
  for (const auto& observer : operation->observers)
    observer->driver_unbind_refused(*this, *operation->driver);
  finish(std::move(operation), result);
}

void Device::unbound(std::unique_ptr<Operation> operation) {
  forget_driver(*operation);
  assert_no_lock();
  for (const auto& observer : operation->observers) observer->driver_unbound(*this, *operation->driver);
  emit_now(Action::unbind, {});
  if (operation->request != Request::remove) return finish(std::move(operation), {});
  bool links_are_there = false;  // under RemovePolicy::busy they stayed until the driver had agreed
  {
    Lock lock(mutex_);
    links_are_there = life_ == Life::added;
  }
  if (links_are_there) return remove_links(std::move(operation));
  remove_directory(std::move(operation));
}

// --- Remove.

void Device::remove(RemovePolicy policy, Done<> done) {
  request(std::make_unique<Operation>(Request::remove, nullptr, policy, false, std::move(done)));
}

void Device::begin_removal(std::unique_ptr<Operation> operation) {
  bool asks_first = false;
  bool is_there = false;
  {
    Lock lock(mutex_);
    is_there = life_ == Life::added;
    asks_first = bound_ && operation->policy == RemovePolicy::busy;
  }
  if (!is_there) return finish(std::move(operation), fail(ENODEV, "the device is not there"));
  if (asks_first) return begin_detach(std::move(operation));
  remove_links(std::move(operation));
}

void Device::remove_links(std::unique_ptr<Operation> operation) {
  {
    Lock lock(mutex_);
    life_ = Life::removing;
  }
  if (bus_) bus_->erase(shared_from_this());
  links_.remove(then(std::move(operation), &Device::links_removed));
}

void Device::links_removed(std::unique_ptr<Operation> operation) {
  if (is_bound()) return begin_detach(std::move(operation));
  remove_directory(std::move(operation));
}

void Device::remove_directory(std::unique_ptr<Operation> operation) {
  assert_no_lock();
  std::vector<std::shared_ptr<BindObserver>> observers;
  {
    Lock lock(mutex_);
    observers = std::move(observers_);
    observers_.clear();
  }
  for (const auto& observer : observers) observer->device_removed(*this);
  nodes_.remove(then(std::move(operation), &Device::directory_removed));
}

void Device::directory_removed(std::unique_ptr<Operation> operation) {
  shared_ = {};
  emit_now(Action::remove, {});
  const std::shared_ptr<Device> self = std::move(self_);
  {
    Lock lock(mutex_);
    life_ = Life::removed;
  }
  finish(std::move(operation), {});
}

}  // namespace umdev::device

#include "apps/umdevd/served_mdev.h"

#include <atomic>

namespace umdev::daemon {
namespace {

std::shared_ptr<mdev::Instance> share(mdev::Instance& instance) {
  return std::static_pointer_cast<mdev::Instance>(instance.shared_from_this());
}

// Completes when device, socket and function have gone, with the error of the first.
struct Parts {
  explicit Parts(Done<> when_over) : done(std::move(when_over)) {}
  void end() {
    if (left.fetch_sub(1) == 1) done(result);
  }

  Done<> done;
  Result<> result;  // written by the first part, before its end()
  std::atomic<int> left = 3;
};

}  // namespace

void ServedMdev::probe_instance(mdev::Instance& instance, Done<> done) {
  struct Probe {
    std::shared_ptr<mdev::Instance> instance;
    Done<> done;
  };
  auto probe = std::make_shared<Probe>(Probe{share(instance), std::move(done)});
  inner_->probe_instance(instance, [this, probe](Result<> bound) {
    if (!bound) return probe->done(bound);
    kept_.bring_back(*probe->instance);
    const Result<> open = open_doors(*probe->instance);
    if (open) return probe->done({});
    inner_->remove_instance(*probe->instance, RemovePolicy::force,
                            [probe, error = open.error()](Result<>) { probe->done(std::unexpected(error)); });
  });
}

Result<> ServedMdev::open_doors(mdev::Instance& instance) {
  UMDEV_TRY(functions_.show(instance));
  const Result<> listening = sockets_.open(instance);
  if (!listening) functions_.hide(instance, RemovePolicy::force, [](Result<>) {});
  return listening;
}

void ServedMdev::remove_instance(mdev::Instance& instance, RemovePolicy policy, Done<> done) {
  if (policy == RemovePolicy::busy) return remove_if_unused(instance, std::move(done));
  auto parts = std::make_shared<Parts>(std::move(done));
  functions_.hide(instance, policy, [parts](Result<>) { parts->end(); });
  sockets_.close(instance.uuid(), policy, [parts](Result<>) { parts->end(); });
  inner_->remove_instance(instance, policy, [parts](Result<> result) {
    parts->result = std::move(result);
    parts->end();
  });
}

void ServedMdev::force_remove_instance(mdev::Instance& instance) {
  functions_.hide(instance, RemovePolicy::force, [](Result<>) {});
  inner_->force_remove_instance(instance);
}

void ServedMdev::remove_if_unused(mdev::Instance& instance, Done<> done) {
  if (functions_.has_virtual_functions(instance))
    return done(fail(EBUSY, "the function has virtual functions"));
  struct Removal {
    ServedMdev& driver;
    std::shared_ptr<mdev::Instance> instance;
    Done<> done;
  };
  auto removal = std::make_shared<Removal>(Removal{*this, share(instance), std::move(done)});
  inner_->remove_instance(instance, RemovePolicy::busy, [removal](Result<> result) {
    if (!result) return removal->done(result);
    removal->driver.functions_.hide(*removal->instance, RemovePolicy::force, [removal](Result<>) {
      // Nobody has the device, so who is still connected has nothing to lose.
      removal->driver.sockets_.close(removal->instance->uuid(), RemovePolicy::force,
                                     [removal](Result<>) { removal->done({}); });
    });
  });
}

}  // namespace umdev::daemon

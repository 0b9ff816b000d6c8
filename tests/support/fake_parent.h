// A vendor for tests of the mdev core: answers as the test says, and keeps what it was asked.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "tests/support/scripted_device.h"
#include "umdev/mdev/instance.h"
#include "umdev/mdev/parent.h"
#include "umdev/mdev/parent_driver.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/device_wrapper.h"

namespace umdev::test {

// What the test sets and sees of a FakeParent. Outlives it and its devices. Any thread.
class ParentScript {
 public:
  // A creation as the vendor was asked for it.
  struct Creation {
    mdev::CreateRequest request;
    Done<std::unique_ptr<vfio::Device>> done;
  };
  using MakeDevice = InlineFunction<std::unique_ptr<vfio::Device>(const mdev::CreateRequest&)>;
  using During = InlineFunction<void(const Uuid&)>;

  // Behaviour.
  std::atomic<int> create_error = 0;
  std::atomic<bool> hold_creates = false;    // creations wait for finish_create()
  std::atomic<bool> makes_nothing = false;   // they succeed with a null device
  std::atomic<int> remove_error = 0;         // what remove() answers, forced or not
  std::atomic<std::int64_t> available = -1;  // what available() answers; the ledger does when it is negative
  // Set before the parent is registered.
  device::AttributeGroups parent_groups = {};
  device::AttributeGroups instance_groups = {};
  MakeDevice make_device = {};  // a ScriptedDevice unless set
  During during_create = {};    // called inside create() and remove()
  During during_remove = {};
  InlineFunction<void()> during_available = {};

  // What happened.
  std::atomic<std::uint32_t> creates = 0;
  std::atomic<std::uint32_t> removes = 0;         // asked, forced ones included
  std::atomic<std::uint32_t> forced_removes = 0;  // of these
  std::atomic<std::uint32_t> devices_made = 0;
  std::atomic<std::uint32_t> devices_destroyed = 0;
  std::atomic<bool> destroyed = false;  // the driver itself

  // Shows what was set to create() on another thread, where the order of the two is a system call's, which
  // ThreadSanitizer does not see.
  void publish() { const Lock lock(mutex_); }

  std::uint32_t live_devices() const { return devices_made - devices_destroyed; }
  // The script of the device that was made last for an instance; null when there was none.
  std::shared_ptr<DeviceScript> device_script(const Uuid& uuid) {
    Lock lock(mutex_);
    const auto found = devices_.find(uuid);
    return found == devices_.end() ? nullptr : found->second;
  }
  std::vector<mdev::CreateRequest> requests() {
    Lock lock(mutex_);
    return requests_;
  }
  std::size_t held_creates() {
    Lock lock(mutex_);
    return held_.size();
  }
  // Completes the oldest creation that is held, as if it had not been: by `create_error` and the rest.
  void finish_create() {
    if (auto creation = take_held()) answer(creation->request, std::move(creation->done));
  }
  // Forgets it, as a vendor with a mistake does.
  void drop_create() { (void)take_held(); }

 private:
  friend class FakeParent;

  // Counts how many devices live.
  class CountedDevice final : public vfio::DeviceWrapper {
   public:
    CountedDevice(std::unique_ptr<vfio::Device> inner, ParentScript& script)
        : DeviceWrapper(std::move(inner)), script_(script) {
      ++script_.devices_made;
    }
    ~CountedDevice() override { ++script_.devices_destroyed; }

   private:
    ParentScript& script_;
  };

  std::optional<Creation> take_held() {
    Lock lock(mutex_);
    if (held_.empty()) {
      ADD_FAILURE() << "no creation is held";
      return std::nullopt;
    }
    std::optional<Creation> creation = std::move(held_.front());
    held_.pop_front();
    return creation;
  }
  void answer(const mdev::CreateRequest& request, Done<std::unique_ptr<vfio::Device>> done) {
    if (const int error = create_error) return done(fail(error, "the test said so"));
    if (makes_nothing) return done(std::unique_ptr<vfio::Device>());
    done(std::make_unique<CountedDevice>(make(request), *this));
  }
  std::unique_ptr<vfio::Device> make(const mdev::CreateRequest& request) {
    if (make_device) return make_device(request);
    auto script = std::make_shared<DeviceScript>();
    Lock lock(mutex_);
    devices_[request.uuid] = script;
    return std::make_unique<ScriptedDevice>(std::move(script));
  }

  Mutex mutex_;
  std::vector<mdev::CreateRequest> requests_ UMDEV_GUARDED_BY(mutex_);
  std::deque<Creation> held_ UMDEV_GUARDED_BY(mutex_);
  std::map<Uuid, std::shared_ptr<DeviceScript>> devices_ UMDEV_GUARDED_BY(mutex_);
};

// Checks at each call that no lock of the framework is held.
class FakeParent final : public mdev::ParentDriver {
 public:
  explicit FakeParent(std::shared_ptr<ParentScript> script) : script_(std::move(script)) {}
  ~FakeParent() override { script_->destroyed = true; }

  // ^mdev::ParentDriver
  void create(const mdev::CreateRequest& request, const mdev::Type&, DeviceHost&,
              Done<std::unique_ptr<vfio::Device>> done) override {
    expect_no_lock();
    ++script_->creates;
    {
      Lock lock(script_->mutex_);
      script_->requests_.push_back(request);
    }
    if (script_->during_create) script_->during_create(request.uuid);
    if (!script_->hold_creates) return script_->answer(request, std::move(done));
    Lock lock(script_->mutex_);
    script_->held_.push_back({.request = request, .done = std::move(done)});
  }
  Result<> remove(mdev::Instance& instance, bool forced) override {
    expect_no_lock();
    ++script_->removes;
    if (forced) ++script_->forced_removes;
    if (script_->during_remove) script_->during_remove(instance.uuid());
    if (const int error = script_->remove_error) return fail(error, "the test said so");
    return {};
  }
  std::optional<std::uint32_t> available(const mdev::Type&) const override {
    expect_no_lock();
    if (script_->during_available) script_->during_available();
    const std::int64_t answer = script_->available;
    if (answer < 0) return std::nullopt;
    return static_cast<std::uint32_t>(answer);
  }
  device::AttributeGroups parent_groups() const override { return script_->parent_groups; }
  device::AttributeGroups instance_groups() const override { return script_->instance_groups; }

 private:
  static void expect_no_lock() { EXPECT_EQ(Mutex::count_held_by_this_thread(), 0); }

  const std::shared_ptr<ParentScript> script_;
};

}  // namespace umdev::test

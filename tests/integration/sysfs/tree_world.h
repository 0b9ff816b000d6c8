// A daemon as umdevd is, with its tree mounted, and two parents more whose driver does as the test says.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <string>

#include "apps/umdevd/daemon.h"
#include "tests/integration/sysfs/client_program.h"
#include "tests/support/fake_parent.h"
#include "umdev/mdev/bus_driver.h"
#include "umdev/vfio_user/client.h"

namespace umdev::test {

// What a test lets calls of a driver wait at. Open at the end in any case.
class Barrier {
 public:
  ~Barrier() { open(); }
  void wait() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    opened_.wait(lock, [this] { return is_open_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    is_open_ = true;
    opened_.notify_all();
  }
  std::size_t waiting() {
    const std::lock_guard lock(mutex_);
    return waiting_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  std::size_t waiting_ = 0;
  bool is_open_ = false;
};

class WarningLog final : public Log {
 public:
  void write(LogLevel level, std::string_view text) override {
    Lock lock(mutex_);
    if (level >= LogLevel::warning) last_ = text;
  }
  std::string last_warning() {
    Lock lock(mutex_);
    return last_;
  }

 private:
  Mutex mutex_;
  std::string last_ UMDEV_GUARDED_BY(mutex_);
};

// Sits in each probe until the test lets it go.
class HoldingDriver final : public mdev::BusDriver {
 public:
  std::string_view name() const override { return "holding"; }
  std::span<const std::string_view> device_apis() const override { return apis_; }
  void probe_instance(mdev::Instance&, Done<> done) override {
    Lock lock(mutex_);
    held_ = std::move(done);
  }
  void remove_instance(mdev::Instance&, RemovePolicy, Done<> done) override { done(); }
  bool holds() {
    Lock lock(mutex_);
    return static_cast<bool>(held_);
  }
  void let_go() {
    Done<> held;
    {
      Lock lock(mutex_);
      held = std::move(held_);
    }
    if (held) held();
  }

 private:
  const std::array<std::string_view, 1> apis_{"vfio-pci"};
  Mutex mutex_;
  Done<> held_ UMDEV_GUARDED_BY(mutex_);
};

// Skips where the tree cannot be mounted, saying why.
class TreeWorld : public testing::Test {
 public:
  TreeWorld();
  ~TreeWorld() override;
  void SetUp() override;
  void TearDown() override;

  // Runs the case; the client says `word` at each meeting, and goes on when `then` has returned.
  template <typename... Steps>
  void run(const std::string& name, Steps... steps) {
    ClientProgram client(root(), name);
    (meet(client, steps), ...);
    EXPECT_EQ(client.status(), 0) << "see above for what the client has found";
  }
  template <typename Step>
  static void meet(ClientProgram& client, Step& step) {
    EXPECT_EQ(client.word(), step.word);
    step.then();
    client.go_on();
  }

  std::string root() const { return daemon->runtime_directory() + "/sys"; }
  std::string path(const std::string& below) const { return root() + "/" + below; }

  // devices/virtual/NAME/NAME as a parent: types 1 (with a description) and 2, and a knob. EINVAL and the
  // like.
  Result<> add_parent(const std::string& name, mdev::ParentSpec spec = card_spec());
  // Waits for its end unless it is only begun.
  void remove_parent(const std::string& name);
  std::shared_ptr<std::atomic<bool>> begin_removing_parent(const std::string& name, RemovePolicy policy);
  static mdev::ParentSpec card_spec();

  // A session of a VMM.
  vfio_user::Client use(const std::string& uuid);
  void create(const std::string& parent, const std::string& uuid);

  // Gives up after a minute.
  template <typename Condition>
  static void wait_until(Condition condition) {
    for (int tries = 0; tries < 60000 && !condition(); ++tries) ::usleep(1000);
    EXPECT_TRUE(condition());
  }
  // lstat, by the tree itself.
  bool is_there(const std::string& below) { return daemon->tree().lookup(below).has_value(); }

  struct Knob {
    std::atomic<std::size_t> shows = 0;
    std::atomic<std::size_t> stores = 0;
    std::atomic<std::size_t> bytes = 0;
  };

  WarningLog log;
  std::string scratch;
  Knob knob;
  std::array<device::DeviceAttribute, 2> knob_attributes;
  device::AttributeGroup knob_group;
  std::array<const device::AttributeGroup*, 1> knob_groups{&knob_group};
  std::shared_ptr<ParentScript> script = std::make_shared<ParentScript>();
  std::shared_ptr<HoldingDriver> holding = std::make_shared<HoldingDriver>();
  std::unique_ptr<daemon::Daemon> daemon;
  tree::NodeHandle binary;
  Registration holding_registration;
  struct Added {
    std::shared_ptr<device::Device> device;
    Registration registration;
  };
  std::map<std::string, Added> parents;
};

}  // namespace umdev::test

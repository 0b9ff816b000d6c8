// Many threads create, use and remove the same few instances, while their parent leaves and comes back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "tests/support/fake_parent.h"
#include "tests/support/mdev_world.h"

namespace umdev::mdev {
namespace {

using test::MdevWorld;
using test::ParentScript;
using testing::ElementsAre;

constexpr unsigned threads = 32;
constexpr unsigned uuids = 8;
constexpr unsigned steps_per_thread = 150;
constexpr std::uint32_t ports = 6;  // fewer than UUIDs, so that resources run out too

// vfio_mdev, and a count of who is inside it.
class CountingDriver final : public BusDriver {
 public:
  explicit CountingDriver(vfio::Core& core) : inner_(core) {}
  std::string_view name() const override { return "counting"; }
  std::span<const std::string_view> device_apis() const override { return inner_.device_apis(); }
  void probe_instance(Instance& instance, Done<> done) override {
    EXPECT_EQ(bound_[index_of(instance)].fetch_add(1), 0) << "two instances of one UUID";
    ++probes;
    inner_.probe_instance(instance, std::move(done));
  }
  void remove_instance(Instance& instance, RemovePolicy policy, Done<> done) override {
    auto removed = std::make_shared<Done<>>(std::move(done));
    inner_.remove_instance(instance, policy, [this, removed, index = index_of(instance)](Result<> result) {
      if (result) {
        EXPECT_EQ(bound_[index].fetch_sub(1), 1) << "removed twice";
        ++removes;
      }
      (*removed)(result);
    });
  }
  void force_remove_instance(Instance& instance) override { inner_.force_remove_instance(instance); }

  std::atomic<std::uint32_t> probes = 0;
  std::atomic<std::uint32_t> removes = 0;

 private:
  static std::size_t index_of(const Instance& instance) { return instance.uuid().bytes()[3]; }

  VfioMdev inner_;
  std::array<std::atomic<int>, uuids> bound_{};
};

// How often each errno was the answer.
class Answers {
 public:
  Done<> count() {
    ++pending_;
    return Done<>([this](Result<> result) {
      const int error = test::error_of(result);
      if (error == 0) ++successes_;
      {
        Lock lock(mutex_);
        errors_.insert(error);
      }
      --pending_;
    });
  }
  std::uint32_t successes() const { return successes_; }
  std::uint32_t pending() const { return pending_; }
  std::set<int> errors() {
    Lock lock(mutex_);
    return errors_;
  }

 private:
  std::atomic<std::uint32_t> successes_ = 0;
  std::atomic<std::uint32_t> pending_ = 0;
  Mutex mutex_;
  std::set<int> errors_ UMDEV_GUARDED_BY(mutex_);
};

class MdevRace : public testing::Test {
 public:
  // A parent on a device of its own, that can be registered again and again.
  struct Vendor {
    std::shared_ptr<ParentScript> script = std::make_shared<ParentScript>();
    std::shared_ptr<device::Device> device;
    Registration registration;
  };

  MdevRace() {
    driver_registration = world.bus->register_driver(driver).value();
    for (const std::string name : {"one", "two"}) {
      Vendor& vendor = vendors[name == "one" ? 0 : 1];
      vendor.device = world.add_physical(name);
      register_vendor(vendor);
    }
  }
  void register_vendor(Vendor& vendor) {
    vendor.registration =
        world.bus
            ->register_parent({.device = vendor.device,
                               .types = {{.name = "1", .device_api = "vfio-pci", .cost = {{"ports", 1}}}},
                               .resources = {{"ports", ports}},
                               .max_instances = {},
                               .bus_driver = "counting"},
                              std::make_unique<test::FakeParent>(vendor.script))
            .value();
  }
  std::string available(const std::string& name) {
    return world.tree
        .read("/class/mdev_bus/" + name + "/mdev_supported_types/" + name + "-1/available_instances")
        .value_or("nothing");
  }

  void create(unsigned parent, unsigned uuid) {
    const std::string name = parent == 0 ? "one" : "two";
    world.bus->create(
        {.parent = name, .type = name + "-1", .uuid = MdevWorld::uuid(uuid), .owner = {}, .attributes = {}},
        creates.count());
  }
  void remove(unsigned uuid, RemovePolicy policy) {
    world.bus->remove(MdevWorld::uuid(uuid), policy, removes.count());
  }
  // The user's side: opens the instance if it can, reads, closes; whatever happens to it meanwhile.
  void use(unsigned uuid) {
    const auto instance = world.bus->find(MdevWorld::uuid(uuid));
    const auto device = instance ? (*instance)->vfio_device() : nullptr;
    if (!device) return;
    const auto group = world.core->open_group(device->group()->iommu_group().number());
    const auto container = world.core->open_container();
    if (!group || !(*group)->set_container(container) || !container->set_iommu(abi::vfio_type1v2_iommu))
      return;
    if (const auto file = MdevWorld::get_device(**group, device->name())) {
      ++uses;
      [[maybe_unused]] const auto answer = test::read_file(**file, 0, 0, 4);
      std::this_thread::yield();
    }
  }
  void run_thread(unsigned seed) {
    std::minstd_rand random(seed + 1);
    for (unsigned step = 0; step < steps_per_thread; ++step) {
      const unsigned uuid = random() % uuids;
      switch (random() % 8) {
        case 0:
        case 1:
        case 2:
          create(random() % 2, uuid);
          break;
        case 3:
          remove(uuid, RemovePolicy::wait);
          break;
        case 4:
          remove(uuid, RemovePolicy::busy);
          break;
        case 5:
          remove(uuid, RemovePolicy::force);
          break;
        case 6:
          use(uuid);
          break;
        default:
          (void)available(random() % 2 == 0 ? "one" : "two");
          break;
      }
    }
  }

  MdevWorld world;
  std::shared_ptr<CountingDriver> driver = std::make_shared<CountingDriver>(*world.core);
  Registration driver_registration;
  Vendor vendors[2];
  Answers creates;
  Answers removes;
  std::atomic<std::uint32_t> uses = 0;
};

TEST_F(MdevRace, D32_D40_one_winner_per_uuid_while_a_parent_leaves) {
  ASSERT_EQ(available("one"), "6\n");
  constexpr RemovePolicy policies[] = {RemovePolicy::wait, RemovePolicy::force};
  for (const RemovePolicy policy : policies) {
    Answers unregistrations;
    {
      std::vector<std::jthread> running;
      for (unsigned index = 0; index < threads; ++index)
        running.emplace_back([this, index] { run_thread(index); });
      while (driver->probes < 50) std::this_thread::yield();
      vendors[0].registration.unregister(policy, unregistrations.count());
    }
    world.host.run();
    EXPECT_EQ(unregistrations.successes(), 1U);
    EXPECT_FALSE(world.bus->find_parent("one"));
    register_vendor(vendors[0]);
    EXPECT_EQ(available("one"), "6\n") << "everything that it lent came back";
  }
  EXPECT_EQ(creates.pending(), 0U);
  EXPECT_EQ(removes.pending(), 0U);
  EXPECT_THAT(creates.errors(), testing::IsSubsetOf({0, EEXIST, ENODEV, ENOSPC}));
  EXPECT_THAT(removes.errors(), testing::IsSubsetOf({0, ENODEV, EAGAIN, EBUSY}));
  EXPECT_GT(uses, 0U);

  // Whatever is left can be removed, by its file.
  for (const auto& instance : world.bus->instances()) {
    EXPECT_EQ(world.bus->state(instance->uuid()), InstanceState::active);
    test::Outcome<std::size_t> written;
    world.tree.write("/bus/mdev/devices/" + instance->name() + "/remove", "1", written.done());
    EXPECT_TRUE(written.succeeded()) << instance->name() << ": " << written.error();
  }
  EXPECT_TRUE(world.bus->instances().empty());
  EXPECT_EQ(available("one"), "6\n");
  EXPECT_EQ(available("two"), "6\n");
  EXPECT_EQ(driver->probes, driver->removes) << "every probe has one remove";
  EXPECT_EQ(driver->probes, creates.successes()) << "no creation succeeded without one, or failed after it";
  for (const Vendor& vendor : vendors) EXPECT_EQ(vendor.script->live_devices(), 0U);
  EXPECT_EQ(world.core->status().devices, 0U);
  EXPECT_THAT(world.tree.list("/bus/mdev/devices").value(), ElementsAre());
  EXPECT_THAT(world.tree.list("/kernel/iommu_groups").value(), ElementsAre());
  EXPECT_THAT(world.tree.list("/class/vfio").value(), ElementsAre());
}

// A removal that is on its way in when the parent leaves must not hide its instance from the unregistration.
TEST_F(MdevRace, D12_D40_an_unregistration_leaves_no_instance_behind) {
  vendors[0].script->remove_error = EBUSY;  // so that the instances last until the parent goes
  for (unsigned round = 0; round < 100; ++round) {
    for (unsigned uuid = 0; uuid < ports; ++uuid) create(0, uuid);
    ASSERT_EQ(world.bus->instances().size(), ports);
    Answers unregistration;
    std::atomic<bool> stop = false;
    {
      std::vector<std::jthread> running;
      for (unsigned index = 0; index < 4; ++index) {
        running.emplace_back([this, &stop, index] {
          for (unsigned step = index; !stop; ++step) remove(step % ports, RemovePolicy::wait);
        });
      }
      std::this_thread::yield();
      vendors[0].registration.unregister(RemovePolicy::wait, unregistration.count());
      while (unregistration.pending() > 0) std::this_thread::yield();
      stop = true;
    }
    ASSERT_EQ(unregistration.successes(), 1U);
    ASSERT_TRUE(world.bus->instances().empty()) << "in round " << round;
    register_vendor(vendors[0]);
  }
  EXPECT_EQ(driver->probes, driver->removes);
}

}  // namespace
}  // namespace umdev::mdev

// Drivers of the mdev bus: who takes an instance, when, and what becomes of it without one.
#include "umdev/mdev/bus_driver.h"

#include <array>

#include "tests/unit/mdev/mdev_fixture.h"

namespace umdev::mdev {
namespace {

using testing::ElementsAre;

// Takes instances and makes nothing of them.
class PlainDriver final : public BusDriver {
 public:
  PlainDriver(std::string name, std::vector<std::string_view> apis)
      : name_(std::move(name)), apis_(std::move(apis)) {}
  std::string_view name() const override { return name_; }
  std::span<const std::string_view> device_apis() const override { return apis_; }
  void probe_instance(Instance& instance, Done<> done) override {
    EXPECT_EQ(Mutex::count_held_by_this_thread(), 0);
    if (probe_error != 0) return done(fail(probe_error, "the test said so"));
    taken.push_back(instance.uuid());
    done();
  }
  void remove_instance(Instance& instance, RemovePolicy policy, Done<> done) override {
    EXPECT_EQ(Mutex::count_held_by_this_thread(), 0);
    std::erase(taken, instance.uuid());
    policies.push_back(policy);
    if (!hold_remove) return done();
    held_remove = std::move(done);
  }
  void force_remove_instance(Instance&) override {
    ++forced;
    held_remove();
  }

  int probe_error = 0;
  bool hold_remove = false;
  std::vector<Uuid> taken;
  std::vector<RemovePolicy> policies;
  int forced = 0;
  Done<> held_remove;

 private:
  const std::string name_;
  const std::vector<std::string_view> apis_;
};

class MdevBusDriver : public MdevTest {
 public:
  std::shared_ptr<PlainDriver> plain(const std::string& name,
                                     std::vector<std::string_view> apis = {"vfio-pci", "vfio-ccw"}) {
    return std::make_shared<PlainDriver>(name, std::move(apis));
  }
  // The rule of kernels 4.10 to 5.12: whoever takes the device API gets it.
  ParentSpec matching_spec() {
    ParentSpec spec = card_spec();
    spec.bus_driver = "";
    return spec;
  }
  void unregister_vfio_mdev() {
    Pending<> ended;
    world.vfio_mdev_registration.unregister(RemovePolicy::wait, ended.done());
    world.host.run();
    ASSERT_EQ(ended.error(), 0);
  }
  void register_vfio_mdev() {
    world.vfio_mdev_registration =
        world.bus->register_driver(std::make_shared<VfioMdev>(*world.core)).value();
    world.host.run();
  }
  std::string driver_of(unsigned n) {
    const std::string target = link(instance_path(n) + "/driver");
    return target.substr(target.rfind('/') + 1);
  }
};

TEST_F(MdevBusDriver, D9_a_driver_without_a_device_api_is_einval) {
  EXPECT_EQ(test::error_of(world.bus->register_driver(plain("empty", {}))), EINVAL);
  EXPECT_FALSE(exists("/bus/mdev/drivers/empty"));
}

TEST_F(MdevBusDriver, D8_D9_D10_a_driver_is_registered_by_its_name) {
  auto registration = world.bus->register_driver(plain("one")).value();
  EXPECT_TRUE(exists("/bus/mdev/drivers/one/bind"));
  EXPECT_EQ(test::error_of(world.bus->register_driver(plain("one"))), EEXIST);
  registration = Registration();
  EXPECT_FALSE(exists("/bus/mdev/drivers/one"));
}

TEST_F(MdevBusDriver, D8_probe_when_created_and_remove_when_removed) {
  auto driver = plain("one");
  auto registration = world.bus->register_driver(driver).value();
  ParentSpec spec = card_spec();
  spec.bus_driver = "one";
  auto parent = register_card(std::move(spec));
  ASSERT_EQ(create(1), 0);
  EXPECT_THAT(driver->taken, ElementsAre(uuid(1)));
  EXPECT_EQ(driver_of(1), "one");
  EXPECT_FALSE(exists(instance_path(1) + "/iommu_group")) << "VFIO is the bus driver's doing";
  EXPECT_EQ(world.bus->find(uuid(1)).value()->vfio_device(), nullptr);
  ASSERT_EQ(remove(1), 0);
  EXPECT_THAT(driver->taken, ElementsAre());
  EXPECT_EQ(script->live_devices(), 0U) << "a device that no driver took goes with its instance";
}

// --- No driver.

TEST_F(MdevBusDriver, D3_without_a_driver_an_instance_has_no_group_and_gets_one_later) {
  unregister_vfio_mdev();
  auto parent = register_card(matching_spec());
  skip_events();
  ASSERT_EQ(create(1), 0);
  EXPECT_THAT(events(), ElementsAre("add " + instance_path(1)));
  EXPECT_TRUE(exists("/bus/mdev/devices/" + name(1)));
  EXPECT_EQ(link(instance_path(1) + "/mdev_type"), "../mdev_supported_types/card-1");
  EXPECT_FALSE(exists(instance_path(1) + "/driver"));
  EXPECT_FALSE(exists(instance_path(1) + "/iommu_group"));
  EXPECT_THAT(list("/class/vfio"), ElementsAre());
  register_vfio_mdev();
  EXPECT_EQ(driver_of(1), "vfio_mdev");
  EXPECT_TRUE(exists("/class/vfio/" + group_number(1)));
  EXPECT_TRUE(test::read_file(*world.open_instance(uuid(1)).device, 0, 0, 4).has_value());
  EXPECT_EQ(script->creates, 1U) << "the device that creation made was still there";
}

TEST_F(MdevBusDriver, D3_remove_of_an_instance_without_a_driver) {
  unregister_vfio_mdev();
  auto parent = register_card(matching_spec());
  ASSERT_EQ(create(1), 0);
  skip_events();
  EXPECT_EQ(write(instance_path(1) + "/remove", "1"), 0);
  EXPECT_THAT(events(), ElementsAre("remove " + instance_path(1)));
  EXPECT_EQ(script->live_devices(), 0U);
}

TEST_F(MdevBusDriver, D10_unregistering_a_driver_leaves_the_instances) {
  auto parent = register_card();
  ASSERT_EQ(create(1), 0);
  unregister_vfio_mdev();
  EXPECT_TRUE(exists("/bus/mdev/devices/" + name(1)));
  EXPECT_FALSE(exists(instance_path(1) + "/iommu_group"));
  EXPECT_EQ(script->live_devices(), 0U) << "its device went with the binding";
  EXPECT_EQ(create(2), ENODEV) << "a parent that names its driver creates nothing without it";
  EXPECT_EQ(remove(1), 0);
}

TEST_F(MdevBusDriver, D10_unregistering_a_driver_waits_for_its_users) {
  auto parent = register_card();
  ASSERT_EQ(create(1), 0);
  auto session = world.open_instance(uuid(1));
  Pending<> busy;
  world.vfio_mdev_registration.unregister(RemovePolicy::busy, busy.done());
  EXPECT_EQ(busy.error(), EBUSY);
  Pending<> ended;
  world.vfio_mdev_registration.unregister(RemovePolicy::wait, ended.done());
  world.host.run();
  EXPECT_FALSE(ended.is_done());
  session = {};
  world.host.run();
  EXPECT_EQ(ended.error(), 0);
}

// --- Who gets it.

TEST_F(MdevBusDriver, D10_any_match_the_first_driver_that_takes_the_api_gets_it) {
  unregister_vfio_mdev();
  auto ccw = plain("ccw", {"vfio-ccw"});
  auto first = plain("first");
  auto second = plain("second");
  const Result<Registration> registrations[] = {
      world.bus->register_driver(ccw), world.bus->register_driver(first), world.bus->register_driver(second)};
  auto parent = register_card(matching_spec());
  ASSERT_EQ(create(1, "card-1"), 0);
  EXPECT_EQ(driver_of(1), "first") << "ccw does not take vfio-pci";
  ASSERT_EQ(create(2, "card-2"), 0);
  EXPECT_EQ(driver_of(2), "ccw");
  EXPECT_THAT(second->taken, ElementsAre());
  EXPECT_EQ(remove(1), 0);
  EXPECT_EQ(remove(2), 0);
}

TEST_F(MdevBusDriver, D10_any_match_a_driver_that_fails_leaves_it_to_the_next) {
  unregister_vfio_mdev();
  auto first = plain("first");
  auto second = plain("second");
  first->probe_error = EIO;
  const Result<Registration> registrations[] = {world.bus->register_driver(first),
                                                world.bus->register_driver(second)};
  auto parent = register_card(matching_spec());
  EXPECT_EQ(create(1), 0);
  EXPECT_EQ(driver_of(1), "second");
  EXPECT_EQ(remove(1), 0);
}

TEST_F(MdevBusDriver, D10_D25_explicit_only_the_driver_that_the_parent_names) {
  auto first = plain("first");
  auto named = plain("named");
  const Result<Registration> registrations[] = {world.bus->register_driver(first),
                                                world.bus->register_driver(named)};
  ParentSpec spec = card_spec();
  spec.bus_driver = "named";
  auto parent = register_card(std::move(spec));
  ASSERT_EQ(create(1), 0);
  EXPECT_THAT(named->taken, ElementsAre(uuid(1)));
  EXPECT_THAT(first->taken, ElementsAre());
  EXPECT_EQ(remove(1), 0);
}

TEST_F(MdevBusDriver, D25_a_parent_that_names_none_uses_vfio_mdev) {
  auto first = plain("first");
  auto registration = world.bus->register_driver(first).value();
  auto parent = register_card();
  ASSERT_EQ(create(1), 0);
  EXPECT_EQ(driver_of(1), "vfio_mdev");
}

TEST_F(MdevBusDriver, D10_explicit_a_driver_that_comes_later_is_not_offered_the_instance) {
  auto parent = register_card();
  ASSERT_EQ(create(1), 0);
  unregister_vfio_mdev();
  register_vfio_mdev();
  EXPECT_FALSE(exists(instance_path(1) + "/driver"));
  EXPECT_EQ(write("/bus/mdev/drivers_probe", name(1)), 0) << "accepted, without effect";
  EXPECT_FALSE(exists(instance_path(1) + "/driver"));
}

TEST_F(MdevBusDriver, D10_any_match_without_autoprobe_nobody_is_asked_until_told_to) {
  auto parent = register_card(matching_spec());
  ASSERT_EQ(write("/bus/mdev/drivers_autoprobe", "0"), 0);
  ASSERT_EQ(create(1), 0);
  EXPECT_FALSE(exists(instance_path(1) + "/driver"));
  ASSERT_EQ(write("/bus/mdev/drivers_probe", name(1)), 0);
  EXPECT_EQ(driver_of(1), "vfio_mdev");
}

// --- By hand.

TEST_F(MdevBusDriver, D11_unbind_by_hand_the_vfio_group_vanishes_and_the_mdev_stays) {
  auto parent = register_card();
  ASSERT_EQ(create(1), 0);
  const std::string group = group_number(1);
  skip_events();
  ASSERT_EQ(write("/bus/mdev/drivers/vfio_mdev/unbind", name(1)), 0);
  EXPECT_THAT(events(), ElementsAre("remove " + instance_path(1) + "/vfio-dev/vfio0",
                                    "remove /devices/virtual/vfio/0", "unbind " + instance_path(1)));
  EXPECT_FALSE(exists("/class/vfio/" + group));
  EXPECT_FALSE(exists("/kernel/iommu_groups/" + group));
  EXPECT_FALSE(exists(instance_path(1) + "/iommu_group"));
  EXPECT_FALSE(exists(instance_path(1) + "/driver"));
  EXPECT_TRUE(exists("/bus/mdev/devices/" + name(1)));
  EXPECT_TRUE(exists(instance_path(1) + "/remove"));
  EXPECT_EQ(world.bus->find(uuid(1)).value()->vfio_device(), nullptr);
  EXPECT_EQ(available(), "7\n") << "it is there, and has its port";
  EXPECT_EQ(write("/bus/mdev/drivers/vfio_mdev/bind", name(1)), ENODEV) << "explicit: nothing matches";
  EXPECT_EQ(remove(1), 0);
}

TEST_F(MdevBusDriver, D11_any_match_bind_again_gets_a_new_device_from_the_vendor) {
  auto parent = register_card(matching_spec());
  ASSERT_EQ(create(1), 0);
  ASSERT_EQ(write("/bus/mdev/drivers/vfio_mdev/unbind", name(1)), 0);
  EXPECT_EQ(script->live_devices(), 0U);
  skip_events();
  ASSERT_EQ(write("/bus/mdev/drivers/vfio_mdev/bind", name(1)), 0);
  EXPECT_EQ(script->creates, 2U);
  EXPECT_EQ(script->live_devices(), 1U);
  ASSERT_EQ(script->requests().size(), 2U);
  EXPECT_EQ(script->requests()[1].uuid, uuid(1));
  EXPECT_EQ(script->requests()[1].type, "card-1");
  EXPECT_THAT(events(),
              ElementsAre("add /devices/virtual/vfio/0", "add " + instance_path(1) + "/vfio-dev/vfio0",
                          "bind " + instance_path(1)));
  EXPECT_TRUE(test::read_file(*world.open_instance(uuid(1)).device, 0, 0, 4).has_value());
  EXPECT_EQ(write("/bus/mdev/drivers/vfio_mdev/bind", name(1)), EBUSY) << "it has one";
  world.host.run();
  EXPECT_EQ(remove(1), 0);
  EXPECT_EQ(script->live_devices(), 0U);
}

TEST_F(MdevBusDriver, D11_any_match_bind_again_fails_with_the_vendors_error) {
  auto parent = register_card(matching_spec());
  ASSERT_EQ(create(1), 0);
  ASSERT_EQ(write("/bus/mdev/drivers/vfio_mdev/unbind", name(1)), 0);
  script->create_error = ENOMEM;
  EXPECT_EQ(write("/bus/mdev/drivers/vfio_mdev/bind", name(1)), ENOMEM);
  script->create_error = 0;
  script->makes_nothing = true;
  EXPECT_EQ(write("/bus/mdev/drivers/vfio_mdev/bind", name(1)), EIO);
  script->makes_nothing = false;
  script->hold_creates = true;
  const auto bound = begin_write("/bus/mdev/drivers/vfio_mdev/bind", name(1));
  world.host.advance(world.core->limits().access_deadline);
  EXPECT_EQ(bound.error(), ETIMEDOUT);
  script->hold_creates = false;
  EXPECT_EQ(write("/bus/mdev/drivers/vfio_mdev/bind", name(1)), 0);
  script->finish_create();
  EXPECT_EQ(script->live_devices(), 1U) << "the late one was destroyed";
}

TEST_F(MdevBusDriver, D11_unbind_by_hand_waits_for_the_user) {
  auto parent = register_card();
  ASSERT_EQ(create(1), 0);
  auto session = world.open_instance(uuid(1));
  const auto unbound = begin_write("/bus/mdev/drivers/vfio_mdev/unbind", name(1));
  EXPECT_FALSE(unbound.is_done());
  session = {};
  world.host.run();
  EXPECT_EQ(unbound.error(), 0);
  EXPECT_TRUE(exists(instance_path(1) + "/remove"));
}

TEST_F(MdevBusDriver, a_forced_removal_hurries_an_unbind_that_waits) {
  auto parent = register_card();
  ASSERT_EQ(create(1), 0);
  auto session = world.open_instance(uuid(1));
  const auto unbound = begin_write("/bus/mdev/drivers/vfio_mdev/unbind", name(1));
  const auto removed = begin_remove(1, RemovePolicy::force);
  world.host.advance(world.core->limits().force_deadline);
  EXPECT_EQ(unbound.error(), 0);
  EXPECT_EQ(removed.error(), 0);
  EXPECT_FALSE(exists(instance_path(1)));
}

TEST_F(MdevBusDriver, a_bus_driver_is_told_to_hurry_whatever_it_is) {
  auto driver = plain("slow");
  auto registration = world.bus->register_driver(driver).value();
  ParentSpec spec = card_spec();
  spec.bus_driver = "slow";
  auto parent = register_card(std::move(spec));
  ASSERT_EQ(create(1), 0);
  driver->hold_remove = true;
  const auto waiting = begin_remove(1);
  EXPECT_FALSE(waiting.is_done());
  EXPECT_EQ(driver->forced, 0);
  EXPECT_EQ(remove(1, RemovePolicy::force), 0);
  EXPECT_EQ(driver->forced, 1);
  EXPECT_EQ(waiting.error(), 0);
  EXPECT_THAT(driver->policies, ElementsAre(RemovePolicy::wait));
}

// Every device API that VFIO has is one for the generic driver.
TEST_F(MdevBusDriver, D4_D5_D6_D35_the_generic_driver_takes_every_device_api) {
  for (const std::string api : {"vfio-pci", "vfio-platform", "vfio-amba", "vfio-ccw", "vfio-ap"}) {
    ParentSpec spec = matching_spec();
    spec.types[0].device_api = api;
    auto parent = world.register_parent(api, std::move(spec), std::make_unique<test::FakeParent>(script));
    EXPECT_EQ(show("/class/mdev_bus/" + api + "/mdev_supported_types/" + api + "-1/device_api"), api + "\n");
    EXPECT_EQ(world.create(api, api + "-1", uuid(1)), 0);
    EXPECT_NE(world.bus->find(uuid(1)).value()->vfio_device(), nullptr) << api;
    EXPECT_EQ(remove(1), 0);
  }
}

}  // namespace
}  // namespace umdev::mdev

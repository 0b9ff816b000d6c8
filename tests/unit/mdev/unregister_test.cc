// The end of a parent, with creations under way and instances in use.
#include "tests/unit/mdev/mdev_fixture.h"

namespace umdev::mdev {
namespace {

using testing::ElementsAre;

class Unregister : public CardTest {
 public:
  Pending<> begin_unregister(RemovePolicy policy) {
    Pending<> pending;
    parent.unregister(policy, pending.done());
    world.host.run();
    return pending;
  }
  bool parent_is_gone() {
    return !exists("/class/mdev_bus/card") && !exists(std::string(card) + "/mdev_supported_types") &&
           !world.bus->find_parent("card");
  }
};

TEST_F(Unregister, D12_busy_is_ebusy_while_there_is_an_instance) {
  ASSERT_EQ(create(1), 0);
  skip_events();
  EXPECT_EQ(begin_unregister(RemovePolicy::busy).error(), EBUSY);
  EXPECT_THAT(events(), ElementsAre());
  EXPECT_EQ(create(2), 0) << "nothing has changed";
  EXPECT_EQ(remove(1), 0);
  EXPECT_EQ(remove(2), 0);
  EXPECT_EQ(begin_unregister(RemovePolicy::busy).error(), 0);
  EXPECT_TRUE(parent_is_gone());
}

TEST_F(Unregister, busy_is_ebusy_while_one_is_being_created) {
  script->hold_creates = true;
  const auto creation = begin_create(1);
  EXPECT_EQ(begin_unregister(RemovePolicy::busy).error(), EBUSY);
  script->finish_create();
  EXPECT_EQ(creation.error(), 0);
}

TEST_F(Unregister, busy_is_ebusy_while_one_waits_for_its_users) {
  ASSERT_EQ(create(1), 0);
  auto session = world.open_instance(uuid(1));
  const auto removal = begin_remove(1);
  EXPECT_EQ(begin_unregister(RemovePolicy::busy).error(), EBUSY);
  session = {};
  world.host.run();
  EXPECT_EQ(removal.error(), 0);
  EXPECT_EQ(begin_unregister(RemovePolicy::busy).error(), 0);
}

TEST_F(Unregister, D12_a_creation_under_way_ends_first) {
  script->hold_creates = true;
  const auto creation = begin_create(1);
  const auto ended = begin_unregister(RemovePolicy::wait);
  EXPECT_FALSE(ended.is_done());
  EXPECT_EQ(create(2), ENODEV) << "a new one is refused";
  EXPECT_EQ(write(type_path("card-1/create"), name(2)), ENODEV);
  script->finish_create();
  world.host.run();
  EXPECT_EQ(creation.error(), 0) << "it was in time";
  EXPECT_EQ(ended.error(), 0);
  EXPECT_TRUE(parent_is_gone());
  EXPECT_EQ(script->live_devices(), 0U);
  EXPECT_EQ(world.bus->state(uuid(1)).error().code, ENODEV);
}

TEST_F(Unregister, D12_a_creation_that_never_ends_holds_it_up_until_its_deadline) {
  script->hold_creates = true;
  const auto creation = begin_create(1);
  const auto ended = begin_unregister(RemovePolicy::force);
  EXPECT_FALSE(ended.is_done());
  world.host.advance(world.core->limits().access_deadline);
  EXPECT_EQ(creation.error(), ETIMEDOUT);
  EXPECT_EQ(ended.error(), 0);
  EXPECT_TRUE(parent_is_gone());
  script->finish_create();
  EXPECT_EQ(script->live_devices(), 0U) << "nobody is left to take the device";
}

TEST_F(Unregister, D12_D32_D40_wait_refuses_creates_and_removes_while_an_instance_is_open) {
  ASSERT_EQ(create(1), 0);
  ASSERT_EQ(create(2), 0);
  auto session = world.open_instance(uuid(1));
  const auto remove_file = world.tree.lookup(instance_path(1) + "/remove").value();
  const auto ended = begin_unregister(RemovePolicy::wait);
  EXPECT_FALSE(ended.is_done());
  EXPECT_FALSE(exists("/class/mdev_bus/card")) << "the link goes first";
  EXPECT_TRUE(exists(std::string(card) + "/mdev_supported_types")) << "the types go last";
  EXPECT_FALSE(exists(instance_path(2)));
  EXPECT_EQ(create(3), ENODEV);
  EXPECT_EQ(remove(1), ENODEV) << "the parent sees to it";
  EXPECT_EQ(create(1), EEXIST) << "a UUID that is taken is found before that";
  EXPECT_FALSE(script->destroyed);
  session = {};
  world.host.run();
  EXPECT_EQ(ended.error(), 0);
  EXPECT_TRUE(parent_is_gone());
  EXPECT_FALSE(exists(instance_path(1)));
  EXPECT_TRUE(script->destroyed);
}

TEST_F(Unregister, D13_the_vendors_driver_stays_while_a_device_of_its_is_open) {
  ASSERT_EQ(create(1), 0);
  auto session = world.open_instance(uuid(1));
  EXPECT_EQ(begin_unregister(RemovePolicy::busy).error(), EBUSY) << "unload is refused";
  const auto ended = begin_unregister(RemovePolicy::wait);
  EXPECT_FALSE(script->destroyed);
  EXPECT_TRUE(test::read_file(*session.device, 0, 0, 4).has_value());
  session = {};
  world.host.run();
  EXPECT_EQ(ended.error(), 0);
  EXPECT_TRUE(script->destroyed);
}

TEST_F(Unregister, D18_force_takes_open_instances_away_at_the_deadline) {
  script->remove_error = EBUSY;
  ASSERT_EQ(create(1), 0);
  auto session = world.open_instance(uuid(1));
  const auto ended = begin_unregister(RemovePolicy::force);
  EXPECT_FALSE(ended.is_done());
  world.host.advance(world.core->limits().force_deadline);
  EXPECT_EQ(ended.error(), 0);
  EXPECT_TRUE(parent_is_gone());
  EXPECT_EQ(test::read_file(*session.device, 0, 0, 4).error().code, ENODEV);
  EXPECT_EQ(script->live_devices(), 0U);
}

TEST_F(Unregister, a_removal_that_waits_holds_up_a_waiting_unregistration) {
  ASSERT_EQ(create(1), 0);
  auto session = world.open_instance(uuid(1));
  const auto removal = begin_remove(1);
  const auto ended = begin_unregister(RemovePolicy::wait);
  EXPECT_FALSE(ended.is_done());
  session = {};
  world.host.run();
  EXPECT_EQ(removal.error(), 0);
  EXPECT_EQ(ended.error(), 0);
  EXPECT_EQ(script->removes, 1U);
}

TEST_F(Unregister, a_forced_one_hurries_removals_that_wait) {
  ASSERT_EQ(create(1), 0);
  ASSERT_EQ(create(2), 0);
  auto session = world.open_instance(uuid(1));
  auto other = world.open_instance(uuid(2));
  const auto removal = begin_remove(1);
  const auto ended = begin_unregister(RemovePolicy::force);
  world.host.advance(world.core->limits().force_deadline);
  EXPECT_EQ(removal.error(), 0);
  // The other instance's turn comes when what was under way has ended.
  world.host.advance(world.core->limits().force_deadline);
  EXPECT_EQ(ended.error(), 0);
}

TEST_F(Unregister, a_waiting_one_is_hurried_instance_by_instance) {
  ASSERT_EQ(create(1), 0);
  auto session = world.open_instance(uuid(1));
  const auto ended = begin_unregister(RemovePolicy::wait);
  const auto forced = begin_remove(1, RemovePolicy::force);
  world.host.advance(world.core->limits().force_deadline);
  EXPECT_EQ(forced.error(), 0);
  EXPECT_EQ(ended.error(), 0);
}

TEST_F(Unregister, another_parents_instances_stay) {
  auto other_script = std::make_shared<ParentScript>();
  auto other = world.register_parent("other", card_spec(), std::make_unique<test::FakeParent>(other_script));
  ASSERT_EQ(create(1), 0);
  ASSERT_EQ(world.create("other", "other-1", uuid(2)), 0);
  parent = Registration();
  EXPECT_EQ(other_script->removes, 0U);
  EXPECT_EQ(world.bus->state(uuid(2)), InstanceState::active);
  EXPECT_TRUE(exists("/bus/mdev/devices/" + name(2)));
}

TEST_F(Unregister, an_unbound_instance_goes_too) {
  ASSERT_EQ(create(1), 0);
  ASSERT_EQ(write("/bus/mdev/drivers/vfio_mdev/unbind", name(1)), 0);
  parent = Registration();
  EXPECT_TRUE(parent_is_gone());
  EXPECT_FALSE(exists(instance_path(1)));
}

TEST_F(Unregister, the_vendor_may_unregister_itself_from_within_a_creation) {
  Pending<> ended;
  script->during_create = [this, &ended](const Uuid&) {
    parent.unregister(RemovePolicy::wait, ended.done());
  };
  EXPECT_EQ(create(1), 0);
  EXPECT_EQ(ended.error(), 0);
  EXPECT_TRUE(parent_is_gone());
  EXPECT_EQ(script->live_devices(), 0U);
}

}  // namespace
}  // namespace umdev::mdev

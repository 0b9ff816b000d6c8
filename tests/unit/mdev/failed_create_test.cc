// Creations that fail, that complete later, and that never do.
#include <array>

#include "tests/unit/mdev/mdev_fixture.h"

namespace umdev::mdev {
namespace {

using testing::ElementsAre;

// --- A failed create leaves nothing.

class FailedCreate : public MdevTest {
 public:
  // Everything that a creation may leave behind, as text.
  std::vector<std::string> everything() {
    std::vector<std::string> lines;
    collect("", lines);
    lines.push_back("available " + available("card-1"));
    lines.push_back("groups " + std::to_string(world.core->status().groups));
    lines.push_back("devices " + std::to_string(world.core->status().devices));
    lines.push_back("instances " + std::to_string(world.bus->instances().size()));
    return lines;
  }
  void expect_nothing_left(int error) {
    const auto before = everything();
    skip_events();
    EXPECT_EQ(create(1), error);
    EXPECT_EQ(everything(), before);
    EXPECT_THAT(events(), ElementsAre());
    EXPECT_EQ(world.bus->state(uuid(1)).error().code, ENODEV) << "the UUID is free";
    EXPECT_EQ(script->live_devices(), 0U);
  }

 private:
  void collect(const std::string& path, std::vector<std::string>& lines) {
    for (const std::string& child : list(path.empty() ? "/" : path)) {
      const std::string below = path + "/" + child;
      lines.push_back(below);
      const auto node = world.tree.lookup(below);
      if (node && world.tree.info(*node).type == tree::NodeType::directory) collect(below, lines);
    }
  }
};

TEST_F(FailedCreate, D17_the_vendor_says_no) {
  auto parent = register_card();
  script->create_error = ENOSPC;
  expect_nothing_left(ENOSPC);
  EXPECT_EQ(script->removes, 0U) << "what the vendor did not make it is not told of";
}

TEST_F(FailedCreate, D17_the_vendor_makes_nothing) {
  auto parent = register_card();
  script->makes_nothing = true;
  expect_nothing_left(EIO);
}

TEST_F(FailedCreate, the_bus_driver_is_not_there) {
  ParentSpec spec = card_spec();
  spec.bus_driver = "vfio_other";
  auto parent = register_card(std::move(spec));
  expect_nothing_left(ENODEV);
  EXPECT_EQ(script->removes, 1U) << "the vendor made it, and is told that it goes";
  EXPECT_EQ(script->forced_removes, 1U);
}

constexpr device::DeviceAttribute taken_attributes[] = {{.name = "remove"}};
constexpr device::AttributeGroup taken_group{.attributes = taken_attributes};
constexpr const device::AttributeGroup* taken_groups[] = {&taken_group};

TEST_F(FailedCreate, a_vendors_attribute_has_a_name_of_ours) {
  script->instance_groups = taken_groups;
  auto parent = register_card();
  expect_nothing_left(EEXIST);
  EXPECT_EQ(script->forced_removes, 1U);
}

TEST_F(FailedCreate, somebody_else_has_the_directory) {
  auto parent = register_card();
  const auto device = world.bus->find_parent("card").value()->device();
  auto child = std::make_shared<device::Device>(
      *world.model,
      device::Device::Spec{.name = name(1), .parent = device, .device_class = device->device_class()});
  ASSERT_TRUE(child->add()) << "a device of somebody else's has the name";
  expect_nothing_left(EEXIST);
  Outcome<> outcome;
  child->remove(RemovePolicy::wait, outcome.done());
  EXPECT_TRUE(outcome.succeeded());
}

class FailingBusDriver final : public BusDriver {
 public:
  std::string_view name() const override { return "failing"; }
  std::span<const std::string_view> device_apis() const override { return apis; }
  void probe_instance(Instance&, Done<> done) override { done(fail(ENXIO, "the test said so")); }
  void remove_instance(Instance&, RemovePolicy, Done<> done) override { done(); }

 private:
  static constexpr std::array<std::string_view, 1> apis{"vfio-pci"};
};

TEST_F(FailedCreate, the_bus_driver_says_no) {
  auto driver = world.bus->register_driver(std::make_shared<FailingBusDriver>()).value();
  ParentSpec spec = card_spec();
  spec.bus_driver = "failing";
  auto parent = register_card(std::move(spec));
  expect_nothing_left(ENXIO);
}

// --- Creations that complete later, or never.

using LateCreate = CardTest;

TEST_F(LateCreate, a_creation_may_complete_later) {
  script->hold_creates = true;
  skip_events();
  const auto creation = begin_create(1);
  EXPECT_FALSE(creation.is_done());
  EXPECT_EQ(world.bus->state(uuid(1)), InstanceState::probing);
  EXPECT_EQ(available(), "7\n") << "drawn before the vendor is asked";
  EXPECT_FALSE(exists(instance_path(1))) << "nothing is seen of it";
  EXPECT_EQ(world.bus->find(uuid(1)).error().code, EAGAIN);
  EXPECT_EQ(remove(1), EAGAIN);
  EXPECT_EQ(remove(1, RemovePolicy::force), EAGAIN);
  EXPECT_THAT(events(), ElementsAre());
  script->finish_create();
  EXPECT_EQ(creation.error(), 0);
  EXPECT_EQ(world.bus->state(uuid(1)), InstanceState::active);
  EXPECT_EQ(events().size(), 4U);
}

TEST_F(LateCreate, a_creation_that_never_completes_ends_at_the_deadline) {
  script->hold_creates = true;
  const auto creation = begin_create(1);
  world.host.advance(world.core->limits().access_deadline - Duration(1));
  EXPECT_FALSE(creation.is_done());
  world.host.advance(Duration(1));
  EXPECT_EQ(creation.error(), ETIMEDOUT);
  EXPECT_EQ(available(), "8\n");
  EXPECT_EQ(world.bus->state(uuid(1)).error().code, ENODEV);
  // The vendor comes with it after all.
  script->finish_create();
  EXPECT_EQ(script->devices_made, 1U);
  EXPECT_EQ(script->live_devices(), 0U) << "a late device is destroyed";
  EXPECT_FALSE(exists(instance_path(1)));
  EXPECT_EQ(script->removes, 0U);
}

TEST_F(LateCreate, a_late_device_does_not_disturb_who_has_the_uuid_now) {
  script->hold_creates = true;
  const auto late = begin_create(1);
  world.host.advance(world.core->limits().access_deadline);
  ASSERT_EQ(late.error(), ETIMEDOUT);
  const auto second = begin_create(1);
  script->finish_create();
  EXPECT_FALSE(second.is_done()) << "that was the first one's device";
  script->finish_create();
  EXPECT_EQ(second.error(), 0);
  EXPECT_EQ(script->live_devices(), 1U);
}

TEST_F(LateCreate, a_vendor_that_forgets_a_creation_fails_it) {
  script->hold_creates = true;
  const auto creation = begin_create(1);
  script->drop_create();
  EXPECT_EQ(creation.error(), ECANCELED);
  EXPECT_EQ(world.bus->state(uuid(1)).error().code, ENODEV);
}

TEST_F(LateCreate, many_creations_of_different_uuids_wait_side_by_side) {
  script->hold_creates = true;
  std::vector<Pending<>> creations;
  for (unsigned n = 1; n <= 8; ++n) creations.push_back(begin_create(n));
  EXPECT_EQ(script->held_creates(), 8U);
  EXPECT_EQ(create(9), ENOSPC);
  for (unsigned n = 1; n <= 8; ++n) script->finish_create();
  for (const auto& creation : creations) EXPECT_EQ(creation.error(), 0);
}

}  // namespace
}  // namespace umdev::mdev

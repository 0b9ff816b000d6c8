// Removing instances: what may be written, who may refuse, and how each policy treats the users.
#include <array>
#include <thread>

#include "tests/unit/mdev/mdev_fixture.h"

namespace umdev::mdev {
namespace {

using testing::ElementsAre;

class MdevRemove : public CardTest {
 public:
  int write_remove(unsigned n, const std::string& text = "1") {
    return write(instance_path(n) + "/remove", text);
  }
};

// --- What may be written to `remove`.

struct RemoveInput {
  const char* text;
  int error;
  bool removes;
};

TEST_F(MdevRemove, D40_what_may_be_written_to_remove) {
  const RemoveInput inputs[] = {
      {"1", 0, true},         {"1\n", 0, true},        {"2\n", 0, true},
      {"0x1", 0, true},       {"0X10", 0, true},       {"010", 0, true},
      {"+1", 0, true},        {"4294967296", 0, true}, {"18446744073709551615", 0, true},
      {"0", 0, false},        {"0\n", 0, false},       {"0x0", 0, false},
      {"00", 0, false},       {"", 0, false},          {"abc", EINVAL, false},
      {"-1", EINVAL, false},  {"1x", EINVAL, false},   {" 1", EINVAL, false},
      {"1 ", EINVAL, false},  {"\n", EINVAL, false},   {"1\n\n", EINVAL, false},
      {"0x", EINVAL, false},  {"08", EINVAL, false},   {"+", EINVAL, false},
      {"+-1", EINVAL, false}, {"1.0", EINVAL, false},  {"18446744073709551616", ERANGE, false},
  };
  for (const RemoveInput& input : inputs) {
    if (!exists(instance_path(1))) {
      ASSERT_EQ(create(1), 0);
    }
    EXPECT_EQ(write_remove(1, input.text), input.error) << input.text;
    EXPECT_EQ(exists(instance_path(1)), !input.removes) << input.text;
    EXPECT_EQ(exists(instance_path(1) + "/remove"), !input.removes) << input.text << ": the file stays";
  }
}

TEST_F(MdevRemove, D40_a_second_writer_is_refused) {
  ASSERT_EQ(create(1), 0);
  const auto file = world.tree.lookup(instance_path(1) + "/remove").value();
  ASSERT_EQ(write_remove(1), 0);
  Pending<std::size_t> second;
  world.tree.store(file, "1", second.done());
  EXPECT_EQ(second.error(), ENODEV) << "who had it open before";
  EXPECT_EQ(write_remove(1), ENOENT) << "who opens it after";
}

TEST_F(MdevRemove, D40_the_file_is_gone_while_the_first_writer_waits) {
  ASSERT_EQ(create(1), 0);
  const auto file = world.tree.lookup(instance_path(1) + "/remove").value();
  auto session = world.open_instance(uuid(1));
  const auto first = begin_write(instance_path(1) + "/remove", "1");
  EXPECT_FALSE(first.is_done());
  EXPECT_EQ(write_remove(1), ENOENT);
  Pending<std::size_t> second;
  world.tree.store(file, "1", second.done());
  EXPECT_EQ(second.error(), ENODEV);
  EXPECT_EQ(remove(1), EAGAIN) << "and by another door";
  session = {};
  world.host.run();
  EXPECT_EQ(first.error(), 0);
}

// Both writers are inside the store before either goes on.
TEST_F(MdevRemove, D40_of_two_writers_at_once_exactly_one_succeeds) {
  for (unsigned round = 0; round < 50; ++round) {
    ASSERT_EQ(create(1), 0);
    const auto file = world.tree.lookup(instance_path(1) + "/remove").value();
    int errors[2] = {-1, -1};
    {
      std::jthread threads[2];
      for (int index : {0, 1}) {
        threads[index] = std::jthread([this, &file, &error = errors[index]] {
          world.tree.store(file, "1",
                           [&error](Result<std::size_t> result) { error = test::error_of(result); });
        });
      }
    }
    const int loser = errors[0] == 0 ? errors[1] : errors[0];
    EXPECT_TRUE(errors[0] == 0 || errors[1] == 0) << errors[0] << " " << errors[1];
    EXPECT_TRUE(loser == EAGAIN || loser == ENODEV) << loser;
    EXPECT_FALSE(exists(instance_path(1)));
  }
  EXPECT_EQ(script->removes, 50U);
}

// The kernel takes the file away first, and answers EAGAIN then: the device can never be removed again.
TEST_F(MdevRemove, D40_a_remove_before_the_create_has_ended_keeps_the_file) {
  class HoldingDriver final : public BusDriver {
   public:
    std::string_view name() const override { return "holding"; }
    std::span<const std::string_view> device_apis() const override { return apis_; }
    void probe_instance(Instance&, Done<> done) override { held = std::move(done); }
    void remove_instance(Instance&, RemovePolicy, Done<> done) override { done(); }
    Done<> held;

   private:
    const std::array<std::string_view, 1> apis_{"vfio-pci"};
  };
  auto driver = std::make_shared<HoldingDriver>();
  auto registration = world.bus->register_driver(driver).value();
  ParentSpec spec = card_spec();
  spec.bus_driver = "holding";
  auto slow = world.register_parent("slow", std::move(spec), std::make_unique<test::FakeParent>(script));
  Pending<> creation;
  world.bus->create({.parent = "slow", .type = "slow-1", .uuid = uuid(1), .owner = {}, .attributes = {}},
                    creation.done());
  const std::string file = "/devices/virtual/slow/slow/" + name(1) + "/remove";
  ASSERT_TRUE(exists(file)) << "the kernel's window: added, not active yet";
  EXPECT_EQ(write(file, "1"), EAGAIN);
  EXPECT_TRUE(exists(file));
  driver->held();
  ASSERT_EQ(creation.error(), 0);
  EXPECT_EQ(write(file, "1"), 0);
  EXPECT_FALSE(exists(file));
}

TEST_F(MdevRemove, an_unknown_uuid_is_enodev) {
  for (const RemovePolicy policy : {RemovePolicy::wait, RemovePolicy::busy, RemovePolicy::force})
    EXPECT_EQ(remove(1, policy), ENODEV);
}

TEST_F(MdevRemove, each_policy_removes_what_nobody_uses) {
  for (const RemovePolicy policy : {RemovePolicy::wait, RemovePolicy::busy, RemovePolicy::force}) {
    ASSERT_EQ(create(1), 0);
    EXPECT_EQ(remove(1, policy), 0);
    EXPECT_FALSE(exists(instance_path(1)));
    EXPECT_EQ(script->live_devices(), 0U);
    EXPECT_EQ(available(), "8\n");
  }
  EXPECT_EQ(script->forced_removes, 1U);
}

// --- wait.

TEST_F(MdevRemove, D34_D42_a_removal_completes_when_the_last_user_has_gone) {
  ASSERT_EQ(create(1), 0);
  auto session = world.open_instance(uuid(1));
  auto second = MdevWorld::get_device(*session.group, name(1)).value();
  const auto removal = begin_remove(1);
  session.device = nullptr;
  world.host.run();
  EXPECT_FALSE(removal.is_done());
  second = nullptr;
  world.host.run();
  EXPECT_EQ(removal.error(), 0);
  EXPECT_EQ(script->live_devices(), 0U);
}

TEST_F(MdevRemove, a_group_file_without_a_device_holds_nothing) {
  ASSERT_EQ(create(1), 0);
  const auto group = world.open_group(uuid(1));
  EXPECT_EQ(remove(1), 0) << "as in the kernel: only an open device does";
}

TEST_F(MdevRemove, D34_what_the_tree_shows_while_a_removal_waits) {
  ASSERT_EQ(create(1), 0);
  auto session = world.open_instance(uuid(1));
  skip_events();
  const auto removal = begin_remove(1);
  EXPECT_FALSE(removal.is_done());
  EXPECT_FALSE(exists("/bus/mdev/devices/" + name(1)));
  EXPECT_FALSE(exists(type_path("card-1/devices/") + name(1)));
  EXPECT_FALSE(exists(instance_path(1) + "/remove"));
  EXPECT_FALSE(exists(instance_path(1) + "/mdev_type"));
  EXPECT_FALSE(exists(instance_path(1) + "/vfio-dev/vfio0"));
  EXPECT_TRUE(exists(instance_path(1))) << "the directory stays";
  EXPECT_THAT(events(), ElementsAre("remove " + instance_path(1) + "/vfio-dev/vfio0"));
  EXPECT_EQ(world.bus->state(uuid(1)), InstanceState::removing);
  EXPECT_EQ(available(), "7\n") << "given back when it is freed, not when it is removed";
  EXPECT_EQ(create(1), EEXIST) << "and the UUID is taken";
  session = {};
  world.host.run();
  EXPECT_EQ(removal.error(), 0);
  EXPECT_FALSE(exists(instance_path(1)));
  EXPECT_EQ(available(), "8\n");
  EXPECT_THAT(events(), ElementsAre("remove /devices/virtual/vfio/0", "unbind " + instance_path(1),
                                    "remove " + instance_path(1)));
  EXPECT_EQ(create(1), 0);
}

TEST_F(MdevRemove, nobody_new_can_open_what_is_being_removed) {
  ASSERT_EQ(create(1), 0);
  auto session = world.open_instance(uuid(1));
  const auto removal = begin_remove(1);
  EXPECT_EQ(MdevWorld::get_device(*session.group, name(1)).error().code, ENODEV);
  session = {};
  world.host.run();
  EXPECT_TRUE(removal.is_done());
}

TEST_F(MdevRemove, D24_the_user_is_asked_again_and_again) {
  ASSERT_EQ(create(1), 0);
  auto session = world.open_instance(uuid(1));
  const auto removal = begin_remove(1);
  const auto device = script->device_script(uuid(1));
  EXPECT_EQ(device->count("request 0"), 1U);
  world.host.advance(world.core->limits().request_period);
  EXPECT_EQ(device->count("request 1"), 1U);
  session = {};
  world.host.run();
  EXPECT_EQ(removal.error(), 0);
  world.host.advance(world.core->limits().request_period);
  EXPECT_EQ(device->count("request 2"), 0U);
}

// --- busy.

TEST_F(MdevRemove, D18_busy_refuses_while_the_device_is_open_and_changes_nothing) {
  ASSERT_EQ(create(1), 0);
  auto session = world.open_instance(uuid(1));
  skip_events();
  EXPECT_EQ(remove(1, RemovePolicy::busy), EBUSY);
  EXPECT_EQ(script->removes, 0U) << "the vendor is not asked in vain";
  EXPECT_TRUE(exists(instance_path(1) + "/remove"));
  EXPECT_TRUE(exists(instance_path(1) + "/mdev_type"));
  EXPECT_TRUE(exists("/bus/mdev/devices/" + name(1)));
  EXPECT_THAT(events(), ElementsAre());
  EXPECT_EQ(world.bus->state(uuid(1)), InstanceState::active);
  EXPECT_TRUE(test::read_file(*session.device, 0, 0, 4).has_value()) << "the user goes on";
  session = {};
  world.host.run();
  EXPECT_EQ(remove(1, RemovePolicy::busy), 0);
}

// --- The vendor's say.

TEST_F(MdevRemove, D18_the_vendor_may_refuse_and_the_file_comes_back) {
  ASSERT_EQ(create(1), 0);
  script->remove_error = EBUSY;
  EXPECT_EQ(write_remove(1), EBUSY);
  EXPECT_TRUE(exists(instance_path(1) + "/remove"));
  EXPECT_EQ(remove(1, RemovePolicy::busy), EBUSY);
  EXPECT_EQ(world.bus->state(uuid(1)), InstanceState::active);
  script->remove_error = 0;
  EXPECT_EQ(write_remove(1), 0);
}

TEST_F(MdevRemove, D18_a_forced_removal_is_not_refused) {
  ASSERT_EQ(create(1), 0);
  script->remove_error = EBUSY;
  EXPECT_EQ(remove(1, RemovePolicy::force), 0);
  EXPECT_EQ(script->forced_removes, 1U);
}

// --- force.

TEST_F(MdevRemove, force_ends_at_the_deadline) {
  ASSERT_EQ(create(1), 0);
  auto session = world.open_instance(uuid(1));
  const auto removal = begin_remove(1, RemovePolicy::force);
  EXPECT_FALSE(removal.is_done()) << "its user is given a little time";
  world.host.advance(world.core->limits().force_deadline - Duration(1));
  EXPECT_FALSE(removal.is_done());
  EXPECT_EQ(create(1), EEXIST);
  EXPECT_EQ(available(), "7\n");
  world.host.advance(Duration(1));
  EXPECT_EQ(removal.error(), 0);
  EXPECT_EQ(test::read_file(*session.device, 0, 0, 4).error().code, ENODEV) << "taken away";
  EXPECT_EQ(available(), "8\n");
  EXPECT_EQ(create(1), 0);
}

TEST_F(MdevRemove, force_ends_before_the_deadline_when_the_user_lets_go) {
  ASSERT_EQ(create(1), 0);
  auto session = world.open_instance(uuid(1));
  const auto removal = begin_remove(1, RemovePolicy::force);
  session = {};
  world.host.run();
  EXPECT_EQ(removal.error(), 0);
}

TEST_F(MdevRemove, force_hurries_a_removal_that_waits) {
  ASSERT_EQ(create(1), 0);
  auto session = world.open_instance(uuid(1));
  const auto waiting = begin_remove(1);
  world.host.advance(std::chrono::minutes(1));
  EXPECT_FALSE(waiting.is_done());
  const auto forced = begin_remove(1, RemovePolicy::force);
  const auto forced_again = begin_remove(1, RemovePolicy::force);
  EXPECT_FALSE(forced.is_done());
  world.host.advance(world.core->limits().force_deadline);
  EXPECT_EQ(waiting.error(), 0);
  EXPECT_EQ(forced.error(), 0);
  EXPECT_EQ(forced_again.error(), 0);
  EXPECT_EQ(script->removes, 1U) << "one removal, one question";
  EXPECT_EQ(remove(1, RemovePolicy::force), ENODEV);
}

TEST_F(MdevRemove, force_hurries_a_write_of_remove_that_blocks) {
  ASSERT_EQ(create(1), 0);
  auto session = world.open_instance(uuid(1));
  const auto written = begin_write(instance_path(1) + "/remove", "1\n");
  const auto forced = begin_remove(1, RemovePolicy::force);
  world.host.advance(world.core->limits().force_deadline);
  EXPECT_EQ(forced.error(), 0);
  EXPECT_EQ(written.error(), 0);
}

// While the vendor thinks about one removal, another comes that cannot be refused.
TEST_F(MdevRemove, force_goes_through_where_the_removal_that_it_joined_is_refused) {
  ASSERT_EQ(create(1), 0);
  script->remove_error = EBUSY;
  Pending<> forced;
  script->during_remove = [this, &forced, joined = false](const Uuid&) mutable {
    if (!std::exchange(joined, true)) forced = begin_remove(1, RemovePolicy::force);
  };
  EXPECT_EQ(remove(1), EBUSY);
  EXPECT_EQ(forced.error(), 0);
  EXPECT_FALSE(exists(instance_path(1)));
  EXPECT_EQ(script->removes, 2U);
  EXPECT_EQ(script->forced_removes, 1U);
}

TEST_F(MdevRemove, force_that_comes_before_the_waiting_began_counts_too) {
  ASSERT_EQ(create(1), 0);
  auto session = world.open_instance(uuid(1));
  Pending<> forced;
  script->during_remove = [this, &forced](const Uuid&) { forced = begin_remove(1, RemovePolicy::force); };
  const auto waiting = begin_remove(1);
  world.host.advance(world.core->limits().force_deadline);
  EXPECT_EQ(waiting.error(), 0);
  EXPECT_EQ(forced.error(), 0);
}

TEST_F(MdevRemove, a_removal_that_waits_for_ever_is_cut_off_after_all) {
  ASSERT_EQ(create(1), 0);
  auto session = world.open_instance(uuid(1));
  const auto removal = begin_remove(1);
  world.host.advance(world.core->limits().remove_deadline);
  EXPECT_EQ(removal.error(), 0);
}

// --- A client that runs.

TEST_F(MdevRemove, D42_hot_unplug_under_a_running_client) {
  struct Client final : vfio::DeviceFileEvents {
    void release_requested(unsigned) override { asked = true; }
    bool asked = false;
  };
  ASSERT_EQ(create(1), 0);
  auto session = world.open_instance(uuid(1));
  const auto client = std::make_shared<Client>();
  session.device->set_events(client);
  // A second instance is plugged in beside the first, used, and taken out again.
  ASSERT_EQ(create(2), 0);
  {
    auto other = world.open_instance(uuid(2));
    EXPECT_TRUE(test::read_file(*other.device, 0, 0, 4).has_value());
  }
  world.host.run();
  EXPECT_EQ(remove(2), 0);
  EXPECT_FALSE(client->asked) << "that was not its device";
  const auto removal = begin_remove(1);
  EXPECT_TRUE(client->asked);
  EXPECT_TRUE(test::read_file(*session.device, 0, 0, 4).has_value()) << "it works until it lets go";
  session = {};
  world.host.run();
  EXPECT_EQ(removal.error(), 0);
}

}  // namespace
}  // namespace umdev::mdev

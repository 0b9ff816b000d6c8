// Instances that move between two worlds of one process.
#include "umdev/manage/mover.h"

#include <gtest/gtest.h>

#include "tests/unit/manage/place.h"
#include "umdev/manage/restore.h"

namespace umdev::manage::test {
namespace {

TEST(MovedInstance, its_stream_says_everything_of_it) {
  const MovedInstance moved{.uuid = uuid,
                            .parent = "mtty",
                            .type = "mtty-2",
                            .interrupts = {true, false},
                            .config = Stream(256, std::byte{3}),
                            .state = Stream(7, std::byte{9})};
  const Stream stream = to_stream(moved).value();
  EXPECT_EQ(moved_instance_of(stream).value(), moved);
  for (std::size_t size = 0; size < stream.size(); ++size)
    EXPECT_EQ(error_of(moved_instance_of(ConstBytes(stream).first(size))), EINVAL) << size;
  for (std::size_t at = 0; at < stream.size(); ++at) {
    Stream bad = stream;
    bad[at] ^= std::byte{0x10};
    EXPECT_EQ(error_of(moved_instance_of(bad)), EINVAL) << at;
  }
  EXPECT_EQ(error_of(to_stream({.state = Stream(moved_instance_max)})), E2BIG);
}

TEST(Mover, a_device_in_use_goes_with_its_state_and_the_source_only_when_told) {
  Place from, to;
  ASSERT_EQ(from.world.create("mtty", "mtty-2", uuid), 0);
  auto client = from.world.open_instance(uuid);
  out(client, 0, spec::scr, 0x42);
  out(client, 1, spec::fcr, spec::fcr_enable_fifo);
  for (const unsigned byte : {0x61U, 0x62U, 0x63U}) out(client, 1, spec::thr, byte);
  ASSERT_TRUE(umdev::test::write_file(*client.device, abi::vfio_pci_config_region_index,
                                      abi::pci_base_address_0,
                                      Stream{std::byte{0x01}, std::byte{0x30}, std::byte{0}, std::byte{0}}));
  const auto config =
      umdev::test::read_file(*client.device, abi::vfio_pci_config_region_index, 0, 256).value();

  const auto stream = from.save(uuid);
  ASSERT_TRUE(stream);
  EXPECT_EQ(error_of(umdev::test::read_file(*client.device, 0, spec::scr, 1)), EBUSY) << "it waits";
  ASSERT_EQ(to.load(*stream), 0);
  EXPECT_TRUE(from.has(uuid));
  EXPECT_TRUE(to.has(uuid));
  EXPECT_EQ(to.world.bus->find(uuid).value()->owner().uid, owner.uid);
  Outcome<> removed;
  from.mover->end(uuid, true, removed.done());
  from.world.host.run();
  client = {};
  from.world.host.run();
  EXPECT_TRUE(removed.succeeded());
  EXPECT_FALSE(from.has(uuid));

  auto there = to.world.open_instance(uuid);
  EXPECT_EQ(in(there, 0, spec::scr), 0x42U);
  for (const unsigned byte : {0x61U, 0x62U, 0x63U}) EXPECT_EQ(in(there, 1, spec::rbr), byte);
  EXPECT_EQ(umdev::test::read_file(*there.device, abi::vfio_pci_config_region_index, 0, 256).value(), config);
  there = {};
  to.world.host.run();
  there = to.world.open_instance(uuid);
  EXPECT_EQ(in(there, 0, spec::scr), 0U) << "the next user finds power-on";
}

TEST(Mover, a_device_that_stays_runs_on_for_its_user) {
  Place from;
  ASSERT_EQ(from.world.create("mtty", "mtty-1", uuid), 0);
  auto client = from.world.open_instance(uuid);
  out(client, 0, spec::scr, 7);
  ASSERT_TRUE(from.save(uuid));
  EXPECT_EQ(error_of(from.save(uuid)), EBUSY) << "once at a time";
  EXPECT_EQ(from.end(uuid, false), 0);
  EXPECT_EQ(in(client, 0, spec::scr), 7U);
  EXPECT_EQ(from.end(uuid, false), ESRCH);
  ASSERT_TRUE(from.save(uuid)) << "and can be tried again";
}

TEST(Mover, sessions_are_paused_from_before_the_device_stands_until_after_it_runs) {
  Place from;
  ASSERT_EQ(from.world.create("mtty", "mtty-1", uuid), 0);
  ASSERT_EQ(from.world.create("null", "null-1", MdevWorld::uuid(2)), 0);
  auto client = from.world.open_instance(uuid);
  ASSERT_TRUE(from.save(uuid));
  EXPECT_EQ(from.door->happened, "pause ");
  EXPECT_EQ(from.end(uuid, false), 0);
  EXPECT_EQ(from.door->happened, "pause resume ");
  EXPECT_EQ(from.save(MdevWorld::uuid(2)).error().code, EOPNOTSUPP);
  EXPECT_EQ(from.door->happened, "pause resume pause resume ") << "what cannot be saved goes on";
}

TEST(Mover, a_device_runs_on_when_nobody_says_what_became_of_it) {
  Place from;
  ASSERT_EQ(from.world.create("mtty", "mtty-1", uuid), 0);
  auto client = from.world.open_instance(uuid);
  out(client, 0, spec::scr, 7);
  ASSERT_TRUE(from.save(uuid));
  from.world.host.advance(Mover::patience + std::chrono::seconds(1));
  EXPECT_EQ(in(client, 0, spec::scr), 7U);
  EXPECT_EQ(from.end(uuid, true), ESRCH) << "too late to remove it";
  EXPECT_TRUE(from.has(uuid));
}

TEST(Mover, a_device_that_nobody_uses_keeps_its_state_through_any_number_of_moves) {
  Place a, b;
  ASSERT_EQ(a.world.create("mtty", "mtty-1", uuid), 0);
  auto client = a.world.open_instance(uuid);
  out(client, 0, spec::scr, 9);
  Stream stream = a.save(uuid).value();
  ASSERT_EQ(b.load(stream), 0);
  client = {};
  ASSERT_EQ(a.end(uuid, true), 0);
  // Back, and refused there, and back again.
  stream = b.save(uuid).value();
  ASSERT_EQ(b.end(uuid, false), 0);
  stream = b.save(uuid).value();
  ASSERT_EQ(a.load(stream), 0);
  ASSERT_EQ(b.end(uuid, true), 0);
  client = a.world.open_instance(uuid);
  EXPECT_EQ(in(client, 0, spec::scr), 9U);
}

TEST(Mover, what_cannot_be_moved_says_why_and_runs_on) {
  Place from;
  EXPECT_EQ(error_of(from.save(uuid)), ENODEV);
  ASSERT_EQ(from.world.create("null", "null-1", uuid), 0);
  EXPECT_EQ(error_of(from.save(uuid)), EOPNOTSUPP);
  EXPECT_EQ(from.end(uuid, true), ESRCH);
  EXPECT_TRUE(from.has(uuid));
  const Uuid other = MdevWorld::uuid(2);
  ASSERT_EQ(from.world.create("mtty", "mtty-1", other), 0);
  auto client = from.world.open_instance(other);
  Outcome<std::shared_ptr<vfio::MigrationFile>> stopped;
  client.device->set_migration_state(vfio::MigrationState::stop, stopped.done());
  EXPECT_EQ(error_of(from.save(other)), EBUSY) << "its user is moving it";
  EXPECT_EQ(client.device->migration_state().value(), vfio::MigrationState::stop);
}

TEST(Mover, a_target_that_cannot_take_it_is_left_as_it_was) {
  Place from, full(1);
  ASSERT_EQ(from.world.create("mtty", "mtty-2", uuid), 0);
  const Stream stream = from.save(uuid).value();
  EXPECT_EQ(full.load(stream), ENOSPC);
  EXPECT_EQ(full.load(stream, "nobody"), ENODEV);
  EXPECT_EQ(full.load(stream, "null"), EINVAL) << "it has no such type";
  EXPECT_EQ(from.load(stream), EEXIST) << "the source has it still";
  EXPECT_FALSE(full.has(uuid));

  Place to;
  MovedInstance wrong = moved_instance_of(stream).value();
  wrong.type = "mtty-1";
  EXPECT_EQ(to.load(to_stream(wrong).value()), EINVAL) << "a card of one port is none of two";
  EXPECT_FALSE(to.has(uuid));
  wrong.type = "mtty-2";
  wrong.config[0] ^= std::byte{1};
  EXPECT_EQ(to.load(to_stream(wrong).value()), EINVAL) << "another vendor";
  EXPECT_FALSE(to.has(uuid));
  Stream damaged = stream;
  damaged[stream.size() / 2] ^= std::byte{1};
  EXPECT_EQ(to.load(damaged), EINVAL);
  EXPECT_EQ(from.end(uuid, false), 0);
  EXPECT_TRUE(from.has(uuid));
}

TEST(Mover, a_reset_in_between_is_no_obstacle_to_running_on) {
  Place from;
  ASSERT_EQ(from.world.create("mtty", "mtty-1", uuid), 0);
  auto client = from.world.open_instance(uuid);
  ASSERT_TRUE(from.save(uuid));
  Outcome<> reset;
  client.device->reset(reset.done());
  ASSERT_TRUE(reset.succeeded());
  EXPECT_EQ(from.end(uuid, false), 0);
  EXPECT_EQ(in(client, 0, spec::scr), 0U);
}

}  // namespace
}  // namespace umdev::manage::test

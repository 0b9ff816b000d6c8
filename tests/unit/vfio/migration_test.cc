// Migration as the user of an open device sees it: features, the data stream, reset, close.
#include "umdev/vfio/migration.h"

#include <gtest/gtest.h>

#include <optional>

#include "tests/support/core_world.h"
#include "tests/support/fake_migration.h"
#include "tests/support/feature.h"
#include "tests/support/outcome.h"

namespace umdev::vfio {
namespace {

using enum MigrationState;
using test::CoreWorld;
using test::error_of;
using test::Outcome;
using Arcs = std::vector<std::string>;
using FileOutcome = Outcome<std::shared_ptr<MigrationFile>>;

constexpr std::uint32_t get = abi::vfio_device_feature_get;
constexpr std::uint32_t set = abi::vfio_device_feature_set;
constexpr std::uint32_t probe = abi::vfio_device_feature_probe;

struct Open {
  test::FakeMigration driver;
  CoreWorld world;
  CoreWorld::Registered device;
  CoreWorld::Session session;

  explicit Open(std::uint64_t flags = 7) {
    driver.the_flags = flags;
    auto script = std::make_shared<test::DeviceScript>();
    script->migration = &driver;
    device = world.add_device("a", std::move(script));
    session = world.open(device);
  }
  DeviceFile& file() { return *session.device; }

  // Errno; what the change began is in `stream`.
  int go(MigrationState wanted) {
    FileOutcome outcome;
    file().set_migration_state(wanted, outcome.done());
    stream = outcome.value().value_or(nullptr);
    return outcome.error();
  }
  int feature(std::uint32_t flags, ConstBytes data = {}, std::uint64_t room = UINT64_MAX) {
    return error_of(test::feature(file(), {.flags = flags, .data = data, .room = room}));
  }
  MigrationState state() { return file().migration_state().value(); }

  std::shared_ptr<MigrationFile> stream;
};

std::vector<std::byte> text(std::string_view characters) {
  const auto bytes = std::as_bytes(std::span(characters));
  return {bytes.begin(), bytes.end()};
}

// What one read answers: the bytes as text, or the errno's name.
std::string read(MigrationFile& file, std::size_t size = 100) {
  std::vector<std::byte> buffer(size);
  const auto count = file.read(buffer);
  if (!count) return std::string(errno_name(count.error().code));
  return {reinterpret_cast<const char*>(buffer.data()), *count};
}

TEST(MigrationFeature, A17_without_migration_every_feature_of_it_is_enotty) {
  CoreWorld world;
  const auto device = world.add_device("a");
  const auto session = world.open(device);
  for (const std::uint32_t number : {1U, 2U, 6U, 7U, 8U, 9U, 12U})
    for (const std::uint32_t operation : {get, set, probe | get, probe | set})
      EXPECT_EQ(error_of(test::feature(*session.device, {.flags = number | operation})), ENOTTY) << number;
  FileOutcome outcome;
  session.device->set_migration_state(stop, outcome.done());
  EXPECT_EQ(outcome.error(), ENOTTY);
  EXPECT_EQ(error_of(session.device->migration_state()), ENOTTY);
  EXPECT_EQ(session.device->migration_file(), nullptr);
}

TEST(MigrationFeature, A17_the_flags_are_the_drivers) {
  Open open(5);
  EXPECT_EQ(
      test::get_feature<abi::VfioDeviceFeatureMigration>(open.file(), abi::vfio_device_feature_migration)
          ->flags,
      5U);
}

TEST(MigrationFeature, C43_operations_probes_and_sizes_are_checked_in_the_kernels_order) {
  Open open;
  const abi::VfioDeviceFeatureMigState state{.device_state = 2, .data_fd = -1};
  const ConstBytes full = bytes_of(state);
  struct Case {
    std::uint32_t flags;
    ConstBytes data;
    std::uint64_t room;
    int error;
  };
  const Case cases[] = {
      {1 | get, {}, 8, 0},
      {1 | get, {}, 7, EINVAL},
      {1 | set, full, 8, EINVAL},
      {1 | set | probe, {}, 0, EINVAL},
      {1 | get | set | probe, {}, 0, EINVAL},
      {1 | get | probe, {}, 0, 0},
      {1 | probe, {}, 0, 0},
      {1, {}, 8, EINVAL},
      {2 | get, {}, 8, 0},
      {2 | get, {}, 4, EINVAL},
      {2 | set, full, 8, 0},
      {2 | set, full, 7, EINVAL},
      {2 | set, full.first(7), 8, EINVAL},
      {2 | get | set, full, 8, EINVAL},
      {2 | get | set | probe, {}, 0, 0},
      {2, full, 8, EINVAL},
      {9 | get, {}, 8, 0},
      {9 | get, {}, 0, EINVAL},
      {9 | set, full, 8, EINVAL},
      {9 | probe, {}, 0, 0},
      {12 | set, {}, 0, 0},
      {12 | get, {}, 0, EINVAL},
      {12 | set | probe, {}, 0, 0},
      {12, {}, 0, EINVAL},
      {1 | get | 1U << 19, {}, 8, EINVAL},
  };
  for (const Case& c : cases)
    EXPECT_EQ(open.feature(c.flags, c.data, c.room), c.error)
        << std::hex << c.flags << " data " << c.data.size() << " room " << c.room;
}

TEST(MigrationFeature, C43_precopy_info_v2_needs_pre_copy) {
  Open open(3);
  EXPECT_EQ(open.feature(12 | set), EINVAL);
}

TEST(MigrationFeature, the_data_size_is_asked_of_the_driver_in_any_state) {
  Open open;
  for (const MigrationState state : {running, stop, stop_copy, stop, resuming, running_p2p, pre_copy_p2p}) {
    ASSERT_EQ(open.go(state), 0);
    EXPECT_EQ(test::get_feature<abi::VfioDeviceFeatureMigDataSize>(open.file(),
                                                                   abi::vfio_device_feature_mig_data_size)
                  ->stop_copy_length,
              4711U);
  }
}

TEST(MigrationFeature, setting_the_state_answers_it_and_the_stream_and_getting_it_tells_it) {
  Open open;
  const abi::VfioDeviceFeatureMigState wanted{.device_state = abi::vfio_device_state_stop_copy, .data_fd = 9};
  std::optional<Result<FeatureAnswer>> answer;
  open.file().feature({.flags = 2 | set, .data = bytes_of(wanted)},
                      [&](Result<FeatureAnswer> result) { answer = std::move(result); });
  ASSERT_TRUE(answer && answer->has_value());
  const auto echoed = load_struct<abi::VfioDeviceFeatureMigState>((*answer)->data);
  EXPECT_EQ(echoed->device_state, abi::vfio_device_state_stop_copy);
  EXPECT_EQ(echoed->data_fd, -1);
  EXPECT_NE((*answer)->file, nullptr);
  EXPECT_EQ((*answer)->file, open.file().migration_file());
  const auto state = test::get_feature<abi::VfioDeviceFeatureMigState>(open.file(), 2);
  EXPECT_EQ(state->device_state, abi::vfio_device_state_stop_copy);
  EXPECT_EQ(state->data_fd, -1);
}

TEST(MigrationFeature, a_state_that_no_device_has_is_einval_and_changes_nothing) {
  Open open;
  for (const std::uint32_t number : {0U, 8U, UINT32_MAX})
    EXPECT_EQ(open.feature(2 | set, bytes_of(abi::VfioDeviceFeatureMigState{number, -1})), EINVAL);
  EXPECT_EQ(open.state(), running);
  EXPECT_EQ(open.driver.arcs, Arcs());
}

TEST(MigrationArcs, A17_the_driver_walks_one_arc_a_call) {
  Open open;
  EXPECT_EQ(open.go(resuming), 0);
  EXPECT_EQ(open.driver.arcs, (Arcs{"RUNNING>RUNNING_P2P", "RUNNING_P2P>STOP", "STOP>RESUMING"}));
  EXPECT_EQ(open.state(), resuming);
  EXPECT_EQ(open.go(resuming), 0);
  EXPECT_EQ(open.stream, nullptr) << "no arc, no new stream";
  EXPECT_EQ(open.driver.arcs.size(), 3U);
}

TEST(MigrationArcs, the_states_of_saving_share_one_stream_and_resuming_has_its_own) {
  Open open;
  ASSERT_EQ(open.go(pre_copy), 0);
  const auto saving = open.stream;
  ASSERT_NE(saving, nullptr);
  ASSERT_EQ(open.go(stop_copy), 0);
  EXPECT_EQ(open.stream, nullptr);
  EXPECT_EQ(open.file().migration_file(), saving);
  ASSERT_EQ(open.go(resuming), 0);
  EXPECT_NE(open.stream, nullptr);
  EXPECT_NE(open.stream, saving);
  EXPECT_EQ(read(*saving), "ENODEV");
}

TEST(MigrationArcs, a_failed_arc_leaves_the_device_where_it_began) {
  Open open;
  open.driver.errors = {0, ENOMEM};
  EXPECT_EQ(open.go(stop), ENOMEM);
  EXPECT_EQ(open.state(), running_p2p);
  EXPECT_EQ(open.go(stop), 0);
}

TEST(MigrationArcs, enotrecoverable_leads_to_error_and_only_a_reset_out_of_it) {
  Open open;
  ASSERT_EQ(open.go(stop_copy), 0);
  const auto saving = open.stream;
  open.driver.errors = {ENOTRECOVERABLE};
  EXPECT_EQ(open.go(stop), ENOTRECOVERABLE);
  EXPECT_EQ(open.state(), error);
  EXPECT_EQ(read(*saving), "ENODEV");
  for (const MigrationState wanted : {stop, running, stop_copy, resuming, error})
    EXPECT_EQ(open.go(wanted), EINVAL);
  Outcome<> reset;
  open.file().reset(reset.done());
  EXPECT_EQ(reset.error(), 0);
  EXPECT_EQ(open.state(), running);
  EXPECT_EQ(open.go(stop), 0);
}

TEST(MigrationArcs, a_transfer_without_data_is_the_drivers_mistake) {
  Open open;
  open.driver.forget_data = true;
  EXPECT_EQ(open.go(stop_copy), EIO);
  EXPECT_EQ(open.state(), error);
}

TEST(MigrationArcs, an_arc_may_complete_later_and_what_comes_then_waits) {
  Open open;
  open.driver.hold = true;
  FileOutcome first, second;
  open.file().set_migration_state(running_p2p, first.done());
  open.file().set_migration_state(running, second.done());
  EXPECT_FALSE(first.is_done());
  EXPECT_EQ(open.state(), running);
  EXPECT_EQ(open.driver.arcs.size(), 1U) << "one change at a time";
  open.driver.hold = false;
  open.driver.held(nullptr);
  EXPECT_EQ(first.error(), 0);
  EXPECT_EQ(second.error(), 0);
  EXPECT_EQ(open.driver.arcs, (Arcs{"RUNNING>RUNNING_P2P", "RUNNING_P2P>RUNNING"}));
}

TEST(MigrationArcs, a_reset_during_a_change_comes_after_it) {
  Open open;
  open.driver.hold = true;
  FileOutcome change;
  Outcome<> reset;
  open.file().set_migration_state(running_p2p, change.done());
  open.file().reset(reset.done());
  EXPECT_FALSE(reset.is_done()) << "and nobody waits on a thread for it";
  open.driver.held(nullptr);
  EXPECT_EQ(change.error(), 0);
  EXPECT_EQ(reset.error(), 0);
  EXPECT_EQ(open.state(), running);
  EXPECT_EQ(open.driver.arcs, (Arcs{"RUNNING>RUNNING_P2P", "ended"}));
}

TEST(MigrationArcs, A17_a_reset_ends_the_transfer_from_every_state) {
  for (const MigrationState state :
       {stop, running, stop_copy, resuming, running_p2p, pre_copy, pre_copy_p2p}) {
    Open open;
    ASSERT_EQ(open.go(state), 0);
    const auto stream = open.stream;
    Outcome<> reset;
    open.file().reset(reset.done());
    EXPECT_EQ(reset.error(), 0);
    EXPECT_EQ(open.state(), running);
    EXPECT_EQ(open.file().migration_file(), nullptr);
    EXPECT_EQ(stream ? read(*stream) : "ENODEV", "ENODEV");
  }
}

TEST(MigrationArcs, an_arc_that_is_not_completed_in_time_faults_the_device) {
  Open open;
  open.driver.hold = true;
  FileOutcome change;
  open.file().set_migration_state(stop, change.done());
  open.world.host.advance(std::chrono::seconds(3));
  EXPECT_EQ(change.error(), ETIMEDOUT);
  EXPECT_TRUE(open.device.device->faulted());
  EXPECT_EQ(open.go(stop), EIO);
  open.driver.held(nullptr);  // too late, and ignored
}

TEST(MigrationArcs, closing_ends_the_transfer_and_the_next_user_begins_at_running) {
  Open open;
  ASSERT_EQ(open.go(stop_copy), 0);
  const auto stream = open.stream;
  open.driver.arcs.clear();
  open.session = {};
  EXPECT_EQ(open.driver.arcs, Arcs{"ended"});
  EXPECT_EQ(read(*stream), "ENODEV");
  open.session = open.world.open(open.device);
  EXPECT_EQ(open.state(), running);
}

TEST(MigrationArcs, a_change_while_the_device_closes_waits_for_it) {
  Open open;
  open.device.script->hold_close = true;
  const auto container = open.session.container;
  const auto group = open.session.group;
  open.session.device.reset();
  FileOutcome change;
  std::shared_ptr<DeviceFile> file;
  group->get_device("a", [&](Result<std::shared_ptr<DeviceFile>> opened) {
    file = opened.value();
    file->set_migration_state(stop, change.done());
  });
  EXPECT_FALSE(change.is_done());
  open.device.script->hold_close = false;
  open.device.script->held_close();
  EXPECT_EQ(change.error(), 0);
  EXPECT_EQ(file->migration_state().value(), stop);
}

// --- The stream.

TEST(MigrationStream, pre_copy_ends_for_the_time_being_and_stop_copy_for_good) {
  Open open;
  ASSERT_EQ(open.go(pre_copy), 0);
  const auto stream = open.stream;
  EXPECT_EQ(read(*stream), "ENOMSG");
  open.driver.data->bytes = text("first");
  EXPECT_EQ(read(*stream, 3), "fir");
  EXPECT_EQ(stream->precopy_info()->initial_bytes, 2U);
  EXPECT_EQ(read(*stream), "st");
  EXPECT_EQ(read(*stream), "ENOMSG");
  ASSERT_EQ(open.go(stop_copy), 0);
  open.driver.data->bytes = text("last");
  EXPECT_EQ(error_of(stream->precopy_info()), EINVAL);
  EXPECT_EQ(read(*stream), "last");
  EXPECT_EQ(read(*stream), "");
  EXPECT_EQ(read(*stream), "");
  EXPECT_EQ(error_of(stream->write(text("x"))), EBADF);
  ASSERT_EQ(open.go(stop), 0);
  EXPECT_EQ(read(*stream), "ENODEV");
  EXPECT_EQ(error_of(stream->precopy_info()), ENODEV);
}

TEST(MigrationStream, resuming_takes_bytes_and_gives_none) {
  Open open;
  ASSERT_EQ(open.go(resuming), 0);
  const auto stream = open.stream;
  EXPECT_EQ(stream->write(text("ab")).value(), 2U);
  EXPECT_EQ(stream->write({}).value(), 0U);
  EXPECT_EQ(open.driver.data->bytes, text("ab"));
  EXPECT_EQ(read(*stream), "EBADF");
  EXPECT_EQ(error_of(stream->precopy_info()), EINVAL);
  open.driver.errors = {EINVAL};
  EXPECT_EQ(open.go(stop), EINVAL) << "an incomplete stream";
  EXPECT_EQ(open.state(), resuming);
  EXPECT_EQ(stream->write(text("c")).value(), 1U) << "the transfer goes on";
  EXPECT_EQ(open.go(stop), 0);
  EXPECT_EQ(error_of(stream->write(text("d"))), ENODEV);
}

TEST(MigrationStream, who_waits_in_pre_copy_is_woken_by_what_changes) {
  Open open;
  ASSERT_EQ(open.go(pre_copy), 0);
  const auto stream = open.stream;
  EXPECT_FALSE(stream->ready());
  Outcome<> waiting, waiting_too;
  stream->when_ready(waiting.done());
  EXPECT_FALSE(waiting.is_done());
  ASSERT_EQ(open.go(pre_copy_p2p), 0);
  EXPECT_FALSE(waiting.is_done()) << "still in pre-copy, and nothing to read";
  stream->when_ready(waiting_too.done());
  EXPECT_EQ(waiting.error(), ECANCELED);
  ASSERT_EQ(open.go(stop_copy), 0);
  EXPECT_EQ(waiting_too.error(), 0);
  EXPECT_TRUE(stream->ready());
}

TEST(MigrationStream, who_waits_is_woken_by_the_end) {
  Open open;
  ASSERT_EQ(open.go(pre_copy), 0);
  Outcome<> waiting;
  open.stream->when_ready(waiting.done());
  open.session = {};
  EXPECT_EQ(waiting.error(), 0);
  EXPECT_TRUE(open.stream->ready());
}

}  // namespace
}  // namespace umdev::vfio

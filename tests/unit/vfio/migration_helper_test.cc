// What MigrationHelper does for a driver, in each of the four graphs.
#include "umdev/vfio/migration_helper.h"

#include <gtest/gtest.h>

#include "tests/support/core_world.h"
#include "tests/support/feature.h"
#include "tests/support/migration_steps.h"
#include "tests/support/outcome.h"

namespace umdev::vfio {
namespace {

using enum MigrationState;
using test::CoreWorld;
using test::error_of;
using test::Outcome;
using Stream = std::vector<std::byte>;

constexpr StreamTag number_tag("numb");
constexpr StreamTag ahead_tag("ahed");

// A device whose whole state is a number.
class Number final : public MigrationHelper {
 public:
  explicit Number(std::uint64_t flags)
      : MigrationHelper({.flags = flags, .identity = "number", .stream_max = 256}) {}

  std::uint64_t value = 0;
  bool big = false;
  bool strange = false;  // saves a section that nobody knows
  int arc_error = 0;
  std::vector<std::string> arcs;
  Done<> held;
  bool hold = false;

 protected:
  void on_arc(User&, MigrationState from, MigrationState to, Done<> done) override {
    arcs.push_back(std::string(name_of(from)) + ">" + std::string(name_of(to)));
    if (hold) {
      held = std::move(done);
      return;
    }
    if (arc_error != 0) return done(fail(arc_error, "the test said so"));
    done();
  }
  Result<> save_precopy(StreamWriter& stream) override {
    stream.begin(ahead_tag, 1, SectionKind::optional);
    stream.put(std::uint64_t{1});
    return {};
  }
  Result<> save_final(StreamWriter& stream) override {
    stream.begin(number_tag, 1);
    stream.put(value);
    if (strange) stream.begin(StreamTag("what"), 1);
    if (big) stream.put_bytes(Stream(1000));
    return {};
  }
  Result<> load(User&, StreamReader& stream) override {
    SectionReader section = UMDEV_TRY(stream.take(number_tag, 1));
    const auto loaded = UMDEV_TRY(section.get<std::uint64_t>());
    UMDEV_TRY(section.end());
    UMDEV_TRY(stream.end());
    value = loaded;
    return {};
  }
  std::uint64_t estimate() const override { return 64; }
  void on_ended(User&) override { arcs.emplace_back("ended"); }
};

struct Open {
  Number driver;
  CoreWorld world;
  CoreWorld::Registered device;
  CoreWorld::Session session;

  explicit Open(std::uint64_t flags = 7) : driver(flags) {
    auto script = std::make_shared<test::DeviceScript>();
    script->migration = &driver;
    device = world.add_device("a", std::move(script));
    session = world.open(device);
  }
  DeviceFile& file() { return *session.device; }
  MigrationState state() { return file().migration_state().value(); }
  void reset() {
    Outcome<> outcome;
    file().reset(outcome.done());
    ASSERT_TRUE(outcome.succeeded());
  }
};

TEST(MigrationHelper, C43_every_set_in_every_graph) {
  int checked = 0;
  for (const std::uint64_t flags : {1U, 3U, 5U, 7U}) {
    for (std::uint32_t from = 1; from < migration_states; ++from) {
      for (std::uint32_t to = 0; to < migration_states; ++to, ++checked) {
        Open open(flags);
        const MigrationState first = *migration_state_of(from);
        const MigrationState second = *migration_state_of(to);
        if (!has_state(flags, first)) {
          EXPECT_EQ(error_of(test::go(open.file(), first)), EINVAL);
          continue;
        }
        ASSERT_TRUE(test::go(open.file(), first));
        const auto before = open.file().migration_file();
        const auto stream = test::go(open.file(), second);
        const bool possible = next_migration_state(flags, first, second).has_value();
        const bool incomplete = first == resuming && second != resuming;
        EXPECT_EQ(error_of(stream), possible && !incomplete ? 0 : EINVAL)
            << flags << " " << name_of(first) << " " << name_of(second);
        EXPECT_EQ(open.state(), stream ? second : first);
        if (!stream) continue;
        const bool begins =
            first != second && is_transferring(second) && !(is_saving(first) && is_saving(second));
        EXPECT_EQ(*stream != nullptr, begins) << flags << " " << name_of(first) << " " << name_of(second);
        EXPECT_EQ(open.file().migration_file() != nullptr, is_transferring(second));
        if (!begins && is_transferring(second)) {
          EXPECT_EQ(open.file().migration_file(), before);
        }
      }
    }
  }
  EXPECT_EQ(checked, 224);
}

TEST(MigrationHelper, the_state_goes_over_and_what_went_ahead_may_be_skipped) {
  for (const MigrationState first : {stop_copy, pre_copy, pre_copy_p2p}) {
    Open source, target;
    source.driver.value = 0x123456789;
    const auto stream = test::go(source.file(), first).value();
    ASSERT_TRUE(test::go(source.file(), stop_copy));
    EXPECT_TRUE(test::load(target.file(), test::read_all(*stream))) << name_of(first);
    EXPECT_EQ(target.driver.value, 0x123456789U);
  }
}

TEST(MigrationHelper, pre_copy_tells_what_is_left_to_read) {
  Open open;
  const auto stream = test::go(open.file(), pre_copy).value();
  const std::uint64_t initial = stream->precopy_info()->initial_bytes;
  EXPECT_TRUE(stream->ready());
  Stream buffer(10);
  ASSERT_TRUE(stream->read(buffer));
  EXPECT_EQ(stream->precopy_info()->initial_bytes, initial - 10);
  (void)test::read_all(*stream);
  EXPECT_FALSE(stream->ready());
}

TEST(MigrationHelper, a_state_that_does_not_fit_ends_in_error_if_the_device_was_stopped_for_it) {
  Open open;
  open.driver.big = true;
  EXPECT_EQ(error_of(test::go(open.file(), stop_copy)), E2BIG);
  EXPECT_EQ(open.state(), stop);
  ASSERT_TRUE(test::go(open.file(), pre_copy));
  EXPECT_EQ(error_of(test::go(open.file(), stop_copy)), ENOTRECOVERABLE);
  EXPECT_EQ(open.state(), error);
  open.reset();
  EXPECT_EQ(open.state(), running);
}

TEST(MigrationHelper, a_section_that_the_target_does_not_know_is_refused) {
  Open source, target;
  source.driver.strange = true;
  source.driver.value = 5;
  EXPECT_EQ(error_of(test::load(target.file(), test::save(source.file()))), EINVAL);
  EXPECT_EQ(target.driver.value, 0U);
  EXPECT_EQ(target.state(), resuming);
}

TEST(MigrationHelper, a_refused_write_is_taken_back_whole) {
  Open open;
  const Stream good = test::save(open.file());
  const auto stream = test::go(open.file(), resuming).value();
  EXPECT_EQ(error_of(stream->write(Stream(8))), EINVAL);
  EXPECT_EQ(error_of(stream->write(Stream(1000))), E2BIG);
  ASSERT_TRUE(test::write_all(*stream, good));
  EXPECT_TRUE(test::go(open.file(), running));
}

TEST(MigrationHelper, an_arc_that_the_driver_refuses_leaves_the_device_where_it_was) {
  Open open;
  open.driver.arc_error = EAGAIN;
  EXPECT_EQ(error_of(test::go(open.file(), stop_copy)), EAGAIN);
  EXPECT_EQ(open.state(), running);
}

TEST(MigrationHelper, a_reset_tells_the_driver_to_run_again) {
  Open open;
  ASSERT_TRUE(test::go(open.file(), resuming));
  open.driver.arcs.clear();
  open.reset();
  EXPECT_EQ(open.driver.arcs, std::vector<std::string>{"ended"});
}

TEST(MigrationHelper, a_driver_that_stops_later_delays_the_arc) {
  Open open;
  open.driver.hold = true;
  Outcome<std::shared_ptr<MigrationFile>> outcome;
  open.file().set_migration_state(running_p2p, outcome.done());
  EXPECT_FALSE(outcome.is_done());
  open.driver.held();
  EXPECT_TRUE(outcome.succeeded());
}

}  // namespace
}  // namespace umdev::vfio

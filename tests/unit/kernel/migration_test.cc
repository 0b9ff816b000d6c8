// Devices of modules that move: struct vfio_migration_ops, and files of the driver's own operations.
#include "umdev/abi/migration.h"

#include "tests/unit/kernel/module_fixture.h"
#include "umdev/support/sanitizers.h"
#include "umdev/vfio/feature.h"

namespace umdev::kernel {
namespace {

using test::Outcome;
using test::read_file;
using test::write_file;
using enum vfio::MigrationState;

constexpr int fault_refuse = 1;
constexpr int fault_lose = 2;
constexpr int fault_crash = 3;
constexpr int fault_no_file = 4;
constexpr int fault_more_files = 5;
constexpr int fault_stream = 6;
constexpr int fault_crash_stream = 7;

class Moving : public ModuleTest {
 public:
  struct Side {
    test::CoreWorld::Session session;
    std::shared_ptr<vfio::MigrationFile> stream;
  };
  void begin(const std::string& module = "mover") {
    ASSERT_EQ(insmod(module), 0);
    ASSERT_EQ(create(1, "mover", "mover-one"), 0);
    side.session = open(1);
  }
  void begin_to_crash() {
    leaves_memory = true;
    ASSERT_EQ(load_guarded("mover_crash"), 0);
    ASSERT_EQ(init(), 0);
    ASSERT_EQ(create(1, "mover", "mover-one"), 0);
    side.session = open(1);
  }
  void TearDown() override {
    side = {};
    ModuleTest::TearDown();
  }
  test::CoreWorld::Session open(unsigned n) { return world.open_instance(test::MdevWorld::uuid(n)); }
  int go(vfio::MigrationState state, Side& with) {
    Outcome<std::shared_ptr<vfio::MigrationFile>> outcome;
    with.session.device->set_migration_state(state, outcome.done());
    EXPECT_TRUE(run_until([&] { return outcome.is_done(); }));
    if (!outcome.succeeded()) return outcome.error();
    if (*outcome.value()) with.stream = *outcome.value();
    return 0;
  }
  int go(vfio::MigrationState state) { return go(state, side); }
  vfio::MigrationState state() const { return side.session.device->migration_state().value(); }
  void arm(int fault) {
    EXPECT_TRUE(write_file(*side.session.device, 0, 15, std::vector<std::byte>{std::byte(fault)}));
  }
  int feature(std::uint32_t flags) {
    auto result = wait_for_result<vfio::FeatureAnswer>([&](Done<vfio::FeatureAnswer> done) {
      side.session.device->feature({.flags = flags, .data = {}, .room = 64}, std::move(done));
    });
    if (result) answer = std::move(result->data);
    return test::error_of(result);
  }
  static std::vector<std::byte> drain(vfio::MigrationFile& stream) {
    std::vector<std::byte> all;
    std::array<std::byte, 5> part{};
    while (const std::size_t count = stream.read(part).value_or(0))
      all.insert(all.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(count));
    return all;
  }
  Side side;
  std::vector<std::byte> answer;
};

constexpr std::uint32_t get = abi::vfio_device_feature_get;

TEST_F(Moving, A17_the_state_of_a_device_moves_to_another_one) {
  ASSERT_NO_FATAL_FAILURE(begin());
  write_file(*side.session.device, 0, 3, std::vector<std::byte>{std::byte{77}}).value();
  ASSERT_EQ(go(stop_copy), 0);
  const auto bytes = drain(*side.stream);
  EXPECT_EQ(bytes.size(), 16U);

  ASSERT_EQ(create(2, "mover", "mover-one"), 0);
  Side other{.session = open(2), .stream = nullptr};
  ASSERT_EQ(go(resuming, other), 0);
  EXPECT_EQ(other.stream->write(bytes).value(), 16U) << "a file that takes two bytes at a time is given all";
  EXPECT_EQ(other.stream->write(bytes).error().code, ENOSPC);
  ASSERT_EQ(go(running, other), 0);
  EXPECT_EQ(read_file(*other.session.device, 0, 0, 16).value(), bytes);
}

TEST_F(Moving, A17_pre_copy_ends_for_the_time_being_and_stop_copy_for_good) {
  ASSERT_NO_FATAL_FAILURE(begin());
  ASSERT_EQ(go(pre_copy), 0);
  std::array<std::byte, 16> bytes{};
  EXPECT_EQ(side.stream->read(bytes).error().code, ENOMSG);
  EXPECT_EQ(side.stream->precopy_info()->initial_bytes, 3U);
  EXPECT_EQ(side.stream->precopy_info()->dirty_bytes, 4U);
  const auto stream = side.stream;
  ASSERT_EQ(go(stop_copy), 0);
  EXPECT_EQ(side.stream, stream);
  EXPECT_EQ(side.stream->precopy_info().error().code, EINVAL);
  EXPECT_EQ(drain(*side.stream).size(), 16U);
  ASSERT_EQ(go(running), 0);
  EXPECT_EQ(stream->read(bytes).error().code, ENODEV);
  EXPECT_TRUE(world.host.log().contains("0 files left")) << "released when the transfer was left";
}

TEST_F(Moving, what_the_features_say_is_the_drivers) {
  ASSERT_NO_FATAL_FAILURE(begin());
  ASSERT_EQ(feature(get | abi::vfio_device_feature_migration), 0);
  EXPECT_EQ(load_struct<abi::VfioDeviceFeatureMigration>(answer)->flags,
            abi::vfio_migration_stop_copy | abi::vfio_migration_pre_copy);
  ASSERT_EQ(feature(get | abi::vfio_device_feature_mig_data_size), 0);
  EXPECT_EQ(load_struct<abi::VfioDeviceFeatureMigDataSize>(answer)->stop_copy_length, 16U);
  arm(fault_stream);
  EXPECT_EQ(feature(get | abi::vfio_device_feature_mig_data_size), EDOM);
}

TEST_F(Moving, states_outside_of_its_flags_are_EINVAL_and_change_nothing) {
  ASSERT_NO_FATAL_FAILURE(begin());
  EXPECT_EQ(go(running_p2p), EINVAL);
  EXPECT_EQ(go(pre_copy_p2p), EINVAL);
  EXPECT_EQ(go(error), EINVAL);
  EXPECT_EQ(state(), running);
}

TEST_F(Moving, an_error_of_the_driver_is_its_users_and_leaves_the_device_where_it_was) {
  ASSERT_NO_FATAL_FAILURE(begin());
  arm(fault_refuse);
  EXPECT_EQ(go(stop), EXDEV);
  EXPECT_EQ(state(), running);
  EXPECT_EQ(go(stop), 0);
}

TEST_F(Moving, a_driver_that_has_lost_its_device_says_so_by_get_state) {
  ASSERT_NO_FATAL_FAILURE(begin());
  arm(fault_lose);
  EXPECT_EQ(go(stop), EXDEV);
  EXPECT_EQ(state(), error);
  EXPECT_EQ(go(running), EINVAL);
  Outcome<> reset;
  side.session.device->reset(reset.done());
  EXPECT_TRUE(run_until([&] { return reset.is_done(); }));
  EXPECT_EQ(state(), running);
  EXPECT_EQ(go(stop_copy), 0);
}

TEST_F(Moving, a_transfer_without_a_file_is_EIO_and_one_too_many_is_put) {
  ASSERT_NO_FATAL_FAILURE(begin());
  arm(fault_more_files);
  EXPECT_EQ(go(stop), 0);
  EXPECT_TRUE(world.host.log().contains("0 files left"));
  arm(fault_no_file);
  EXPECT_EQ(go(stop_copy), EIO);
  EXPECT_EQ(state(), error);
}

TEST_F(Moving, an_error_of_the_stream_is_its_readers) {
  ASSERT_NO_FATAL_FAILURE(begin());
  ASSERT_EQ(go(pre_copy), 0);
  arm(fault_stream);
  std::array<std::byte, 4> bytes{};
  EXPECT_EQ(side.stream->read(bytes).error().code, EDOM);
  EXPECT_EQ(side.stream->precopy_info().error().code, EDOM);
}

TEST_F(Moving, a_stream_is_released_when_its_device_is_closed) {
  ASSERT_NO_FATAL_FAILURE(begin());
  ASSERT_EQ(go(stop_copy), 0);
  const auto stream = side.stream;
  side = {};
  EXPECT_TRUE(run_until([&] { return world.host.log().contains("0 files left"); }));
  std::array<std::byte, 4> bytes{};
  EXPECT_EQ(stream->read(bytes).error().code, ENODEV);
  EXPECT_EQ(remove(1), 0);
  EXPECT_EQ(unload(), 0);
}

TEST_F(Moving, a_device_without_mig_ops_does_not_move) {
  ASSERT_EQ(load("mover"), 0);
  ASSERT_TRUE(module().set_parameter("lack", "6"));
  ASSERT_EQ(init(), 0);
  ASSERT_EQ(create(1, "mover", "mover-one"), 0);
  side.session = open(1);
  EXPECT_EQ(go(stop), ENOTTY);
  EXPECT_EQ(feature(get | abi::vfio_device_feature_migration), ENOTTY);
}

TEST_F(Moving, a_device_without_a_log_has_none) {
  ASSERT_EQ(load("mover"), 0);
  ASSERT_TRUE(module().set_parameter("lack", "7"));
  ASSERT_EQ(init(), 0);
  ASSERT_EQ(create(1, "mover", "mover-one"), 0);
  side.session = open(1);
  EXPECT_EQ(feature(abi::vfio_device_feature_set | abi::vfio_device_feature_dma_logging_stop), ENOTTY);
}

// What must be there, or a registration is refused.
class Lacking : public ModuleTest, public testing::WithParamInterface<const char*> {};

TEST_P(Lacking, A17_B15_half_a_migration_or_half_of_iommufd_cannot_be_registered) {
  ASSERT_EQ(load("mover"), 0);
  ASSERT_TRUE(module().set_parameter("lack", GetParam()));
  ASSERT_EQ(init(), 0);
  EXPECT_EQ(create(1, "mover", "mover-one"), EINVAL);
}
INSTANTIATE_TEST_SUITE_P(Callbacks, Lacking, testing::Values("1", "2", "3", "4", "5", "8"));

TEST_F(Moving, the_size_of_the_data_is_asked_for_since_6_2) {
  ASSERT_EQ(load("mover_6_1"), 0);
  ASSERT_TRUE(module().set_parameter("lack", "3"));
  ASSERT_EQ(init(), 0);
  ASSERT_EQ(create(1, "mover", "mover-one"), 0);
  side.session = open(1);
  EXPECT_EQ(feature(get | abi::vfio_device_feature_mig_data_size), ENOTTY);
  EXPECT_EQ(go(stop_copy), 0);
}

TEST_F(Moving, a_crash_in_a_callback_fails_the_change_and_ends_the_module) {
  if (has_own_heap) GTEST_SKIP() << "a crash is the sanitizer's to report";
  ASSERT_NO_FATAL_FAILURE(begin_to_crash());
  arm(fault_crash);
  EXPECT_EQ(go(stop), EIO);
  EXPECT_TRUE(module().has_crashed());
  EXPECT_EQ(go(stop), EIO);
}

TEST_F(Moving, a_crash_in_the_stream_fails_its_reader) {
  if (has_own_heap) GTEST_SKIP() << "a crash is the sanitizer's to report";
  ASSERT_NO_FATAL_FAILURE(begin_to_crash());
  ASSERT_EQ(go(stop_copy), 0);
  arm(fault_crash_stream);
  std::array<std::byte, 4> bytes{};
  EXPECT_EQ(side.stream->read(bytes).error().code, EIO);
  EXPECT_EQ(side.stream->read(bytes).error().code, EIO);
}

}  // namespace
}  // namespace umdev::kernel

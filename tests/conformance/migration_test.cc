// A device that says that it migrates does: every change of state, every way to spoil a stream.
#include <algorithm>
#include <random>

#include "tests/conformance/devices.h"
#include "tests/support/feature.h"
#include "tests/support/migration_steps.h"

namespace umdev::conformance {
namespace {

using enum vfio::MigrationState;
using vfio::MigrationState;

using Stream = std::vector<std::byte>;

class MigrationConformance : public Conformance {
 public:
  void SetUp() override {
    Conformance::SetUp();
    if (!session.device) return;
    const auto answer =
        test::get_feature<abi::VfioDeviceFeatureMigration>(file(), abi::vfio_device_feature_migration);
    if (!answer) {
      ASSERT_EQ(answer.error().code, ENOTTY);
      GTEST_SKIP() << "the device does not migrate";
    }
    flags = answer->flags;
  }

  MigrationState state() { return file().migration_state().value(); }
  // RUNNING, whatever was: from RESUMING and ERROR only a reset leads there.
  void run_again() {
    ASSERT_EQ(reset(), 0);
    ASSERT_EQ(state(), running);
  }
  std::vector<MigrationState> states() const {
    std::vector<MigrationState> all;
    for (std::uint32_t number = 1; number < vfio::migration_states; ++number)
      if (has_state(flags, *vfio::migration_state_of(number)))
        all.push_back(*vfio::migration_state_of(number));
    return all;
  }
  // Makes the device's state a little less than fresh.
  void use(vfio::DeviceFile& used) {
    for (std::uint32_t region = 0; region <= abi::vfio_pci_bar5_region_index; ++region) {
      const auto info = used.region_info(region);
      if (!info || (info->flags & abi::vfio_region_info_flag_write) == 0) continue;
      for (std::uint64_t offset = 0; offset < std::min<std::uint64_t>(info->size, 8); ++offset)
        (void)test::write_file(used, region, offset, Stream(1, std::byte{0x15}));
    }
  }
  // A second instance of the same type, open.
  test::MdevWorld::Session open_other() {
    const Uuid other = test::MdevWorld::uuid(2);
    EXPECT_EQ(create(other), 0);
    return world.open_instance(other);
  }

  std::uint64_t flags = 0;
};

INSTANTIATE_TEST_SUITE_P(all, MigrationConformance, testing::ValuesIn(subjects), name_of);

TEST_P(MigrationConformance, A17_its_flags_make_sense) {
  EXPECT_NE(flags & abi::vfio_migration_stop_copy, 0U) << "STOP_COPY is mandatory";
  EXPECT_LE(flags, 7U);
}

TEST_P(MigrationConformance, A17_every_change_of_state_answers_as_the_graph_says) {
  for (const MigrationState from : states()) {
    for (std::uint32_t number = 0; number < vfio::migration_states + 1; ++number) {
      run_again();
      ASSERT_TRUE(test::go(file(), from)) << name_of(from);
      const auto wanted = vfio::migration_state_of(number);
      const abi::VfioDeviceFeatureMigState asked{.device_state = number, .data_fd = -1};
      const auto answer = test::set_feature(file(), abi::vfio_device_feature_mig_device_state, asked);
      if (wanted == from) {
        EXPECT_TRUE(answer) << name_of(from);
      } else if (!wanted || !next_migration_state(flags, from, *wanted)) {
        EXPECT_EQ(test::error_of(answer), EINVAL) << name_of(from) << " to " << number;
        EXPECT_EQ(state(), from);
      } else if (from == resuming) {
        EXPECT_EQ(test::error_of(answer), EINVAL) << "no stream came";
        EXPECT_EQ(state(), resuming);
      } else {
        EXPECT_TRUE(answer) << name_of(from) << " to " << number;
        EXPECT_EQ(state(), *wanted);
      }
    }
  }
}

TEST_P(MigrationConformance, A17_a_reset_leads_back_to_running_from_every_state) {
  for (const MigrationState from : states()) {
    const auto stream = test::go(file(), from).value();
    run_again();
    Stream buffer(16);
    if (stream != nullptr) {
      EXPECT_EQ(test::error_of(stream->read(buffer)), ENODEV);
      EXPECT_EQ(test::error_of(stream->write(buffer)), ENODEV);
    }
  }
}

TEST_P(MigrationConformance, A17_closing_in_any_state_ends_the_transfer) {
  for (const MigrationState from : states()) {
    const auto stream = test::go(file(), from).value();
    reopen();
    EXPECT_EQ(state(), running);
    Stream buffer(16);
    if (stream != nullptr) {
      EXPECT_EQ(test::error_of(stream->read(buffer)), ENODEV);
    }
  }
}

TEST_P(MigrationConformance, A17_its_state_arrives_in_another_instance_in_pieces_of_any_size) {
  use(file());
  const Stream stream = test::save(file());
  ASSERT_FALSE(stream.empty());
  auto other = open_other();
  std::mt19937 random(1);
  for (int round = 0; round < 50; ++round) {
    const auto resuming_stream = test::go(*other.device, resuming).value();
    ConstBytes left = stream;
    while (!left.empty()) {
      const std::size_t count = std::min<std::size_t>(left.size(), random() % 9 + 1);
      ASSERT_EQ(resuming_stream->write(left.first(count)).value(), count);
      left = left.subspan(count);
    }
    ASSERT_TRUE(test::go(*other.device, running));
    ASSERT_EQ(test::save(*other.device), stream);
  }
  for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, stream.size() - 1, stream.size() + 1}) {
    const auto saving = test::go(file(), stop_copy).value();
    EXPECT_EQ(test::read_all(*saving, piece), stream);
    ASSERT_TRUE(test::go(file(), running));
  }
}

TEST_P(MigrationConformance, A17_what_is_sent_before_the_end_and_after_is_one_stream) {
  if ((flags & abi::vfio_migration_pre_copy) == 0) GTEST_SKIP() << "no pre-copy";
  use(file());
  const Stream whole = test::save(file());
  const auto saving = test::go(file(), pre_copy).value();
  const vfio::PrecopyInfo info = saving->precopy_info().value();
  Stream stream = test::read_all(*saving);
  EXPECT_GE(stream.size(), info.initial_bytes);
  EXPECT_EQ(saving->precopy_info()->initial_bytes, 0U);
  ASSERT_TRUE(test::go(file(), stop_copy));
  const Stream rest = test::read_all(*saving);
  stream.insert(stream.end(), rest.begin(), rest.end());
  EXPECT_EQ(stream.size(), whole.size());
  auto other = open_other();
  EXPECT_TRUE(test::load(*other.device, stream));
  EXPECT_EQ(test::save(*other.device), whole);
}

TEST_P(MigrationConformance, A17_a_source_that_dies_at_any_byte_leaves_the_target_as_it_was) {
  use(file());
  const Stream stream = test::save(file());
  auto other = open_other();
  const Stream fresh = test::save(*other.device);
  for (std::size_t size = 0; size < stream.size(); ++size) {
    EXPECT_EQ(test::error_of(test::load(*other.device, ConstBytes(stream).first(size))), EINVAL) << size;
    EXPECT_EQ(other.device->migration_state().value(), resuming);
    test::Outcome<> outcome;
    other.device->reset(outcome.done());
    ASSERT_TRUE(outcome.succeeded());
  }
  EXPECT_EQ(test::save(*other.device), fresh);
}

TEST_P(MigrationConformance, A17_a_stream_with_one_wrong_byte_fails_or_is_the_same_state) {
  use(file());
  const Stream good = test::save(file());
  auto other = open_other();
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const unsigned wrong : {0x01U, 0x80U, 0xffU}) {
      Stream bad = good;
      bad[at] ^= std::byte(wrong);
      if (test::load(*other.device, bad)) {
        EXPECT_EQ(test::save(*other.device), good) << at;
        continue;
      }
      test::Outcome<> outcome;
      other.device->reset(outcome.done());
      ASSERT_TRUE(outcome.succeeded());
    }
  }
}

TEST_P(MigrationConformance, A17_a_stream_that_never_ends_is_refused_in_time) {
  const auto stream = test::go(file(), resuming).value();
  const Stream own = [&] {
    auto other = open_other();
    return test::save(*other.device);
  }();
  ASSERT_TRUE(stream->write(own));
  const Stream more(1U << 20);
  int error = 0;
  for (int i = 0; error == 0 && i < 1 << 12; ++i) error = test::error_of(stream->write(more));
  EXPECT_EQ(error, E2BIG);
}

TEST_P(MigrationConformance, A17_the_data_size_is_about_what_comes) {
  const auto size =
      test::get_feature<abi::VfioDeviceFeatureMigDataSize>(file(), abi::vfio_device_feature_mig_data_size);
  ASSERT_TRUE(size);
  EXPECT_GE(size->stop_copy_length * 2, test::save(file()).size());
}

}  // namespace
}  // namespace umdev::conformance

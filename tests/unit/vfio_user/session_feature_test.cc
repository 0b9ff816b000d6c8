// DEVICE_FEATURE, and MIG_DATA_READ and MIG_DATA_WRITE.
#include "tests/support/fake_migration.h"
#include "tests/support/outcome.h"
#include "tests/unit/vfio_user/session_fixture.h"
#include "umdev/abi/migration.h"
#include "umdev/os/memfd.h"
#include "umdev/vfio_user/session_state.h"

namespace umdev::vfio_user {
namespace {

using test::Octets;
using test::Reply;

constexpr std::uint32_t get = abi::vfio_device_feature_get;
constexpr std::uint32_t set = abi::vfio_device_feature_set;
constexpr std::uint32_t probe = abi::vfio_device_feature_probe;
constexpr std::uint32_t state_feature = abi::vfio_device_feature_mig_device_state;

class SessionFeature : public test::SessionFixture {
 public:
  SessionFeature() {
    script->migration = &migration;
    open_session();
  }
  ~SessionFeature() override {
    if (session) session->end("the test ends");
    world.host.run();
  }
  void send_feature(std::uint32_t flags, const Octets& data = {}, std::uint32_t argsz = 64) {
    const abi::VfioUserFeature head{.argsz = argsz, .flags = flags};
    send(test::command(next_id++, abi::vfio_user_device_feature, {bytes_of(head), data}));
  }
  Reply feature(std::uint32_t flags, const Octets& data = {}, std::uint32_t argsz = 64) {
    send_feature(flags, data, argsz);
    return expect_reply();
  }
  static Octets state(std::uint32_t number, std::int32_t fd = 0) {
    return test::join({bytes_of(abi::VfioDeviceFeatureMigState{.device_state = number, .data_fd = fd})});
  }
  int set_state(std::uint32_t number) { return feature(set | state_feature, state(number)).error(); }
  Reply read_data(std::uint32_t size, std::uint32_t argsz) {
    return ask(abi::vfio_user_mig_data_read, abi::VfioUserMigData{.argsz = argsz, .size = size});
  }
  Reply read_data(std::uint32_t size) { return read_data(size, 8 + size); }
  Reply write_data(const Octets& data, std::uint32_t size) {
    const abi::VfioUserMigData head{.argsz = 8 + size, .size = size};
    send(test::command(next_id++, abi::vfio_user_mig_data_write, {bytes_of(head), data}));
    return expect_reply();
  }

  umdev::test::FakeMigration migration;
};

TEST_F(SessionFeature, get_appends_the_answer_and_says_its_size) {
  const Reply reply = feature(get | abi::vfio_device_feature_migration, {}, 16);
  EXPECT_EQ(reply.error(), 0);
  ASSERT_EQ(reply.payload.size(), 16u);
  const auto head = reply.as<abi::VfioUserFeature>();
  EXPECT_EQ(head.argsz, 16u);
  EXPECT_EQ(head.flags, get | abi::vfio_device_feature_migration);
  EXPECT_EQ(load_le<std::uint64_t>(reply.payload, 8), migration.the_flags);
}

// The size is the framework's to know before a feature of its own is read, and not before one of a driver's.
TEST_F(SessionFeature, an_answer_of_a_drivers_without_room_is_its_size) {
  constexpr std::uint32_t drivers_own = 77;
  for (const std::uint32_t argsz : {8U, 11U, 12U}) {
    const Reply reply = feature(get | drivers_own, {}, argsz);
    EXPECT_EQ(reply.error(), 0);
    EXPECT_EQ(reply.as<abi::VfioUserFeature>().argsz, 12U);
    EXPECT_EQ(reply.payload.size(), argsz < 12 ? 8U : 12U);
  }
}

TEST_F(SessionFeature, an_argsz_without_room_for_the_answer_is_einval) {
  for (const std::uint32_t argsz : {0U, 7U, 8U, 15U})
    EXPECT_EQ(feature(get | abi::vfio_device_feature_migration, {}, argsz).error(), EINVAL) << argsz;
  for (std::size_t size = 0; size < 8; ++size) {
    send(test::command(1, abi::vfio_user_device_feature, {Octets(size, std::byte{0x10})}));
    EXPECT_EQ(expect_reply().error(), EINVAL) << size;
  }
}

TEST_F(SessionFeature, probe_echoes_the_request) {
  const Octets data(5, std::byte{0xab});
  for (const std::uint32_t operation : {0U, get, set, get | set}) {
    const Reply reply = feature(probe | operation | state_feature, data);
    EXPECT_EQ(reply.error(), 0) << operation;
    EXPECT_EQ(reply.as<abi::VfioUserFeature>().flags, probe | operation | state_feature);
    EXPECT_EQ(Octets(reply.payload.begin() + 8, reply.payload.end()), data);
  }
  EXPECT_EQ(feature(probe | set | abi::vfio_device_feature_migration).error(), EINVAL);
  EXPECT_TRUE(migration.arcs.empty());
}

TEST_F(SessionFeature, errors_are_the_kernels) {
  EXPECT_EQ(feature(get | 999).error(), ENOTTY);
  EXPECT_EQ(feature(get | set | state_feature, state(1)).error(), EINVAL);
  EXPECT_EQ(feature(state_feature).error(), EINVAL);
  EXPECT_EQ(feature(1U << 20 | get | state_feature).error(), EINVAL);
  EXPECT_EQ(feature(set | state_feature, Octets(4)).error(), EINVAL);
  EXPECT_EQ(set_state(0), EINVAL);
  EXPECT_EQ(set_state(99), EINVAL);
  EXPECT_FALSE(session->has_ended());
}

TEST_F(SessionFeature, a_device_without_migration_has_no_such_feature) {
  script->migration = nullptr;
  session->end("another one");
  world.host.run();
  open_session();
  EXPECT_EQ(feature(get | abi::vfio_device_feature_migration).error(), ENOTTY);
  EXPECT_EQ(read_data(16).error(), EINVAL);
}

TEST_F(SessionFeature, setting_the_state_echoes_it_without_a_descriptor) {
  const Reply reply = feature(set | state_feature, state(abi::vfio_device_state_stop, 77));
  EXPECT_EQ(reply.error(), 0);
  EXPECT_EQ(reply.fds, 0u);
  const auto answered = load_struct<abi::VfioDeviceFeatureMigState>(reply.payload, 8);
  ASSERT_TRUE(answered);
  EXPECT_EQ(answered->device_state, abi::vfio_device_state_stop);
  EXPECT_EQ(answered->data_fd, -1);
  EXPECT_EQ(reply.as<abi::VfioUserFeature>().argsz, 16u);
  const Reply now = feature(get | state_feature);
  EXPECT_EQ(load_le<std::uint32_t>(now.payload, 8), std::uint32_t{abi::vfio_device_state_stop});
}

TEST_F(SessionFeature, a_change_of_state_that_takes_time_is_waited_for) {
  migration.hold = true;
  send_feature(set | state_feature, state(abi::vfio_device_state_running_p2p));
  EXPECT_TRUE(session->is_busy());
  EXPECT_FALSE(take_reply());
  migration.held(nullptr);
  world.host.run();
  EXPECT_EQ(expect_reply().error(), 0);
}

TEST_F(SessionFeature, what_the_driver_answers_to_a_change_is_the_error) {
  migration.errors = {EXDEV};
  EXPECT_EQ(set_state(abi::vfio_device_state_stop), EXDEV);
}

// --- The data stream.

TEST_F(SessionFeature, a_transfer_out_is_read_until_a_short_reply) {
  EXPECT_EQ(set_state(abi::vfio_device_state_stop_copy), 0);
  migration.data->bytes.assign(10, std::byte{7});
  Reply reply = read_data(6);
  EXPECT_EQ(reply.as<abi::VfioUserMigData>().size, 6u);
  EXPECT_EQ(reply.as<abi::VfioUserMigData>().argsz, 14u);
  EXPECT_EQ(Octets(reply.payload.begin() + 8, reply.payload.end()), Octets(6, std::byte{7}));
  reply = read_data(6);
  EXPECT_EQ(reply.as<abi::VfioUserMigData>().size, 4u);
  EXPECT_EQ(reply.payload.size(), 12u);
  EXPECT_EQ(read_data(6).as<abi::VfioUserMigData>().size, 0u);
  EXPECT_EQ(read_data(0).as<abi::VfioUserMigData>().size, 0u);
}

TEST_F(SessionFeature, the_end_for_now_in_pre_copy_is_an_empty_read) {
  EXPECT_EQ(set_state(abi::vfio_device_state_pre_copy), 0);
  EXPECT_EQ(read_data(6).as<abi::VfioUserMigData>().size, 0u);
  migration.data->bytes.assign(3, std::byte{7});
  EXPECT_EQ(read_data(6).as<abi::VfioUserMigData>().size, 3u);
}

TEST_F(SessionFeature, a_transfer_in_is_written) {
  EXPECT_EQ(set_state(abi::vfio_device_state_resuming), 0);
  const Reply reply = write_data(Octets(5, std::byte{9}), 5);
  EXPECT_EQ(reply.error(), 0);
  EXPECT_TRUE(reply.payload.empty());
  EXPECT_EQ(migration.data->bytes, Octets(5, std::byte{9}));
  EXPECT_EQ(write_data(Octets(5), 4).error(), EINVAL);
  EXPECT_EQ(write_data(Octets(3), 4).error(), EINVAL);
  EXPECT_EQ(migration.data->bytes.size(), 5u);
}

TEST_F(SessionFeature, data_in_the_wrong_state_are_einval) {
  EXPECT_EQ(read_data(4).error(), EINVAL);
  EXPECT_EQ(write_data(Octets(4), 4).error(), EINVAL);
  EXPECT_EQ(set_state(abi::vfio_device_state_stop_copy), 0);
  EXPECT_EQ(write_data(Octets(4), 4).error(), EINVAL);
  EXPECT_EQ(set_state(abi::vfio_device_state_resuming), 0);
  EXPECT_EQ(read_data(4).error(), EINVAL);
  EXPECT_EQ(set_state(abi::vfio_device_state_running), 0);
  EXPECT_EQ(write_data(Octets(4), 4).error(), EINVAL);
}

TEST_F(SessionFeature, sizes_of_data_are_checked) {
  EXPECT_EQ(set_state(abi::vfio_device_state_stop_copy), 0);
  EXPECT_EQ(read_data(8, 15).error(), EINVAL);
  EXPECT_EQ(read_data(8, 7).error(), EINVAL);
  EXPECT_EQ(read_data(limits.data_transfer + 1).error(), E2BIG);
  EXPECT_EQ(read_data(UINT32_MAX, UINT32_MAX).error(), E2BIG);
  for (std::size_t size = 0; size < 8; ++size) {
    send(test::command(1, abi::vfio_user_mig_data_read, {Octets(size, std::byte{0x10})}));
    EXPECT_EQ(expect_reply().error(), EINVAL) << size;
    send(test::command(1, abi::vfio_user_mig_data_write, {Octets(size, std::byte{0x10})}));
    EXPECT_EQ(expect_reply().error(), EINVAL) << size;
  }
}

// --- DMA_UNMAP with a bitmap.

class SessionDirtyUnmap : public SessionFeature {
 public:
  static constexpr std::uint64_t page = 4096;
  SessionDirtyUnmap() {
    file = os::create_memfd("client", 16 * page).value();
    EXPECT_EQ(map(0x10000, 16 * page, 3, file.get()).error(), 0);
  }
  void start_logging() {
    const abi::VfioDmaLoggingStart start{.page_size = page, .num_ranges = 1, .reserved = 0};
    const abi::VfioDmaLoggingRange range{.iova = 0, .length = 1U << 20};
    ASSERT_EQ(feature(set | abi::vfio_device_feature_dma_logging_start,
                      test::join({bytes_of(start), bytes_of(range)}))
                  .error(),
              0);
  }
  void device_writes(std::uint64_t iova) {
    const std::byte value{1};
    script->user->dma_write(iova, ConstBytes(&value, 1), [](Result<> result) { EXPECT_TRUE(result); });
  }
  Reply unmap_dirty(std::uint64_t page_size, std::uint64_t bitmap, std::uint32_t argsz,
                    std::uint32_t flags = abi::vfio_dma_unmap_flag_get_dirty_bitmap) {
    const abi::VfioUserDmaUnmap head{.argsz = argsz, .flags = flags, .iova = 0x10000, .size = 16 * page};
    const abi::VfioUserBitmap want{.page_size = page_size, .size = bitmap};
    send(test::command(next_id++, abi::vfio_user_dma_unmap, {bytes_of(head), bytes_of(want)}));
    return expect_reply();
  }
  os::UniqueFd file;
};

TEST_F(SessionDirtyUnmap, reports_what_the_device_wrote) {
  start_logging();
  device_writes(0x10000 + 3 * page + 5);
  device_writes(0x10000 + 15 * page);
  const Reply reply = unmap_dirty(page, 8, 48);
  EXPECT_EQ(reply.error(), 0);
  ASSERT_EQ(reply.payload.size(), 48u);
  EXPECT_EQ(reply.as<abi::VfioUserDmaUnmap>().argsz, 48u);
  EXPECT_EQ(reply.as<abi::VfioUserDmaUnmap>().size, 16 * page);
  EXPECT_EQ(load_le<std::uint64_t>(reply.payload, 24), page);
  EXPECT_EQ(load_le<std::uint64_t>(reply.payload, 32), 8u);
  EXPECT_EQ(load_le<std::uint64_t>(reply.payload, 40), 1u << 3 | 1u << 15);
}

TEST_F(SessionDirtyUnmap, what_is_written_until_the_last_pin_goes_is_reported_too) {
  start_logging();
  auto pin = script->user->pin({.iova = 0x10000 + 7 * page, .size = page}, iommu::Access::read_write);
  ASSERT_TRUE(pin);
  const abi::VfioUserDmaUnmap head{
      .argsz = 48, .flags = abi::vfio_dma_unmap_flag_get_dirty_bitmap, .iova = 0x10000, .size = 16 * page};
  const abi::VfioUserBitmap want{.page_size = page, .size = 8};
  send(test::command(1, abi::vfio_user_dma_unmap, {bytes_of(head), bytes_of(want)}));
  EXPECT_TRUE(session->is_busy());
  pin->unpin();
  world.host.run();
  EXPECT_EQ(load_le<std::uint64_t>(expect_reply().payload, 40), 1u << 7);
}

TEST_F(SessionDirtyUnmap, is_refused_and_unmaps_nothing_when_it_cannot_be_answered) {
  EXPECT_EQ(unmap_dirty(page, 8, 48).error(), EINVAL) << "nothing is logged";
  start_logging();
  EXPECT_EQ(unmap_dirty(page, 8, 47).error(), EINVAL) << "argsz";
  EXPECT_EQ(unmap_dirty(page, 7, 48).error(), EINVAL) << "a bitmap too short";
  EXPECT_EQ(unmap_dirty(5000, 8, 48).error(), EINVAL) << "no page size";
  EXPECT_EQ(unmap_dirty(page, UINT64_MAX, 48).error(), E2BIG);
  EXPECT_EQ(unmap_dirty(page, 8, 48, 3).error(), EINVAL) << "with ALL";
  const abi::VfioUserDmaUnmap head{.argsz = 48, .flags = 1, .iova = 0x10000, .size = 16 * page};
  send(abi::vfio_user_dma_unmap, head);
  EXPECT_EQ(expect_reply().error(), EINVAL) << "no bitmap described";
  EXPECT_EQ(session->mappings(), 1u);
  EXPECT_EQ(unmap_dirty(page, 8, 48).error(), 0);
  EXPECT_EQ(session->mappings(), 0u);
}

TEST_F(SessionDirtyUnmap, a_session_whose_client_has_writes_logged_does_not_move) {
  start_logging();
  session->pause();
  EXPECT_EQ(umdev::test::error_of(session->copy()), EBUSY);
  session->go_on();
  EXPECT_EQ(feature(set | abi::vfio_device_feature_dma_logging_stop).error(), 0);
  session->pause();
  EXPECT_TRUE(session->copy());
}

}  // namespace
}  // namespace umdev::vfio_user

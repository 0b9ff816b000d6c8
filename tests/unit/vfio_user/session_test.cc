// What a session answers, and how it opens, waits and ends.
#include "umdev/vfio_user/session.h"

#include <fcntl.h>

#include "tests/support/outcome.h"
#include "tests/unit/vfio_user/session_fixture.h"

namespace umdev::vfio_user {
namespace {

using namespace std::chrono_literals;
using test::Octets;
using test::Reply;

class SessionTest : public test::SessionFixture {};

os::UniqueFd null_fd() {
  return os::UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

// --- VERSION and opening.

TEST_F(SessionTest, version_opens_the_device_and_says_what_is_offered) {
  create_session();
  EXPECT_FALSE(session->has_spoken());
  send_version();
  const Reply reply = expect_reply();
  EXPECT_EQ(reply.error(), 0);
  EXPECT_EQ(reply.header.message_id, 217);
  const auto version = decode_version(reply.payload, limits);
  ASSERT_TRUE(version);
  EXPECT_EQ(version->minor, 0);
  EXPECT_EQ(version->capabilities.max_msg_fds, 16u);
  EXPECT_EQ(script->count("open"), 1u);
  EXPECT_EQ(counters.sessions_opened.value(), 1u);
}

TEST_F(SessionTest, version_comes_first) {
  create_session();
  for (std::uint16_t number = 2; number < command_count; ++number) {
    send(test::command(1, static_cast<abi::VfioUserCommand>(number), {Octets(64, std::byte{0x20})}));
    EXPECT_EQ(expect_reply().error(), EINVAL) << number;
  }
  EXPECT_FALSE(session->has_spoken());
  EXPECT_EQ(script->count("open"), 0u);
  send_version();
  EXPECT_EQ(expect_reply().error(), 0);
}

TEST_F(SessionTest, version_comes_once) {
  open_session();
  send_version();
  EXPECT_EQ(expect_reply().error(), EINVAL);
  EXPECT_FALSE(session->has_ended());
}

TEST_F(SessionTest, a_refused_version_ends_the_session_with_its_errno) {
  create_session();
  send_version("[]");
  EXPECT_EQ(expect_reply().error(), EINVAL);
  EXPECT_TRUE(session->has_ended());
  EXPECT_EQ(script->count("open"), 0u);
}

TEST_F(SessionTest, version_with_descriptors_is_refused) {
  create_session();
  std::vector<os::UniqueFd> fds;
  fds.push_back(null_fd());
  send(test::command(1, abi::vfio_user_version, {test::version_payload("{}")}), std::move(fds));
  EXPECT_EQ(expect_reply().error(), EINVAL);
  EXPECT_TRUE(session->has_ended());
}

TEST_F(SessionTest, C23_a_second_user_gets_ebusy_after_the_grace) {
  const auto first = world.open(device);
  create_session();
  send_version();
  EXPECT_TRUE(session->is_busy());
  world.host.advance(limits.busy_grace - 1ms);
  EXPECT_FALSE(take_reply());
  world.host.advance(2 * limits.busy_poll);
  EXPECT_EQ(expect_reply().error(), EBUSY);
  EXPECT_TRUE(session->has_ended());
  EXPECT_EQ(changes, 1);
}

TEST_F(SessionTest, a_user_that_leaves_within_the_grace_is_waited_for) {
  auto first = std::make_unique<test::CoreWorld::Session>(world.open(device));
  create_session();
  send_version();
  world.host.advance(100ms);
  first.reset();
  world.host.advance(limits.busy_poll);
  EXPECT_EQ(expect_reply().error(), 0);
  EXPECT_TRUE(session->is_open());
}

TEST_F(SessionTest, the_error_of_opening_is_the_answer_and_nothing_stays_open) {
  script->open_error = ENXIO;
  create_session();
  send_version();
  EXPECT_EQ(expect_reply().error(), ENXIO);
  EXPECT_TRUE(session->has_ended());
  script->open_error = 0;
  EXPECT_TRUE(world.open(device).device);
}

TEST_F(SessionTest, a_device_that_opens_later_is_waited_for) {
  script->hold_open = true;
  create_session();
  send_version();
  EXPECT_TRUE(session->is_busy());
  EXPECT_FALSE(take_reply());
  script->held_open();
  world.host.run();
  EXPECT_EQ(expect_reply().error(), 0);
  EXPECT_EQ(changes, 1);
}

TEST_F(SessionTest, a_device_that_opens_after_the_client_left_is_closed_again) {
  script->hold_open = true;
  create_session();
  send_version();
  session->end("the client left");
  session.reset();
  script->held_open();
  world.host.run();
  EXPECT_EQ(script->count("close"), 1u);
  EXPECT_EQ(device.device->open_count(), 0u);
}

// --- Commands.

TEST_F(SessionTest, commands_that_are_not_there_are_enotty_and_the_session_goes_on) {
  open_session();
  for (const int number : {0, 11, 12, 14, 15, 19, 255, 65535}) {
    send(test::command(9, static_cast<abi::VfioUserCommand>(number), {Octets(40)}));
    const Reply reply = expect_reply();
    EXPECT_EQ(reply.error(), ENOTTY) << number;
    EXPECT_EQ(int{reply.header.command}, number);
    EXPECT_TRUE(reply.payload.empty());
  }
  EXPECT_FALSE(session->has_ended());
  EXPECT_EQ(counters.error(ENOTTY).value(), 8u);
}

TEST_F(SessionTest, bad_payloads_are_einval_and_the_session_goes_on) {
  open_session();
  for (const auto number :
       {abi::vfio_user_dma_map, abi::vfio_user_dma_unmap, abi::vfio_user_device_get_info,
        abi::vfio_user_device_get_region_info, abi::vfio_user_device_get_irq_info,
        abi::vfio_user_device_set_irqs, abi::vfio_user_region_read, abi::vfio_user_region_write}) {
    for (std::size_t size = 0; size < 16; ++size) {
      send(test::command(1, number, {Octets(size, std::byte{0x40})}));
      EXPECT_EQ(expect_reply().error(), EINVAL) << number << " with " << size;
    }
  }
  send_read(0, 4);
  EXPECT_EQ(expect_reply().error(), 0);
}

TEST_F(SessionTest, neither_command_nor_reply_is_einval) {
  open_session();
  send(abi::vfio_user_device_get_info, abi::VfioUserDeviceInfo{.argsz = 16}, {}, 7);
  EXPECT_EQ(expect_reply().error(), EINVAL);
}

TEST_F(SessionTest, replies_to_nothing_are_dropped) {
  open_session();
  send(abi::vfio_user_dma_read, abi::VfioUserDmaAccess{}, {}, abi::vfio_user_flags_type_reply);
  EXPECT_FALSE(take_reply());
  EXPECT_EQ(counters.unexpected_replies.value(), 1u);
}

TEST_F(SessionTest, info_is_the_devices) {
  open_session();
  const auto info =
      ask(abi::vfio_user_device_get_info, abi::VfioUserDeviceInfo{.argsz = 16}).as<abi::VfioUserDeviceInfo>();
  EXPECT_EQ(info.argsz, 16u);
  EXPECT_EQ(info.flags, abi::vfio_device_flags_pci | abi::vfio_device_flags_reset);
  EXPECT_EQ(info.num_regions, 1u);
  EXPECT_EQ(info.num_irqs, 1u);
}

TEST_F(SessionTest, region_and_irq_info_are_the_devices) {
  open_session();
  const auto region = ask(abi::vfio_user_device_get_region_info, abi::VfioUserRegionInfo{.argsz = 32})
                          .as<abi::VfioUserRegionInfo>();
  EXPECT_EQ(region.argsz, 32u);
  EXPECT_EQ(region.size, 256u);
  EXPECT_EQ(region.flags, 3u);
  EXPECT_EQ(region.cap_offset, 0u);
  const auto irq =
      ask(abi::vfio_user_device_get_irq_info, abi::VfioUserIrqInfo{.argsz = 16}).as<abi::VfioUserIrqInfo>();
  EXPECT_EQ(irq.flags, 7u);
  EXPECT_EQ(irq.count, 1u);
  for (const std::uint32_t index : {1U, 9U, UINT32_MAX}) {
    EXPECT_EQ(ask(abi::vfio_user_device_get_region_info, abi::VfioUserRegionInfo{.argsz = 32, .index = index})
                  .error(),
              EINVAL);
    EXPECT_EQ(
        ask(abi::vfio_user_device_get_irq_info, abi::VfioUserIrqInfo{.argsz = 16, .index = index}).error(),
        EINVAL);
  }
}

TEST_F(SessionTest, reset_is_the_devices) {
  open_session();
  send(test::command(5, abi::vfio_user_device_reset, {}));
  const Reply reply = expect_reply();
  EXPECT_EQ(reply.error(), 0);
  EXPECT_TRUE(reply.payload.empty());
  EXPECT_EQ(script->count("reset"), 1u);
}

TEST_F(SessionTest, a_reset_that_completes_later_is_waited_for) {
  script->hold_reset = true;
  open_session();
  send(test::command(5, abi::vfio_user_device_reset, {}));
  EXPECT_TRUE(session->is_busy());
  script->held_reset();
  world.host.run();
  EXPECT_EQ(expect_reply().error(), 0);
}

// --- Accesses.

TEST_F(SessionTest, a_read_returns_the_devices_bytes_behind_the_request) {
  open_session();
  send_read(4, 8);
  const Reply reply = expect_reply();
  EXPECT_EQ(reply.header.size, 40u);
  const auto access = reply.as<abi::VfioUserRegionAccess>();
  EXPECT_EQ(access.offset, 4u);
  EXPECT_EQ(access.count, 8u);
  EXPECT_EQ(Octets(reply.payload.begin() + 16, reply.payload.end()), Octets(8, std::byte{0x5a}));
}

TEST_F(SessionTest, a_write_is_answered_with_its_request) {
  open_session();
  send_write(0, Octets(4, std::byte{1}));
  const Reply reply = expect_reply();
  EXPECT_EQ(reply.payload.size(), 16u);
  EXPECT_EQ(reply.as<abi::VfioUserRegionAccess>().count, 4u);
  EXPECT_EQ(script->count("write"), 1u);
}

TEST_F(SessionTest, an_empty_access_succeeds_and_asks_nobody) {
  open_session();
  send_read(0, 0);
  EXPECT_EQ(expect_reply().payload.size(), 16u);
  EXPECT_EQ(script->count("read"), 0u);
}

TEST_F(SessionTest, accesses_outside_the_region_are_einval) {
  open_session();
  const struct {
    std::uint64_t offset;
    std::uint32_t count;
    std::uint32_t region;
  } cases[] = {{256, 1, 0}, {255, 2, 0},       {UINT64_MAX, 1, 0}, {UINT64_MAX, 0x1000, 0},
               {0, 4, 1},   {0, 4, UINT32_MAX}};
  for (const auto& [offset, count, region] : cases) {
    send_read(offset, count, region);
    EXPECT_EQ(expect_reply().error(), EINVAL) << offset << " " << count << " " << region;
  }
}

TEST_F(SessionTest, a_read_beyond_what_the_client_takes_is_e2big) {
  create_session();
  send_version(R"({"capabilities":{"max_data_xfer_size":16}})");
  EXPECT_EQ(expect_reply().error(), 0);
  send_read(0, 16);
  EXPECT_EQ(expect_reply().error(), 0);
  send_read(0, 17);
  EXPECT_EQ(expect_reply().error(), E2BIG);
}

TEST_F(SessionTest, posted_writes_get_no_reply_not_even_of_an_error) {
  open_session();
  send_write(0, Octets(4), abi::vfio_user_flags_no_reply);
  EXPECT_FALSE(take_reply());
  EXPECT_EQ(script->count("write"), 1u);
  send_write(1000, Octets(4), abi::vfio_user_flags_no_reply);
  EXPECT_FALSE(take_reply());
  EXPECT_EQ(counters.error(EINVAL).value(), 1u);
  EXPECT_EQ(counters.posted_writes.value(), 2u);
}

TEST_F(SessionTest, an_access_that_completes_later_keeps_the_session_busy_until_then) {
  script->hold_access = true;
  open_session();
  send_read(0, 4);
  EXPECT_TRUE(session->is_busy());
  EXPECT_FALSE(take_reply());
  world.host.advance(1s);
  std::ranges::fill(script->reads.front().data(), std::byte{7});
  script->reads.front().complete_all();
  world.host.run();
  EXPECT_FALSE(session->is_busy());
  const Reply reply = expect_reply();
  EXPECT_EQ(reply.payload.back(), std::byte{7});
  EXPECT_EQ(changes, 1);
}

TEST_F(SessionTest, a_device_that_never_answers_costs_its_access_and_is_faulted) {
  script->hold_access = true;
  open_session();
  send_read(0, 4);
  world.host.advance(3s);
  EXPECT_EQ(expect_reply().error(), ETIMEDOUT);
  send_read(0, 4);
  EXPECT_EQ(expect_reply().error(), EIO);
  EXPECT_FALSE(session->has_ended());
}

// The buffer is the driver's until it lets go, whoever has gone before (seen by AddressSanitizer).
TEST_F(SessionTest, a_late_driver_writes_into_a_buffer_that_is_still_there) {
  script->hold_access = true;
  open_session();
  send_read(0, 64);
  auto late = std::move(script->reads.front());
  script->reads.clear();
  const Bytes data = late.data();
  world.host.advance(3s);
  EXPECT_EQ(expect_reply().error(), ETIMEDOUT);
  send_read(0, 64);
  session->end("the client left");
  session.reset();
  std::ranges::fill(data, std::byte{9});
  late.complete(64);
  world.host.run();
}

TEST_F(SessionTest, an_end_with_an_access_under_way_gives_the_device_back_when_it_completes) {
  script->hold_access = true;
  open_session();
  send_write(0, Octets(4));
  session->end("killed");
  session.reset();
  script->writes.front().complete_all();
  script->writes.clear();
  world.host.run();
  EXPECT_EQ(device.device->open_count(), 0u);
  script->hold_access = false;
  EXPECT_TRUE(world.open(device).device);
}

// --- Descriptors.

TEST_F(SessionTest, unexpected_descriptors_are_closed_and_einval) {
  open_session();
  std::vector<os::UniqueFd> fds;
  for (int i = 0; i < 20; ++i) fds.push_back(null_fd());
  const int one = fds[7].get();
  EXPECT_EQ(ask(abi::vfio_user_device_get_info, abi::VfioUserDeviceInfo{.argsz = 16}, std::move(fds)).error(),
            EINVAL);
  EXPECT_EQ(::fcntl(one, F_GETFD), -1);
  EXPECT_EQ(counters.unexpected_descriptors.value(), 20u);
}

TEST_F(SessionTest, more_descriptors_than_offered_are_einval) {
  open_session();
  std::vector<os::UniqueFd> fds;
  for (int i = 0; i < 17; ++i) fds.push_back(null_fd());
  EXPECT_EQ(ask(abi::vfio_user_device_set_irqs,
                abi::VfioUserIrqSet{.argsz = 20, .flags = 0x24, .index = 0, .start = 0, .count = 17},
                std::move(fds))
                .error(),
            EINVAL);
}

TEST_F(SessionTest, lost_descriptors_are_emfile) {
  open_session();
  assembler.incoming_fds().set_lost();
  EXPECT_EQ(ask(abi::vfio_user_dma_map,
                abi::VfioUserDmaMap{.argsz = 32, .flags = 3, .offset = 0, .iova = 0, .size = 4096})
                .error(),
            EMFILE);
}

// --- The end.

TEST_F(SessionTest, a_device_that_is_taken_away_ends_its_session) {
  open_session();
  umdev::test::Ending ending(device.registration, RemovePolicy::force);
  world.host.run();
  EXPECT_TRUE(session->has_ended());
  EXPECT_EQ(changes, 1);
  EXPECT_TRUE(ending.ended());
}

TEST_F(SessionTest, an_end_gives_everything_back) {
  open_session();
  session->end("the client left");
  EXPECT_TRUE(session->has_ended());
  EXPECT_FALSE(session->is_open());
  EXPECT_EQ(session->end_reason(), "the client left");
  EXPECT_EQ(device.device->open_count(), 0u);
  EXPECT_EQ(device.device->reference_count(), 0u);
  const auto again = world.open(device);
  EXPECT_TRUE(again.device);
}

}  // namespace
}  // namespace umdev::vfio_user

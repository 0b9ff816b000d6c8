// DEVICE_GET_REGION_IO_FDS.
#include "tests/unit/vfio_user/session_fixture.h"
#include "umdev/os/event_fd.h"

namespace umdev::vfio_user {
namespace {

using test::Octets;
using test::Reply;

class SessionIoFds : public test::SessionFixture {
 public:
  void open_with(std::uint32_t max_msg_fds) {
    create_session();
    send_version(R"({"capabilities":{"max_msg_fds":)" + std::to_string(max_msg_fds) + "}}");
    ASSERT_EQ(expect_reply().error(), 0);
  }
  Reply io_fds(std::uint32_t argsz, std::uint32_t index = 0, std::uint32_t flags = 0) {
    return ask(abi::vfio_user_device_get_region_io_fds,
               abi::VfioUserRegionIoFds{.argsz = argsz, .flags = flags, .index = index, .count = 0});
  }
  static abi::VfioUserIoFd entry(const Reply& reply, std::size_t index) {
    const auto found = load_struct<abi::VfioUserIoFd>(
        reply.payload, sizeof(abi::VfioUserRegionIoFds) + index * sizeof(abi::VfioUserIoFd));
    EXPECT_TRUE(found);
    return found.value_or(abi::VfioUserIoFd{});
  }

  std::array<os::EventFd, 2> events{os::EventFd::create().value(), os::EventFd::create().value()};
};

TEST_F(SessionIoFds, a_device_has_none_unless_it_says_so) {
  open_with(8);
  const Reply reply = io_fds(16);
  EXPECT_EQ(reply.error(), 0);
  EXPECT_EQ(reply.payload.size(), 16u);
  EXPECT_EQ(reply.as<abi::VfioUserRegionIoFds>().argsz, 16u);
  EXPECT_EQ(reply.as<abi::VfioUserRegionIoFds>().count, 0u);
  EXPECT_EQ(reply.fds, 0u);
}

TEST_F(SessionIoFds, entries_have_40_bytes_and_share_descriptors) {
  script->io_event_fds = {{.fd = events[0].get(), .offset = 0x10, .size = 4, .datamatch = 7},
                          {.fd = events[1].get(), .offset = 0x14, .size = 4, .datamatch = {}},
                          {.fd = events[0].get(), .offset = 0x18, .size = 0, .datamatch = {}}};
  open_with(8);
  const Reply reply = io_fds(4096);
  EXPECT_EQ(reply.payload.size(), 16u + 3 * 40);
  EXPECT_EQ(reply.as<abi::VfioUserRegionIoFds>().argsz, 136u);
  EXPECT_EQ(reply.as<abi::VfioUserRegionIoFds>().count, 3u);
  EXPECT_EQ(reply.fds, 2u);
  EXPECT_EQ(entry(reply, 0).offset, 0x10u);
  EXPECT_EQ(entry(reply, 0).size, 4u);
  EXPECT_EQ(entry(reply, 0).flags, 1u);
  EXPECT_EQ(entry(reply, 0).datamatch, 7u);
  EXPECT_EQ(entry(reply, 0).type, 0u);
  EXPECT_EQ(entry(reply, 1).fd_index, 1u);
  EXPECT_EQ(entry(reply, 1).flags, 0u);
  EXPECT_EQ(entry(reply, 2).fd_index, 0u);
}

TEST_F(SessionIoFds, without_room_for_all_only_number_and_size_are_answered) {
  script->io_event_fds = {{.fd = events[0].get(), .offset = 0, .size = 4, .datamatch = {}},
                          {.fd = events[1].get(), .offset = 4, .size = 4, .datamatch = {}}};
  open_with(8);
  for (const std::uint32_t argsz : {16U, 56U, 95U}) {
    const Reply reply = io_fds(argsz);
    EXPECT_EQ(reply.payload.size(), 16u);
    EXPECT_EQ(reply.fds, 0u);
    EXPECT_EQ(reply.as<abi::VfioUserRegionIoFds>().argsz, 96u);
    EXPECT_EQ(reply.as<abi::VfioUserRegionIoFds>().count, 2u);
  }
  EXPECT_EQ(io_fds(96).fds, 2u);
}

TEST_F(SessionIoFds, no_more_descriptors_than_the_client_takes) {
  script->io_event_fds = {{.fd = events[0].get(), .offset = 0, .size = 4, .datamatch = {}},
                          {.fd = events[1].get(), .offset = 4, .size = 4, .datamatch = {}},
                          {.fd = events[0].get(), .offset = 8, .size = 4, .datamatch = {}}};
  open_with(1);
  const Reply reply = io_fds(4096);
  EXPECT_EQ(reply.fds, 1u);
  EXPECT_EQ(reply.as<abi::VfioUserRegionIoFds>().count, 2u);
  EXPECT_EQ(entry(reply, 1).offset, 8u);
}

TEST_F(SessionIoFds, what_does_not_lie_in_the_region_is_left_out) {
  script->io_event_fds = {{.fd = events[0].get(), .offset = 256, .size = 4, .datamatch = {}},
                          {.fd = events[0].get(), .offset = UINT64_MAX, .size = 8, .datamatch = {}},
                          {.fd = -1, .offset = 0, .size = 4, .datamatch = {}}};
  open_with(8);
  EXPECT_EQ(io_fds(4096).as<abi::VfioUserRegionIoFds>().count, 0u);
}

TEST_F(SessionIoFds, bad_requests_are_einval) {
  open_with(8);
  EXPECT_EQ(io_fds(15).error(), EINVAL);
  EXPECT_EQ(io_fds(16, 1).error(), EINVAL);
  EXPECT_EQ(io_fds(16, UINT32_MAX).error(), EINVAL);
  EXPECT_EQ(io_fds(16, 0, 1).error(), EINVAL);
  for (std::size_t size = 0; size < 16; ++size) {
    send(test::command(1, abi::vfio_user_device_get_region_io_fds, {Octets(size, std::byte{0x20})}));
    EXPECT_EQ(expect_reply().error(), EINVAL) << size;
  }
}

}  // namespace
}  // namespace umdev::vfio_user

// What a session says of itself before it goes to another place. (Whole ways: integration, MovedSession.)
#include "tests/support/outcome.h"
#include "tests/unit/vfio_user/session_fixture.h"
#include "umdev/os/memfd.h"
#include "umdev/vfio_user/session_state.h"

namespace umdev::vfio_user {
namespace {

using test::Octets;
using umdev::test::error_of;

constexpr std::uint64_t page = 4096;
constexpr std::uint32_t read_only = abi::vfio_dma_map_flag_read;
constexpr std::uint32_t write_only = abi::vfio_dma_map_flag_write;

class SessionMove : public test::SessionFixture {
 public:
  SessionMove() {
    budget = std::make_shared<iommu::MappingBudget>(1000, 1ULL << 40);
    open_session();
  }
};

TEST_F(SessionMove, memory_goes_with_its_access_and_each_file_once) {
  const os::UniqueFd one = os::create_memfd("one", 400 * page).value();
  const os::UniqueFd other = os::create_memfd("other", page).value();
  for (std::uint64_t slice = 0; slice < 300; ++slice)
    ASSERT_EQ(map(2 * slice * page, page, read_only, one.get(), slice * page).error(), 0);
  ASSERT_EQ(map(1000 * page, page, write_only, other.get()).error(), 0);
  ASSERT_EQ(map(1002 * page, page, read_only | write_only).error(), 0);
  session->pause();
  const SessionState state = session->copy().value();
  EXPECT_EQ(state.files.size(), 2U);
  ASSERT_EQ(state.mappings.size(), 302U);
  for (std::uint64_t slice = 0; slice < 300; ++slice) {
    EXPECT_EQ(state.mappings[slice].iova, 2 * slice * page);
    EXPECT_EQ(state.mappings[slice].offset, slice * page);
    EXPECT_EQ(state.mappings[slice].flags, read_only);
    EXPECT_EQ(state.mappings[slice].file, 0U);
  }
  EXPECT_EQ(state.mappings[300].flags, write_only);
  EXPECT_EQ(state.mappings[300].file, 1U);
  EXPECT_EQ(state.mappings[301].flags, read_only | write_only);
  EXPECT_FALSE(state.mappings[301].file);
}

TEST_F(SessionMove, memory_in_more_files_than_a_message_carries_is_e2big) {
  for (std::uint64_t number = 0; number <= os::max_fds_per_message; ++number) {
    const os::UniqueFd file = os::create_memfd("one of many", page).value();
    ASSERT_EQ(map(number * page, page, read_only, file.get()).error(), 0);
  }
  session->pause();
  EXPECT_EQ(error_of(session->copy()), E2BIG);
  session->go_on();
  EXPECT_EQ(unmap(0, page).error(), 0) << "it stays as it was";
}

TEST_F(SessionMove, lost_descriptors_of_a_message_that_waits_are_lost_there_too) {
  // While the client owes an answer, its commands are taken even when they have to wait.
  ASSERT_EQ(map(1000 * page, page, read_only).error(), 0);
  umdev::test::Outcome<> read;
  Octets data(4);
  script->user->dma_read(1000 * page, data, read.done());
  world.host.run();
  const test::Reply asked = expect_reply();
  script->hold_access = true;
  send_write(0, Octets(4));
  assembler.incoming_fds().set_lost();
  const abi::VfioUserDmaMap head{.argsz = 32, .flags = read_only, .offset = 0, .iova = 0, .size = page};
  send(abi::vfio_user_dma_map, head);
  std::vector<os::UniqueFd> fds;
  fds.push_back(os::create_memfd("guest", page).value());
  send(abi::vfio_user_dma_map, head, std::move(fds));
  session->pause();
  EXPECT_EQ(error_of(session->copy()), EBUSY) << "the device has not answered";
  script->writes.front().complete_all();
  world.host.run();
  EXPECT_EQ(error_of(session->copy()), EBUSY) << "the client has not answered";
  send(test::join({bytes_of(make_error_reply(asked.header, EIO))}));
  EXPECT_EQ(read.error(), EIO);
  const SessionState state = session->copy().value();
  ASSERT_EQ(state.backlog.size(), 2U);
  EXPECT_TRUE(state.backlog[0].fds->lost());
  EXPECT_FALSE(state.backlog[1].fds->lost());
  EXPECT_EQ(state.backlog[1].fds->size(), 1U);
}

TEST_F(SessionMove, one_that_is_not_paused_is_ebusy) {
  EXPECT_EQ(error_of(session->copy()), EBUSY);
}

}  // namespace
}  // namespace umdev::vfio_user

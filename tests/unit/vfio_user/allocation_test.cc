// A session that runs allocates nothing for a message, and takes no lock.
#include "tests/support/counters/counters.h"
#include "tests/unit/vfio_user/session_fixture.h"

namespace umdev::vfio_user {
namespace {

class Allocation : public test::SessionFixture {
 public:
  // As a connection does it: a receive buffer full of messages, then one send of the replies.
  void exchange(const test::Octets& messages) {
    std::ranges::copy(messages, assembler.space().begin());
    assembler.commit(messages.size());
    for (auto frame = assembler.next(); *frame; frame = assembler.next()) session->handle(**frame);
    while (!outbox.empty()) outbox.sent(outbox.front().size());
  }
};

TEST_F(Allocation, none_for_accesses_once_a_session_runs) {
  if (!umdev::test::counters_count) GTEST_SKIP() << "a sanitizer has a heap of its own";
  open_session();
  const abi::VfioUserRegionAccess access{.offset = 0, .region = 0, .count = 8};
  const test::Octets data(8);
  const auto read = test::command(1, abi::vfio_user_region_read, {bytes_of(access)});
  const auto write = test::command(2, abi::vfio_user_region_write, {bytes_of(access), data});
  const auto posted =
      test::command(3, abi::vfio_user_region_write, {bytes_of(access), data}, abi::vfio_user_flags_no_reply);
  test::Octets messages;
  for (int i = 0; i < 20; ++i)
    for (const auto& message : {read, write, posted})
      messages.insert(messages.end(), message.begin(), message.end());
  {
    Lock lock(script->mutex);
    script->calls.reserve(10000);  // the script's own record
  }
  exchange(messages);
  const auto before = umdev::test::counts_of_this_thread();
  for (int i = 0; i < 50; ++i) exchange(messages);
  const auto used = umdev::test::counts_of_this_thread() - before;
  EXPECT_EQ(used.allocations, 0U);
  EXPECT_LT(used.locks, 2 * 50U * 60U) << "the script's own, one an access, and the test's clock's";
}

}  // namespace
}  // namespace umdev::vfio_user

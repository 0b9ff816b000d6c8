// A session that runs allocates nothing for a message: this program counts what operator new is asked for.
// Not in builds with a sanitizer, which has an operator new of its own.
#include "umdev/support/sanitizers.h"
#if !defined(UMDEV_OWN_HEAP)

#include <cstdlib>

#include "tests/unit/vfio_user/session_fixture.h"
#include "umdev/support/assert.h"

namespace {
thread_local std::uint64_t allocations = 0;

void* counted(std::size_t size) {
  ++allocations;
  void* memory = std::malloc(size);
  UMDEV_ASSERT(memory != nullptr, "no memory");
  return memory;
}
}  // namespace

void* operator new(std::size_t size) {
  return counted(size);
}
void* operator new[](std::size_t size) {
  return counted(size);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}

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
  const std::uint64_t before = allocations;
  for (int i = 0; i < 50; ++i) exchange(messages);
  EXPECT_EQ(allocations, before);
}

}  // namespace
}  // namespace umdev::vfio_user

#endif

// By edge in a conversation, by level otherwise.
#include "umdev/vfio_user/read_trigger.h"

#include <gtest/gtest.h>

namespace umdev::vfio_user {
namespace {

bool by_edge(const ReadTrigger& trigger) {
  return (trigger.events() & EPOLLET) != 0;
}

ReadTrigger in_a_conversation() {
  ReadTrigger trigger;
  for (int i = 0; i < 16; ++i) trigger.received(/*all=*/true);
  return trigger;
}

TEST(ReadTrigger, a_client_that_has_just_come_is_waited_for_by_level) {
  ReadTrigger trigger;
  EXPECT_EQ(trigger.events(), std::uint32_t{EPOLLIN});
  for (int i = 0; i < 15; ++i) trigger.received(true);
  EXPECT_FALSE(by_edge(trigger));
}

TEST(ReadTrigger, a_conversation_is_waited_for_by_edge_and_so_is_its_end) {
  const ReadTrigger trigger = in_a_conversation();
  EXPECT_EQ(trigger.events(), std::uint32_t{EPOLLIN} | std::uint32_t{EPOLLRDHUP} | EPOLLET);
}

TEST(ReadTrigger, a_receive_that_may_have_left_something_goes_back_to_level_for_a_while) {
  ReadTrigger trigger = in_a_conversation();
  trigger.received(false);
  EXPECT_FALSE(by_edge(trigger));
  for (int i = 0; i < 15; ++i) trigger.received(true);
  EXPECT_FALSE(by_edge(trigger));
  trigger.received(true);
  EXPECT_TRUE(by_edge(trigger));
}

}  // namespace
}  // namespace umdev::vfio_user

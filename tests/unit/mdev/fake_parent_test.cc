// The fake vendor does what the other tests believe that it does.
#include "tests/support/fake_parent.h"

#include <gtest/gtest.h>

#include "tests/support/outcome.h"
#include "tests/unit/mdev/mdev_fixture.h"

namespace umdev::mdev {
namespace {

using FakeParentTest = CardTest;

TEST_F(FakeParentTest, makes_counted_devices_and_keeps_the_requests) {
  ASSERT_EQ(create(1), 0);
  EXPECT_EQ(script->creates, 1U);
  EXPECT_EQ(script->live_devices(), 1U);
  ASSERT_EQ(script->requests().size(), 1U);
  EXPECT_EQ(script->requests()[0].uuid, uuid(1));
  EXPECT_NE(script->device_script(uuid(1)), nullptr);
  EXPECT_EQ(script->device_script(uuid(2)), nullptr);
  ASSERT_EQ(remove(1), 0);
  EXPECT_EQ(script->live_devices(), 0U);
  EXPECT_EQ(script->removes, 1U);
  EXPECT_EQ(script->forced_removes, 0U);
}

TEST_F(FakeParentTest, fails_and_refuses_on_demand) {
  script->create_error = ENODATA;
  EXPECT_EQ(create(1), ENODATA);
  script->create_error = 0;
  ASSERT_EQ(create(1), 0);
  script->remove_error = EBUSY;
  EXPECT_EQ(remove(1), EBUSY);
  EXPECT_EQ(remove(1, RemovePolicy::force), 0);
  EXPECT_EQ(script->forced_removes, 1U);
}

TEST_F(FakeParentTest, holds_creations_until_they_are_finished) {
  script->hold_creates = true;
  const auto creation = begin_create(1);
  EXPECT_EQ(script->held_creates(), 1U);
  EXPECT_FALSE(creation.is_done());
  script->finish_create();
  EXPECT_EQ(creation.error(), 0);
  EXPECT_EQ(script->held_creates(), 0U);
}

TEST_F(FakeParentTest, answers_what_is_available_when_it_is_told_to) {
  EXPECT_EQ(available(), "8\n");
  script->available = 3;
  EXPECT_EQ(available(), "3\n");
}

TEST_F(FakeParentTest, is_destroyed_with_its_registration) {
  EXPECT_FALSE(script->destroyed);
  parent = Registration();
  EXPECT_TRUE(script->destroyed);
}

}  // namespace
}  // namespace umdev::mdev

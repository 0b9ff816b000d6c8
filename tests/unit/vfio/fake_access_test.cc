#include "tests/support/fake_access.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/support/fake_user.h"
#include "tests/support/outcome.h"

namespace umdev::test {
namespace {

TEST(FakeAccess, keeps_the_answer_and_the_bytes) {
  FakeUser user;
  FakeAccess access(user, 7, 0x10, 2);
  {
    vfio::ReadRequest request = access.read_request();
    EXPECT_EQ(&request.user(), &user);
    EXPECT_EQ(request.region(), 7U);
    EXPECT_EQ(request.offset(), 0x10U);
    EXPECT_FALSE(access.completed());
    EXPECT_EQ(error_of(access.result()), EINPROGRESS);
    request.data()[1] = std::byte{9};
    request.complete_all();
  }
  EXPECT_TRUE(access.completed());
  EXPECT_EQ(access.result().value(), 2U);
  EXPECT_EQ(access.data()[1], std::byte{9});
}

TEST(FakeAccess, shows_a_write_its_bytes) {
  FakeUser user;
  FakeAccess access(user, 0, 0, {std::byte{1}, std::byte{2}});
  vfio::WriteRequest request = access.write_request();
  EXPECT_EQ(request.data()[1], std::byte{2});
  request.complete(fail(EIO, "broken"));
  EXPECT_EQ(error_of(access.result()), EIO);
}

TEST(FakeAccess, a_dropped_request_is_eio) {
  FakeUser user;
  FakeAccess access(user, 0, 0, 1);
  (void)access.read_request();
  EXPECT_EQ(error_of(access.result()), EIO);
}

TEST(FakeAccess, waits_for_an_answer_on_another_thread) {
  FakeUser user;
  FakeAccess access(user, 0, 0, 1);
  std::thread driver([request = access.read_request()]() mutable { request.complete_all(); });
  EXPECT_TRUE(access.wait());
  driver.join();
}

TEST(FakeAccess, waiting_has_an_end) {
  FakeUser user;
  FakeAccess access(user, 0, 0, 1);
  vfio::ReadRequest request = access.read_request();
  EXPECT_FALSE(access.wait(std::chrono::milliseconds(1)));
  request.complete_all();
}

TEST(FakeAccessDeathTest, must_outlive_its_request) {
  FakeUser user;
  EXPECT_DEATH(
      {
        auto access = std::make_unique<FakeAccess>(user, 0U, 0U, std::size_t{1});
        const auto request = access->read_request();
        access.reset();
      },
      "before its request");
}

}  // namespace
}  // namespace umdev::test

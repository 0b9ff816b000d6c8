// Accesses of whoever owns the buffer and waits itself: what a session does one after the other.
#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <thread>

#include "tests/support/core_world.h"
#include "umdev/vfio/device_file.h"

namespace umdev::vfio {
namespace {

using test::CoreWorld;

struct Owner final : AccessOwner {
  void access_completed(const Result<std::size_t>& result) override {
    ++answers;
    *bytes += result.value_or(0);
    error = result ? 0 : result.error().code;
    count = result.value_or(0);
  }
  std::array<std::byte, 8> buffer{};
  std::shared_ptr<std::size_t> bytes = std::make_shared<std::size_t>(0);
  int answers = 0;
  int error = -1;
  std::size_t count = 0;
};

struct Owned : testing::Test {
  DeviceFile& file() const { return *session.device; }
  void read(std::uint64_t offset, std::size_t size) const {
    file().read(0, offset, Bytes(owner->buffer).first(size), *owner);
  }

  CoreWorld world;
  CoreWorld::Registered device = world.add_device("a");
  CoreWorld::Session session = world.open(device);
  std::shared_ptr<Owner> owner = std::make_shared<Owner>();
};

TEST_F(Owned, B5_B6_is_told_inline_and_nothing_of_it_is_kept) {
  read(16, 4);
  EXPECT_EQ(owner->count, 4U);
  EXPECT_EQ(owner->buffer[3], std::byte{0x5a});
  file().write(0, 252, ConstBytes(owner->buffer).first(4), *owner);
  EXPECT_EQ(owner->answers, 2);
  EXPECT_EQ(owner->error, 0);
  EXPECT_EQ(owner.use_count(), 1);
  EXPECT_EQ(session.device.use_count(), 1);
}

TEST_F(Owned, B5_B6_what_is_refused_never_reaches_the_driver) {
  read(253, 4);
  EXPECT_EQ(owner->error, EINVAL);
  read(0, 0);
  EXPECT_EQ(owner->error, 0) << "nothing to do is no error";
  device.device->fault("for the test");
  read(0, 4);
  EXPECT_EQ(owner->error, EIO);
  EXPECT_EQ(device.script->count("read"), 0U);
  EXPECT_EQ(owner->answers, 3);
}

TEST_F(Owned, is_kept_with_the_file_while_the_driver_may_touch_its_buffer) {
  device.script->hold_access = true;
  read(0, 4);
  EXPECT_EQ(owner->answers, 0);
  const std::weak_ptr<Owner> watched = owner;
  const auto bytes = owner->bytes;
  owner.reset();
  session.device.reset();
  ASSERT_FALSE(watched.expired());
  EXPECT_EQ(device.script->count("close"), 0U);
  device.script->reads.front().complete_all();
  EXPECT_EQ(*bytes, 4U);
  EXPECT_TRUE(watched.expired());
  EXPECT_EQ(device.script->count("close"), 1U);
}

TEST_F(Owned, is_told_once_when_the_driver_does_not_answer_in_time) {
  device.script->hold_access = true;
  read(0, 4);
  world.host.advance(std::chrono::seconds(2));
  EXPECT_EQ(owner->error, ETIMEDOUT);
  device.script->reads.front().complete_all();
  device.script->reads.clear();
  EXPECT_EQ(owner->answers, 1);
}

TEST_F(Owned, is_told_by_another_thread_as_well) {
  device.script->hold_access = true;
  for (int i = 1; i <= 100; ++i) {
    read(0, 4);
    auto request = std::make_optional(std::move(device.script->reads.front()));
    device.script->reads.clear();
    std::thread driver([&] { request->complete_all(); });
    driver.join();
    ASSERT_EQ(owner->answers, i);
    request.reset();
    ASSERT_EQ(owner.use_count(), 1);
  }
}

TEST_F(Owned, may_change_places_with_who_waits_by_a_done) {
  int done = 0;
  for (int i = 0; i < 3; ++i) {
    read(0, 4);
    file().read(0, 0, Bytes(owner->buffer), owner,
                [&](Result<std::size_t> result) { done += result ? 1 : 0; });
  }
  EXPECT_EQ(owner->answers, 3);
  EXPECT_EQ(done, 3);
}

}  // namespace
}  // namespace umdev::vfio

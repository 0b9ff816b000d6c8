// House rule: the framework does not serialise a device's callbacks; a driver that wants that wraps itself.
#include <gtest/gtest.h>

#include <barrier>
#include <memory>
#include <thread>

#include "tests/support/fake_access.h"
#include "tests/support/fake_user.h"
#include "tests/support/outcome.h"
#include "tests/support/test_host.h"
#include "tests/unit/vfio/gate_device.h"
#include "umdev/vfio/serialized.h"

namespace umdev::vfio {
namespace {

// Read, write and ioctl of one device from three threads.
void call_from_three_threads(Device& device, User& user) {
  std::thread reader([&] { EXPECT_TRUE(test::read_bytes(device, user, 0, 0, 1)); });
  std::thread writer([&] { EXPECT_TRUE(test::write_register<std::uint8_t>(device, user, 0, 0, 1)); });
  std::thread caller([&] { EXPECT_TRUE(device.ioctl(user, {})); });
  reader.join();
  writer.join();
  caller.join();
}

TEST(DeviceCallbacks, D26_three_callbacks_are_inside_one_device_at_once) {
  auto seen = std::make_shared<test::GateDevice::Seen>();
  std::barrier everybody(3);
  seen->in_every_call = [&] { everybody.arrive_and_wait(); };
  test::GateDevice device(seen);
  test::FakeUser user(device);
  call_from_three_threads(device, user);
  EXPECT_EQ(seen->inside_most, 3);
}

TEST(DeviceCallbacks, D26_a_serialized_device_has_never_more_than_one) {
  auto seen = std::make_shared<test::GateDevice::Seen>();
  seen->in_every_call = [] { std::this_thread::yield(); };
  test::QueueExecutor executor;
  Serialized device(std::make_unique<test::GateDevice>(seen), executor);
  test::FakeUser user(device);
  std::atomic<bool> stop = false;
  std::thread executing([&] {
    while (!stop) {
      executor.run();
      std::this_thread::yield();
    }
  });
  constexpr int rounds = 200;
  for (int round = 0; round < rounds; ++round) call_from_three_threads(device, user);
  stop = true;
  executing.join();
  EXPECT_EQ(seen->inside_most, 1);
  EXPECT_EQ(seen->all().size(), 3U * rounds);
}

}  // namespace
}  // namespace umdev::vfio

// A read or write for the unit test of a device: made without a core, and kept until it is answered.
#pragma once

#include <chrono>
#include <concepts>
#include <cstring>
#include <optional>
#include <vector>

#include "umdev/support/mutex.h"
#include "umdev/vfio/access.h"
#include "umdev/vfio/device.h"

namespace umdev::test {

// One access, used once:
//
//   FakeAccess access(user, region, offset, 4);        // 4 bytes, zero at first
//   device.read(access.read_request());
//   EXPECT_TRUE(access.completed());                    // or wait(), when another thread answers
//   EXPECT_EQ(access.result().value(), 4U);
//   EXPECT_EQ(access.data()[0], std::byte{0x12});
//
// The core checks bounds before it calls a device; here the test is the core. Outlives the request that it
// gave, which is an assertion.
class FakeAccess final : public vfio::AccessSlot {
 public:
  FakeAccess(vfio::User& user, std::uint32_t region, std::uint64_t offset, std::size_t size)
      : FakeAccess(user, region, offset, std::vector<std::byte>(size)) {}
  // For a write of these bytes.
  FakeAccess(vfio::User& user, std::uint32_t region, std::uint64_t offset, std::vector<std::byte> data)
      : data_(std::move(data)) {
    target_ = {.user = &user, .region = region, .offset = offset, .data = data_};
  }
  ~FakeAccess() override { UMDEV_ASSERT(!is_held(), "a fake access ended before its request"); }
  FakeAccess(const FakeAccess&) = delete;
  FakeAccess& operator=(const FakeAccess&) = delete;

  // One of the two, once.
  vfio::ReadRequest read_request() {
    give();
    return vfio::ReadRequest(*this);
  }
  vfio::WriteRequest write_request() {
    give();
    return vfio::WriteRequest(*this);
  }

  bool completed() const {
    Lock lock(mutex_);
    return result_.has_value();
  }
  // Waits until the request was answered and is gone; false when that takes longer.
  [[nodiscard]] bool wait(std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    Lock lock(mutex_);
    while (held_) {
      if (!changed_.wait_for(mutex_, end - std::chrono::steady_clock::now())) return !held_;
    }
    return result_.has_value();
  }
  // The device's answer; EINPROGRESS while there is none.
  Result<std::size_t> result() const {
    Lock lock(mutex_);
    return result_ ? *result_ : fail(EINPROGRESS, "not completed");
  }
  // What was read. Stable once the access has been completed.
  ConstBytes data() const { return data_; }

  // ^AccessSlot
  void complete(Result<std::size_t> result) override {
    Lock lock(mutex_);
    UMDEV_ASSERT(!result_, "an access was completed twice");
    result_ = std::move(result);
  }
  void let_go() override {
    Lock lock(mutex_);
    held_ = false;
    changed_.notify_all();
  }

 private:
  void give() {
    Lock lock(mutex_);
    UMDEV_ASSERT(!held_ && !result_, "a fake access is used once");
    held_ = true;
  }
  bool is_held() const {
    Lock lock(mutex_);
    return held_;
  }

  std::vector<std::byte> data_;
  mutable Mutex mutex_;
  Condition changed_;
  bool held_ UMDEV_GUARDED_BY(mutex_) = false;
  std::optional<Result<std::size_t>> result_ UMDEV_GUARDED_BY(mutex_);
};

// Reads `size` bytes; shorter when the device does less. For devices that answer inline or on a thread of
// their own.
inline Result<std::vector<std::byte>> read_bytes(vfio::Device& device, vfio::User& user, std::uint32_t region,
                                                 std::uint64_t offset, std::size_t size) {
  FakeAccess access(user, region, offset, size);
  device.read(access.read_request());
  UMDEV_ASSERT(access.wait(), "the device does not answer");
  const std::size_t done = UMDEV_TRY(access.result());
  UMDEV_ASSERT(done <= size, "the device says that it read more than it was asked for");
  return std::vector<std::byte>(access.data().begin(),
                                access.data().begin() + static_cast<std::ptrdiff_t>(done));
}

// Writes bytes; returns how many the device took.
inline Result<std::size_t> write_bytes(vfio::Device& device, vfio::User& user, std::uint32_t region,
                                       std::uint64_t offset, ConstBytes from) {
  FakeAccess access(user, region, offset, std::vector<std::byte>(from.begin(), from.end()));
  device.write(access.write_request());
  UMDEV_ASSERT(access.wait(), "the device does not answer");
  return access.result();
}

// One register, little-endian: `read_register<std::uint32_t>(device, user, 7, 0x10)`. EIO for a short answer.
template <std::unsigned_integral T>
Result<T> read_register(vfio::Device& device, vfio::User& user, std::uint32_t region, std::uint64_t offset) {
  const std::vector<std::byte> bytes = UMDEV_TRY(read_bytes(device, user, region, offset, sizeof(T)));
  const std::optional<T> value = load_le<T>(bytes, 0);
  if (!value) return fail(EIO, "the device read less than the register");
  return *value;
}
template <std::unsigned_integral T>
Result<> write_register(vfio::Device& device, vfio::User& user, std::uint32_t region, std::uint64_t offset,
                        T value) {
  const std::size_t done = UMDEV_TRY(write_bytes(device, user, region, offset, bytes_of(value)));
  if (done != sizeof(T)) return fail(EIO, "the device wrote less than the register");
  return {};
}

}  // namespace umdev::test

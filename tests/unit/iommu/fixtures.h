// What the tests of this folder share.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/support/fake_backing.h"
#include "tests/support/fake_dma_user.h"
#include "tests/support/outcome.h"
#include "tests/support/test_host.h"
#include "umdev/iommu/address_space.h"

namespace umdev::iommu {

using test::error_of;
using test::FakeDmaUser;
using test::MemoryBacking;
using test::MessageBacking;
using test::Outcome;

inline constexpr std::uint64_t page = page_size;

inline void fill(Bytes bytes, int value) {
  std::fill(bytes.begin(), bytes.end(), static_cast<std::byte>(value));
}

// A space with one registered user and a backing of 16 pages.
class SpaceTest : public testing::Test {
 public:
  SpaceTest() { space->register_user(user); }
  ~SpaceTest() override {
    if (space) space->unregister_user(user);
  }

  int map(Iova iova, std::uint64_t size, Access access = Access::read_write, std::uint64_t offset = 0) {
    return map_on(memory, iova, size, access, offset);
  }
  int map_on(std::shared_ptr<Backing> backing, Iova iova, std::uint64_t size,
             Access access = Access::read_write, std::uint64_t offset = 0) {
    return error_of(space->map({{iova, size}, access, std::move(backing), offset}));
  }
  int pin_error(Iova iova, std::uint64_t size, Access access = Access::read) {
    return error_of(space->pin(user, {iova, size}, access));
  }
  DmaPin pin(Iova iova, std::uint64_t size, Access access = Access::read) {
    Result<DmaPin> result = space->pin(user, {iova, size}, access);
    EXPECT_EQ(error_of(result), 0);
    return result ? std::move(*result) : DmaPin();
  }
  void unmap(Outcome<std::uint64_t>& outcome, Iova iova, std::uint64_t size,
             UnmapRule rule = UnmapRule::whole) {
    space->unmap({iova, size}, rule, outcome.done());
  }
  int read_error(Iova iova, std::uint64_t size) {
    std::vector<std::byte> into(size);
    Outcome<> outcome;
    space->read(iova, into, outcome.done());
    return outcome.error();
  }
  int write_error(Iova iova, std::uint64_t size) {
    const std::vector<std::byte> from(size);
    Outcome<> outcome;
    space->write(iova, from, outcome.done());
    return outcome.error();
  }

  test::ManualClock clock;
  Limits limits{.mappings_per_container = 4, .pins_per_user = 3, .unmap_deadline = std::chrono::seconds(10)};
  std::unique_ptr<AddressSpace> space = std::make_unique<AddressSpace>(clock, limits);
  FakeDmaUser user;
  std::shared_ptr<MemoryBacking> memory = std::make_shared<MemoryBacking>(16 * page, 7, 0x10000);
  std::shared_ptr<MessageBacking> messages = std::make_shared<MessageBacking>(16 * page);
};

}  // namespace umdev::iommu

// The fast path allocates nothing: this program counts what operator new is asked for. Not in builds with a
// sanitizer, which has an operator new of its own.
#include "umdev/support/sanitizers.h"
#if !defined(UMDEV_OWN_HEAP)

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/unit/iommu/fixtures.h"
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

namespace umdev::iommu {
namespace {

using Allocations = SpaceTest;

TEST_F(Allocations, a_pin_in_one_mapping_needs_none) {
  ASSERT_EQ(map(0, 2 * page), 0);
  const std::uint64_t before = allocations;
  for (Iova iova = 0; iova != 2 * page; iova += 512) {
    Result<DmaPin> first = space->pin(user, {iova, 512}, Access::read_write);
    DmaPin moved = std::move(*first);
  }
  EXPECT_EQ(allocations, before);
}

TEST_F(Allocations, a_copy_in_one_mapping_needs_none) {
  ASSERT_EQ(map(0, 2 * page), 0);
  std::vector<std::byte> bytes(64);
  Outcome<> read;
  Outcome<> written;
  const std::uint64_t before = allocations;
  space->read(page - 32, bytes, read.done());
  space->write(page - 32, bytes, written.done());
  EXPECT_EQ(allocations, before);
  EXPECT_TRUE(read.succeeded());
  EXPECT_TRUE(written.succeeded());
}

TEST_F(Allocations, are_counted_at_all) {
  const std::uint64_t before = allocations;
  EXPECT_EQ(map(0, page), 0);
  EXPECT_GT(allocations, before);
}

}  // namespace
}  // namespace umdev::iommu

#endif

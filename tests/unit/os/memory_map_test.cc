#include "umdev/os/memory_map.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "umdev/os/memfd.h"

namespace umdev::os {
namespace {

constexpr std::size_t page = 4096;

TEST(MemoryMap, an_area_is_found_by_any_of_its_addresses) {
  const UniqueFd file = create_memfd("area", 4 * page).value();
  void* at = ::mmap(nullptr, 2 * page, PROT_READ, MAP_SHARED, file.get(), page);
  ASSERT_NE(at, MAP_FAILED);
  const auto begin = reinterpret_cast<std::uint64_t>(at);
  auto map = MemoryMap::open(::gettid());
  ASSERT_TRUE(map);
  for (const std::uint64_t address : {begin, begin + 1, begin + 2 * page - 1}) {
    const auto area = map->area_at(address);
    ASSERT_TRUE(area);
    EXPECT_EQ(area->begin, begin);
    EXPECT_EQ(area->end, begin + 2 * page);
    EXPECT_EQ(area->offset, page);
    EXPECT_EQ(area->file, identity_of(file.get()).value());
    EXPECT_TRUE(area->readable && !area->writable && area->shared);
  }
  ::munmap(at, 2 * page);
  const auto gone = map->area_at(begin);
  EXPECT_TRUE(!gone || gone->file != identity_of(file.get()).value()) << "each question is answered anew";
}

TEST(MemoryMap, where_nothing_is_there_is_no_area) {
  auto map = MemoryMap::open(::gettid());
  ASSERT_TRUE(map);
  EXPECT_EQ(map->area_at(16).error().code, ENOENT);
}

TEST(MemoryMap, memory_that_is_gone_has_no_areas) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char byte = 0;
    ::close(ends[1]);
    ::_exit(static_cast<int>(::read(ends[0], &byte, 1)));
  }
  auto map = MemoryMap::open(child);
  ASSERT_TRUE(map);
  const auto here = reinterpret_cast<std::uint64_t>(&page);
  EXPECT_TRUE(map->area_at(here));
  ::close(ends[0]);
  ::close(ends[1]);
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(map->area_at(here));
  EXPECT_FALSE(MemoryMap::open(child));
}

}  // namespace
}  // namespace umdev::os

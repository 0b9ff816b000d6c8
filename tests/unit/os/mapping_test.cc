#include "umdev/os/mapping.h"

#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <thread>

#include "tests/unit/os/fixtures.h"
#include "umdev/os/memfd.h"

namespace umdev::os {
namespace {

constexpr std::byte mark{0xa5};

TEST(Mapping, two_mappings_of_a_file_share_its_bytes) {
  const auto fd = create_memfd("test", 2 * page_size());
  ASSERT_TRUE(fd);
  const auto all = Mapping::of_fd(fd->get(), 0, 2 * page_size(), Protection::read_write);
  const auto second = Mapping::of_fd(fd->get(), page_size(), page_size(), Protection::read);
  ASSERT_TRUE(all);
  ASSERT_TRUE(second);
  all->writable_bytes()[page_size() + 7] = mark;
  EXPECT_EQ(second->bytes()[7], mark);
}

TEST(Mapping, anonymous_memory_is_zero_and_writable) {
  const auto mapping = Mapping::anonymous(page_size());
  ASSERT_TRUE(mapping);
  EXPECT_EQ(mapping->bytes()[0], std::byte{0});
  mapping->writable_bytes()[page_size() - 1] = mark;
  EXPECT_EQ(mapping->bytes()[page_size() - 1], mark);
}

TEST(Mapping, keeps_its_address_when_moved) {
  auto mapping = Mapping::anonymous(page_size());
  ASSERT_TRUE(mapping);
  std::byte* address = mapping->data();
  Mapping moved = std::move(*mapping);
  EXPECT_EQ(moved.data(), address);
  EXPECT_FALSE(*mapping);
  EXPECT_EQ(mapping->size(), 0U);
}

TEST(Mapping, lives_after_its_descriptor_is_closed) {
  auto fd = create_memfd("test", page_size());
  ASSERT_TRUE(fd);
  const auto mapping = Mapping::of_fd(fd->get(), 0, page_size(), Protection::read_write);
  ASSERT_TRUE(mapping);
  fd->reset();
  mapping->writable_bytes()[0] = mark;
  EXPECT_EQ(mapping->bytes()[0], mark);
}

TEST(Mapping, bad_ranges_are_einval) {
  const auto fd = create_memfd("test", page_size());
  ASSERT_TRUE(fd);
  const auto max = std::numeric_limits<std::uint64_t>::max();
  const auto aligned_max = max - page_size() + 1;
  struct Case {
    std::uint64_t offset;
    std::size_t length;
  };
  for (const auto& [offset, length] :
       {Case{0, 0}, Case{1, page_size()}, Case{page_size() - 1, 1}, Case{aligned_max, page_size()},
        Case{aligned_max, max}, Case{max, max}}) {
    const auto mapping = Mapping::of_fd(fd->get(), offset, length, Protection::read);
    ASSERT_FALSE(mapping) << offset << " + " << length;
    EXPECT_EQ(mapping.error().code, EINVAL) << offset << " + " << length;
  }
  EXPECT_EQ(Mapping::anonymous(0).error().code, EINVAL);
}

TEST(Mapping, more_than_the_address_space_is_enomem) {
  EXPECT_EQ(Mapping::anonymous(std::size_t{1} << 60).error().code, ENOMEM);
}

TEST(Mapping, of_what_cannot_be_mapped_is_an_error) {
  EXPECT_EQ(Mapping::of_fd(-1, 0, page_size(), Protection::read).error().code, EBADF);
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  EXPECT_EQ(Mapping::of_fd(pipe[0], 0, page_size(), Protection::read).error().code, ENODEV);
  ::close(pipe[0]);
  ::close(pipe[1]);
  const UniqueFd read_only(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(Mapping::of_fd(read_only.get(), 0, page_size(), Protection::read_write).error().code, EACCES);
}

TEST(Mapping, replaced_pages_are_zero_in_place_and_the_rest_is_untouched) {
  const auto fd = create_memfd("test", 3 * page_size());
  ASSERT_TRUE(fd);
  auto mapping = Mapping::of_fd(fd->get(), 0, 3 * page_size(), Protection::read_write);
  const auto file = Mapping::of_fd(fd->get(), 0, 3 * page_size(), Protection::read);
  ASSERT_TRUE(mapping);
  ASSERT_TRUE(file);
  for (std::byte& byte : mapping->writable_bytes()) byte = mark;

  ASSERT_TRUE(mapping->replace_with_zero_pages(page_size(), page_size()));
  EXPECT_EQ(mapping->bytes()[page_size() - 1], mark);
  EXPECT_EQ(mapping->bytes()[page_size()], std::byte{0});
  EXPECT_EQ(mapping->bytes()[2 * page_size() - 1], std::byte{0});
  EXPECT_EQ(mapping->bytes()[2 * page_size()], mark);
  // What is written there from now on reaches nobody.
  mapping->writable_bytes()[page_size()] = std::byte{1};
  EXPECT_EQ(file->bytes()[page_size()], mark);
}

TEST(Mapping, the_whole_of_an_odd_length_can_be_replaced) {
  const auto fd = create_memfd("test", page_size() + 100);
  ASSERT_TRUE(fd);
  auto mapping = Mapping::of_fd(fd->get(), 0, page_size() + 100, Protection::read_write);
  ASSERT_TRUE(mapping);
  mapping->writable_bytes()[page_size() + 99] = mark;
  ASSERT_TRUE(mapping->replace_with_zero_pages(0, page_size() + 100));
  EXPECT_EQ(mapping->bytes()[page_size() + 99], std::byte{0});
}

TEST(Mapping, replacing_bad_ranges_is_einval) {
  auto mapping = Mapping::anonymous(3 * page_size());
  ASSERT_TRUE(mapping);
  mapping->writable_bytes()[0] = mark;
  struct Case {
    std::size_t offset;
    std::size_t length;
  };
  const std::size_t max = std::numeric_limits<std::size_t>::max();
  for (const auto& [offset, length] : {Case{0, 0}, Case{1, page_size()}, Case{0, page_size() - 1},
                                       Case{0, 4 * page_size()}, Case{3 * page_size(), page_size()},
                                       Case{page_size(), max}, Case{max - page_size() + 1, page_size()}}) {
    const auto result = mapping->replace_with_zero_pages(offset, length);
    ASSERT_FALSE(result) << offset << " + " << length;
    EXPECT_EQ(result.error().code, EINVAL) << offset << " + " << length;
  }
  EXPECT_EQ(mapping->bytes()[0], mark);
}

// Clients may share huge pages, which the kernel does not cut: it answers EINVAL where it would for any other
// mapping unmap or replace a part.
TEST(Mapping, of_huge_pages_is_handled_in_huge_pages_only) {
  constexpr std::size_t huge_page = 2 << 20;
  const UniqueFd fd = create_huge_file(huge_page);
  if (!fd) GTEST_SKIP() << "no huge pages of 2 MiB here (vm.nr_hugepages)";
  EXPECT_EQ(Mapping::of_fd(fd.get(), page_size(), huge_page, Protection::read).error().code, EINVAL);
  auto mapping = Mapping::of_fd(fd.get(), 0, huge_page + 1, Protection::read_write);
  ASSERT_TRUE(mapping);
  EXPECT_EQ(mapping->page_bytes(), huge_page);
  EXPECT_EQ(mapping->mapped_size(), 2 * huge_page);
  mapping->writable_bytes()[huge_page] = mark;
  EXPECT_EQ(mapping->replace_with_zero_pages(0, page_size()).error().code, EINVAL);
  EXPECT_TRUE(mapping->replace_with_zero_pages(huge_page, 1));
  EXPECT_EQ(mapping->bytes()[huge_page], std::byte{0});
}

// The rule that revocation rests on: no access fails while the pages are exchanged.
TEST(Mapping, replacing_is_invisible_to_who_reads_and_writes_at_that_moment) {
  const auto fd = create_memfd("test", 16 * page_size());
  ASSERT_TRUE(fd);
  auto mapping = Mapping::of_fd(fd->get(), 0, 16 * page_size(), Protection::read_write);
  ASSERT_TRUE(mapping);
  std::atomic<bool> done = false;
  std::atomic<unsigned> rounds = 0;
  std::thread user([&, data = mapping->data(), size = mapping->size()] {
    while (!done) {
      for (std::size_t at = 0; at < size; at += page_size())
        std::atomic_ref(*reinterpret_cast<unsigned*>(data + at)).fetch_add(1);
      ++rounds;
    }
  });
  while (rounds == 0) std::this_thread::yield();
  for (int round = 0; round < 200; ++round)
    ASSERT_TRUE(mapping->replace_with_zero_pages(0, 16 * page_size()));
  done = true;
  user.join();
}

TEST(MappingDeathTest, writing_a_read_only_mapping_is_an_assertion) {
  const auto mapping = Mapping::anonymous(page_size(), Protection::read);
  ASSERT_TRUE(mapping);
  EXPECT_DEATH(static_cast<void>(mapping->writable_bytes()), "may not be written");
}

}  // namespace
}  // namespace umdev::os

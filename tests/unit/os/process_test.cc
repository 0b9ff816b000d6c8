#include "umdev/os/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "umdev/os/area_query.h"
#include "umdev/os/event_fd.h"
#include "umdev/os/mapping.h"
#include "umdev/os/memfd.h"

namespace umdev::os {
namespace {

constexpr std::string_view maps =
    "00400000-00401000 r-xp 00000000 fe:01 1234                             /usr/bin/a program\n"
    "7f0000000000-7f0000002000 rw-s 00001000 00:01 77                         /memfd:a (deleted)\n"
    "7f0000002000-7f0000003000 ---p 00000000 00:00 0 \n"
    "7fff00000000-7fff00001000 rw-p 00000000 00:00 0                          [stack]\n";

TEST(MemoryAreas, are_read_from_the_kernels_text) {
  const auto areas = parse_areas(maps, 0x7f0000001000, 0x7f0000002001);
  ASSERT_EQ(areas.size(), 2U);
  EXPECT_EQ(areas[0].begin, 0x7f0000000000U);
  EXPECT_EQ(areas[0].end, 0x7f0000002000U);
  EXPECT_TRUE(areas[0].readable && areas[0].writable && areas[0].shared);
  EXPECT_EQ(areas[0].offset, 0x1000U);
  EXPECT_EQ(areas[0].file, (FileIdentity{.device = 1, .inode = 77}));
  EXPECT_FALSE(areas[1].readable || areas[1].writable || areas[1].shared);
  EXPECT_EQ(areas[1].file, FileIdentity{});
}

TEST(MemoryAreas, outside_the_range_are_left_out) {
  EXPECT_TRUE(parse_areas(maps, 0x401000, 0x7f0000000000).empty());
  EXPECT_EQ(parse_areas(maps, 0, UINT64_MAX).size(), 4U);
}

TEST(MemoryAreas, end_at_a_line_that_makes_no_sense) {
  for (const std::string_view text : {"", "\n", "nonsense", "1-", "1-2", "1-2 rw-p", "1-2 rw-p 0",
                                      "1-2 rw-p 0 1", "1-2 rw-p 0 1:", "1-2 rw-p 0 1:2", "1-2 rw-p 0 1:2 x"})
    EXPECT_TRUE(parse_areas(text, 0, UINT64_MAX).empty()) << text;
}

// A child that waits to be killed.
struct AnotherProcess : testing::Test {
  AnotherProcess() {
    if (child == 0)
      for (;;) ::pause();
  }
  ~AnotherProcess() override { end(); }

  void end() {
    if (child == 0) return;
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    child = 0;
  }
  std::uint64_t address() const { return reinterpret_cast<std::uint64_t>(memory.data()); }
  static Bytes bytes_of_text(std::string& text) { return std::as_writable_bytes(std::span(text)); }

  Mapping memory = Mapping::anonymous(8192).value();
  UniqueFd file = create_memfd("a-file", 4096).value();
  EventFd event = EventFd::create().value();
  pid_t child = ::fork();
};

TEST_F(AnotherProcess, has_memory_that_is_read_and_written) {
  const auto process = Process::open(child).value();
  EXPECT_EQ(process->id(), child);
  EXPECT_EQ(process->user(), ::geteuid());
  std::string text = "something";
  ASSERT_TRUE(process->write(address() + 4090, bytes_of_text(text)));
  EXPECT_EQ(memory.data()[4090], std::byte{});  // the child's own copy
  std::string read(9, '\0');
  ASSERT_TRUE(process->read(address() + 4090, bytes_of_text(read)));
  EXPECT_EQ(read, text);
}

TEST_F(AnotherProcess, memory_that_is_not_there_is_efault) {
  const auto process = Process::open(child).value();
  std::string text(8192, '\0');
  EXPECT_EQ(process->read(0, bytes_of_text(text)).error().code, EFAULT);
  EXPECT_EQ(process->read(UINT64_MAX - 8, bytes_of_text(text)).error().code, EFAULT);
  EXPECT_EQ(process->write(0, bytes_of_text(text)).error().code, EFAULT);
  EXPECT_TRUE(process->read(0, {}));
}

TEST_F(AnotherProcess, has_descriptors_that_can_be_told_and_taken) {
  const auto process = Process::open(child).value();
  const UniqueFd taken = process->take_fd(file.get()).value();
  EXPECT_EQ(identity_of(taken.get()).value(), identity_of(file.get()).value());
  EXPECT_EQ(process->identity_of_fd(file.get()).value(), identity_of(file.get()).value());
  EXPECT_TRUE(process->name_of_fd(file.get()).value().starts_with("/memfd:a-file"));
  EXPECT_EQ(process->name_of_fd(event.get()).value(), "anon_inode:[eventfd]");
  for (const int wrong : {-1, 9999}) {
    EXPECT_EQ(process->take_fd(wrong).error().code, EBADF);
    EXPECT_EQ(process->identity_of_fd(wrong).error().code, EBADF);
    EXPECT_EQ(process->name_of_fd(wrong).error().code, EBADF);
  }
}

TEST_F(AnotherProcess, after_its_end_everything_is_an_error) {
  const auto process = Process::open(child).value();
  const UniqueFd opened = process->open_memory().value();
  EXPECT_TRUE(process->is_alive());
  EXPECT_TRUE(is_address_space_alive(opened.get()));
  end();
  std::string text(1, '\0');
  EXPECT_FALSE(process->is_alive());
  EXPECT_FALSE(is_address_space_alive(opened.get()));
  EXPECT_EQ(process->read(address(), bytes_of_text(text)).error().code, ESRCH);
  EXPECT_EQ(process->write(address(), bytes_of_text(text)).error().code, ESRCH);
  EXPECT_EQ(process->take_fd(file.get()).error().code, ESRCH);
  EXPECT_EQ(process->areas(0, UINT64_MAX).error().code, ESRCH);
}

TEST(Processes, that_cannot_be_seen_are_esrch) {
  for (const pid_t thread : {-1, 0, 0x7fffffff}) EXPECT_EQ(Process::open(thread).error().code, ESRCH);
}

TEST(Processes, the_file_of_shared_memory_is_found) {
  const UniqueFd file = create_memfd("shared", 8192).value();
  const Mapping mapping = Mapping::of_fd(file.get(), 4096, 4096, Protection::read_write).value();
  const auto own = Process::open(::getpid()).value();
  const auto begin = reinterpret_cast<std::uint64_t>(mapping.data());
  const auto areas = own->areas(begin, begin + 4096).value();
  ASSERT_EQ(areas.size(), 1U);
  EXPECT_EQ(areas[0].offset, 4096U);
  const UniqueFd found = own->open_file_of(areas[0], true).value();
  EXPECT_EQ(identity_of(found.get()).value(), identity_of(file.get()).value());
}

// Whichever way the kernel is asked, it says the same of one's own memory.
TEST(Processes, areas_are_those_of_the_kernels_text) {
  const UniqueFd file = create_memfd("shared", 8192).value();
  const Mapping first = Mapping::of_fd(file.get(), 4096, 4096, Protection::read).value();
  const Mapping second = Mapping::anonymous(12288).value();
  const Mapping third = Mapping::anonymous(12288).value();
  ASSERT_EQ(::mprotect(third.data() + 4096, 4096, PROT_READ), 0) << "three areas that adjoin";
  const UniqueFd text_file(::open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
  const UniqueFd query_file(::open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
  for (const Mapping* mapping : {&first, &second, &third}) {
    const auto begin = reinterpret_cast<std::uint64_t>(mapping->data());
    std::string text(1 << 20, '\0');
    ASSERT_EQ(::lseek(text_file.get(), 0, SEEK_SET), 0);
    std::size_t used = 0;
    for (ssize_t count = 1; count > 0; used += static_cast<std::size_t>(count))
      count = ::read(text_file.get(), text.data() + used, text.size() - used);
    text.resize(used);
    const auto asked = query_areas(query_file.get(), begin + 1, begin + mapping->size());
    if (!asked && asked.error().code == ENOTTY) GTEST_SKIP() << "before Linux 6.11";
    ASSERT_TRUE(asked);
    EXPECT_EQ(*asked, parse_areas(text, begin + 1, begin + mapping->size()));
    EXPECT_LE(asked->front().begin, begin);
  }
  EXPECT_TRUE(query_areas(query_file.get(), 0, 4096)->empty());
  EXPECT_TRUE(query_areas(query_file.get(), 4096, 4096)->empty());
  EXPECT_EQ(query_areas(-1, 0, 4096).error().code, EBADF);
}

TEST(Processes, private_memory_has_no_file) {
  const Mapping mapping = Mapping::anonymous(4096).value();
  const auto own = Process::open(::getpid()).value();
  const auto begin = reinterpret_cast<std::uint64_t>(mapping.data());
  EXPECT_EQ(own->open_file_of(own->areas(begin, begin + 4096).value()[0], false).error().code, ENOENT);
}

}  // namespace
}  // namespace umdev::os

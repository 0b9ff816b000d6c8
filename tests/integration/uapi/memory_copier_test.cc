// Copies between this process's memory and itself, as if it was another's.
#include "umdev/uapi/memory_copier.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "umdev/os/thread_pool.h"

namespace umdev::test {
namespace {

using uapi::MemoryCopier;

constexpr std::size_t piece = MemoryCopier::piece_size;

std::uint64_t address_of(const void* memory) {
  return reinterpret_cast<std::uint64_t>(memory);
}

// Alone, and with a second thread.
struct MemoryCopies : testing::TestWithParam<bool> {
  std::unique_ptr<os::ThreadPool> second = os::ThreadPool::create("copier", {.kept = 1, .most = 1}).value();
  MemoryCopier copier{GetParam() ? second.get() : nullptr};
  std::shared_ptr<os::Process> process = os::Process::open(::getpid()).value();
  std::vector<std::byte> bytes = std::vector<std::byte>(8 * piece + 3);
  std::vector<std::byte> copy = std::vector<std::byte>(bytes.size());

  MemoryCopies() {
    unsigned number = 1;
    for (std::byte& byte : bytes)
      byte = static_cast<std::byte>((number = number * 1103515245 + 12345) >> 16U);
  }
};

TEST_P(MemoryCopies, are_whole_at_every_size_both_ways) {
  for (const std::size_t size :
       {std::size_t{1}, piece - 1, piece, 2 * piece - 1, 2 * piece, 2 * piece + 1, 5 * piece, bytes.size()}) {
    std::ranges::fill(copy, std::byte{0});
    ASSERT_TRUE(copier.read(process, address_of(bytes.data()), Bytes(copy).first(size)));
    EXPECT_TRUE(std::equal(copy.begin(), copy.begin() + static_cast<std::ptrdiff_t>(size), bytes.begin()));
    EXPECT_TRUE(size == copy.size() || copy[size] == std::byte{0});
    std::ranges::fill(copy, std::byte{0});
    ASSERT_TRUE(copier.write(process, address_of(copy.data()), ConstBytes(bytes).first(size)));
    EXPECT_TRUE(std::equal(copy.begin(), copy.begin() + static_cast<std::ptrdiff_t>(size), bytes.begin()));
    EXPECT_TRUE(size == copy.size() || copy[size] == std::byte{0});
  }
}

TEST_P(MemoryCopies, of_a_page_that_is_not_there_are_errors_wherever_it_is) {
  void* const memory = ::mmap(nullptr, 4 * piece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  for (const std::size_t hole : {std::size_t{0}, piece, 4 * piece - 4096}) {
    ASSERT_EQ(::mprotect(memory, 4 * piece, PROT_READ | PROT_WRITE), 0);
    ASSERT_EQ(::mprotect(static_cast<std::byte*>(memory) + hole, 4096, PROT_NONE), 0);
    EXPECT_EQ(copier.read(process, address_of(memory), Bytes(copy).first(4 * piece)).error().code, EFAULT);
    EXPECT_EQ(copier.write(process, address_of(memory), ConstBytes(bytes).first(4 * piece)).error().code,
              EFAULT);
  }
  ASSERT_TRUE(copier.read(process, address_of(bytes.data()), copy)) << "an error is of its copy only";
  EXPECT_EQ(copy, bytes);
  EXPECT_EQ(::munmap(memory, 4 * piece), 0);
}

TEST_P(MemoryCopies, of_several_threads_do_not_meet) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int thread = 0; thread < 4; ++thread)
    threads.emplace_back([&] {
      std::vector<std::byte> mine(bytes.size());
      for (int round = 0; round < 20; ++round) {
        std::ranges::fill(mine, std::byte{0});
        if (!copier.read(process, address_of(bytes.data()), mine) || mine != bytes) ++wrong;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

// Comes when everything is over.
TEST(MemoryCopier, does_not_wait_for_a_second_thread_that_does_not_come) {
  struct Later final : Executor {
    void post(Work work) override { posted.push_back(std::move(work)); }
    std::vector<Work> posted;
  } later;
  const auto process = os::Process::open(::getpid()).value();
  const std::vector<std::byte> bytes(4 * piece, std::byte{7});
  {
    MemoryCopier copier(&later);
    std::vector<std::byte> copy(bytes.size());
    for (int round = 0; round < 3; ++round) {
      std::ranges::fill(copy, std::byte{0});
      ASSERT_TRUE(copier.read(process, address_of(bytes.data()), copy));
      EXPECT_EQ(copy, bytes);
    }
  }
  ASSERT_EQ(later.posted.size(), 1U) << "it is not asked again before it has come";
  later.posted.front()();
}

TEST(MemoryCopier, a_second_thread_may_do_all_of_it) {
  struct Inline final : Executor {
    void post(Work work) override { work(); }
  } at_once;
  MemoryCopier copier(&at_once);
  const auto process = os::Process::open(::getpid()).value();
  const std::vector<std::byte> bytes(4 * piece, std::byte{7});
  std::vector<std::byte> copy(bytes.size());
  for (int round = 0; round < 2; ++round) ASSERT_TRUE(copier.read(process, address_of(bytes.data()), copy));
  EXPECT_EQ(copy, bytes);
  EXPECT_EQ(copier.read(process, 4096, copy).error().code, EFAULT);
}

INSTANTIATE_TEST_SUITE_P(Threads, MemoryCopies, testing::Bool());

}  // namespace
}  // namespace umdev::test

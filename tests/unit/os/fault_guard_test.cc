#include "umdev/os/fault_guard.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <iostream>
#include <thread>

#include "tests/unit/os/fixtures.h"
#include "umdev/os/memfd.h"

namespace umdev::os {
namespace {

constexpr std::byte mark{0xa5};

// A client's memory: its file, which it may truncate, and our mapping of it.
struct ClientMemory {
  explicit ClientMemory(std::size_t pages, Protection protection = Protection::read_write)
      : fd(std::move(*create_memfd("client", pages * page_size(), MemfdSize::changeable))),
        mapping(std::move(*Mapping::of_fd(fd.get(), 0, pages * page_size(), protection))),
        guard(std::move(*FaultGuard::protect(mapping))) {}

  void truncate(std::size_t pages) {
    ASSERT_EQ(::ftruncate(fd.get(), static_cast<off_t>(pages * page_size())), 0);
  }
  // Volatile: the access is the point.
  std::byte read(std::size_t page) const {
    return std::byte{*reinterpret_cast<volatile unsigned char*>(mapping.data() + page * page_size())};
  }
  void write(std::size_t page, std::byte value) {
    *reinterpret_cast<volatile unsigned char*>(mapping.data() + page * page_size()) =
        std::to_integer<unsigned char>(value);
  }

  UniqueFd fd;
  Mapping mapping;
  FaultGuard::Registration guard;
};

TEST(FaultGuard, a_read_behind_the_end_of_a_truncated_file_is_zero_and_marks_the_mapping) {
  ClientMemory memory(4);
  memory.write(3, mark);
  EXPECT_FALSE(memory.guard.faulted());
  memory.truncate(0);
  EXPECT_EQ(memory.read(3), std::byte{0});
  EXPECT_TRUE(memory.guard.faulted());
}

TEST(FaultGuard, a_write_behind_the_end_goes_on_and_can_be_read_back) {
  ClientMemory memory(4);
  memory.truncate(0);
  memory.write(2, mark);
  EXPECT_EQ(memory.read(2), mark);
  EXPECT_TRUE(memory.guard.faulted());
}

// Relaxed, as ThreadSanitizer holds a lock of its own over any other atomic access, which the fault needs.
constexpr auto relaxed = std::memory_order_relaxed;

TEST(FaultGuard, an_atomic_access_behind_the_end_goes_on) {
  ClientMemory memory(1);
  memory.truncate(0);
  auto& word = *reinterpret_cast<unsigned*>(memory.mapping.data());
  EXPECT_EQ(std::atomic_ref(word).fetch_add(5, relaxed), 0U);
  EXPECT_EQ(std::atomic_ref(word).load(), 5U);
}

TEST(FaultGuard, a_read_only_mapping_stays_read_only) {
  ClientMemory memory(1, Protection::read);
  memory.truncate(0);
  EXPECT_EQ(memory.read(0), std::byte{0});
  EXPECT_EQ(memory.mapping.protection(), Protection::read);
  EXPECT_DEATH(memory.write(0, mark), "");
}

TEST(FaultGuard, pages_before_the_end_keep_their_content_and_stay_shared) {
  ClientMemory memory(4);
  memory.write(1, mark);
  memory.truncate(2);
  EXPECT_EQ(memory.read(2), std::byte{0});
  EXPECT_EQ(memory.read(1), mark);
  const auto again = Mapping::of_fd(memory.fd.get(), 0, page_size(), Protection::read_write);
  ASSERT_TRUE(again);
  again->writable_bytes()[0] = mark;
  EXPECT_EQ(memory.read(0), mark);
}

TEST(FaultGuard, one_fault_covers_everything_behind_it_so_that_a_client_cannot_use_up_the_mappings) {
  ClientMemory memory(64);
  memory.truncate(0);
  for (std::size_t page = 64; page-- > 0;) EXPECT_EQ(memory.read(page), std::byte{0});
  EXPECT_EQ(memory.guard.faults(), 64U);  // from the end: every page is a fault of its own
  ClientMemory other(64);
  other.truncate(0);
  for (std::size_t page = 0; page < 64; ++page) EXPECT_EQ(other.read(page), std::byte{0});
  EXPECT_EQ(other.guard.faults(), 1U);
}

TEST(FaultGuard, covers_huge_pages) {
  constexpr std::size_t huge_page = 2 << 20;
  const UniqueFd fd = create_huge_file(huge_page);
  if (!fd) GTEST_SKIP() << "no huge pages of 2 MiB here (vm.nr_hugepages)";
  const auto mapping = Mapping::of_fd(fd.get(), 0, 2 * huge_page, Protection::read_write);
  ASSERT_TRUE(mapping);
  const auto guard = FaultGuard::protect(*mapping);
  ASSERT_TRUE(guard);
  mapping->writable_bytes()[0] = mark;
  ASSERT_EQ(::ftruncate(fd.get(), huge_page), 0);
  EXPECT_EQ(mapping->bytes()[huge_page + 5 * page_size()], std::byte{0});
  EXPECT_TRUE(guard->faulted());
  EXPECT_EQ(mapping->bytes()[0], mark);
}

TEST(FaultGuard, another_clients_mapping_is_untouched) {
  ClientMemory victim(2);
  ClientMemory neighbour(2);
  neighbour.write(0, mark);
  victim.truncate(0);
  EXPECT_EQ(victim.read(0), std::byte{0});
  EXPECT_FALSE(neighbour.guard.faulted());
  EXPECT_EQ(neighbour.read(0), mark);
}

TEST(FaultGuard, counts_faults_of_the_whole_process) {
  const std::uint64_t before = FaultGuard::count_faults();
  ClientMemory memory(1);
  memory.truncate(0);
  EXPECT_EQ(memory.read(0), std::byte{0});
  EXPECT_EQ(FaultGuard::count_faults(), before + 1);
}

TEST(FaultGuard, a_registration_follows_a_mapping_that_moves) {
  ClientMemory memory(1);
  const Mapping moved = std::move(memory.mapping);
  memory.truncate(0);
  EXPECT_EQ(moved.bytes()[0], std::byte{0});
  EXPECT_TRUE(memory.guard.faulted());
}

TEST(FaultGuard, a_used_entry_starts_anew_for_the_next_mapping) {
  {
    ClientMemory memory(1);
    memory.truncate(0);
    EXPECT_EQ(memory.read(0), std::byte{0});
  }
  const ClientMemory next(1);
  EXPECT_FALSE(next.guard.faulted());
}

TEST(FaultGuard, keeps_errno_of_the_code_that_faulted) {
  ClientMemory memory(1);
  memory.truncate(0);
  errno = EDOM;
  EXPECT_EQ(memory.read(0), std::byte{0});
  EXPECT_EQ(errno, EDOM);
}

TEST(FaultGuard, a_system_call_on_missing_memory_is_efault) {
  ClientMemory memory(1);
  memory.truncate(0);
  const auto target = create_memfd("target", 16);
  EXPECT_EQ(::pwrite(target->get(), memory.mapping.data(), 16, 0), -1);
  EXPECT_EQ(errno, EFAULT);
}

TEST(FaultGuard, an_empty_mapping_is_einval) {
  EXPECT_EQ(FaultGuard::protect(Mapping()).error().code, EINVAL);
}

TEST(FaultGuard, more_mappings_than_the_table_holds_are_enospc_and_all_come_back) {
  const auto mapping = Mapping::anonymous(page_size());
  const std::size_t before = FaultGuard::count_protected();
  std::vector<FaultGuard::Registration> all;
  for (std::size_t index = before; index < FaultGuard::max_mappings; ++index) {
    auto guard = FaultGuard::protect(*mapping);
    ASSERT_TRUE(guard) << index;
    all.push_back(std::move(*guard));
  }
  EXPECT_EQ(FaultGuard::protect(*mapping).error().code, ENOSPC);
  all.pop_back();
  EXPECT_TRUE(FaultGuard::protect(*mapping));
  all.clear();
  EXPECT_EQ(FaultGuard::count_protected(), before);
  ClientMemory memory(1);
  memory.truncate(0);
  EXPECT_EQ(memory.read(0), std::byte{0});
}

// Threads read and write memory that is truncated under them, while others come and go in the table.
TEST(FaultGuard, holds_while_several_threads_fault_and_others_register) {
  constexpr int rounds = 15;
  std::atomic<bool> done = false;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 2; ++thread) {
    threads.emplace_back([&] {
      while (!done) {
        ClientMemory passing(1);
        passing.write(0, mark);
        EXPECT_FALSE(passing.guard.faulted());
      }
    });
  }
  for (int round = 0; round < rounds; ++round) {
    ClientMemory memory(16);
    std::atomic<int> started = 0;
    std::vector<std::thread> users;
    for (unsigned user = 0; user < 4; ++user) {
      users.emplace_back([&, user] {
        for (unsigned turn = 0; !memory.guard.faulted(); ++turn) {
          auto& word =
              *reinterpret_cast<unsigned*>(memory.mapping.data() + ((turn + user) % 16) * page_size());
          std::atomic_ref(word).fetch_add(1, relaxed);
          if (turn == 0) ++started;
        }
      });
    }
    while (started < 4) std::this_thread::yield();
    memory.truncate(0);
    for (std::thread& user : users) user.join();
    EXPECT_TRUE(memory.guard.faulted());
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
}

class FaultGuardDeathTest : public testing::Test {
 public:
  FaultGuardDeathTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(FaultGuardDeathTest, a_fault_in_a_mapping_that_nobody_registered_ends_the_process) {
  EXPECT_DEATH(
      {
        ClientMemory memory(1);
        memory.guard = FaultGuard::Registration();
        memory.truncate(0);
        std::cerr << static_cast<int>(memory.read(0));
      },
      "");
}

TEST_F(FaultGuardDeathTest, a_signal_that_somebody_sent_ends_the_process) {
  EXPECT_DEATH(
      {
        const ClientMemory memory(1);
        ::raise(SIGBUS);
      },
      "");
}

TEST_F(FaultGuardDeathTest, a_fault_elsewhere_reaches_the_handler_that_was_there_before) {
  EXPECT_EXIT(
      {
        ::signal(SIGBUS, [](int) { ::_exit(42); });
        ClientMemory memory(1);
        memory.guard = FaultGuard::Registration();
        memory.truncate(0);
        std::cerr << static_cast<int>(memory.read(0));
      },
      testing::ExitedWithCode(42), "");
}

TEST_F(FaultGuardDeathTest, an_ignored_signal_that_somebody_sent_stays_ignored) {
  EXPECT_EXIT(
      {
        ::signal(SIGBUS, SIG_IGN);
        if (!FaultGuard::install()) ::_exit(1);
        ::raise(SIGBUS);
        ::_exit(42);
      },
      testing::ExitedWithCode(42), "");
}

}  // namespace
}  // namespace umdev::os

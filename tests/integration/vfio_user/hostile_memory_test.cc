// A client that changes its memory file while the device is at work in it: at any time, in any way.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <thread>

#include "tests/integration/vfio_user/live_server.h"

namespace umdev::vfio_user::test {
namespace {

constexpr std::uint64_t page = Board::page;
constexpr std::uint64_t pages = 32;
constexpr std::uint32_t read_write = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write;

struct Fill {
  std::uint64_t iova = 0;
  std::uint64_t count = 0;
};

// The owner of a file does what it may, again and again, until the end.
class Vandal {
 public:
  Vandal(int fd, unsigned seed) : fd_(fd), random_(seed), thread_([this] { work(); }) {}
  ~Vandal() {
    stops_ = true;
    thread_.join();
  }

 private:
  off_t somewhere() { return static_cast<off_t>(random_() % (pages * page)); }

  void work() {
    while (!stops_) {
      switch (random_() % 5) {
        case 0:
          (void)::ftruncate(fd_, somewhere());
          break;
        case 1:
          (void)::ftruncate(fd_, 0);
          break;
        case 2:
          (void)::fallocate(fd_, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, somewhere(), page);
          break;
        case 3:
          (void)::pwrite(fd_, "x", 1, somewhere());
          break;
        default:
          (void)::ftruncate(fd_, pages * page);
      }
      std::this_thread::yield();
    }
  }

  const int fd_;
  std::mt19937 random_;
  std::atomic<bool> stops_ = false;
  std::thread thread_;
};

class HostileMemory : public testing::TestWithParam<unsigned> {};

// What the device tells of a transfer: done, or that the memory is bad, or (unmapped meanwhile) not there.
bool is_an_answer(std::uint32_t code) {
  return code == 0 || code == EFAULT || code == EINVAL || code == ENOENT;
}

TEST_P(HostileMemory, changes_while_the_device_reads_and_writes_it) {
  LiveServer live;
  Client neighbour = live.client(1);
  Client client = live.client(0);
  std::mt19937 random(GetParam());
  const os::UniqueFd memory = os::create_memfd("guest", pages * page, os::MemfdSize::changeable).value();
  {
    const Vandal vandal(memory.get(), GetParam());
    for (int round = 0; round < 200; ++round) {
      // May be refused: the file is too short at this moment, or the range is mapped already.
      (void)client.dma_map(0, pages * page, read_write, memory.get());
      const std::uint64_t iova = random() % (pages * page - 8);
      const Fill fill{.iova = iova, .count = 1 + random() % (pages * page - iova)};
      ASSERT_TRUE(client.region_write(board_fill, 0, bytes_of(fill)));
      const auto filled = client.read<std::uint32_t>(board_dma, 0);
      ASSERT_TRUE(filled);
      EXPECT_TRUE(is_an_answer(*filled)) << *filled << ", seed " << GetParam();
      ASSERT_TRUE(client.write<std::uint64_t>(board_dma, 0, iova));
      const auto read = client.read<std::uint32_t>(board_dma, 0);
      ASSERT_TRUE(read);
      EXPECT_TRUE(is_an_answer(*read)) << *read << ", seed " << GetParam();
      if (random() % 4 == 0) {
        ASSERT_TRUE(client.dma_unmap_all());
      }
      ASSERT_TRUE(neighbour.read<std::uint32_t>(board_ram, 0));
    }
  }
  ASSERT_TRUE(client.dma_unmap_all());

  // What went bad does not stay bad: the file lent anew serves.
  ASSERT_EQ(::ftruncate(memory.get(), pages * page), 0);
  ASSERT_TRUE(client.dma_map(0, pages * page, read_write, memory.get()));
  ASSERT_TRUE(client.region_write(board_fill, 0, bytes_of(Fill{.iova = 0, .count = pages * page})));
  EXPECT_EQ(client.read<std::uint32_t>(board_dma, 0), 0u) << "seed " << GetParam();
}

INSTANTIATE_TEST_SUITE_P(Seeds, HostileMemory, testing::Range(1U, 9U));

TEST(HostileMemory, sealed_against_writing_it_is_read_only) {
  LiveServer live;
  Client client = live.client(0);
  const os::UniqueFd memory = os::create_memfd("guest", page, os::MemfdSize::changeable).value();
  ASSERT_TRUE(client.dma_map(0, page, read_write, memory.get()));
  ASSERT_TRUE(client.region_write(board_fill, 0, bytes_of(Fill{.iova = 0, .count = 4})));
  EXPECT_EQ(client.read<std::uint32_t>(board_dma, 0), 0U);
  EXPECT_NE(::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_WRITE), 0) << "the server has it mapped";
  ASSERT_EQ(client.dma_unmap(0, page), page);
  ASSERT_EQ(::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_WRITE), 0);
  EXPECT_FALSE(client.dma_map(0, page, read_write, memory.get()));
  ASSERT_TRUE(client.dma_map(0, page, abi::vfio_dma_map_flag_read, memory.get()));
  ASSERT_TRUE(client.region_write(board_fill, 0, bytes_of(Fill{.iova = 0, .count = 4})));
  EXPECT_EQ(client.read<std::uint32_t>(board_dma, 0), static_cast<std::uint32_t>(EPERM));
}

TEST(HostileMemory, mapped_again_elsewhere_it_is_what_it_was) {
  LiveServer live;
  Client client = live.client(0);
  const os::UniqueFd memory = os::create_memfd("guest", pages * page, os::MemfdSize::changeable).value();
  for (std::uint64_t i = 0; i < pages; ++i) {
    ASSERT_TRUE(client.dma_map(i * page, page, read_write, memory.get(), (pages - 1 - i) * page));
    const std::uint32_t mark = static_cast<std::uint32_t>(i) + 1;
    ASSERT_EQ(::pwrite(memory.get(), &mark, sizeof mark, static_cast<off_t>((pages - 1 - i) * page)),
              static_cast<ssize_t>(sizeof mark));
    ASSERT_TRUE(client.write<std::uint64_t>(board_dma, 0, i * page));
    EXPECT_EQ(client.read<std::uint32_t>(board_dma, 4), mark);
  }
}

}  // namespace
}  // namespace umdev::vfio_user::test

// A client's files: what is mapped when, and what its client hears of.
#include "umdev/iommu/client_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <latch>
#include <thread>

#include "tests/unit/iommu/fixtures.h"
#include "umdev/os/memfd.h"

namespace umdev::iommu {
namespace {

constexpr std::uint64_t file_pages = 8;

class ClientMemoryTest : public SpaceTest {
 public:
  ClientMemoryTest() {
    const std::vector<char> text(file_pages * page, 'x');
    EXPECT_EQ(::pwrite(file.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  }
  ~ClientMemoryTest() override { space->drop_all(); }

  int lend(const os::UniqueFd& fd, Iova iova, std::uint64_t size, bool writable = true,
           std::uint64_t offset = 0) {
    auto slice = client->share(fd.dup().value(), offset, size, writable);
    if (!slice) return slice.error().code;
    const Access access = writable ? Access::read_write : Access::read;
    return map_on(slice->backing, iova, size, access, slice->offset);
  }
  // Mappings of client files that this process has.
  std::size_t mapped() const { return os::FaultGuard::count_protected() - mapped_before_; }
  static char at(const DmaPin& pin, std::size_t offset) {
    return static_cast<char>(pin.segments().front().data[offset]);
  }

  os::UniqueFd file = os::create_memfd("client", file_pages* page, os::MemfdSize::changeable).value();
  std::shared_ptr<MappingBudget> budget = std::make_shared<MappingBudget>(8, 1U << 20U);
  std::unique_ptr<ClientMemory> client = std::make_unique<ClientMemory>(
      ClientMemoryLimits{.mappings = 8, .bytes = 1U << 20U, .whole_file = 1U << 20U}, budget);

 private:
  const std::size_t mapped_before_ = os::FaultGuard::count_protected();
};

TEST_F(ClientMemoryTest, a_file_is_mapped_when_a_device_uses_it_and_charged_when_it_is_lent) {
  ASSERT_EQ(lend(file, 0, page), 0);
  ASSERT_EQ(lend(file, page, page, true, page), 0);
  EXPECT_EQ(mapped(), 0U);
  EXPECT_EQ(budget->mappings(), 1U);
  EXPECT_EQ(budget->bytes(), file_pages * page);
  EXPECT_EQ(at(pin(page, page), 5), 'x');
  EXPECT_EQ(pin(0, 2 * page).segments().size(), 1U) << "of one mapping of the file";
  EXPECT_EQ(mapped(), 1U);
}

TEST_F(ClientMemoryTest, what_was_never_used_leaves_nothing_behind) {
  ASSERT_EQ(lend(file, 0, page), 0);
  Outcome<std::uint64_t> outcome;
  unmap(outcome, 0, page);
  EXPECT_EQ(outcome.value(), page);
  EXPECT_EQ(mapped(), 0U);
  EXPECT_EQ(budget->mappings(), 0U);
  EXPECT_EQ(budget->bytes(), 0U);
}

TEST_F(ClientMemoryTest, many_threads_may_be_the_first) {
  ASSERT_EQ(lend(file, 0, 4 * page), 0);
  constexpr int threads = 4;
  std::array<FakeDmaUser, threads> users;
  std::array<std::byte*, threads> seen{};
  {
    std::latch together(threads);
    std::vector<std::jthread> running;
    for (int i = 0; i < threads; ++i) {
      const auto index = static_cast<std::size_t>(i);
      space->register_user(users[index]);
      running.emplace_back([&, index] {
        together.arrive_and_wait();
        if (index % 2 == 1) {
          EXPECT_EQ(read_error(0, 16), 0);
        } else if (auto pin = space->pin(users[index], {0, page}, Access::read_write)) {
          seen[index] = pin->segments().front().data;
        }
      });
    }
  }
  for (FakeDmaUser& each : users) space->unregister_user(each);
  EXPECT_NE(seen[0], nullptr);
  EXPECT_EQ(seen[0], seen[2]);
  EXPECT_EQ(mapped(), 1U);
}

TEST_F(ClientMemoryTest, a_file_truncated_before_its_first_use_harms_only_its_map) {
  ASSERT_EQ(lend(file, 0, file_pages * page), 0);
  ASSERT_EQ(::ftruncate(file.get(), page), 0);
  const DmaPin held = pin(0, file_pages * page);
  EXPECT_EQ(at(held, 0), 'x');
  EXPECT_EQ(at(held, 3 * page), 0);
  EXPECT_EQ(pin_error(0, page), EFAULT) << "it went bad, as far as this process knows now";
}

TEST_F(ClientMemoryTest, a_file_that_is_sealed_before_its_first_use_is_efault) {
  ASSERT_EQ(lend(file, 0, page), 0);
  ASSERT_EQ(::fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE), 0);
  EXPECT_EQ(pin_error(0, page), EFAULT);
  EXPECT_EQ(read_error(0, 8), EFAULT);
  EXPECT_EQ(space->pin_count(), 0U);
  EXPECT_EQ(mapped(), 0U);
}

TEST_F(ClientMemoryTest, a_client_hears_at_once_that_a_descriptor_does_not_do) {
  const std::string name = "/proc/self/fd/" + std::to_string(file.get());
  const os::UniqueFd read_only(::open(name.c_str(), O_RDONLY | O_CLOEXEC));
  const os::UniqueFd write_only(::open(name.c_str(), O_WRONLY | O_CLOEXEC));
  const os::UniqueFd path_only(::open(name.c_str(), O_PATH | O_CLOEXEC));
  EXPECT_EQ(lend(read_only, 0, page), EACCES);
  EXPECT_EQ(lend(write_only, 0, page, false), EACCES);
  EXPECT_EQ(lend(path_only, 0, page, false), EOPNOTSUPP);
  EXPECT_EQ(lend(file, 0, (file_pages + 1) * page), EINVAL);
  EXPECT_EQ(budget->mappings(), 0U);
  EXPECT_EQ(lend(read_only, 0, page, false), 0);
  EXPECT_EQ(at(pin(0, page), 0), 'x');
}

TEST_F(ClientMemoryTest, what_is_lent_already_is_shared_whatever_the_next_descriptor_of_it_could_map) {
  const std::string name = "/proc/self/fd/" + std::to_string(file.get());
  const os::UniqueFd path_only(::open(name.c_str(), O_PATH | O_CLOEXEC));
  ASSERT_EQ(lend(file, 0, page), 0);
  EXPECT_EQ(lend(path_only, page, page), 0);
  EXPECT_EQ(lend(path_only, 2 * page, page, false), EOPNOTSUPP) << "for reading alone it is not lent yet";
  EXPECT_EQ(budget->mappings(), 1U);
  EXPECT_EQ(at(pin(page, page), 0), 'x');
}

TEST_F(ClientMemoryTest, a_sealed_file_is_mapped_at_once_or_refused) {
  ASSERT_EQ(::fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE), 0);
  EXPECT_EQ(lend(file, 0, page), EPERM);
  const int read_only = lend(file, 0, page, false);
  if (read_only == EPERM) GTEST_SKIP() << "this kernel maps no sealed file shared";
  EXPECT_EQ(read_only, 0);
  EXPECT_EQ(mapped(), 1U);
}

TEST_F(ClientMemoryTest, a_file_outlives_its_client_until_the_last_map_is_gone) {
  ASSERT_EQ(lend(file, 0, page), 0);
  client.reset();
  file.reset();
  DmaPin held = pin(0, page);
  EXPECT_EQ(at(held, 0), 'x');
  space->drop_all();
  EXPECT_TRUE(held.revoked());
  EXPECT_EQ(at(held, 0), 0);
  EXPECT_EQ(budget->mappings(), 1U);
  held.unpin();
  EXPECT_EQ(budget->mappings(), 0U);
  EXPECT_EQ(mapped(), 0U);
}

TEST_F(ClientMemoryTest, what_is_revoked_before_its_first_use_is_never_the_clients) {
  const auto slice = client->share(file.dup().value(), 0, 2 * page, true).value();
  slice.backing->revoke(0, page);
  const Bytes bytes = slice.backing->mapped();
  ASSERT_EQ(bytes.size(), file_pages * page);
  EXPECT_EQ(bytes[0], std::byte{0});
  EXPECT_EQ(bytes[page], std::byte{'x'});
  EXPECT_NE(client->share(file.dup().value(), 0, page, true).value().backing, slice.backing);
}

TEST_F(ClientMemoryTest, pins_race_with_the_end_of_what_they_use_first) {
  for (int round = 0; round < 20; ++round) {
    ASSERT_EQ(lend(file, 0, page), 0);
    std::latch together(2);
    std::jthread device([&] {
      together.arrive_and_wait();
      const auto pinned = space->pin(user, {0, page}, Access::read);
      if (pinned) {
        EXPECT_TRUE(at(*pinned, 0) == 'x' || at(*pinned, 0) == 0);
      }
    });
    together.arrive_and_wait();
    space->drop_all();
    device.join();
    EXPECT_EQ(budget->mappings(), 0U);
  }
}

}  // namespace
}  // namespace umdev::iommu

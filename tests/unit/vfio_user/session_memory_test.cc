// DMA_MAP and DMA_UNMAP, and what a device sees of a client's memory.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/outcome.h"
#include "tests/unit/vfio_user/session_fixture.h"
#include "umdev/os/memfd.h"

namespace umdev::vfio_user {
namespace {

using test::Octets;
using test::Reply;
using umdev::test::Outcome;

constexpr std::uint64_t page = 4096;
constexpr std::uint32_t read_write = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write;

class SessionMemory : public test::SessionFixture {
 public:
  SessionMemory() {
    file = os::create_memfd("client", 16 * page, os::MemfdSize::changeable).value();
    open_session();
  }
  void write_file(std::uint64_t offset, std::string_view text) {
    ASSERT_EQ(::pwrite(file.get(), text.data(), text.size(), static_cast<off_t>(offset)),
              static_cast<ssize_t>(text.size()));
  }
  std::string read_file(std::uint64_t offset, std::size_t size) {
    std::string text(size, '?');
    EXPECT_EQ(::pread(file.get(), text.data(), size, static_cast<off_t>(offset)), static_cast<ssize_t>(size));
    return text;
  }
  // As the device does it. The errno, or 0 and the text.
  int device_read(std::uint64_t iova, std::string& text) {
    Outcome<> outcome;
    script->user->dma_read(iova, std::as_writable_bytes(std::span(text)), outcome.done());
    return outcome.error();
  }
  int device_write(std::uint64_t iova, std::string_view text) {
    Outcome<> outcome;
    script->user->dma_write(iova, test::bytes_of_text(text), outcome.done());
    return outcome.error();
  }

  os::UniqueFd file;
};

TEST_F(SessionMemory, the_device_reads_and_writes_what_the_client_shared) {
  EXPECT_EQ(map(0x10000, 4 * page, read_write, file.get(), page).error(), 0);
  EXPECT_EQ(session->mappings(), 1u);
  write_file(page + 5, "hello");
  std::string text(5, ' ');
  EXPECT_EQ(device_read(0x10005, text), 0);
  EXPECT_EQ(text, "hello");
  EXPECT_EQ(device_write(0x10000 + page, "world"), 0);
  EXPECT_EQ(read_file(2 * page, 5), "world");
}

TEST_F(SessionMemory, what_was_agreed_on_bounds_number_and_pages_of_maps) {
  session->end("enough");
  world.host.run();
  create_session();
  send_version(R"({"capabilities":{"max_dma_maps":2,"pgsizes":8192}})");
  EXPECT_EQ(expect_reply().error(), 0);
  EXPECT_EQ(map(0x10000, page, read_write, file.get()).error(), EINVAL);
  EXPECT_EQ(map(0x11000, 2 * page, read_write, file.get()).error(), EINVAL);
  EXPECT_EQ(map(0x10000, 2 * page, read_write, file.get()).error(), 0);
  EXPECT_EQ(map(0x20000, 2 * page, read_write).error(), 0);
  EXPECT_EQ(map(0x30000, 2 * page, read_write).error(), ENOSPC);
  EXPECT_EQ(unmap(0x10000, 2 * page).error(), 0);
  EXPECT_EQ(map(0x30000, 2 * page, read_write).error(), 0);
}

TEST_F(SessionMemory, one_file_is_mapped_once_per_protection) {
  for (std::uint64_t i = 0; i < 8; ++i)
    EXPECT_EQ(map(0x10000 + i * page, page, read_write, file.get(), i * page).error(), 0);
  EXPECT_EQ(budget->mappings(), 1u);
  EXPECT_EQ(map(0x40000, page, abi::vfio_dma_map_flag_read, file.get(), 0).error(), 0);
  EXPECT_EQ(budget->mappings(), 2u);
  EXPECT_EQ(unmap(0, 0, abi::vfio_dma_unmap_flag_all).error(), 0);
  EXPECT_EQ(budget->mappings(), 0u);
  EXPECT_EQ(budget->bytes(), 0u);
}

TEST_F(SessionMemory, a_file_that_grew_is_mapped_again) {
  EXPECT_EQ(map(0x10000, page, read_write, file.get(), 0).error(), 0);
  ASSERT_EQ(::ftruncate(file.get(), 64 * page), 0);
  write_file(40 * page, "new");
  EXPECT_EQ(map(0x80000, page, read_write, file.get(), 40 * page).error(), 0);
  std::string text(3, ' ');
  EXPECT_EQ(device_read(0x80000, text), 0);
  EXPECT_EQ(text, "new");
  EXPECT_EQ(budget->mappings(), 2u);
}

TEST_F(SessionMemory, a_file_whose_last_page_is_a_part_can_be_mapped_to_the_page) {
  ASSERT_EQ(::ftruncate(file.get(), 2 * page + 100), 0);
  EXPECT_EQ(map(0x10000, 3 * page, read_write, file.get(), 0).error(), 0);
  EXPECT_EQ(device_write(0x10000 + 2 * page + 4000, "tail"), 0);
  EXPECT_EQ(map(0x20000, 4 * page, read_write, file.get(), 0).error(), EINVAL);
}

TEST_F(SessionMemory, a_read_only_map_is_never_written) {
  EXPECT_EQ(map(0x10000, page, abi::vfio_dma_map_flag_read, file.get(), 0).error(), 0);
  EXPECT_EQ(device_write(0x10000, "no"), EPERM);
  std::string text(2, ' ');
  EXPECT_EQ(device_read(0x10000, text), 0);
}

TEST_F(SessionMemory, a_read_only_descriptor_cannot_be_mapped_writable) {
  const os::UniqueFd sealed = os::create_memfd("sealed", page).value();
  ASSERT_EQ(::ftruncate(sealed.get(), page), 0);
  const std::string name = "/proc/self/fd/" + std::to_string(sealed.get());
  const os::UniqueFd read_only(::open(name.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(read_only);
  EXPECT_EQ(map(0, page, read_write, read_only.get()).error(), EACCES);
  EXPECT_EQ(map(0, page, abi::vfio_dma_map_flag_read, read_only.get()).error(), 0);
}

TEST_F(SessionMemory, memory_without_a_file_is_mapped_and_cannot_be_pinned) {
  EXPECT_EQ(map(0xfffc0000, 0x40000, abi::vfio_dma_map_flag_read).error(), 0);
  const auto pin = script->user->pin({.iova = 0xfffc0000, .size = page}, iommu::Access::read);
  ASSERT_FALSE(pin);
  EXPECT_EQ(pin.error().code, EOPNOTSUPP);
  EXPECT_EQ(unmap(0xfffc0000, 0x40000).as<abi::VfioUserDmaUnmap>().size, 0x40000u);
}

TEST_F(SessionMemory, bad_maps_are_refused_with_the_kernels_errno) {
  ASSERT_EQ(map(0x100000, page, read_write).error(), 0);
  const struct {
    const char* what;
    std::uint64_t iova;
    std::uint64_t size;
    std::uint32_t flags;
    int fd;
    std::uint64_t offset;
    int code;
  } cases[] = {
      {"size 0", 0, 0, read_write, -1, 0, EINVAL},
      {"size 0 with a file", 0, 0, read_write, file.get(), 0, EINVAL},
      {"odd size", 0, 100, read_write, -1, 0, EINVAL},
      {"odd iova", 100, page, read_write, -1, 0, EINVAL},
      {"odd offset", 0, page, read_write, file.get(), 100, EINVAL},
      {"no direction", 0, page, 0, -1, 0, EINVAL},
      {"unknown flag", 0, page, read_write | 4, -1, 0, EINVAL},
      {"iova wraps", UINT64_MAX - page + 1, 2 * page, read_write, -1, 0, EOVERFLOW},
      {"overlap", 0x100000, page, read_write, -1, 0, EEXIST},
      {"beyond the file", 0, 17 * page, read_write, file.get(), 0, EINVAL},
      {"offset beyond the file", 0, page, read_write, file.get(), 16 * page, EINVAL},
      {"offset wraps", 0, page, read_write, file.get(), UINT64_MAX - page + 1, EINVAL},
      {"huge", 0, 1ULL << 60, read_write, file.get(), 0, EINVAL},
  };
  for (const auto& each : cases)
    EXPECT_EQ(map(each.iova, each.size, each.flags, each.fd, each.offset).error(), each.code) << each.what;
  EXPECT_EQ(budget->mappings(), 0u);
  EXPECT_EQ(session->mappings(), 1u);
}

TEST_F(SessionMemory, what_is_no_regular_file_is_enodev) {
  const os::UniqueFd device_file(::open("/dev/zero", O_RDWR | O_CLOEXEC));
  EXPECT_EQ(map(0, page, read_write, device_file.get()).error(), ENODEV);
  const auto sockets = os::make_socket_pair().value();
  EXPECT_EQ(map(0, page, read_write, sockets[0].get()).error(), ENODEV);
}

// Pages that another process serves could stall whoever touches them.
TEST_F(SessionMemory, what_may_be_served_by_somebody_else_is_eopnotsupp) {
  const os::UniqueFd proc(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(map(0, page, abi::vfio_dma_map_flag_read, proc.get()).error(), EOPNOTSUPP);
}

TEST_F(SessionMemory, two_descriptors_with_a_map_are_einval) {
  std::vector<os::UniqueFd> fds;
  fds.push_back(file.dup().value());
  fds.push_back(file.dup().value());
  EXPECT_EQ(
      ask(abi::vfio_user_dma_map,
          abi::VfioUserDmaMap{.argsz = 32, .flags = 3, .offset = 0, .iova = 0, .size = page}, std::move(fds))
          .error(),
      EINVAL);
}

TEST_F(SessionMemory, a_spent_budget_is_enospc) {
  std::vector<os::UniqueFd> files;
  for (std::uint64_t i = 0; i < 100; ++i) {
    files.push_back(os::create_memfd("one of many", page).value());
    ASSERT_EQ(map(i * page, page, read_write, files.back().get()).error(), 0) << i;
  }
  EXPECT_EQ(map(0x1000000, page, read_write, file.get()).error(), ENOSPC);
  EXPECT_EQ(unmap(0, page).error(), 0);
  EXPECT_EQ(map(0x1000000, page, read_write, file.get()).error(), 0);
}

// --- Unmapping: type1v2.

TEST_F(SessionMemory, an_unmap_of_nothing_succeeds_with_size_0) {
  const Reply reply = unmap(0x1000, page);
  EXPECT_EQ(reply.error(), 0);
  EXPECT_EQ(reply.payload.size(), 24u);
  const auto answer = reply.as<abi::VfioUserDmaUnmap>();
  EXPECT_EQ(answer.argsz, 24u);
  EXPECT_EQ(answer.iova, 0x1000u);
  EXPECT_EQ(answer.size, 0u);
}

TEST_F(SessionMemory, one_unmap_covers_several_maps_but_cuts_none) {
  for (std::uint64_t i = 0; i < 5; ++i)
    ASSERT_EQ(map(0x10000 + 2 * i * page, 2 * page, read_write).error(), 0);
  EXPECT_EQ(unmap(0x10000 + page, 2 * page).error(), EINVAL);
  EXPECT_EQ(session->mappings(), 5u);
  EXPECT_EQ(unmap(0, 0x1000000).as<abi::VfioUserDmaUnmap>().size, 10 * page);
  EXPECT_EQ(session->mappings(), 0u);
}

TEST_F(SessionMemory, bad_unmaps_are_refused) {
  EXPECT_EQ(unmap(0, 0).error(), EINVAL);
  EXPECT_EQ(unmap(1, page).error(), EINVAL);
  EXPECT_EQ(unmap(0, 1).error(), EINVAL);
  EXPECT_EQ(unmap(0, page, abi::vfio_dma_unmap_flag_all).error(), EINVAL);
  EXPECT_EQ(unmap(0, page, abi::vfio_dma_unmap_flag_get_dirty_bitmap).error(), EINVAL);
  EXPECT_EQ(unmap(0, page, abi::vfio_dma_unmap_flag_vaddr).error(), EINVAL);
  EXPECT_EQ(unmap(UINT64_MAX - page + 1, 2 * page).error(), EOVERFLOW);
}

TEST_F(SessionMemory, an_unmap_waits_for_the_last_pin) {
  ASSERT_EQ(map(0x10000, page, read_write, file.get()).error(), 0);
  auto pin = script->user->pin({.iova = 0x10000, .size = page}, iommu::Access::read_write);
  ASSERT_TRUE(pin);
  send_unmap(0x10000, page);
  EXPECT_TRUE(session->is_busy());
  EXPECT_FALSE(take_reply());
  pin->unpin();
  world.host.run();
  EXPECT_EQ(expect_reply().as<abi::VfioUserDmaUnmap>().size, page);
  EXPECT_EQ(budget->mappings(), 0u);
}

TEST_F(SessionMemory, a_pin_that_is_not_dropped_in_time_loses_the_clients_memory) {
  ASSERT_EQ(map(0x10000, 2 * page, read_write, file.get()).error(), 0);
  auto pin = script->user->pin({.iova = 0x10000, .size = page}, iommu::Access::read_write);
  ASSERT_TRUE(pin);
  std::byte* const data = pin->segments()[0].data;
  data[0] = std::byte{'a'};
  EXPECT_EQ(read_file(0, 1), "a");
  send_unmap(0x10000, 2 * page);
  world.host.advance(std::chrono::seconds(20));
  EXPECT_EQ(expect_reply().error(), 0);
  EXPECT_TRUE(pin->revoked());
  data[0] = std::byte{'b'};
  EXPECT_EQ(read_file(0, 1), "a");
}

// --- A client that harms itself.

TEST_F(SessionMemory, a_truncated_file_reads_as_zeros_and_is_efault_from_then_on) {
  ASSERT_EQ(map(0x10000, 4 * page, read_write, file.get()).error(), 0);
  auto pin = script->user->pin({.iova = 0x10000 + 2 * page, .size = page}, iommu::Access::read);
  ASSERT_TRUE(pin);
  ASSERT_EQ(::ftruncate(file.get(), page), 0);
  EXPECT_EQ(pin->segments()[0].data[0], std::byte{0});
  std::string text(4, ' ');
  EXPECT_EQ(device_read(0x10000 + 2 * page, text), EFAULT);
  pin->unpin();
  EXPECT_EQ(unmap(0x10000, 4 * page).error(), 0);
  EXPECT_EQ(map(0x20000, page, read_write, file.get()).error(), 0) << "what is left can be shared anew";
  EXPECT_EQ(device_read(0x20000, text), 0);
}

TEST_F(SessionMemory, a_pin_outlives_the_session_that_lent_it) {
  ASSERT_EQ(map(0x10000, page, read_write, file.get()).error(), 0);
  auto pin = script->user->pin({.iova = 0x10000, .size = page}, iommu::Access::read_write);
  ASSERT_TRUE(pin);
  std::byte* const data = pin->segments()[0].data;
  session->end("killed");
  session.reset();
  world.host.run();
  data[0] = std::byte{1};
  pin->unpin();
  world.host.run();
  EXPECT_EQ(budget->mappings(), 0u);
}

}  // namespace
}  // namespace umdev::vfio_user

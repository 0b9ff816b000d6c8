#include "umdev/kernel/shared_object.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstring>
#include <fstream>

#include "tests/support/scratch_directory.h"

namespace umdev::kernel {
namespace {

using ::testing::Contains;

std::vector<std::byte> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

int error_of(ConstBytes bytes) {
  const auto object = read_shared_object(bytes);
  return object ? 0 : object.error().code;
}

const std::string page = UMDEV_TEST_MODULES "/page.so";

TEST(SharedObject, the_libraries_that_it_is_linked_with_are_known) {
  const auto object = read_shared_object(page);
  ASSERT_TRUE(object) << object.error().text;
  EXPECT_THAT(object->needed, Contains("libc.so.6"));
}

TEST(SharedObject, what_is_no_file_of_this_machine_is_refused) {
  EXPECT_EQ(error_of({}), ENOEXEC);
  EXPECT_EQ(error_of(std::vector<std::byte>(sizeof(Elf64_Ehdr))), ENOEXEC);
  const auto good = read_file(page);
  for (const std::size_t at : {std::size_t{0}, std::size_t{EI_CLASS}, std::size_t{EI_DATA},
                               offsetof(Elf64_Ehdr, e_machine), offsetof(Elf64_Ehdr, e_type)}) {
    auto changed = good;
    changed[at] ^= std::byte{0x7f};
    EXPECT_EQ(error_of(changed), ENOEXEC) << at;
  }
}

TEST(SharedObject, one_that_is_cut_off_anywhere_is_refused_or_read_and_never_read_beyond) {
  const auto good = read_file(page);
  for (std::size_t size = 0; size < good.size(); size += 97) {
    // A buffer of exactly that size: a sanitizer sees what lies behind it.
    const std::vector<std::byte> cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
    const int error = error_of(cut);
    EXPECT_TRUE(error == 0 || error == ENOEXEC) << size;
  }
}

TEST(SharedObject, offsets_that_lead_out_of_the_file_are_refused) {
  const auto good = read_file(page);
  Elf64_Ehdr header;
  std::memcpy(&header, good.data(), sizeof(header));
  for (const std::uint64_t offset : {UINT64_MAX, UINT64_MAX - 8, std::uint64_t{good.size()} - 1}) {
    auto changed = good;
    std::memcpy(changed.data() + offsetof(Elf64_Ehdr, e_phoff), &offset, sizeof(offset));
    EXPECT_EQ(error_of(changed), ENOEXEC);
  }
}

RC_GTEST_PROP(SharedObject, any_change_of_its_headers_is_survived, ()) {
  auto bytes = read_file(page);
  const auto changes = *rc::gen::container<std::vector<std::pair<std::uint16_t, std::uint8_t>>>(
      rc::gen::pair(rc::gen::inRange<std::uint16_t>(16, 1024), rc::gen::arbitrary<std::uint8_t>()));
  for (const auto& [at, value] : changes) bytes[at] = std::byte{value};
  const int error = error_of(bytes);
  RC_ASSERT(error == 0 || error == ENOEXEC);
}

TEST(SharedObject, files_that_are_none_have_their_errno) {
  const test::ScratchDirectory scratch;
  const auto error_of_path = [](const std::string& path) { return read_shared_object(path).error().code; };
  EXPECT_EQ(error_of_path(scratch / "missing.so"), ENOENT);
  EXPECT_EQ(error_of_path(scratch / ""), ENOEXEC);
  std::ofstream(scratch / "empty.so").close();
  EXPECT_EQ(error_of_path(scratch / "empty.so"), ENOEXEC);
}

TEST(SharedObject, address_sanitizer_is_seen_by_the_name_of_its_library) {
  EXPECT_TRUE(needs_address_sanitizer({.needed = {"libc.so.6", "libasan.so.8"}}));
  EXPECT_TRUE(needs_address_sanitizer({.needed = {"libclang_rt.asan-x86_64.so"}}));
  EXPECT_FALSE(needs_address_sanitizer({.needed = {"libubsan.so.1", "libc.so.6"}}));
}

}  // namespace
}  // namespace umdev::kernel

#include "umdev/os/memfd.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include "tests/unit/os/fixtures.h"

namespace umdev::os {
namespace {

TEST(Memfd, has_the_asked_size_and_is_close_on_exec) {
  const auto fd = create_memfd("test", 12345);
  ASSERT_TRUE(fd);
  EXPECT_EQ(file_size(fd->get()), 12345U);
  EXPECT_TRUE(is_close_on_exec(fd->get()));
}

TEST(Memfd, fixed_size_can_be_neither_shrunk_nor_grown_nor_unsealed) {
  const auto fd = create_memfd("test", 4096, MemfdSize::fixed);
  ASSERT_TRUE(fd);
  EXPECT_EQ(::ftruncate(fd->get(), 0), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::ftruncate(fd->get(), 8192), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::fcntl(fd->get(), F_ADD_SEALS, F_SEAL_WRITE), -1);
  EXPECT_EQ(errno, EPERM);
}

TEST(Memfd, changeable_size_can_be_changed) {
  const auto fd = create_memfd("test", 4096, MemfdSize::changeable);
  ASSERT_TRUE(fd);
  EXPECT_EQ(::ftruncate(fd->get(), 0), 0);
  EXPECT_EQ(file_size(fd->get()), 0U);
}

TEST(Memfd, a_size_that_no_file_can_have_is_efbig) {
  EXPECT_EQ(create_memfd("test", UINT64_MAX).error().code, EFBIG);
  EXPECT_EQ(create_memfd("test", (UINT64_C(1) << 63)).error().code, EFBIG);
}

TEST(Memfd, a_name_beyond_the_limit_is_einval) {
  EXPECT_EQ(create_memfd(std::string(250, 'x').c_str(), 1).error().code, EINVAL);
}

TEST(Memfd, size_of_a_closed_descriptor_is_ebadf) {
  EXPECT_EQ(file_size(-1).error().code, EBADF);
}

}  // namespace
}  // namespace umdev::os

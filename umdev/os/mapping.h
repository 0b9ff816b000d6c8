// Owns one mapping of memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "umdev/support/bytes.h"
#include "umdev/support/error.h"

namespace umdev::os {

// The size of a page in bytes.
std::size_t page_size();

enum class Protection : std::uint8_t { none, read, read_write };

// Unmaps its memory at the end. Its address stays the same for its whole life, also when the Mapping is
// moved or its content is replaced, so pointers into it stay good.
class Mapping {
 public:
  // Maps `length` bytes of a file from `offset` on, shared. EINVAL when the length is zero, the offset is no
  // multiple of the file's page size (a file on hugetlbfs has larger ones), or the range wraps; EACCES when
  // the descriptor does not allow the protection; ENODEV when the file cannot be mapped; ENOMEM when the
  // process has too many mappings. Bytes beyond the end of the file raise SIGBUS when touched: see
  // FaultGuard.
  static Result<Mapping> of_fd(int fd, std::uint64_t offset, std::size_t length, Protection protection);

  // Maps `length` zero bytes that belong to this process only. Memory is taken when it is touched.
  static Result<Mapping> anonymous(std::size_t length, Protection protection = Protection::read_write);

  Mapping() = default;
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { reset(); }

  explicit operator bool() const { return data_ != nullptr; }
  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  Protection protection() const { return protection_; }
  // The size in bytes of the pages it consists of, and its size in whole pages.
  std::size_t page_bytes() const { return page_bytes_; }
  std::size_t mapped_size() const { return (size_ + page_bytes_ - 1) / page_bytes_ * page_bytes_; }

  // What is mapped. bytes() asserts that it may be read, writable_bytes() that it may be written.
  ConstBytes bytes() const;
  Bytes writable_bytes() const;

  // Puts zero pages that belong to this process over a part, in place and at once: whoever reads or writes
  // there at this moment sees either the old pages or the new ones, and no pointer becomes invalid. This is
  // how memory is taken away from users who do not let go. Offset and length in bytes, multiples of
  // page_bytes() (a length that ends at size() may be odd); EINVAL otherwise; ENOMEM when the process has too
  // many mappings, and then nothing has changed. Any thread.
  Result<> replace_with_zero_pages(std::size_t offset, std::size_t length);

  void reset();

 private:
  struct Request;
  static Result<Mapping> map(const Request& request);

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t page_bytes_ = 1;
  Protection protection_ = Protection::none;
};

// What replace_with_zero_pages() does, for memory that is known by its address only. `protection` as mmap()
// takes it. Async-signal-safe.
Result<> put_zero_pages_over(std::byte* address, std::size_t length, int protection);

// PROT_NONE, PROT_READ or PROT_READ | PROT_WRITE.
int to_mmap_protection(Protection protection);

}  // namespace umdev::os

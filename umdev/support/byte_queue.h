// Bytes that wait in one piece: appended at their end, dropped at their front.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>

#include "umdev/support/assert.h"
#include "umdev/support/bytes.h"

namespace umdev {

// Not thread-safe. Once it has grown, nothing is allocated. A vector would do, but that every byte of a reply
// passes here, and appending sixteen of them takes it over a hundred instructions.
class ByteQueue {
 public:
  bool empty() const { return end_ == begin_; }
  std::size_t size() const { return end_ - begin_; }
  // Valid until the next append() or drop().
  ConstBytes bytes() const { return {memory_.get() + begin_, end_ - begin_}; }
  // Bytes that are allocated.
  std::size_t capacity() const { return capacity_; }

  // Of the first byte, and of the one that is appended next, among all that ever were here.
  std::uint64_t first_position() const { return dropped_; }
  std::uint64_t next_position() const { return dropped_ + size(); }

  // One behind the other.
  void append(std::initializer_list<ConstBytes> parts) {
    std::size_t size = 0;
    for (const ConstBytes part : parts) size += part.size();
    if (size > capacity_ - end_) [[unlikely]]
      make_room(size);
    for (const ConstBytes part : parts) {
      if (!part.empty()) std::memcpy(memory_.get() + end_, part.data(), part.size());
      end_ += part.size();
    }
  }

  // Precondition: as many are here.
  void drop(std::size_t count) {
    UMDEV_ASSERT(count <= size(), "more bytes are dropped than wait");
    begin_ += count;
    dropped_ += count;
    if (begin_ != end_) return;
    begin_ = end_ = 0;
    if (capacity_ <= kept_capacity) return;
    memory_.reset();
    capacity_ = 0;
  }

 private:
  // So much stays allocated when nothing waits.
  static constexpr std::size_t kept_capacity = 65536;

  // Also when there always is something that waits, what was dropped does not stay for ever.
  void make_room(std::size_t count) {
    const std::size_t needed = size() + count;
    if (needed <= capacity_ / 2) {
      std::memmove(memory_.get(), memory_.get() + begin_, size());
    } else {
      const std::size_t capacity = std::max(2 * capacity_, needed);
      auto memory = std::make_unique_for_overwrite<std::byte[]>(capacity);
      std::ranges::copy(bytes(), memory.get());
      memory_ = std::move(memory);
      capacity_ = capacity;
    }
    end_ -= begin_;
    begin_ = 0;
  }

  std::unique_ptr<std::byte[]> memory_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;  // in the memory
  std::size_t end_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace umdev

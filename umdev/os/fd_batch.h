// The descriptors that travel with one message.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "umdev/os/unique_fd.h"

namespace umdev::os {

// The most that Linux passes with one message (SCM_MAX_FD).
inline constexpr std::size_t max_fds_per_message = 253;

// Owns up to 253 descriptors, in the order in which they came, without allocating. Not thread-safe.
class FdBatch {
 public:
  static constexpr std::size_t capacity = max_fds_per_message;

  FdBatch() = default;
  FdBatch(FdBatch&& other) noexcept { take_all(other); }
  ~FdBatch() { clear(); }
  FdBatch& operator=(FdBatch&& other) noexcept {
    if (this != &other) {
      clear();
      take_all(other);
    }
    return *this;
  }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::size_t room() const { return capacity - size_; }

  // Takes the descriptor at the end; when there is no room it is closed, and lost() says so.
  void push(UniqueFd fd) {
    if (size_ == capacity) {
      lost_ = true;
      return;
    }
    fds_[size_++] = fd.release();
  }

  // The descriptor at an index below size(): -1 when it was taken out.
  int get(std::size_t index) const { return index < size_ ? fds_[index] : -1; }

  // Takes one out; the others keep their index.
  UniqueFd take(std::size_t index) { return UniqueFd(index < size_ ? std::exchange(fds_[index], -1) : -1); }

  // Closes everything and forgets that something was lost.
  void clear() {
    for (std::size_t index = 0; index < size_; ++index) take(index).reset();
    size_ = 0;
    lost_ = false;
  }

  // True when descriptors were sent that we do not have (our table was full, or the batch), since the last
  // clear(). Which of them is missing cannot be told, so the message they came with cannot be obeyed.
  bool lost() const { return lost_; }
  void set_lost() { lost_ = true; }

 private:
  void take_all(FdBatch& other) {
    size_ = std::exchange(other.size_, 0);
    std::copy_n(other.fds_.begin(), size_, fds_.begin());
    lost_ = std::exchange(other.lost_, false);
  }

  // Those below size_ are owned, -1 where one was taken out. The others have no value: to give one to all
  // 253, and to close them, for the one descriptor of a usual message would cost more than to receive it.
  std::array<int, capacity> fds_;
  std::size_t size_ = 0;
  bool lost_ = false;
};

}  // namespace umdev::os

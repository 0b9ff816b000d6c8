// Memory that a test lends: one kind that is mapped here, one that is reached by messages.
#pragma once

#include <algorithm>
#include <atomic>
#include <deque>
#include <vector>

#include "umdev/iommu/backing.h"
#include "umdev/support/mutex.h"

namespace umdev::test {

struct BackingSlice {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  friend bool operator==(const BackingSlice&, const BackingSlice&) = default;
};

// Plain memory. revoke() fills the slice with zeroes and is kept. Any thread, but for bytes().
class MemoryBacking final : public iommu::Backing {
 public:
  explicit MemoryBacking(std::size_t size, int fd = -1, std::uint64_t fd_offset = 0)
      : bytes_(size), fd_(fd), fd_offset_(fd_offset) {}

  Bytes mapped() override { return bytes_; }
  int fd() const override { return fd_; }
  std::uint64_t fd_offset() const override { return fd_offset_; }
  bool intact() const override { return intact_; }
  void revoke(std::uint64_t offset, std::uint64_t size) override {
    Lock lock(mutex_);
    revoked_.push_back({offset, size});
    const auto begin = bytes_.begin() + static_cast<std::ptrdiff_t>(offset);
    std::fill(begin, begin + static_cast<std::ptrdiff_t>(size), std::byte{0});
  }

  Bytes bytes() { return bytes_; }
  // As if its owner had truncated the file.
  void go_bad() { intact_ = false; }
  std::vector<BackingSlice> revoked() const {
    Lock lock(mutex_);
    return revoked_;
  }

 private:
  std::vector<std::byte> bytes_;
  const int fd_;
  const std::uint64_t fd_offset_;
  std::atomic<bool> intact_ = true;
  mutable Mutex mutex_;
  std::vector<BackingSlice> revoked_ UMDEV_GUARDED_BY(mutex_);
};

// Memory that answers reads and writes when the test says so. Any thread, but for bytes(). Requests that are
// left when it is destroyed complete with ECANCELED.
class MessageBacking final : public iommu::Backing {
 public:
  explicit MessageBacking(std::size_t size) : bytes_(size) {}

  Bytes mapped() override { return {}; }
  bool intact() const override { return intact_; }
  bool copies_at_once() const override { return at_once_; }
  void read(std::uint64_t offset, Bytes into, Done<> done) override {
    take({offset, into, {}, std::move(done)});
  }
  void write(std::uint64_t offset, ConstBytes from, Done<> done) override {
    take({offset, {}, from, std::move(done)});
  }

  Bytes bytes() { return bytes_; }
  void go_bad() { intact_ = false; }
  // From now on requests are answered inside the call.
  void answer_at_once() { at_once_ = true; }
  std::size_t pending() const {
    Lock lock(mutex_);
    return requests_.size();
  }
  // Serves the oldest request; false when there is none.
  bool answer() { return answer_with({}); }
  // Answers the oldest request with an error; false when there is none.
  bool fail_with(int code) { return answer_with(umdev::fail(code, "the test said so")); }
  // Serves what is pending, and what that brings; how many requests those were.
  std::size_t answer_all() {
    std::size_t answered = 0;
    while (answer()) ++answered;
    return answered;
  }

 private:
  struct Request {
    std::uint64_t offset;
    Bytes into;
    ConstBytes from;
    Done<> done;
  };

  void take(Request request) {
    if (at_once_) return serve(std::move(request));
    Lock lock(mutex_);
    requests_.push_back(std::move(request));
  }

  void serve(Request request) {
    if (!range_fits(request.offset, request.into.size() + request.from.size(), bytes_.size())) {
      return request.done(umdev::fail(EFAULT, "beyond the backing"));
    }
    const auto at = bytes_.begin() + static_cast<std::ptrdiff_t>(request.offset);
    std::copy_n(at, request.into.size(), request.into.begin());
    std::copy(request.from.begin(), request.from.end(), at);
    request.done();
  }

  bool answer_with(Result<> result) {
    Request request;
    {
      Lock lock(mutex_);
      if (requests_.empty()) return false;
      request = std::move(requests_.front());
      requests_.pop_front();
    }
    if (result) {
      serve(std::move(request));
    } else {
      request.done(result);
    }
    return true;
  }

  std::vector<std::byte> bytes_;
  std::atomic<bool> intact_ = true;
  std::atomic<bool> at_once_ = false;
  mutable Mutex mutex_;
  std::deque<Request> requests_ UMDEV_GUARDED_BY(mutex_);
};

}  // namespace umdev::test

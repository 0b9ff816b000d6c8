#include "umdev/uapi/memory_copier.h"

#include <algorithm>
#include <utility>

#include "umdev/support/mutex.h"

namespace umdev::uapi {

// One copy, of which pieces are left or not. The second thread may come when nobody waits for it any more:
// then no piece is left, and what `buffer` says is not touched.
class MemoryCopier::Copy {
 public:
  // One of the two is used.
  struct Buffer {
    Bytes into;
    ConstBytes from;
  };
  Copy(std::shared_ptr<os::Process> process, std::uint64_t address, Buffer buffer)
      : process_(std::move(process)),
        address_(address),
        buffer_(buffer),
        size_(std::max(buffer.into.size(), buffer.from.size())) {}

  // Copies pieces until none is left.
  void work() UMDEV_EXCLUDES(mutex_) {
    // In this order: whoever sees that nobody works, and that no piece is left, may let go of the buffer.
    working_.fetch_add(1);
    for (std::size_t at = next_.fetch_add(piece_size); at < size_; at = next_.fetch_add(piece_size))
      if (const auto copied = copy(at, std::min(piece_size, size_ - at)); !copied) end(copied);
    working_.fetch_sub(1);
    working_.notify_all();
  }

  // After work(): waits for what others have begun.
  Result<> wait() UMDEV_EXCLUDES(mutex_) {
    for (unsigned working = working_.load(); working != 0; working = working_.load()) working_.wait(working);
    Lock lock(mutex_);
    return result_;
  }

 private:
  Result<> copy(std::size_t at, std::size_t size) const {
    if (!buffer_.into.empty()) return process_->read(address_ + at, buffer_.into.subspan(at, size));
    return process_->write(address_ + at, buffer_.from.subspan(at, size));
  }

  void end(Result<> failed) UMDEV_EXCLUDES(mutex_) {
    next_.store(size_);
    Lock lock(mutex_);
    result_ = failed;
  }

  const std::shared_ptr<os::Process> process_;
  const std::uint64_t address_;
  const Buffer buffer_;
  const std::size_t size_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<unsigned> working_ = 0;
  Mutex mutex_;
  Result<> result_ UMDEV_GUARDED_BY(mutex_);
};

Result<> MemoryCopier::read(const std::shared_ptr<os::Process>& process, std::uint64_t address, Bytes into) {
  if (second_ == nullptr || into.size() < shared_from) return process->read(address, into);
  return carry_out(std::make_shared<Copy>(process, address, Copy::Buffer{.into = into, .from = {}}));
}

Result<> MemoryCopier::write(const std::shared_ptr<os::Process>& process, std::uint64_t address,
                             ConstBytes from) {
  if (second_ == nullptr || from.size() < shared_from) return process->write(address, from);
  return carry_out(std::make_shared<Copy>(process, address, Copy::Buffer{.into = {}, .from = from}));
}

Result<> MemoryCopier::carry_out(const std::shared_ptr<Copy>& copy) {
  if (!asked_->exchange(true)) {
    second_->post([asked = asked_, copy] {
      *asked = false;
      copy->work();
    });
  }
  copy->work();
  return copy->wait();
}

}  // namespace umdev::uapi

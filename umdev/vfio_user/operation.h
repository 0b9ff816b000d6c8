// The one thing that a session waits for, and how other threads reach the session.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "umdev/support/bytes.h"
#include "umdev/support/error.h"
#include "umdev/support/host.h"
#include "umdev/support/mutex.h"
#include "umdev/vfio/device_file.h"

namespace umdev::vfio_user {

class Session;

// Carries word from other threads to the session's. After close() the session and its executor are not
// touched any more, however late somebody calls.
class Mailbox final : public vfio::DeviceFileEvents, public std::enable_shared_from_this<Mailbox> {
 public:
  explicit Mailbox(Executor& executor) : executor_(&executor) {}

  // Session's thread, before anybody else knows the mailbox.
  void set_session(std::weak_ptr<Session> session) { session_ = std::move(session); }
  void close() UMDEV_EXCLUDES(mutex_);

  // Any thread: the session looks at its operation.
  void post_operation_completed() UMDEV_EXCLUDES(mutex_);
  // Any thread: a device asked for memory by messages.
  void post_dma_asked() UMDEV_EXCLUDES(mutex_);
  // ^vfio::DeviceFileEvents
  void revoked() override UMDEV_EXCLUDES(mutex_);

 private:
  void post(void (Session::*act)()) UMDEV_EXCLUDES(mutex_);

  Mutex mutex_;
  Executor* executor_ UMDEV_GUARDED_BY(mutex_);
  std::weak_ptr<Session> session_;
};

// An access, an unmap, a reset or an opening under way. The session begins one at a time; whoever answers it
// may do so inside the call or later, from any thread. Owns the access's buffer, and lives as long as a
// driver may touch that, which may be longer than the session.
//
// The order: begin(), the call whose completion is complete(), then call_returned(). True from that means
// that the result is there; otherwise the mailbox is told when it is.
class Operation final : public vfio::AccessOwner {
 public:
  explicit Operation(std::shared_ptr<Mailbox> mailbox) : mailbox_(std::move(mailbox)) {}

  // Session's thread.
  void begin() { state_.store(State::inside_call, std::memory_order_relaxed); }
  bool call_returned() {
    return state_.load(std::memory_order_acquire) == State::answered ||
           state_.exchange(State::waiting) == State::answered;
  }
  bool is_answered() const { return state_.load() == State::answered; }

  // Any thread, once for each begin().
  void complete(Result<std::uint64_t> result) {
    result_ = std::move(result);
    if (state_.exchange(State::answered) == State::waiting) mailbox_->post_operation_completed();
  }
  // ^vfio::AccessOwner: the same for an access.
  void access_completed(const Result<std::size_t>& result) override {
    if (result) [[likely]]
      result_ = *result;
    else
      result_ = std::unexpected(result.error());
    if (state_.exchange(State::answered) == State::waiting) mailbox_->post_operation_completed();
  }
  void complete_open(Result<std::shared_ptr<vfio::DeviceFile>> file);
  void complete_feature(Result<vfio::FeatureAnswer> answer);

  // Session's thread, once it is answered.
  const Result<std::uint64_t>& result() const { return result_; }
  std::shared_ptr<vfio::DeviceFile> take_file() { return std::move(file_); }

  std::vector<std::byte> take_answer() { return std::move(answer_); }

  // The first `size` bytes of the buffer, which grows as needed. Not while an access is under way.
  Bytes buffer(std::size_t size) {
    if (buffer_.size() < size || buffer_.size() > kept_buffer) [[unlikely]]
      fit_buffer(size);
    return Bytes(buffer_).first(size);
  }
  // What is in the buffer, at least what buffer() gave last.
  ConstBytes buffered() const { return buffer_; }
  // The first `size` bytes of what buffer() gave last.
  ConstBytes data(std::size_t size) const { return ConstBytes(buffer_).first(size); }

 private:
  enum class State : std::uint8_t { inside_call, waiting, answered };

  // What one large access needed is not kept for the many small ones.
  static constexpr std::size_t kept_buffer = 65536;

  void fit_buffer(std::size_t size);

  const std::shared_ptr<Mailbox> mailbox_;
  std::atomic<State> state_ = State::answered;
  Result<std::uint64_t> result_ = 0;
  std::shared_ptr<vfio::DeviceFile> file_;
  std::vector<std::byte> answer_;  // of a feature
  std::vector<std::byte> buffer_;
};

}  // namespace umdev::vfio_user

#include "umdev/vfio/file_access.h"

#include <algorithm>

#include "umdev/vfio/device_user.h"

namespace umdev::vfio {

// The target is made in its place: to copy one that has just been made elsewhere, the processor waits.
FileAccess& FileAccess::begin(DeviceFile& file, std::uint32_t region, std::uint64_t offset, Bytes data) {
  FileAccess* access = file.spare_.get();
  if (file.spare_taken_.exchange(true, std::memory_order_acquire)) [[unlikely]]
    access = std::make_unique<FileAccess>().release();  // until give_back()
  access->target_.user = file.user_.get();
  access->target_.region = region;
  access->target_.offset = offset;
  access->target_.data = data;
  access->file_ = &file;
  access->state_.store(State::inside_call, std::memory_order_relaxed);
  access->references_.store(2, std::memory_order_relaxed);
  return *access;
}

bool FileAccess::ended_with_the_call() {
  if (references_.load(std::memory_order_acquire) != 1) [[unlikely]]
    return false;
  give_back();
  return true;
}

// To the file, or to nobody; not touched after that.
void FileAccess::give_back() {
  if (this == file_->spare_.get()) [[likely]]
    return file_->spare_taken_.store(false, std::memory_order_release);
  const std::unique_ptr<FileAccess> surplus(this);
}

// Whoever drops the last reference sees what is kept.
void FileAccess::keep(RegisteredDevice::Stay stay, std::shared_ptr<void> owner) {
  kept_file_ = file_->shared_from_this();
  stay_.emplace(std::move(stay));
  owner_ = std::move(owner);
  run_deadline();
  drop_reference();
}

void FileAccess::run_deadline() {
  DeviceFile& file = *file_;
  State expected = State::inside_call;
  file.waiting_.fetch_add(1, std::memory_order_relaxed);
  if (!state_.compare_exchange_strong(expected, State::waiting)) {
    file.waiting_.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  Timer timer = file.device_->host().clock().after(
      file.device_->limits().access_deadline, [self = Ref(*this)]() mutable {
        self->file_->device_->fault("an access was not completed in time");
        self->answer_instead(Error{ETIMEDOUT, "the device did not answer in time"});
      });
  Lock lock(file.mutex_);
  // The driver may have answered meanwhile; whoever answers takes the entry away under this lock, after the
  // state changed.
  if (state_.load() != State::waiting) return;
  deadline_ = std::move(timer);
  file.under_way_.push_back(this);
}

bool FileAccess::win_answer(bool only_if_waiting) {
  State state = state_.load();
  while (state != State::answered && !(only_if_waiting && state != State::waiting)) {
    if (!state_.compare_exchange_weak(state, State::answered)) continue;
    if (state == State::waiting) {
      file_->waiting_.fetch_sub(1, std::memory_order_relaxed);
      Timer deadline;  // cancelled after the lock is dropped: its work holds a reference on this
      Lock lock(file_->mutex_);
      deadline = std::move(deadline_);
      std::erase(file_->under_way_, this);
    }
    return true;
  }
  return false;
}

void FileAccess::answer(Result<std::size_t>& result) {
  if (result && *result > target_.data.size()) [[unlikely]] {
    file_->device_->fault("it answered an access with more bytes than were asked for");
    result = fail(EIO, "the device answered with more bytes than were asked for");
  }
  if (AccessOwner* const waiter = std::exchange(waiter_, nullptr); waiter != nullptr)
    return waiter->access_completed(result);
  Done<std::size_t> done = std::move(done_);
  done(std::move(result));
}

void FileAccess::complete(Result<std::size_t> result) {
  if (win_answer(/*only_if_waiting=*/false)) answer(result);
}

void FileAccess::answer_instead(Error error) {
  Result<std::size_t> result = std::unexpected(error);
  if (win_answer(/*only_if_waiting=*/true)) answer(result);
}

void FileAccess::drop_reference() {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  owner_.reset();
  stay_.reset();
  const std::shared_ptr<DeviceFile> file = std::move(kept_file_);
  give_back();
}

}  // namespace umdev::vfio

#include "umdev/vfio_user/outbox.h"

#include "umdev/support/assert.h"

namespace umdev::vfio_user {

void Outbox::send(std::initializer_list<ConstBytes> parts, os::UniqueFd fd) {
  const std::uint64_t begin = base_ + bytes_.size();
  for (const ConstBytes part : parts) bytes_.insert(bytes_.end(), part.begin(), part.end());
  if (fd) attachments_.push_back({.begin = begin, .end = base_ + bytes_.size(), .fd = std::move(fd)});
}

Outbox::Piece Outbox::front() {
  UMDEV_ASSERT(!empty(), "nothing to send");
  const ConstBytes all(bytes_.data() + begin_, size());
  if (first_attachment_ == attachments_.size()) return {.bytes = all, .fds = {}};
  const Attachment& next = attachments_[first_attachment_];
  if (position() < next.begin) return {.bytes = all.first(next.begin - position()), .fds = {}};
  const ConstBytes message = all.first(next.end - position());
  if (!next.fd) return {.bytes = message, .fds = {}};
  front_fd_ = next.fd.get();
  return {.bytes = message, .fds = std::span(&front_fd_, 1)};
}

void Outbox::sent(std::size_t count) {
  UMDEV_ASSERT(count <= size(), "more was sent than waited");
  if (count == 0) return;
  begin_ += count;
  if (first_attachment_ < attachments_.size()) {
    Attachment& next = attachments_[first_attachment_];
    if (position() > next.begin) next.fd.reset();
    if (position() >= next.end) ++first_attachment_;
  }
  if (first_attachment_ == attachments_.size()) {
    attachments_.clear();
    first_attachment_ = 0;
  }
  if (!empty()) return;
  base_ += bytes_.size();
  bytes_.clear();
  begin_ = 0;
  if (bytes_.capacity() > kept_capacity) std::vector<std::byte>().swap(bytes_);
}

}  // namespace umdev::vfio_user

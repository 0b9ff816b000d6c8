#include "umdev/vfio_user/outbox.h"

#include <algorithm>

#include "umdev/support/assert.h"

namespace umdev::vfio_user {

void Outbox::append(std::initializer_list<ConstBytes> parts) {
  for (const ConstBytes part : parts) bytes_.insert(bytes_.end(), part.begin(), part.end());
}

void Outbox::send(std::initializer_list<ConstBytes> parts) {
  tap_.message(/*from_client=*/false, parts, 0);
  append(parts);
}

void Outbox::send(std::initializer_list<ConstBytes> parts, std::vector<os::UniqueFd> fds) {
  tap_.message(/*from_client=*/false, parts, fds.size());
  const std::uint64_t begin = base_ + bytes_.size();
  append(parts);
  if (fds.empty()) return;
  attachments_.push_back(
      {.begin = begin, .end = base_ + bytes_.size(), .fds = std::move(fds), .body = {}, .kept = {}});
}

void Outbox::send_borrowed(std::initializer_list<ConstBytes> parts, ConstBytes body) {
  tap_.message(/*from_client=*/false, parts, 0);
  const std::uint64_t begin = base_ + bytes_.size();
  append(parts);
  attachments_.push_back({.begin = begin, .end = base_ + bytes_.size(), .fds = {}, .body = body, .kept = {}});
  borrowed_ += body.size();
}

void Outbox::keep(ConstBytes owner) {
  for (std::size_t i = first_attachment_; i < attachments_.size(); ++i) {
    Attachment& message = attachments_[i];
    if (message.body.empty() || !message.kept.empty() || message.body.data() < owner.data() ||
        message.body.data() >= owner.data() + owner.size())
      continue;
    message.kept.assign(message.body.begin(), message.body.end());
    message.body = message.kept;
  }
}

Result<std::vector<UnsentPiece>> Outbox::copy() const {
  std::vector<UnsentPiece> pieces;
  std::uint64_t at = position();
  const auto add = [&](std::uint64_t end, ConstBytes body) -> UnsentPiece& {
    UnsentPiece& piece = pieces.emplace_back();
    const ConstBytes bytes = ConstBytes(bytes_).subspan(at - base_, end - at);
    piece.bytes.assign(bytes.begin(), bytes.end());
    piece.bytes.insert(piece.bytes.end(), body.begin(), body.end());
    at = end;
    return piece;
  };
  for (std::size_t i = first_attachment_; i < attachments_.size(); ++i) {
    const Attachment& message = attachments_[i];
    if (at < message.begin) add(message.begin, {});
    UnsentPiece& piece = add(message.end, message.body);
    for (const os::UniqueFd& fd : message.fds) piece.fds.push_back(UMDEV_TRY(fd.dup()));
  }
  if (at < base_ + bytes_.size()) add(base_ + bytes_.size(), {});
  return pieces;
}

// The tap has seen them where they were made.
void Outbox::restore(std::vector<UnsentPiece> pieces) {
  for (UnsentPiece& piece : pieces) {
    const std::uint64_t begin = base_ + bytes_.size();
    append({piece.bytes});
    if (!piece.fds.empty())
      attachments_.push_back({.begin = begin,
                              .end = base_ + bytes_.size(),
                              .fds = std::move(piece.fds),
                              .body = {},
                              .kept = {}});
  }
}

Outbox::Piece Outbox::front() {
  UMDEV_ASSERT(!empty(), "nothing to send");
  const ConstBytes all(bytes_.data() + begin_, bytes_.size() - begin_);
  if (first_attachment_ == attachments_.size()) return {.bytes = all, .body = {}, .fds = {}};
  const Attachment& next = attachments_[first_attachment_];
  if (position() < next.begin) return {.bytes = all.first(next.begin - position()), .body = {}, .fds = {}};
  const ConstBytes message = all.first(next.end - position());
  front_fds_.clear();
  for (const os::UniqueFd& fd : next.fds) front_fds_.push_back(fd.get());
  return {.bytes = message, .body = next.body, .fds = front_fds_};
}

void Outbox::sent(std::size_t count) {
  UMDEV_ASSERT(count <= size(), "more was sent than waited");
  if (count == 0) return;
  if (first_attachment_ < attachments_.size()) {
    sent_of(attachments_[first_attachment_], count);
  } else {
    begin_ += count;
  }
  tidy();
}

void Outbox::tidy() {
  if (first_attachment_ == attachments_.size() || first_attachment_ > kept_attachments) {
    attachments_.erase(attachments_.begin(),
                       attachments_.begin() + static_cast<std::ptrdiff_t>(first_attachment_));
    first_attachment_ = 0;
  }
  if (!empty() && begin_ <= kept_capacity) return;
  // Also when there always is something that waits, what went does not stay for ever.
  bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(begin_));
  base_ += begin_;
  begin_ = 0;
  if (bytes_.empty() && bytes_.capacity() > kept_capacity) std::vector<std::byte>().swap(bytes_);
}

// `count` bytes went of the bytes before a message, or of the message.
void Outbox::sent_of(Attachment& message, std::size_t count) {
  const std::size_t bytes = std::min<std::size_t>(count, message.end - position());
  begin_ += bytes;
  if (position() > message.begin) message.fds.clear();
  message.body = message.body.subspan(count - bytes);
  borrowed_ -= count - bytes;
  if (position() < message.end || !message.body.empty()) return;
  std::vector<std::byte>().swap(message.kept);
  ++first_attachment_;
}

}  // namespace umdev::vfio_user

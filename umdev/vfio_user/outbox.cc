#include "umdev/vfio_user/outbox.h"

#include <algorithm>

#include "umdev/support/assert.h"

namespace umdev::vfio_user {

void Outbox::send(std::initializer_list<ConstBytes> parts, std::vector<os::UniqueFd> fds) {
  tap_.message(/*from_client=*/false, parts, fds.size());
  const std::uint64_t begin = bytes_.next_position();
  append(parts);
  if (fds.empty()) return;
  attachments_.push_back(
      {.begin = begin, .end = bytes_.next_position(), .fds = std::move(fds), .body = {}, .kept = {}});
}

void Outbox::send_borrowed(std::initializer_list<ConstBytes> parts, ConstBytes body) {
  tap_.message(/*from_client=*/false, parts, 0);
  const std::uint64_t begin = bytes_.next_position();
  append(parts);
  attachments_.push_back(
      {.begin = begin, .end = bytes_.next_position(), .fds = {}, .body = body, .kept = {}});
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
  std::uint64_t at = bytes_.first_position();
  const auto add = [&](std::uint64_t end, ConstBytes body) -> UnsentPiece& {
    UnsentPiece& piece = pieces.emplace_back();
    const ConstBytes bytes = bytes_.bytes().subspan(at - bytes_.first_position(), end - at);
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
  if (at < bytes_.next_position()) add(bytes_.next_position(), {});
  return pieces;
}

// The tap has seen them where they were made.
void Outbox::restore(std::vector<UnsentPiece> pieces) {
  for (UnsentPiece& piece : pieces) {
    const std::uint64_t begin = bytes_.next_position();
    append({piece.bytes});
    if (!piece.fds.empty())
      attachments_.push_back({.begin = begin,
                              .end = bytes_.next_position(),
                              .fds = std::move(piece.fds),
                              .body = {},
                              .kept = {}});
  }
}

Outbox::Piece Outbox::front_attached() {
  const ConstBytes all = bytes_.bytes();
  if (first_attachment_ == attachments_.size()) return {.bytes = all, .body = {}, .fds = {}};
  const Attachment& next = attachments_[first_attachment_];
  if (bytes_.first_position() < next.begin)
    return {.bytes = all.first(next.begin - bytes_.first_position()), .body = {}, .fds = {}};
  const ConstBytes message = all.first(next.end - bytes_.first_position());
  front_fds_.clear();
  for (const os::UniqueFd& fd : next.fds) front_fds_.push_back(fd.get());
  return {.bytes = message, .body = next.body, .fds = front_fds_};
}

void Outbox::sent_attached(std::size_t count) {
  UMDEV_ASSERT(count <= size(), "more was sent than waited");
  if (count == 0) return;
  if (first_attachment_ < attachments_.size()) {
    sent_of(attachments_[first_attachment_], count);
  } else {
    bytes_.drop(count);
  }
  forget_sent();
}

void Outbox::forget_sent() {
  if (first_attachment_ != attachments_.size() && first_attachment_ <= kept_attachments) return;
  attachments_.erase(attachments_.begin(),
                     attachments_.begin() + static_cast<std::ptrdiff_t>(first_attachment_));
  first_attachment_ = 0;
}

// `count` bytes went of the bytes before a message, or of the message.
void Outbox::sent_of(Attachment& message, std::size_t count) {
  const std::size_t bytes = std::min<std::size_t>(count, message.end - bytes_.first_position());
  bytes_.drop(bytes);
  if (bytes_.first_position() > message.begin) message.fds.clear();
  message.body = message.body.subspan(count - bytes);
  borrowed_ -= count - bytes;
  if (bytes_.first_position() < message.end || !message.body.empty()) return;
  std::vector<std::byte>().swap(message.kept);
  ++first_attachment_;
}

}  // namespace umdev::vfio_user

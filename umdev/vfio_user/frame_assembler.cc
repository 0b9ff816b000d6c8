#include "umdev/vfio_user/frame_assembler.h"

#include <algorithm>
#include <cstring>

#include "umdev/support/assert.h"

namespace umdev::vfio_user {

using abi::VfioUserHeader;

FrameAssembler::FrameAssembler(std::size_t max_message, std::size_t buffer)
    : max_message_(std::max(max_message, sizeof(VfioUserHeader))),
      usual_capacity_(std::max(buffer, sizeof(VfioUserHeader))),
      capacity_(usual_capacity_),
      buffer_(std::make_unique_for_overwrite<std::byte[]>(usual_capacity_)) {}

Bytes FrameAssembler::space() {
  const std::size_t held = end_ - begin_;
  if (begin_ > 0) {
    if (held != 0) std::memmove(buffer_.get(), buffer_.get() + begin_, held);
    base_ += begin_;
    begin_ = 0;
    end_ = held;
  }
  if (diverted_size_ != 0) return diverted_space();
  if (held == capacity_)
    resize(std::min(capacity_ * 2, std::max(max_message_, usual_capacity_)));
  else if (held == 0 && capacity_ > usual_capacity_)
    resize(usual_capacity_);
  UMDEV_ASSERT(end_ < capacity_, "more bytes were asked for while a whole message waits");
  return {buffer_.get() + end_, capacity_ - end_};
}

void FrameAssembler::resize(std::size_t capacity) {
  auto larger = std::make_unique_for_overwrite<std::byte[]>(capacity);
  std::memcpy(larger.get(), buffer_.get(), end_);
  buffer_ = std::move(larger);
  capacity_ = capacity;
}

void FrameAssembler::commit(std::size_t count) {
  if (diverted_size_ != 0) {
    UMDEV_ASSERT(count <= diverted_size_ - diverted_, "more bytes than there was space");
    diverted_ += count;
    if (!incoming_.empty() || incoming_.lost()) attach(std::nullopt);
    return;
  }
  UMDEV_ASSERT(count <= capacity_ - end_, "more bytes than there was space");
  const std::size_t from = end_;
  end_ += count;
  if (!incoming_.empty() || incoming_.lost()) [[unlikely]]
    attach(last_start(from));
}

// The position of the last message that begins in what came from `from` on.
std::optional<std::uint64_t> FrameAssembler::last_start(std::size_t from) const {
  std::optional<std::uint64_t> last;
  for (std::size_t at = begin_; at < end_;) {
    if (at >= from) last = base_ + at;
    const auto size = load_le<std::uint32_t>({buffer_.get(), end_}, at + offsetof(VfioUserHeader, size));
    if (end_ - at < sizeof(VfioUserHeader) || !check_size(*size)) break;  // next() says so when it is there
    at += *size;
  }
  return last;
}

void FrameAssembler::attach(std::optional<std::uint64_t> start) {
  if (start) {
    slot_for(*start).fds = std::move(incoming_);
  } else {
    slot_for(base_ + begin_).fds.set_lost();
  }
  incoming_.clear();
}

FrameAssembler::Attached& FrameAssembler::slot_for(std::uint64_t position) {
  for (Attached& slot : attached_)
    if (slot.position == position) return slot;
  for (Attached& slot : attached_)
    if (slot.position == no_position || slot.position < base_ + begin_) {
      slot.fds.clear();
      slot.position = position;
      return slot;
    }
  UMDEV_ASSERT(false, "more bytes were committed while whole messages waited");
}

Result<> FrameAssembler::check_size(std::uint32_t size) const {
  if (size < sizeof(VfioUserHeader)) return fail(EBADMSG, "a message smaller than its header");
  if (size > max_message_) return fail(EMSGSIZE, "a message larger than any may be");
  return {};
}

// What was left in the last message.
void FrameAssembler::take_back() {
  handed_out_->fds.clear();
  handed_out_->position = no_position;
  handed_out_ = nullptr;
}

os::FdBatch& FrameAssembler::fds_of(std::uint64_t position) {
  for (Attached& slot : attached_) {
    if (slot.position != position) continue;
    handed_out_ = &slot;
    return slot.fds;
  }
  return none_;
}

Result<const Frame*> FrameAssembler::next() {
  if (handed_out_ != nullptr) take_back();
  const std::size_t held = end_ - begin_;
  if (held < sizeof(VfioUserHeader)) return nullptr;
  std::memcpy(&frame_.header, buffer_.get() + begin_, sizeof(VfioUserHeader));
  const std::uint32_t size = frame_.header.size;
  UMDEV_TRY(check_size(size));
  if (diverted_ != diverted_size_ || size - diverted_ > held) return nullptr;

  const std::size_t kept = size - diverted_;
  frame_.payload = {buffer_.get() + begin_ + sizeof(VfioUserHeader), kept - sizeof(VfioUserHeader)};
  frame_.fds = &fds_of(base_ + begin_);
  frame_.diverted = diverted_;
  begin_ += kept;
  base_ += diverted_;
  diverted_ = diverted_size_ = 0;
  destination_.reset();
  return &frame_;
}

Result<ReceivedBytes> FrameAssembler::copy() const {
  if (diverted_size_ != 0) return fail(EBUSY, "a large message is on its way to where it is wanted");
  ReceivedBytes copy;
  copy.bytes.assign(buffer_.get() + begin_, buffer_.get() + end_);
  const std::uint64_t begin = base_ + begin_;
  for (const Attached& slot : attached_) {
    // What was handed out is over, whatever was left in it.
    if (&slot == handed_out_ || slot.position == no_position || slot.position < begin) continue;
    ReceivedBytes::Attached& attached = copy.attached.emplace_back();
    attached.position = static_cast<std::uint32_t>(slot.position - begin);
    attached.lost = slot.fds.lost();
    for (std::size_t i = 0; i < slot.fds.size(); ++i)
      attached.fds.push_back(UMDEV_TRY(os::duplicate(slot.fds.get(i))));
  }
  std::ranges::sort(copy.attached, {}, &ReceivedBytes::Attached::position);
  return copy;
}

// As they came: the byte that begins a message brings its descriptors.
Result<> FrameAssembler::restore(ReceivedBytes received) {
  if (received.bytes.size() > std::max(max_message_, usual_capacity_))
    return fail(EINVAL, "more bytes than a buffer holds");
  ConstBytes rest = received.bytes;
  const auto put = [&](std::size_t count) {
    while (count != 0) {
      const Bytes room = space();
      const std::size_t part = std::min(count, room.size());
      std::ranges::copy(rest.first(part), room.begin());
      commit(part);
      rest = rest.subspan(part);
      count -= part;
    }
  };
  for (ReceivedBytes::Attached& attached : received.attached) {
    put(attached.position - (received.bytes.size() - rest.size()));
    for (os::UniqueFd& fd : attached.fds) incoming_.push(std::move(fd));
    if (attached.lost) incoming_.set_lost();
    put(1);
  }
  put(rest.size());
  return {};
}

std::optional<Frame> FrameAssembler::partial(std::size_t head) const {
  const auto header = load_struct<VfioUserHeader>({buffer_.get(), end_}, begin_);
  const std::size_t kept = sizeof(VfioUserHeader) + head;
  if (diverted_size_ != 0 || !header || !check_size(header->size) || end_ - begin_ < kept ||
      header->size <= kept)
    return std::nullopt;
  return Frame{.header = *header, .payload = ConstBytes(buffer_.get() + begin_, kept).last(head)};
}

void FrameAssembler::divert(std::size_t head, Bytes destination) {
  const std::byte* const body = buffer_.get() + begin_ + sizeof(VfioUserHeader) + head;
  diverted_ = static_cast<std::size_t>(buffer_.get() + end_ - body);
  UMDEV_ASSERT(diverted_ < destination.size(), "a whole message has nothing to divert");
  std::ranges::copy(ConstBytes(body, diverted_), destination.begin());
  end_ -= diverted_;
  diverted_size_ = destination.size();
  destination_ = destination;
}

void FrameAssembler::abandon(ConstBytes owner) {
  if (destination_ && destination_->data() >= owner.data() &&
      destination_->data() < owner.data() + owner.size())
    destination_.reset();
}

Bytes FrameAssembler::diverted_space() {
  if (destination_) return destination_->subspan(diverted_);
  if (end_ == capacity_) resize(2 * capacity_);
  return Bytes(buffer_.get() + end_, capacity_ - end_)
      .first(std::min(capacity_ - end_, diverted_size_ - diverted_));
}

}  // namespace umdev::vfio_user

#include "umdev/vfio_user/message_dma.h"

#include <algorithm>

#include "umdev/support/assert.h"
#include "umdev/vfio_user/messages.h"
#include "umdev/vfio_user/operation.h"
#include "umdev/vfio_user/quirks.h"

namespace umdev::vfio_user {
namespace {

// Below that, a copy costs less than a piece of its own in a send, or a receive of its own.
constexpr std::size_t worth_borrowing = 4096;

constexpr std::size_t head_size = sizeof(abi::VfioUserDmaAccess);

Error gone() {
  return Error{ENODEV, "the client is gone"};
}

// What an error of the client's means to a device.
Error device_error(const Error& error) {
  switch (error.code) {
    case EFAULT:
    case ENODEV:
      return {EFAULT, "the client has no memory there"};
    case EPERM:
    case EACCES:
      return {EPERM, "the client does not allow the access"};
    case ENOSYS:
    case ENOTTY:
    case EOPNOTSUPP:
      return {EOPNOTSUPP, "the client does not serve accesses to its memory"};
    default:
      return {EIO, "the client could not serve the access"};
  }
}

Result<> check_written(std::uint32_t size, ConstBytes payload) {
  static_assert(quirks::dma_write_reply_may_be_short);
  std::uint64_t count = 0;
  if (payload.empty()) return {};
  if (payload.size() == head_size) {
    count = *load_le<std::uint64_t>(payload, offsetof(abi::VfioUserDmaAccess, count));
  } else if (payload.size() == head_size - sizeof(std::uint32_t)) {
    count = *load_le<std::uint32_t>(payload, offsetof(abi::VfioUserDmaAccess, count));
  }
  if (count != size) return fail(EIO, "a reply that does not fit its DMA_WRITE");
  return {};
}

}  // namespace

MessageDma::MessageDma(std::shared_ptr<Mailbox> mailbox, const Limits& limits, std::uint32_t message_data)
    : mailbox_(std::move(mailbox)),
      limits_(limits),
      message_data_(message_data),
      messages_(std::clamp<std::size_t>(limits.dma_messages, 1, slot_count)) {
  live_.reserve(limits_.dma_transfers);
  Lock lock(mutex_);
  for (auto* list : {&free_, &news_}) list->reserve(limits_.dma_transfers);
  transfers_.reserve(limits_.dma_transfers);
}

// --- The device's side.

void MessageDma::read(std::uint64_t iova, Bytes into, Done<> done) {
  submit({.iova = iova, .size = into.size()}, into.data(), nullptr, std::move(done));
}

void MessageDma::write(std::uint64_t iova, ConstBytes from, Done<> done) {
  submit({.iova = iova, .size = from.size()}, nullptr, from.data(), std::move(done));
}

void MessageDma::submit(iommu::IovaRange range, std::byte* into, const std::byte* from, Done<> done) {
  const bool inside = inside_thread_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  bool tell = false;
  Done<> refused;
  Result<> result;
  {
    Lock lock(mutex_);
    Transfer* const transfer = closed_ ? nullptr : take_free();
    if (transfer != nullptr) {
      transfer->into = into;
      transfer->from = from;
      transfer->range = range;
      transfer->asked = transfer->done = 0;
      transfer->messages = transfer->ticks = transfer->idle_ticks = 0;
      transfer->inside = inside && reply_owed_;
      transfer->complete = std::move(done);
      news_.push_back(transfer);
      has_news_.store(true, std::memory_order_release);
      tell = !inside && !std::exchange(told_, true);
    } else {
      result = closed_ ? std::unexpected(gone()) : fail(EAGAIN, "too many accesses are under way");
      refused = std::move(done);
    }
  }
  if (refused) return refused(result);
  if (tell) mailbox_->post_dma_asked();
}

MessageDma::Transfer* MessageDma::take_free() {
  if (free_.empty()) {
    if (transfers_.size() >= limits_.dma_transfers) return nullptr;
    transfers_.push_back(std::make_unique<Transfer>());
    free_.push_back(transfers_.back().get());
  }
  Transfer* const transfer = free_.back();
  free_.pop_back();
  return transfer;
}

// --- The session's side.

void MessageDma::enter(bool reply_owed) {
  reply_owed_ = reply_owed;
  inside_thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
}

void MessageDma::leave() {
  inside_thread_.store(std::thread::id(), std::memory_order_relaxed);
}

void MessageDma::take_news() {
  if (!has_news()) return;
  Lock lock(mutex_);
  live_.insert(live_.end(), news_.begin(), news_.end());
  news_.clear();
  told_ = false;
  has_news_.store(false, std::memory_order_release);
}

std::uint32_t MessageDma::send(Outbox& outbox) {
  take_news();
  outbox_ = &outbox;
  std::uint32_t sent = 0;
  for (Transfer* transfer : live_) {
    // It was sent behind the reply to what it was asked for in.
    transfer->inside = false;
    while (transfer->asked < transfer->range.size) {
      if (under_way_ >= messages_.size() || outbox.size() >= limits_.output_high_water) return sent;
      send_one(*transfer, outbox);
      ++sent;
    }
  }
  return sent;
}

void MessageDma::send_one(Transfer& transfer, Outbox& outbox) {
  Message& message = free_message();
  const auto slot = static_cast<std::uint16_t>(&message - messages_.data());
  message = {.transfer = &transfer,
             .offset = transfer.asked,
             .size = static_cast<std::uint32_t>(
                 std::min<std::uint64_t>(transfer.range.size - transfer.asked, message_data_)),
             .id = static_cast<std::uint16_t>(uses_++ * slot_count + slot),
             .is_read = transfer.is_read(),
             .used = true};
  const abi::VfioUserDmaAccess head{.iova = transfer.range.iova + message.offset, .count = message.size};
  const auto command = message.is_read ? abi::vfio_user_dma_read : abi::vfio_user_dma_write;
  const std::size_t body = message.is_read ? 0 : message.size;
  const abi::VfioUserHeader header = make_command(message.id, command, sizeof head + body);
  if (message.is_read) {
    outbox.send({bytes_of(header), bytes_of(head)});
  } else {
    const ConstBytes data(transfer.from + message.offset, message.size);
    if (data.size() < worth_borrowing)
      outbox.send({bytes_of(header), bytes_of(head), data});
    else
      outbox.send_borrowed({bytes_of(header), bytes_of(head)}, data);
  }
  transfer.asked += message.size;
  ++transfer.messages;
  ++under_way_;
}

MessageDma::Message& MessageDma::free_message() {
  for (Message& message : messages_)
    if (!message.used) return message;
  UMDEV_ASSERT(false, "more messages than there may be");
}

MessageDma::Message* MessageDma::find(const abi::VfioUserHeader& reply) {
  const std::size_t slot = reply.message_id % slot_count;
  if (slot >= messages_.size()) return nullptr;
  Message& message = messages_[slot];
  const auto command = message.is_read ? abi::vfio_user_dma_read : abi::vfio_user_dma_write;
  return message.used && message.id == reply.message_id && command == reply.command ? &message : nullptr;
}

bool MessageDma::handle_reply(const Frame& frame) {
  Message* const found = find(frame.header);
  if (found == nullptr) return false;
  const Message message = std::exchange(*found, Message{});
  --under_way_;
  progress_ = true;
  if (receiver_ != nullptr && received_id_ == message.id) receiver_ = nullptr;
  if (message.transfer == nullptr) return true;

  Transfer& transfer = *message.transfer;
  --transfer.messages;
  transfer.done += message.size;
  transfer.idle_ticks = 0;
  Result<> result = result_of(frame.header);
  if (!result) {
    result = std::unexpected(device_error(result.error()));
  } else if (!message.is_read) {
    result = check_written(message.size, frame.payload);
  } else {
    const auto head = load_struct<abi::VfioUserDmaAccess>(frame.payload);
    if (!head || head->iova != transfer.range.iova + message.offset || head->count != message.size ||
        frame.payload.size() - head_size + frame.diverted != message.size)
      result = fail(EIO, "a reply that does not fit its DMA_READ");
    else if (frame.diverted == 0)
      std::ranges::copy(frame.payload.subspan(head_size), transfer.into + message.offset);
  }
  if (!result || transfer.done == transfer.range.size) finish(transfer, result);
  return true;
}

void MessageDma::offer(FrameAssembler& assembler) {
  if (receiver_ != nullptr || under_way_ == 0) return;
  const auto partial = assembler.partial(head_size);
  if (!partial || !is_reply(partial->header) || !result_of(partial->header)) return;
  const Message* const message = find(partial->header);
  if (message == nullptr || !message->is_read || message->transfer == nullptr ||
      partial->header.size != sizeof partial->header + head_size + message->size)
    return;
  receiver_ = &assembler;
  received_id_ = message->id;
  assembler.divert(head_size, Bytes(message->transfer->into + message->offset, message->size));
}

// --- Ends.

void MessageDma::finish(Transfer& transfer, Result<> result) {
  for (Message& message : messages_) {
    if (!message.used || message.transfer != &transfer) continue;
    message.transfer = nullptr;
    if (receiver_ != nullptr && received_id_ == message.id)
      std::exchange(receiver_, nullptr)->abandon(ConstBytes(transfer.into, transfer.range.size));
  }
  if (!transfer.is_read() && outbox_ != nullptr)
    outbox_->keep(ConstBytes(transfer.from, transfer.range.size));
  std::erase(live_, &transfer);
  Done<> complete = std::move(transfer.complete);
  {
    Lock lock(mutex_);
    free_.push_back(&transfer);
  }
  complete(std::move(result));
}

// A device that asks again in its completion is not among those.
template <typename Which>
void MessageDma::end_those(const Error& error, Which which) {
  take_news();
  for (std::size_t i = 0; i < live_.size();) {
    if (which(*live_[i])) {
      finish(*live_[i], std::unexpected(error));
    } else {
      ++i;
    }
  }
}

void MessageDma::refuse_inside() {
  if (!has_news()) return;
  end_those({EDEADLK, "the client waits for an answer that seems to wait for the client's memory"},
            [](const Transfer& transfer) { return transfer.inside; });
}

void MessageDma::cancel(iommu::IovaRange range) {
  end_those({EFAULT, "the client unmapped the memory"},
            [&](const Transfer& transfer) { return transfer.range.overlaps(range); });
}

void MessageDma::close() {
  {
    Lock lock(mutex_);
    closed_ = true;
  }
  end_those(gone(), [](const Transfer&) { return true; });
}

void MessageDma::tick(bool reply_owed) {
  take_news();
  const bool progress = std::exchange(progress_, false);
  const auto patience = limits_.dma_patience;
  for (Transfer* transfer : live_) {
    ++transfer->ticks;
    if (transfer->messages != 0 || !progress) ++transfer->idle_ticks;
  }
  if (reply_owed)
    end_those({EDEADLK, "the client has waited too long for an answer to serve its memory"},
              [](const Transfer& transfer) { return transfer.ticks > 1; });
  end_those({ETIMEDOUT, "the client did not answer in time"},
            [&](const Transfer& transfer) { return transfer.idle_ticks * patience >= limits_.dma_deadline; });
}

}  // namespace umdev::vfio_user

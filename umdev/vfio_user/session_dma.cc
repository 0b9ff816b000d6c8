// Memory that only the client can reach: the session's part in DMA_READ and DMA_WRITE (message_dma.h).
#include "umdev/vfio_user/operation.h"
#include "umdev/vfio_user/session.h"

namespace umdev::vfio_user {

std::shared_ptr<MessageDma> Session::message_memory() {
  if (!dma_) dma_ = std::make_shared<MessageDma>(mailbox_, *world_.limits, agreed_.max_data_xfer_size);
  return dma_;
}

void Session::handle_reply(const Frame& frame, bool by_twin) {
  world_.counters->unexpected_descriptors.add(frame.fds->size());
  bool expected = false;
  if (dma_ && by_twin == (twin_ != nullptr)) {
    dma_->enter(false);
    expected = dma_->handle_reply(frame);
    dma_->leave();
    send_dma();
  }
  if (!expected) world_.counters->unexpected_replies.add();
}

void Session::handle_twin(const Frame& frame) {
  if (has_ended() || twin_ == nullptr) return;
  if (is_reply(frame.header)) return handle_reply(frame, /*by_twin=*/true);
  world_.counters->error(EINVAL).add();
  const abi::VfioUserHeader refusal = make_error_reply(frame.header, EINVAL);
  if (wants_reply(frame.header)) twin_->send({bytes_of(refusal)});
}

void Session::client_left() {
  if (dma_) dma_->close();
}

void Session::dma_asked() {
  if (has_ended() || !dma_) return;
  send_dma();
  observer_.session_changed();
}

// Sends what may be sent, and sees to it that nothing waits for ever.
void Session::send_dma() {
  if (!dma_ || has_ended() || frozen_ || dma_->is_idle()) return;
  if (!owes_reply()) {
    const std::uint32_t sent = dma_->send(dma_outbox());
    world_.counters->dma_messages.add(sent);
  }
  if (dma_timer_ || dma_->is_idle()) return;
  dma_timer_ = world_.clock->after(world_.limits->dma_patience, [weak = weak_from_this()] {
    if (const auto session = weak.lock()) session->dma_tick();
  });
}

void Session::dma_tick() {
  dma_timer_ = {};
  if (has_ended()) return;
  const std::uint64_t owed = owes_reply() ? handled_ : 0;
  dma_->tick(owed != 0 && owed == owed_at_tick_);
  owed_at_tick_ = owed;
  send_dma();
  observer_.session_changed();
}

}  // namespace umdev::vfio_user

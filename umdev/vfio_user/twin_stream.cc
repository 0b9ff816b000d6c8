#include "umdev/vfio_user/twin_stream.h"

#include <sys/epoll.h>

#include "umdev/os/unix_socket.h"
#include "umdev/vfio_user/send_waiting.h"

namespace umdev::vfio_user {

TwinStream::TwinStream(os::UniqueFd socket, os::EventLoop& loop, SessionWorld world, Session& session,
                       Changed changed)
    : socket_(std::move(socket)),
      loop_(loop),
      world_(std::move(world)),
      session_(session),
      changed_(std::move(changed)),
      assembler_(world_.limits->message(), world_.limits->receive_buffer) {
  outbox_.set_tap(world_.tap);
}

Result<std::unique_ptr<TwinStream>> TwinStream::create(os::UniqueFd socket, os::EventLoop& loop,
                                                       SessionWorld world, Session& session,
                                                       Changed changed) {
  std::unique_ptr<TwinStream> twin(
      new TwinStream(std::move(socket), loop, std::move(world), session, std::move(changed)));
  UMDEV_TRY(twin->watch());
  return twin;
}

Result<> TwinStream::watch() {
  watch_ = UMDEV_TRY(loop_.watch(socket_.get(), EPOLLIN, [this](std::uint32_t) { ready(); }));
  return {};
}

Result<StreamState> TwinStream::copy() const {
  return StreamState{.socket = UMDEV_TRY(socket_.dup()),
                     .received = UMDEV_TRY(assembler_.copy()),
                     .unsent = UMDEV_TRY(outbox_.copy())};
}

Result<> TwinStream::restore(StreamState state) {
  UMDEV_TRY(assembler_.restore(std::move(state.received)));
  outbox_.restore(std::move(state.unsent));
  return {};
}

void TwinStream::thaw() {
  if (closed_ || watch_) return;
  if (!watch()) closed();
}

// One receive, then the turn of others. The last thing that is done here is to tell the connection, which may
// end this.
void TwinStream::ready() {
  changed_(receive() ? "" : "a broken frame on the twin socket");
}

void TwinStream::closed() {
  closed_ = true;
  watch_.cancel();
  session_.client_left();
}

bool TwinStream::receive() {
  const auto count = os::receive(socket_.get(), assembler_.space(), assembler_.incoming_fds());
  if (!count && count.error().code == EAGAIN) return true;
  if (!count || *count == 0) {
    closed();
    return true;
  }
  world_.counters->bytes_received.add(*count);
  assembler_.commit(*count);
  for (;;) {
    const auto next = assembler_.next();
    if (!next) {
      world_.counters->broken_frames.add();
      return false;
    }
    if (*next == nullptr) break;
    const Frame& frame = **next;
    world_.tap.message(/*from_client=*/true, {bytes_of(frame.header), frame.payload}, frame.fds->size());
    session_.handle_twin(frame);
  }
  session_.offer(assembler_);
  return outbox_.size() <= world_.limits->output_max;
}

void TwinStream::flush() {
  if (closed_) return;
  const auto count = send_waiting(socket_.get(), outbox_);
  if (!count) return closed();
  world_.counters->bytes_sent.add(*count);
  watch_.set_events(outbox_.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

}  // namespace umdev::vfio_user

#include "umdev/vfio_user/connection.h"

#include <sys/epoll.h>

#include <algorithm>

#include "umdev/os/unix_socket.h"
#include "umdev/vfio_user/send_waiting.h"

namespace umdev::vfio_user {

Connection::Connection(os::UniqueFd socket, os::EventLoop& loop, SessionWorld world, DeviceAddress device,
                       std::shared_ptr<ConnectionOwner> owner)
    : loop_(loop),
      world_(world),
      owner_(std::move(owner)),
      socket_(std::move(socket)),
      assembler_(world.limits->message(), world.limits->receive_buffer),
      session_(Session::create(std::move(world), std::move(device), outbox_, *this)) {
  outbox_.set_tap(world_.tap);
  if (const auto credentials = os::peer_credentials(socket_.get())) peer_ = credentials->pid;
}

Connection::~Connection() {
  session_->end("dropped");
}

Result<> Connection::start() {
  watch_ = UMDEV_TRY(loop_.watch(socket_.get(), EPOLLIN, [this](std::uint32_t events) { ready(events); }));
  waits_for_ = EPOLLIN;
  expect_version();
  return {};
}

// While the session is paused, nobody listens to what its client may have said.
void Connection::expect_version() {
  version_deadline_ = loop_.after(world_.limits->version_deadline, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || self->session_->has_spoken() || self->session_->is_paused()) return;
    self->world_.counters->silent_clients.add();
    self->end("no VERSION in time");
  });
}

void Connection::end(std::string_view reason) {
  if (ended_) return;
  ended_ = true;
  // Whoever calls may be inside another function of it.
  loop_.post([self = shared_from_this()] {});
  watch_.cancel();
  version_deadline_.cancel();
  session_->end(reason);
  twin_.reset();
  socket_.reset();
  stood();
  std::exchange(owner_, nullptr)->connection_ended(*this, session_->end_reason());
}

void Connection::pause(Done<> done) {
  if (ended_) return done();
  stands_ = std::move(done);
  session_->pause();
  serve();
}

void Connection::resume() {
  if (ended_ || !session_->is_paused()) return;
  frozen_ = false;
  session_->go_on();
  if (twin_) twin_->thaw();
  if (!session_->has_spoken()) expect_version();
  if (!ended_) serve();
}

Result<SessionState> Connection::take() {
  if (ended_) return fail(ENOTCONN, "its client has gone");
  SessionState state = UMDEV_TRY(session_->copy());
  state.stream = {.socket = UMDEV_TRY(socket_.dup()),
                  .received = UMDEV_TRY(assembler_.copy()),
                  .unsent = UMDEV_TRY(outbox_.copy())};
  if (twin_) state.twin = UMDEV_TRY(twin_->copy());
  frozen_ = true;
  if (twin_) twin_->freeze();
  watch_.set_events(0);
  return state;
}

void Connection::adopt(SessionState state, Done<> done) {
  frozen_ = true;
  if (const auto restored = restore(state); !restored) {
    end("a session from another place could not be taken in");
    return done(std::unexpected(restored.error()));
  }
  session_->adopt(std::move(state), twin_ ? &twin_->outbox() : nullptr, std::move(done));
  if (!ended_) serve();
}

Result<> Connection::restore(SessionState& state) {
  // Its end is seen also while nothing is read.
  watch_ = UMDEV_TRY(loop_.watch(socket_.get(), 0, [this](std::uint32_t events) { ready(events); }));
  UMDEV_TRY(assembler_.restore(std::move(state.stream.received)));
  outbox_.restore(std::move(state.stream.unsent));
  drained_ = false;
  if (!state.twin) return {};
  if (open_twin(std::move(state.twin->socket)) == nullptr)
    return fail(ENOSPC, "the twin socket cannot be served");
  twin_->freeze();
  return twin_->restore(*std::move(state.twin));
}

void Connection::stood() {
  if (stands_) stands_();
}

void Connection::session_changed() {
  if (!ended_) serve();
}

Outbox* Connection::open_twin(os::UniqueFd socket) {
  auto twin =
      TwinStream::create(std::move(socket), loop_, world_, *session_, [this](std::string_view reason) {
        if (!ended_) reason.empty() ? serve() : end(reason);
      });
  if (!twin) return nullptr;
  twin_ = std::move(*twin);
  return &twin_->outbox();
}

void Connection::ready(std::uint32_t events) {
  if (frozen_) return end("the client went away");
  const bool reading = (waits_for_ & EPOLLIN) != 0;
  // Nobody is left to take the replies. What it sent behind an operation that is under way goes with it, as
  // the rest of a killed program's work does.
  if ((events & (EPOLLHUP | EPOLLERR)) != 0 && !reading && !(outbox_.empty() && may_handle_more()))
    return end("the client went away");
  if (reading && (events & ~std::uint32_t{EPOLLOUT}) != 0 && !receive(events)) return;
  serve();
}

// False when the connection ended.
bool Connection::receive(std::uint32_t events) {
  const Bytes space = assembler_.space();
  const os::FdBatch& fds = assembler_.incoming_fds();
  const auto count = os::receive(socket_.get(), space, assembler_.incoming_fds());
  if (!count) {
    trigger_.received(/*all=*/events == EPOLLIN);
    if (count.error().code == EAGAIN) return true;
    end("the client went away");
    return false;
  }
  trigger_.received(/*all=*/events == EPOLLIN && *count < space.size() && fds.empty() && !fds.lost());
  if (*count == 0) {
    at_end_ = true;
    session_->client_left();
  } else {
    world_.counters->bytes_received.add(*count);
    assembler_.commit(*count);
    drained_ = false;
  }
  return true;
}

void Connection::serve() {
  if (frozen_) {
    if (session_->has_ended()) end(session_->end_reason());
    return;
  }
  turn_left_ = world_.limits->messages_per_turn;
  do {
    if (!handle_messages()) {
      world_.counters->broken_frames.add();
      flush();
      return end("a broken frame");
    }
    if (!flush()) return end("the client went away");
    if (twin_) twin_->flush();
    if (outbox_.size() < world_.limits->output_high_water) session_->resume();
    if (outbox_.size() > world_.limits->output_max) return end("too many replies wait");
  } while (may_handle_more() && outbox_.empty() && turn_left_ > 0);

  if (outbox_.empty() && session_->has_ended()) return end(session_->end_reason());
  if (outbox_.empty() && at_end_ && drained_ && !session_->is_busy()) return end("the client left");
  wait_for_events();
}

// False for a broken frame.
bool Connection::handle_messages() {
  while (session_->takes_messages() && turn_left_ > 0) {
    drained_ = assembler_.is_idle();
    if (drained_) return true;
    const auto next = assembler_.next();
    if (!next) return false;
    drained_ = *next == nullptr;
    if (drained_) {
      session_->offer(assembler_);
      return true;
    }
    const Frame& frame = **next;
    world_.tap.message(/*from_client=*/true, {bytes_of(frame.header), frame.payload}, frame.fds->size());
    session_->handle(frame);
    turn_left_ -= std::min(turn_left_, session_->last_cost());
  }
  return true;
}

bool Connection::may_handle_more() const {
  return !drained_ && session_->takes_messages();
}

// False when nobody takes the replies any more.
bool Connection::flush() {
  const auto count = send_waiting(socket_.get(), outbox_);
  if (!count) return false;
  world_.counters->bytes_sent.add(*count);
  return true;
}

void Connection::wait_for_events() {
  // Whose turn has ended takes its next one when the others on this loop have had theirs: its socket is
  // writable, so the loop comes back to it at once.
  const bool sends = !outbox_.empty();
  const bool takes = session_->takes_messages();
  waits_for_ = 0;
  if (sends || (takes && !drained_)) waits_for_ |= EPOLLOUT;
  if (takes && drained_ && !at_end_ && (!sends || session_->expects_replies())) waits_for_ |= EPOLLIN;
  watch_.set_events(waits_for_ == EPOLLIN ? trigger_.events() : waits_for_);
  if (session_->has_spoken()) version_deadline_.cancel();
  if (session_->stands()) stood();
}

}  // namespace umdev::vfio_user

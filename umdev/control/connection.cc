#include "umdev/control/connection.h"

#include <sys/epoll.h>

#include <array>

#include "umdev/os/unix_socket.h"

namespace umdev::control {
namespace {

constexpr std::size_t receive_size = 16384;

}  // namespace

Connection::Connection(os::UniqueFd socket, Caller caller, World world)
    : socket_(std::move(socket)),
      caller_(std::move(caller)),
      world_(std::move(world)),
      input_(world_.dispatcher->limits().message) {}

Result<> Connection::start() {
  // The callback does not own the connection: its owner does, until end() has ended the watch.
  watch_ =
      UMDEV_TRY(world_.loop->watch(socket_.get(), EPOLLIN, [this](std::uint32_t events) { ready(events); }));
  return {};
}

void Connection::end() {
  if (ended_) return;
  const auto self = shared_from_this();
  ended_ = true;
  watch_.cancel();
  news_.reset();
  socket_.reset();
  world_.owner->connection_ended(*this);
}

void Connection::ready(std::uint32_t events) {
  const auto self = shared_from_this();
  if ((events & EPOLLERR) != 0) return end();
  if ((events & EPOLLIN) != 0) receive();
  // Gone for good, so nobody reads an answer; and this cannot be switched off while we do not read.
  else if ((events & EPOLLHUP) != 0)
    return end();
  if (!ended_) serve();
}

// Once for each time that the socket is readable, so that no client keeps the others waiting.
void Connection::receive() {
  std::array<std::byte, receive_size> bytes;
  os::FdBatch fds;
  const auto count = os::receive(socket_.get(), bytes, fds);
  if (!count) {
    if (count.error().code != EAGAIN && count.error().code != EINTR) end();
    return;
  }
  if (*count == 0) at_end_ = true;
  const auto position = input_.append({reinterpret_cast<const char*>(bytes.data()), *count});
  if (!fds.empty()) keep_descriptors(position, fds);
}

// What cannot be kept is closed: a method that wants descriptors says that they are not there.
void Connection::keep_descriptors(std::optional<std::uint64_t> position, os::FdBatch& fds) {
  if (!position || descriptors_.size() >= world_.dispatcher->limits().messages_with_descriptors) return;
  std::vector<os::UniqueFd>& kept = descriptors_[*position];
  for (std::size_t index = 0; index < fds.size(); ++index) kept.push_back(fds.take(index));
}

bool Connection::is_full() const {
  const Limits& limits = world_.dispatcher->limits();
  return pending_ >= limits.pending || output_.size() > limits.output_high_water;
}

// Sending may make room for messages that were held back, and nothing else would come to say so.
void Connection::serve() {
  do {
    handle_messages();
    tell_news();
    if (!flush()) return;
  } while (!is_full() && input_.has_line());
  wait_for_events();
}

// Handles the messages that are there, as far as their answers have room. A call that completes inline comes
// back by way of the loop, so this does not recurse.
void Connection::handle_messages() {
  const std::size_t line_max = world_.dispatcher->limits().message;
  while (!is_full()) {
    const std::uint64_t position = input_.position();
    const auto line = input_.next();
    const bool too_long = line ? line->size() > line_max : input_.overflows();
    if (too_long) {
      at_end_ = true;
      input_.clear();
      output_.append(
          make_refusal(code_invalid_request, "Invalid Request", EMSGSIZE, "the message is too long") + '\n');
      return;
    }
    if (!line) return;
    ++pending_;
    Caller caller = caller_;
    caller.listener = shared_from_this();
    caller.attachment = std::make_shared<Attachment>();
    if (auto node = descriptors_.extract(position)) caller.attachment->received = std::move(node.mapped());
    world_.dispatcher->handle(
        *line, caller, [self = shared_from_this(), attachment = caller.attachment](Result<std::string> text) {
          auto answer = std::make_shared<std::string>(text ? std::move(*text) : std::string());
          self->world_.outlet->post([self, answer, attachment] { self->answered(*answer, *attachment); });
        });
  }
}

void Connection::answered(const std::string& text, Attachment& attachment) {
  --pending_;
  if (ended_) return;
  if (!text.empty()) output_.append(text + '\n', std::move(attachment.answer));
  serve();
}

Result<> Connection::listen(Topic& topic) {
  if (listens_.exchange(true)) return fail(EBUSY, "this connection watches already");
  auto reader = topic.listen([outlet = world_.outlet, weak = weak_from_this()] {
    outlet->post([weak] {
      if (const auto self = weak.lock()) self->news_came();
    });
  });
  if (!reader) {
    listens_ = false;
    return std::unexpected(reader.error());
  }
  Lock lock(mutex_);
  subscribed_ = std::move(*reader);
  return {};
}

void Connection::begin() {
  world_.outlet->post([self = shared_from_this()] { self->begin_telling(); });
}

void Connection::begin_telling() {
  std::unique_ptr<ItemReader> reader;
  {
    Lock lock(mutex_);
    reader = std::move(subscribed_);
  }
  if (ended_) return;
  news_ = std::move(reader);
  serve();
}

void Connection::news_came() {
  if (!ended_ && news_) serve();
}

// Hands out news while there is room for them: what the client does not take stays in its queue, and what has
// no room there is lost.
void Connection::tell_news() {
  const Limits& limits = world_.dispatcher->limits();
  news_left_ = news_ != nullptr;
  for (std::uint32_t turn = 0; news_left_ && turn < limits.watch_turn; ++turn) {
    if (output_.size() > limits.watch_output) return;
    const auto item = news_->next();
    if (item)
      output_.append(R"({"jsonrpc":"2.0","method":"event","params":)" + **item + "}\n");
    else
      news_left_ = false;
  }
}

// False when the connection ended.
bool Connection::flush() {
  while (!output_.empty()) {
    const Output::Piece piece = output_.front();
    const auto count = os::send(socket_.get(), std::as_bytes(std::span(piece.text)), piece.fds);
    if (!count && count.error().code == EAGAIN) break;
    if (!count) {
      end();
      return false;
    }
    output_.sent(*count);
  }
  if (output_.size() <= world_.dispatcher->limits().output_max) return true;
  end();
  return false;
}

void Connection::wait_for_events() {
  if (at_end_ && pending_ == 0 && output_.empty() && !listens_) return end();
  // The others have their turn first. While something is to be sent, its going brings us back here.
  if (news_left_ && output_.empty()) world_.loop->post([self = shared_from_this()] { self->news_came(); });
  std::uint32_t events = 0;
  if (!at_end_ && !is_full()) events |= EPOLLIN;
  if (!output_.empty()) events |= EPOLLOUT;
  watch_.set_events(events);
}

}  // namespace umdev::control

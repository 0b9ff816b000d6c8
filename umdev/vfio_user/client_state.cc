// How a client's messages go and come.
#include "umdev/vfio_user/client_state.h"

#include <poll.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>

#include "umdev/os/system_error.h"
#include "umdev/vfio_user/messages.h"

namespace umdev::vfio_user {

bool Client::State::all_sent() {
  return channel.stream().outbox().empty() && (!twin || twin->outbox().empty());
}

Result<bool> Client::State::exchange(int bell) {
  std::array<ClientStream*, 2> streams{&channel.stream(), twin.get()};
  std::array<pollfd, 3> requests{};
  for (std::size_t i = 0; i < streams.size(); ++i) {
    requests[i].fd = -1;
    if (streams[i] == nullptr) continue;
    UMDEV_TRY(streams[i]->flush());
    const int unsent = streams[i]->outbox().empty() ? 0 : POLLOUT;
    requests[i] = {.fd = streams[i]->socket(), .events = static_cast<short>(POLLIN | unsent), .revents = 0};
  }
  requests[2] = {.fd = bell, .events = POLLIN, .revents = 0};
  // A bell rings in time by itself.
  const auto silence = std::chrono::ceil<std::chrono::milliseconds>(channel.timeout());
  const int wait = bell >= 0 ? -1 : static_cast<int>(std::min<std::int64_t>(silence.count(), 1 << 30));
  const int ready = os::retry_interrupted([&] { return ::poll(requests.data(), requests.size(), wait); });
  if (ready < 0) return os::fail_errno("poll failed");
  if (ready == 0) return fail(ETIMEDOUT, "the server is silent");
  for (std::size_t i = 0; i < streams.size(); ++i) {
    if (streams[i] == nullptr || (requests[i].revents & ~POLLOUT) == 0) continue;
    if (UMDEV_TRY(streams[i]->receive())) UMDEV_TRY(handle(*streams[i]));
  }
  return (requests[2].revents & POLLIN) != 0;
}

Result<> Client::State::handle(ClientStream& stream) {
  for (;;) {
    const Frame* const frame = UMDEV_TRY(stream.next());
    if (frame == nullptr) break;
    if (is_command(frame->header))
      dma.serve(*frame, stream);
    else
      UMDEV_TRY(complete(*frame));
  }
  dma.offer(stream);
  return {};
}

Result<> Client::State::complete(const Frame& reply) {
  const auto found = std::ranges::find_if(outstanding, [&](const Outstanding& asked) {
    return asked.id == reply.header.message_id && asked.command == reply.header.command;
  });
  if (found == outstanding.end()) return fail(EPROTO, "a reply to something else");
  Completion completion{.ticket = found->ticket, .reply = fail(EPROTO, "no reply")};
  outstanding.erase(found);
  if (const Result<> result = result_of(reply.header); result)
    completion.reply = make_message(reply);
  else
    completion.reply = std::unexpected(result.error());
  completions.push_back(std::move(completion));
  return {};
}

Result<Completion> Client::State::next_completion() {
  // The longest silence that is waited for: what the server asks meanwhile counts as an answer.
  while (completions.empty()) {
    if (outstanding.empty()) return fail(ENOENT, "no reply is to come");
    UMDEV_TRY(exchange());
  }
  Completion next = std::move(completions.front());
  completions.pop_front();
  return next;
}

// --- The client's side of it.

Client::Client(ClientChannel channel) : state_(std::make_unique<State>(std::move(channel))) {}
Client::~Client() = default;
Client::Client(Client&& other) noexcept = default;
Client& Client::operator=(Client&& other) noexcept = default;

Result<Client> Client::connect(const std::string& path, std::chrono::nanoseconds timeout) {
  return Client(UMDEV_TRY(ClientChannel::connect(path, timeout)));
}

ClientChannel& Client::channel() {
  return state_->channel;
}

std::size_t Client::outstanding() const {
  return state_->outstanding.size();
}

Result<Ticket> Client::submit(abi::VfioUserCommand command, ConstBytes head, ConstBytes data,
                              std::span<const int> fds) {
  std::vector<os::UniqueFd> sent;
  for (const int fd : fds) sent.push_back(UMDEV_TRY(os::duplicate(fd)));
  const std::uint16_t id = state_->next_id++;
  const abi::VfioUserHeader header = make_command(id, command, head.size() + data.size());
  state_->channel.stream().outbox().send({bytes_of(header), head, data}, std::move(sent));
  state_->outstanding.push_back({.ticket = state_->next_ticket, .id = id, .command = command});
  return state_->next_ticket++;
}

Result<> Client::post(abi::VfioUserCommand command, ConstBytes head, ConstBytes data) {
  const abi::VfioUserHeader header =
      make_command(state_->next_id++, command, head.size() + data.size(), abi::vfio_user_flags_no_reply);
  state_->channel.stream().outbox().send({bytes_of(header), head, data});
  return flush();
}

Result<> Client::flush() {
  UMDEV_TRY(state_->channel.stream().flush());
  while (!state_->all_sent()) UMDEV_TRY(state_->exchange());
  return {};
}

Result<Completion> Client::collect() {
  if (state_->collected.empty()) return state_->next_completion();
  Completion next = std::move(state_->collected.front());
  state_->collected.pop_front();
  return next;
}

Result<Message> Client::call(abi::VfioUserCommand command, ConstBytes head, ConstBytes data,
                             std::span<const int> fds) {
  const Ticket ticket = UMDEV_TRY(submit(command, head, data, fds));
  for (;;) {
    Completion completion = UMDEV_TRY(state_->next_completion());
    if (completion.ticket == ticket) return std::move(completion.reply);
    state_->collected.push_back(std::move(completion));
  }
}

Result<> Client::serve_for(std::chrono::nanoseconds time) {
  const os::UniqueFd bell(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  if (!bell) return os::fail_errno("timerfd_create failed");
  // A time of 0 would never ring.
  const std::int64_t count = std::max<std::int64_t>(time.count(), 1);
  const itimerspec when{.it_interval = {},
                        .it_value = {.tv_sec = count / 1000000000, .tv_nsec = count % 1000000000}};
  if (::timerfd_settime(bell.get(), 0, &when, nullptr) != 0) return os::fail_errno("timerfd_settime failed");
  while (!UMDEV_TRY(state_->exchange(bell.get()))) {
  }
  return {};
}

}  // namespace umdev::vfio_user

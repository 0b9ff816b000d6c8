#include "tests/support/vfio_user/model_client.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace umdev::test {

namespace {

// With UMDEV_TEST_TRACE in the environment, every message is shown: how one reads a finding.
void trace(const char* what, ConstBytes message) {
  static const bool wanted = std::getenv("UMDEV_TEST_TRACE") != nullptr;
  const auto header = load_struct<abi::VfioUserHeader>(message);
  if (!wanted || !header) return;
  constexpr std::size_t shown = 64;
  std::string text;
  for (const std::byte byte :
       message.subspan(sizeof *header).first(std::min(shown, message.size() - sizeof *header))) {
    constexpr std::string_view digits = "0123456789abcdef";
    text += digits.at(std::to_integer<std::size_t>(byte >> 4));
    text += digits.at(std::to_integer<std::size_t>(byte & std::byte{15}));
  }
  std::fprintf(stderr, "%s id %u command %u flags %x error %u size %u: %s\n", what, header->message_id,
               header->command, header->flags, header->error, header->size, text.c_str());
}

}  // namespace

void ModelClient::send(ConstBytes message, std::vector<os::UniqueFd> fds,
                       std::vector<SentDescriptor> descriptors, std::size_t piece) {
  if (is_over()) return;
  trace("->", message);
  if (!raw_) model_.sent(message, std::move(descriptors));
  if (piece == 0) piece = message.size();
  while (!message.empty()) {
    const ConstBytes part = message.first(std::min(piece, message.size()));
    socket_->send(part, std::move(fds));
    fds.clear();
    message = message.subspan(part.size());
  }
}

void ModelClient::send_raw(ConstBytes bytes, std::vector<os::UniqueFd> fds) {
  raw_ = true;
  socket_->send(bytes, std::move(fds));
}

void ModelClient::hang_up() {
  gone_ = true;
  socket_->hang_up();
  if (twin_) twin_->hang_up();
}

std::size_t ModelClient::take() {
  std::size_t messages = take_stream(*socket_, stream_, false);
  if (twin_) messages += take_stream(*twin_, twin_stream_, true);
  return messages;
}

std::size_t ModelClient::take_stream(FakeSocket& socket, Stream& stream, bool is_twin) {
  std::size_t messages = 0;
  while (!socket.received().empty()) {
    FakeSocket::Received received = std::move(socket.received().front());
    socket.received().pop_front();
    if (received.fds != 0) {
      if (!stream.bytes.empty()) violated("descriptors in the middle of a message");
      stream.fds = received.fds;
      if (!received.sockets.empty()) twin_ = received.sockets.front();
    }
    for (const std::byte byte : received.bytes)
      digest_ = (digest_ ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3;
    stream.bytes.insert(stream.bytes.end(), received.bytes.begin(), received.bytes.end());
    messages += cut_messages(stream, is_twin);
  }
  socket.take_all();
  return messages;
}

std::size_t ModelClient::cut_messages(Stream& stream, bool is_twin) {
  std::size_t messages = 0;
  ConstBytes rest = stream.bytes;
  while (const auto header = load_struct<abi::VfioUserHeader>(rest)) {
    if (header->size < sizeof *header) violated("an answer that is no message");
    if (header->size > rest.size()) break;
    const ConstBytes message = rest.first(header->size);
    rest = rest.subspan(header->size);
    ++messages;
    trace("<-", message);
    const std::size_t fds = std::exchange(stream.fds, 0);
    const bool is_command =
        (header->flags & abi::vfio_user_flags_type_mask) == abi::vfio_user_flags_type_command;
    if (is_command) {
      const ConstBytes payload = message.subspan(sizeof *header);
      asked_.push_back({.header = *header, .payload = {payload.begin(), payload.end()}, .on_twin = is_twin});
    } else if (!raw_ && !is_twin) {
      model_.received(message, fds);
    }
  }
  stream.bytes.erase(stream.bytes.begin(), stream.bytes.end() - static_cast<std::ptrdiff_t>(rest.size()));
  return messages;
}

void ModelClient::answer(std::uint32_t error, ConstBytes payload) {
  if (asked_.empty()) return;
  const Asked asked = std::move(asked_.front());
  asked_.pop_front();
  abi::VfioUserHeader header{.message_id = asked.header.message_id,
                             .command = asked.header.command,
                             .size = static_cast<std::uint32_t>(sizeof(abi::VfioUserHeader) + payload.size()),
                             .flags = abi::vfio_user_flags_type_reply,
                             .error = error};
  if (error != 0) header.flags |= abi::vfio_user_flags_error;
  std::vector<std::byte> message(header.size);
  std::ranges::copy(bytes_of(header), message.begin());
  std::ranges::copy(payload, message.begin() + sizeof header);
  trace("=>", message);
  (asked.on_twin && twin_ ? *twin_ : *socket_).send(message);
}

void ModelClient::settle() {
  if (!raw_ && !is_over()) model_.settle();
}

}  // namespace umdev::test

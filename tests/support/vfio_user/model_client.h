// A client on a socket in memory: sends whole messages in any pieces, holds what comes back against the
// model, and serves the server's own commands, honestly or not.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "tests/support/fake_os/network.h"
#include "tests/support/vfio_user/client_model.h"

namespace umdev::test {

class ModelClient {
 public:
  explicit ModelClient(std::shared_ptr<FakeSocket> socket,
                       ClientModel::Defect defect = ClientModel::Defect::none)
      : socket_(std::move(socket)), model_(defect) {}

  ClientModel& model() { return model_; }
  FakeSocket& socket() { return *socket_; }
  bool is_over() const { return gone_ || socket_->closed_by_server(); }

  // Sends a whole message, `piece` bytes at a time (0: at once); descriptors go with its first byte.
  void send(ConstBytes message, std::vector<os::UniqueFd> fds = {},
            std::vector<SentDescriptor> descriptors = {}, std::size_t piece = 0);
  // Sends what is no whole message: from now on the model says nothing of unanswered requests.
  void send_raw(ConstBytes bytes, std::vector<os::UniqueFd> fds = {});
  // Goes away, in whatever it is.
  void hang_up();

  // Takes what came. Throws ModelViolation. Returns the number of messages.
  std::size_t take();

  // Of every byte that came, in its order.
  std::uint64_t digest() const { return digest_; }

  // A command of the server's that has not been answered.
  struct Asked {
    abi::VfioUserHeader header{};
    std::vector<std::byte> payload;
    bool on_twin = false;
  };
  std::deque<Asked>& asked() { return asked_; }
  // Answers the oldest of them with `error` (0: success) and this payload.
  void answer(std::uint32_t error, ConstBytes payload);

  // Everything that was sent has been answered, if that can be said. Throws ModelViolation.
  void settle();
  // Mappings that there must be now, if that can be said.
  std::optional<std::size_t> mapping_count() const { return raw_ ? std::nullopt : model_.mapping_count(); }

 private:
  struct Stream {
    std::vector<std::byte> bytes;
    std::size_t fds = 0;  // that came with the message that begins the bytes
  };
  std::size_t take_stream(FakeSocket& socket, Stream& stream, bool is_twin);
  std::size_t cut_messages(Stream& stream, bool is_twin);

  const std::shared_ptr<FakeSocket> socket_;
  std::shared_ptr<FakeSocket> twin_;
  ClientModel model_;
  Stream stream_;
  Stream twin_stream_;
  std::deque<Asked> asked_;
  std::uint64_t digest_ = 0;
  bool raw_ = false;
  bool gone_ = false;
};

}  // namespace umdev::test

// The other end of the control socket, for programs that may wait.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "umdev/os/unique_fd.h"
#include "umdev/support/host.h"

namespace umdev::control {

// The answer to a call: a result as JSON text, or why there is none.
struct Answer {
  struct Refusal {
    int code = 0;          // JSON-RPC's, see dispatcher.h
    int error_number = 0;  // errno; 0 when the server did not say
    std::string text;
  };
  std::string result;
  std::vector<os::UniqueFd> descriptors;  // that came with it
  std::optional<Refusal> refusal;
};

// What the server says without having been asked.
struct Notification {
  std::string method;
  std::string parameters;  // as JSON text
};

// Names and values of the parameters of a call.
using CallParameters = std::vector<std::pair<std::string_view, std::string>>;

// Not thread-safe. Errors are the connection's: those of os::connect_to(), EPIPE and ECONNRESET when the
// server has gone, EPROTO for an answer that is none.
class Client {
 public:
  // A path of any length.
  static Result<Client> connect(const std::string& path);

  // Sends a call; one at a time. The values of `json` are JSON texts, for the parameters that are any JSON.
  // `fds` (253 at most) go with it, and stay the caller's.
  Result<> begin(std::string_view method, const CallParameters& parameters = {},
                 const CallParameters& json = {}, std::span<const int> fds = {});
  // Waits for its answer, for so long at most (nothing: for ever); false when none has come yet.
  Result<bool> wait(std::optional<Duration> limit = {});
  // Waits for ever for the answer and takes it.
  Result<Answer> finish();

  Result<Answer> call(std::string_view method, const CallParameters& parameters = {},
                      const CallParameters& json = {}, std::span<const int> fds = {});

  // For one that watches, between calls: the next notification, waited for as in wait(); nothing when none
  // has come yet.
  Result<std::optional<Notification>> next_notification(std::optional<Duration> limit = {});

  // Readable when something has come (what was received with an earlier message is told by
  // next_notification() only).
  int socket() const { return socket_.get(); }

 private:
  explicit Client(os::UniqueFd socket) : socket_(std::move(socket)) {}

  Result<> send_all(std::string_view text, std::span<const int> fds);
  std::string take_line();
  // Waits until the socket is ready for `events` of poll(2).
  Result<bool> poll_for(short events, std::optional<Duration> limit);

  os::UniqueFd socket_;
  std::uint64_t last_id_ = 0;
  std::string input_;
  std::vector<os::UniqueFd> received_;  // descriptors of the answer that is to come
};

}  // namespace umdev::control

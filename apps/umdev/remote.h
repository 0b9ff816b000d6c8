// The daemon, as a command sees it: calls, and failures that say what to do.
#pragma once

#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "umdev/control/client.h"

namespace umdev::cli {

// Exit statuses, as --help tells them.
inline constexpr int exit_refused = 1;
inline constexpr int exit_usage = 2;
inline constexpr int exit_no_daemon = 3;
inline constexpr int exit_changed = 10;

// Why a command ends: a text for people (without the program's name; none where all has been said), and its
// exit status.
struct Failure {
  int status = exit_refused;
  std::string text;
};

template <typename T = void>
using Outcome = std::expected<T, Failure>;

class Remote {
 public:
  static Outcome<Remote> connect(const std::string& runtime_directory);

  // The result as JSON text, with the descriptors that came with it; `fds` go with the call.
  struct Reply {
    std::string result;
    std::vector<os::UniqueFd> descriptors;
  };
  Outcome<Reply> call_with_descriptors(std::string_view method, const control::CallParameters& parameters,
                                       std::span<const os::UniqueFd> fds = {});
  // The result as JSON text.
  Outcome<std::string> call(std::string_view method, const control::CallParameters& parameters = {},
                            const control::CallParameters& json = {});
  // The same for a call that may wait for somebody: says so on stderr (`waiting`) when it takes long.
  Outcome<std::string> call_patiently(std::string_view method, const control::CallParameters& parameters,
                                      std::string_view waiting, const control::CallParameters& json = {});

  // For one that watches, as control::Client has it. The end of the daemon is a failure.
  Outcome<std::optional<control::Notification>> next_notification(Duration limit);
  int socket() const { return client_.socket(); }

 private:
  Remote(control::Client client, std::string runtime_directory)
      : client_(std::move(client)), runtime_directory_(std::move(runtime_directory)) {}

  Outcome<Reply> finish(std::string_view method);
  Outcome<std::string> finish_text(std::string_view method);
  Failure lost(const Error& error) const;

  control::Client client_;
  std::string runtime_directory_;
};

}  // namespace umdev::cli

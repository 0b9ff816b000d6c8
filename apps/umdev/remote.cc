#include "apps/umdev/remote.h"

#include <fmt/format.h>

#include <cstdio>

#include "umdev/control/paths.h"

namespace umdev::cli {
namespace {

constexpr Duration patience = std::chrono::seconds(1);

Failure unreachable(const std::string& directory, const Error& error) {
  std::string text;
  if (error.code == ENOENT || error.code == ECONNREFUSED || error.code == ENOTDIR)
    text = fmt::format(
        "no daemon serves {0}\n"
        "  start one:      umdevd --runtime-dir {0}\n"
        "  or ask another: umdev --runtime-dir DIR ... (or the variable UMDEV_RUNTIME_DIR)",
        directory);
  else if (error.code == EACCES || error.code == EPERM)
    text = fmt::format("the daemon of {} listens to its own user and to root only", directory);
  else
    text =
        fmt::format("cannot reach the daemon of {}: {} ({})", directory, error.text, errno_name(error.code));
  return {.status = exit_no_daemon, .text = std::move(text)};
}

std::string_view advice_on_definition(int error_number) {
  switch (error_number) {
    case ENODEV:
      return "`umdev parents` lists the parents, `umdev list` the instances";
    case EINVAL:
      return "`umdev types` lists the types of each parent, `umdev list --defined` the definitions";
    case EEXIST:
      return "`umdev list` and `umdev list --defined` say what has the UUID";
    case ENOENT:
    case EBADMSG:
      return "`umdev list --defined` lists the definitions, and says what is wrong with them";
    case ENOSPC:
    case EUSERS:
      return "`umdev types` says what is available; remove an instance to make room";
    default:
      return {};
  }
}

// What helps, where the daemon's words alone do not.
std::string_view advice(std::string_view method, int error_number) {
  if (method == "create") {
    switch (error_number) {
      case ENODEV:
        return "`umdev parents` lists the parents";
      case EINVAL:
        return "`umdev types` lists the types of each parent";
      case EEXIST:
        return "`umdev list` lists the instances; without --uuid a new UUID is made";
      case ENOSPC:
      case EUSERS:
        return "`umdev types` says what is available; remove an instance to make room";
      default:
        return {};
    }
  }
  if (error_number == EPERM) return "`umdev list` and `umdev list --defined` show the owners";
  if (method == "define" || method == "undefine" || method == "modify" || method == "start")
    return advice_on_definition(error_number);
  if (error_number == ENODEV) return "`umdev list` lists the instances";
  const bool removal = method == "remove" || method == "stop";
  if (removal && error_number == EAGAIN)
    return "it is being removed or created already; --force cuts a wait short";
  if (removal && error_number == EBUSY) return "--force takes it away from its users";
  return {};
}

}  // namespace

Outcome<Remote> Remote::connect(const std::string& runtime_directory) {
  auto client = control::Client::connect(control::control_socket(runtime_directory));
  if (!client) return std::unexpected(unreachable(runtime_directory, client.error()));
  return Remote(std::move(*client), runtime_directory);
}

Failure Remote::lost(const Error& error) const {
  return {.status = exit_no_daemon,
          .text = fmt::format("the daemon of {} has gone: {} ({})", runtime_directory_, error.text,
                              errno_name(error.code))};
}

Outcome<std::string> Remote::call(std::string_view method, const control::CallParameters& parameters,
                                  const control::CallParameters& json) {
  if (auto begun = client_.begin(method, parameters, json); !begun)
    return std::unexpected(lost(begun.error()));
  return finish_text(method);
}

Outcome<std::string> Remote::call_patiently(std::string_view method,
                                            const control::CallParameters& parameters,
                                            std::string_view waiting, const control::CallParameters& json) {
  if (auto begun = client_.begin(method, parameters, json); !begun)
    return std::unexpected(lost(begun.error()));
  const auto answered = client_.wait(patience);
  if (answered && !*answered) fmt::print(stderr, "umdev: {}\n", waiting);
  return finish_text(method);
}

Outcome<Remote::Reply> Remote::call_with_descriptors(std::string_view method,
                                                     const control::CallParameters& parameters,
                                                     std::span<const os::UniqueFd> fds) {
  std::vector<int> numbers;
  for (const os::UniqueFd& fd : fds) numbers.push_back(fd.get());
  if (auto begun = client_.begin(method, parameters, {}, numbers); !begun)
    return std::unexpected(lost(begun.error()));
  return finish(method);
}

Outcome<std::string> Remote::finish_text(std::string_view method) {
  auto reply = finish(method);
  if (!reply) return std::unexpected(reply.error());
  return std::move(reply->result);
}

Outcome<std::optional<control::Notification>> Remote::next_notification(Duration limit) {
  auto next = client_.next_notification(limit);
  if (!next) return std::unexpected(lost(next.error()));
  return std::move(*next);
}

Outcome<Remote::Reply> Remote::finish(std::string_view method) {
  auto answer = client_.finish();
  if (!answer) return std::unexpected(lost(answer.error()));
  if (!answer->refusal)
    return Reply{.result = std::move(answer->result), .descriptors = std::move(answer->descriptors)};
  const control::Answer::Refusal& refusal = *answer->refusal;
  std::string text = refusal.text;
  if (refusal.error_number != 0) text += fmt::format(" ({})", errno_name(refusal.error_number));
  if (const auto help = advice(method, refusal.error_number); !help.empty())
    text += fmt::format("\n  {}", help);
  return std::unexpected(Failure{.status = exit_refused, .text = std::move(text)});
}

}  // namespace umdev::cli

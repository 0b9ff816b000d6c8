// `umdev migrate`: carries the stream of an instance from its daemon to another one, or to a file and back,
// with the caller's own rights to both.
#include <fmt/format.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "apps/umdev/commands.h"
#include "umdev/manage/moved_instance.h"
#include "umdev/os/durable_file.h"
#include "umdev/support/hex.h"

namespace umdev::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Path {
  std::string directory;
  std::string name;
};

Path split(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return {.directory = ".", .name = path};
  return {.directory = slash == 0 ? "/" : path.substr(0, slash), .name = path.substr(slash + 1)};
}

Failure explain(const std::string& path, const Error& error) {
  return {.text = fmt::format("{}: {} ({})", path, error.text, errno_name(error.code))};
}

std::string word_of(const std::string& answer, const char* key) {
  const Json json = Json::parse(answer, nullptr, /*allow_exceptions=*/false);
  return json.is_object() && json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : "";
}

bool is_directory(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

Outcome<> write_stream(const std::string& path, const std::string& hex) {
  const auto bytes = from_hex(hex);
  if (!bytes) return std::unexpected(Failure{.text = "the daemon's answer is not understood"});
  const Path place = split(path);
  const auto directory = os::open_for_sync(place.directory);
  if (!directory) return std::unexpected(explain(place.directory, directory.error()));
  const std::string_view text(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  const auto written = os::replace_file(os::system_file_calls(), directory->get(), directory->get(),
                                        place.name, text, S_IRUSR | S_IWUSR);
  if (!written) return std::unexpected(explain(path, written.error()));
  return {};
}

Outcome<std::string> read_stream(const std::string& path) {
  const Path place = split(path);
  const auto directory = os::open_for_sync(place.directory);
  if (!directory) return std::unexpected(explain(place.directory, directory.error()));
  const auto text = os::read_file(directory->get(), place.name, manage::moved_instance_max);
  if (!text) return std::unexpected(explain(path, text.error()));
  return to_hex(std::as_bytes(std::span(*text)));
}

Outcome<std::string> take_in(Remote& remote, const Options& options, const std::string& stream,
                             std::span<const os::UniqueFd> descriptors = {}) {
  control::CallParameters parameters{{"stream", stream}};
  if (!options.parent.empty()) parameters.emplace_back("parent", options.parent);
  auto answer = remote.call_with_descriptors("migrate_in", parameters, descriptors);
  if (!answer) return std::unexpected(answer.error());
  return word_of(answer->result, "uuid");
}

Outcome<> print(const Options& options, const std::string& uuid) {
  if (options.json)
    fmt::print("{}\n", Json{{"uuid", uuid}}.dump(2));
  else
    fmt::print("{}\n", uuid);
  return {};
}

// Where the stream goes: it has arrived when this succeeds.
Outcome<> deliver(Outcome<Remote>& target, const Options& options, const Remote::Reply& saved) {
  const std::string stream = word_of(saved.result, "stream");
  if (!target) return write_stream(options.to, stream);
  const auto uuid = take_in(*target, options, stream, saved.descriptors);
  if (!uuid) return std::unexpected(uuid.error());
  return {};
}

Outcome<> send(const Options& options) {
  auto source = Remote::connect(options.runtime_directory);
  if (!source) return std::unexpected(source.error());
  const bool to_daemon = is_directory(options.to);
  Outcome<Remote> target = std::unexpected(Failure{});
  if (to_daemon) {
    target = Remote::connect(options.to);
    if (!target) return std::unexpected(target.error());
  } else if (struct stat status{}; ::lstat(options.to.c_str(), &status) == 0) {
    return std::unexpected(Failure{.text = fmt::format("{}: the file is there already", options.to)});
  }
  auto saved = source->call_with_descriptors(
      "migrate_out", {{"uuid", options.uuid}, {"client", to_daemon ? "moves" : "leaves"}});
  if (!saved) return std::unexpected(saved.error());
  const auto delivered = deliver(target, options, *saved);
  // Ours would keep the source from seeing that the target has gone.
  saved->descriptors.clear();
  const auto ended =
      source->call("migrate_end", {{"uuid", options.uuid}, {"outcome", delivered ? "moved" : "stays"}});
  if (!delivered) return delivered;
  if (!ended)
    return std::unexpected(Failure{.text = fmt::format("{} has arrived, but cannot be removed here: {}",
                                                       options.uuid, ended.error().text)});
  if (const std::string why = word_of(saved->result, "client_leaves_because"); !why.empty())
    fmt::print(stderr, "umdev: its client has to connect again: {}\n", why);
  return print(options, word_of(saved->result, "uuid"));
}

}  // namespace

Outcome<> migrate(const Options& options) {
  if (!options.to.empty()) return send(options);
  if (options.from.empty())
    return std::unexpected(
        Failure{.status = exit_usage, .text = "say where to (--to), or where from (--from)"});
  auto remote = Remote::connect(options.runtime_directory);
  if (!remote) return std::unexpected(remote.error());
  const auto stream = read_stream(options.from);
  if (!stream) return std::unexpected(stream.error());
  const auto uuid = take_in(*remote, options, *stream);
  if (!uuid) return std::unexpected(uuid.error());
  return print(options, *uuid);
}

}  // namespace umdev::cli

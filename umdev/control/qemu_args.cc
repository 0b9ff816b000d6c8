#include "umdev/control/qemu_args.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "umdev/abi/vfio.h"

namespace umdev::control {
namespace {

using Json = nlohmann::ordered_json;

// Checked by the parser itself: a string in quotes, whatever it holds, is JSON if it is UTF-8.
bool is_utf8(const std::string& text) {
  const std::string shown = Json(text).dump(-1, ' ', false, Json::error_handler_t::ignore);
  return Json::parse(shown, nullptr, /*allow_exceptions=*/false) == text;
}

bool is_usable(const std::string& path) {
  return !path.empty() && path.size() <= qemu_path_max && is_utf8(path);
}

bool is_plain(char letter) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./,:=+@%";
  return plain.find(letter) != std::string_view::npos;
}

}  // namespace

Result<std::vector<std::string>> qemu_arguments(std::string_view device_api, const SocketPaths& socket) {
  if (device_api != abi::vfio_device_api_pci_string)
    return fail(EOPNOTSUPP, "QEMU's vfio-user client takes vfio-pci devices only");
  if (socket.path.empty()) return fail(EOPNOTSUPP, "the instance has no vfio-user socket");
  const std::string& path = is_usable(socket.path) ? socket.path : socket.short_path;
  if (!is_usable(path))
    return fail(
        ENAMETOOLONG,
        "QEMU takes socket paths of at most 107 bytes, and no path to this one is as short; start the "
        "daemon with a shorter --runtime-dir");
  const Json device{{"driver", "vfio-user-pci"}, {"socket", {{"type", "unix"}, {"path", path}}}};
  return std::vector<std::string>{"-device", device.dump()};
}

std::string shell_line(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) {
    if (!line.empty()) line += ' ';
    if (!word.empty() && std::all_of(word.begin(), word.end(), is_plain)) {
      line += word;
      continue;
    }
    line += '\'';
    for (const char letter : word) letter == '\'' ? line += R"('\'')" : line += letter;
    line += '\'';
  }
  return line;
}

}  // namespace umdev::control

#include "umdev/os/accounts.h"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

namespace umdev::os {
namespace {

// 2^32 - 1 is no user: it means "leave it as it is".
std::optional<std::uint32_t> as_number(const std::string& text) {
  std::uint32_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (text.empty() || error != std::errc() || rest != end || number == UINT32_MAX) return std::nullopt;
  return number;
}

bool is_digits(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Calls one of the get..nam_r() with a buffer that is large enough.
template <typename Entry, typename Get>
Result<Entry> look_up(Get get) {
  std::vector<char> buffer(1024);
  for (;;) {
    Entry entry{};
    Entry* found = nullptr;
    const int code = get(&entry, buffer.data(), buffer.size(), &found);
    if (code == ERANGE && buffer.size() < (1U << 20)) {
      buffer.resize(buffer.size() * 2);
      continue;
    }
    if (found == nullptr) return fail(code == 0 ? ENOENT : code, "there is no such name");
    return entry;
  }
}

}  // namespace

Result<uid_t> find_user(const std::string& name) {
  if (const auto number = as_number(name)) return *number;
  if (is_digits(name)) return fail(ENOENT, "there is no such number");
  const auto entry =
      UMDEV_TRY(look_up<passwd>([&](auto... rest) { return ::getpwnam_r(name.c_str(), rest...); }));
  return entry.pw_uid;
}

Result<gid_t> find_group(const std::string& name) {
  if (const auto number = as_number(name)) return *number;
  if (is_digits(name)) return fail(ENOENT, "there is no such number");
  const auto entry =
      UMDEV_TRY(look_up<group>([&](auto... rest) { return ::getgrnam_r(name.c_str(), rest...); }));
  return entry.gr_gid;
}

}  // namespace umdev::os

// Messages as raw bytes, for tests.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "umdev/abi/vfio_user.h"
#include "umdev/support/bytes.h"
#include "umdev/vfio_user/messages.h"

namespace umdev::vfio_user::test {

using Octets = std::vector<std::byte>;

inline Octets join(std::initializer_list<ConstBytes> parts) {
  Octets all;
  for (const ConstBytes part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

inline ConstBytes bytes_of_text(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline Octets command(std::uint16_t id, abi::VfioUserCommand number, std::initializer_list<ConstBytes> parts,
                      std::uint32_t flags = 0) {
  const Octets payload = join(parts);
  const abi::VfioUserHeader header = make_command(id, number, payload.size(), flags);
  return join({bytes_of(header), payload});
}

// VERSION with this JSON text (and its zero); no text at all when it is empty.
inline Octets version_payload(std::string_view text, std::uint16_t major_number = 0,
                              std::uint16_t minor_number = 0) {
  const abi::VfioUserVersion fixed{.major_number = major_number, .minor_number = minor_number};
  if (text.empty()) return join({bytes_of(fixed)});
  const std::byte zero{0};
  return join({bytes_of(fixed), bytes_of_text(text), ConstBytes(&zero, 1)});
}

}  // namespace umdev::vfio_user::test

#include "umdev/os/random_uuid.h"

#include <uuid.h>

namespace umdev::os {

Uuid random_uuid() {
  std::array<std::uint8_t, 16> bytes{};
  ::uuid_generate_random(bytes.data());
  return Uuid(bytes);
}

}  // namespace umdev::os

#include "umdev/vfio_user/tap.h"

#include <algorithm>

#include "umdev/abi/vfio_user.h"

namespace umdev::vfio_user {

void Tap::record(Time time, std::uint64_t session, bool from_client, std::initializer_list<ConstBytes> parts,
                 std::size_t descriptors) {
  auto message = std::make_shared<TappedMessage>();
  message->time = time;
  message->session = session;
  message->from_client = from_client;
  message->descriptors = static_cast<std::uint32_t>(descriptors);
  for (const ConstBytes part : parts) {
    message->size += static_cast<std::uint32_t>(part.size());
    const ConstBytes kept = part.first(std::min(part.size(), kept_bytes - message->bytes.size()));
    message->bytes.insert(message->bytes.end(), kept.begin(), kept.end());
  }
  if (const auto header = load_struct<abi::VfioUserHeader>(message->bytes))
    message->size = std::max(message->size, header->size);
  feed_.publish(std::move(message));
  feed_.wake();
}

}  // namespace umdev::vfio_user

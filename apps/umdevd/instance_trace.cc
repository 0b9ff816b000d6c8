#include "apps/umdevd/instance_trace.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

namespace umdev::daemon {
namespace {

// Messages that wait for one reader; with what is kept of each, 8 MiB at most.
constexpr std::size_t queue_size = 2048;

// What to add to a time of the clocks here to have it since 1970.
std::chrono::nanoseconds since_1970() {
  return std::chrono::system_clock::now().time_since_epoch() -
         std::chrono::steady_clock::now().time_since_epoch();
}

control::Item to_item(const vfio_user::TappedMessage& message, std::chrono::nanoseconds add) {
  std::string data;
  data.reserve(2 * message.bytes.size());
  for (const std::byte byte : message.bytes)
    fmt::format_to(std::back_inserter(data), "{:02x}", static_cast<unsigned>(byte));
  return std::make_shared<const std::string>(fmt::format(
      R"({{"event":"message","time":{},"session":{},"from":"{}","descriptors":{},"size":{},"data":"{}"}})",
      (message.time.time_since_epoch() + add).count(), message.session,
      message.from_client ? "client" : "server", message.descriptors, message.size, data));
}

class Reader final : public control::ItemReader {
 public:
  Reader(std::shared_ptr<vfio_user::Tap> tap, vfio_user::Tap::Feed::Wake wake)
      : tap_(std::move(tap)), messages_(tap_->subscribe(queue_size, std::move(wake))) {}

  // ^ItemReader
  Result<control::Item> next() override {
    const auto message = messages_.next();
    if (message) return to_item(**message, since_1970_);
    if (message.error().code != ENOBUFS) return std::unexpected(message.error());
    const std::uint64_t lost = messages_.lost();
    return control::lost_item(lost - std::exchange(told_lost_, lost));
  }

 private:
  const std::shared_ptr<vfio_user::Tap> tap_;
  vfio_user::Tap::Feed::Subscription messages_;
  std::uint64_t told_lost_ = 0;
  // Looked at once: what comes later has a later time.
  const std::chrono::nanoseconds since_1970_ = since_1970();
};

}  // namespace

Result<std::unique_ptr<control::ItemReader>> InstanceTrace::listen(Wake wake) {
  return std::make_unique<Reader>(tap_, std::move(wake));
}

}  // namespace umdev::daemon

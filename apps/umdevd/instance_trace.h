// The messages of one instance, as `umdev trace` is told of them. Each item is a JSON object:
//
//   {"event": "message", "time": 1790000000123456789, "session": 1, "from": "client", "descriptors": 0,
//    "size": 32, "data": "0100..."}        time in nanoseconds since 1970; data in hex, the header first, cut
//                                          where size says more
//   {"event": "lost", "count": 12}         so many messages are missing here
#pragma once

#include <memory>

#include "umdev/control/topic.h"
#include "umdev/vfio_user/tap.h"

namespace umdev::daemon {

// Threads: any. What is read outlives the instance: then nothing more comes.
class InstanceTrace final : public control::Topic {
 public:
  explicit InstanceTrace(std::shared_ptr<vfio_user::Tap> tap) : tap_(std::move(tap)) {}

  // ^Topic
  Result<std::unique_ptr<control::ItemReader>> listen(Wake wake) override;

 private:
  const std::shared_ptr<vfio_user::Tap> tap_;
};

}  // namespace umdev::daemon

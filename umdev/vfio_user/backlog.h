// Commands that came while their session was busy, in order.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "umdev/vfio_user/frame_assembler.h"
#include "umdev/vfio_user/limits.h"

namespace umdev::vfio_user {

// A message that was kept.
struct BacklogMessage {
  abi::VfioUserHeader header{};
  std::vector<std::byte> payload;
  std::unique_ptr<os::FdBatch> fds;

  // Good while this lives and stays where it is.
  Frame frame() const { return {.header = header, .payload = payload, .fds = fds.get()}; }
};

// Not thread-safe.
class Backlog {
 public:
  bool empty() const { return messages_.empty(); }
  bool has_room(const Limits& limits) const {
    return bytes_ < limits.backlog && messages_.size() < limits.backlog_messages;
  }
  // Takes the descriptors too.
  void push(const Frame& frame) {
    bytes_ += frame.header.size;
    messages_.push_back({.header = frame.header,
                         .payload = {frame.payload.begin(), frame.payload.end()},
                         .fds = std::make_unique<os::FdBatch>(std::move(*frame.fds))});
  }
  // Precondition: not empty.
  BacklogMessage pop() {
    BacklogMessage message = std::move(messages_.front());
    messages_.pop_front();
    bytes_ -= message.header.size;
    return message;
  }
  const std::deque<BacklogMessage>& messages() const { return messages_; }
  void put(BacklogMessage message) {
    bytes_ += message.header.size;
    messages_.push_back(std::move(message));
  }
  void clear() {
    messages_.clear();
    bytes_ = 0;
  }

 private:
  std::deque<BacklogMessage> messages_;
  std::size_t bytes_ = 0;
};

}  // namespace umdev::vfio_user

// Text that waits to be sent, with the descriptors that go with some of it. No I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "umdev/os/unique_fd.h"

namespace umdev::control {

// Not thread-safe. A message with descriptors is always a piece of its own: they go with its first byte, and
// the receiver takes them for the last message that begins in what they come with.
class Output {
 public:
  void append(std::string_view text) { text_ += text; }
  void append(std::string_view text, std::vector<os::UniqueFd> fds) {
    const std::uint64_t begin = base_ + text_.size();
    append(text);
    if (!fds.empty())
      attached_.push_back({.begin = begin, .end = begin + text.size(), .fds = std::move(fds)});
  }

  bool empty() const { return sent_ == text_.size(); }
  // Bytes that wait.
  std::size_t size() const { return text_.size() - sent_; }

  struct Piece {
    std::string_view text;
    std::span<const int> fds;
  };
  // What goes in one send. Precondition: not empty. Valid until the next call of anything but empty() and
  // size().
  Piece front() {
    const std::string_view all = std::string_view(text_).substr(sent_);
    if (attached_.empty()) return {.text = all, .fds = {}};
    const Attached& next = attached_.front();
    const std::uint64_t position = base_ + sent_;
    if (position < next.begin) return {.text = all.substr(0, next.begin - position), .fds = {}};
    numbers_.clear();
    for (const os::UniqueFd& fd : next.fds) numbers_.push_back(fd.get());
    return {.text = all.substr(0, next.end - position), .fds = numbers_};
  }
  // The first `count` bytes of the piece went, and with them its descriptors.
  void sent(std::size_t count) {
    sent_ += count;
    if (!attached_.empty() && base_ + sent_ > attached_.front().begin) {
      attached_.front().fds.clear();
      if (base_ + sent_ >= attached_.front().end) attached_.pop_front();
    }
    if (!empty() && sent_ <= kept) return;
    base_ += sent_;
    text_.erase(0, sent_);
    sent_ = 0;
    if (text_.empty() && text_.capacity() > kept) text_.shrink_to_fit();
  }

 private:
  struct Attached {
    std::uint64_t begin = 0;  // positions in all that was ever appended
    std::uint64_t end = 0;
    std::vector<os::UniqueFd> fds;
  };
  // What was sent stays in front of what waits, up to this, and so does memory.
  static constexpr std::size_t kept = 65536;

  std::string text_;
  std::size_t sent_ = 0;    // of text_
  std::uint64_t base_ = 0;  // the position of text_[0]
  std::deque<Attached> attached_;
  std::vector<int> numbers_;
};

}  // namespace umdev::control

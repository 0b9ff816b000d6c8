// Cuts a stream of bytes into lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace umdev::control {

// Not thread-safe. Holds at most one line above what was appended last.
class LineBuffer {
 public:
  explicit LineBuffer(std::size_t line_max) : line_max_(line_max) {}

  // The position in the stream of the last line that begins in `bytes`, if one does.
  std::optional<std::uint64_t> append(std::string_view bytes) {
    data_.erase(0, begin_);
    base_ += begin_;
    searched_ -= begin_;
    begin_ = 0;
    const std::uint64_t start = base_ + data_.size();
    const bool at_start = data_.empty() || data_.back() == '\n';
    data_ += bytes;
    const std::size_t newline =
        bytes.size() < 2 ? std::string_view::npos : bytes.rfind('\n', bytes.size() - 2);
    if (newline != std::string_view::npos) return start + newline + 1;
    return at_start && !bytes.empty() ? std::optional(start) : std::nullopt;
  }

  // The position in the stream of what next() looks for.
  std::uint64_t position() const { return base_ + begin_; }

  // The next whole line without its newline, until the next append().
  std::optional<std::string_view> next() {
    const std::size_t newline = data_.find('\n', searched_);
    if (newline == std::string::npos) {
      searched_ = data_.size();
      return std::nullopt;
    }
    const std::string_view line = std::string_view(data_).substr(begin_, newline - begin_);
    begin_ = searched_ = newline + 1;
    return line;
  }

  bool has_line() const { return data_.find('\n', searched_) != std::string::npos; }

  void clear() {
    base_ += data_.size();
    data_.clear();
    begin_ = searched_ = 0;
  }

  // A line that has begun is too long already. Whole ones are for the caller to measure.
  bool overflows() const { return searched_ == data_.size() && data_.size() - begin_ > line_max_; }

 private:
  const std::size_t line_max_;
  std::string data_;
  std::uint64_t base_ = 0;    // the position in the stream of data_[0]
  std::size_t begin_ = 0;     // of the next line
  std::size_t searched_ = 0;  // no newline between begin_ and here
};

}  // namespace umdev::control

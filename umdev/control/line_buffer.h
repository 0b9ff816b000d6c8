// Cuts a stream of bytes into lines.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace umdev::control {

// Not thread-safe. Holds at most one line above what was appended last.
class LineBuffer {
 public:
  explicit LineBuffer(std::size_t line_max) : line_max_(line_max) {}

  void append(std::string_view bytes) {
    data_.erase(0, begin_);
    searched_ -= begin_;
    begin_ = 0;
    data_ += bytes;
  }

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
    data_.clear();
    begin_ = searched_ = 0;
  }

  // A line that has begun is too long already. Whole ones are for the caller to measure.
  bool overflows() const { return searched_ == data_.size() && data_.size() - begin_ > line_max_; }

 private:
  const std::size_t line_max_;
  std::string data_;
  std::size_t begin_ = 0;     // of the next line
  std::size_t searched_ = 0;  // no newline between begin_ and here
};

}  // namespace umdev::control

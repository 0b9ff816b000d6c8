// Columns of text for people.
#pragma once

#include <string>
#include <vector>

namespace umdev::cli {

class Table {
 public:
  explicit Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }

  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  // Every column as wide as its widest entry; the last is not padded. Ends with a newline.
  std::string to_string(std::size_t indent = 0) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace umdev::cli

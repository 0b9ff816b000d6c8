#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "umdev/tree/transaction.h"

namespace umdev::tree {

// What a write completed with; nothing while it has not.
struct WriteResult {
  std::optional<Result<std::size_t>> result;
  Done<std::size_t> done() {
    return [this](Result<std::size_t> got) { result = got; };
  }
};

inline int error_of(const auto& result) {
  return result ? 0 : result.error().code;
}

// A write whose store completes inline: 0 and the count, or the errno.
inline Result<std::size_t> write_now(Tree& tree, std::string_view path, std::string_view text) {
  WriteResult written;
  tree.write(path, text, written.done());
  EXPECT_TRUE(written.result.has_value()) << "the store did not complete inline";
  return written.result.value_or(fail(ECANCELED, "not completed"));
}

inline AttributeSpec text(std::string name, std::string content, Mode mode = 0444) {
  return {std::move(name), mode, text_attribute(std::move(content))};
}

class TreeTest : public testing::Test {
 public:
  Tree tree;
  Directory root = tree.root();
};

}  // namespace umdev::tree

// The identifiers of a C or C++ source, without what stands in comments, texts and character constants.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace umdev::compile {

struct Identifier {
  std::string_view name;        // a piece of the source
  std::uint32_t line = 0;       // from 1
  bool is_call = false;         // a parenthesis follows
  std::uint32_t arguments = 0;  // of a call: commas outside inner brackets, and one; 0 for ()
  std::string_view before;      // the identifier before it, where nothing but space is between: "struct"
};

// Any bytes: what is no C gives some list, and no error.
std::vector<Identifier> find_identifiers(std::string_view source);

}  // namespace umdev::compile

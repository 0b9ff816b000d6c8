// The rules that a device breaks by nature: foreign drivers that we use as they are, above all.
#pragma once

#include <string_view>
#include <vector>

namespace umdev::conformance {

struct BrokenRule {
  // Names of modules or parents; without its last part ("mtty-linux") all releases of a sample.
  std::vector<std::string_view> devices;
  std::string_view rule;  // the test's name
  const char* reason;
  bool always = true;  // false: it depends on which thread is faster, or on what lies in memory
};

// Null when the device is to keep the rule.
const BrokenRule* find_broken_rule(std::string_view device, std::string_view rule);

}  // namespace umdev::conformance

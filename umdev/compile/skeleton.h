// A new driver to begin with: files that compile and run as they are.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "umdev/compile/command.h"

namespace umdev::compile {

struct NewFile {
  std::string name;  // in the driver's directory
  std::string text;
};

// The driver's source and a Makefile that compiles and loads it. The error is for people: a name that is no
// word of C, or too long for the files that it will be the name of.
std::expected<std::vector<NewFile>, std::string> make_skeleton(std::string_view name, Language language);

// What the files are made of, with "skeleton" for the name; kept as files in skeleton/.
extern const std::string_view skeleton_c;
extern const std::string_view skeleton_cxx;
extern const std::string_view skeleton_makefile;

}  // namespace umdev::compile

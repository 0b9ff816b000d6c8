// The compiler's command line that makes a module of a driver's sources. Words only: nothing is run here.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "umdev/compile/vintage.h"

namespace umdev::compile {

struct Toolchain {
  std::vector<std::string> c;  // a program, and words that always stand behind it ("ccache gcc")
  std::vector<std::string> cxx;
  // The directory of the kernel's headers (linux/ lies in it).
  std::string headers;
};

struct Request {
  std::vector<std::string> sources;  // all C (.c), or all C++ (.cc, .cpp, .cxx, .C)
  std::string output;
  Vintage vintage = Vintage::v7_0;
  std::vector<std::string> sanitizers;  // as parse_sanitizers() gives them
  bool coverage = false;                // counts which lines run, for gcov
  std::vector<std::string> extra;       // come last, so they win
};

enum class Language { c, cxx };
// By the end of the name, as compilers do; nothing for what is neither.
std::optional<Language> language_of(std::string_view source);

// What the module is called: the file's name without ".so", "-" being "_" as in a kernel.
std::string module_name_of(std::string_view output);

// "address,undefined" in its words. The error names the one that is not known.
std::expected<std::vector<std::string>, std::string> parse_sanitizers(std::string_view list);

// The error is for people: no source, both languages, something that is no source, an output without a name.
std::expected<std::vector<std::string>, std::string> make_command(const Request& request,
                                                                  const Toolchain& toolchain);

// As a shell takes it.
std::string quote(const std::vector<std::string>& words);
// The words of $CC: separated by blanks.
std::vector<std::string> split_words(std::string_view text);

}  // namespace umdev::compile

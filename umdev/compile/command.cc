#include "umdev/compile/command.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace umdev::compile {
namespace {

using Unfit = std::unexpected<std::string>;

// thread needs the whole process to be built with it, memory too; a module cannot bring them.
constexpr std::array<std::string_view, 2> sanitizers{"address", "undefined"};

std::string_view file_name_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

bool is_name_letter(char letter) {
  return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
         (letter >= '0' && letter <= '9') || letter == '_';
}

std::expected<Language, std::string> common_language(const std::vector<std::string>& sources) {
  if (sources.empty()) return Unfit("name a source: umdev cc DRIVER.c -o DRIVER.so");
  std::optional<Language> common;
  for (const std::string& source : sources) {
    const auto language = language_of(source);
    if (!language) return Unfit(fmt::format("{}: neither C (.c) nor C++ (.cc, .cpp, .cxx)", source));
    if (common && *common != *language) return Unfit("a module is written in C or in C++, not in both");
    common = language;
  }
  return *common;
}

void add(std::vector<std::string>& words, std::initializer_list<std::string_view> more) {
  words.insert(words.end(), more.begin(), more.end());
}

void add_sanitizers(std::vector<std::string>& words, const Request& request) {
  if (request.sanitizers.empty()) return;
  std::string list;
  for (const std::string& one : request.sanitizers) list += (list.empty() ? "" : ",") + one;
  // The daemon goes on behind what was found: it decides what becomes of the request.
  words.push_back("-fsanitize=" + list);
  words.push_back("-fsanitize-recover=" + list);
  add(words, {"-fno-omit-frame-pointer"});
  const bool is_clang = words.front().find("clang") != std::string::npos;
  if (is_clang) add(words, {"-shared-libsan"});  // gcc does so by itself
}

}  // namespace

std::optional<Language> language_of(std::string_view source) {
  if (source.ends_with(".c")) return Language::c;
  for (const std::string_view end : {".cc", ".cpp", ".cxx", ".C"})
    if (source.ends_with(end)) return Language::cxx;
  return std::nullopt;
}

std::string module_name_of(std::string_view output) {
  std::string_view stem = file_name_of(output);
  if (stem.ends_with(".so")) stem.remove_suffix(3);
  std::string name(stem);
  std::replace_if(name.begin(), name.end(), [](char letter) { return !is_name_letter(letter); }, '_');
  return name;
}

std::expected<std::vector<std::string>, std::string> parse_sanitizers(std::string_view list) {
  std::vector<std::string> words;
  while (true) {
    const auto comma = list.find(',');
    const std::string_view word = list.substr(0, comma);
    if (std::find(sanitizers.begin(), sanitizers.end(), word) == sanitizers.end())
      return Unfit(fmt::format("--sanitize: \"{}\" is neither address nor undefined", word));
    words.emplace_back(word);
    if (comma == std::string_view::npos) return words;
    list.remove_prefix(comma + 1);
  }
}

std::expected<std::vector<std::string>, std::string> make_command(const Request& request,
                                                                  const Toolchain& toolchain) {
  const auto language = common_language(request.sources);
  if (!language) return Unfit(language.error());
  const std::string name = module_name_of(request.output);
  if (name.empty()) return Unfit("say what the module is to be: -o DRIVER.so");
  std::vector<std::string> words = *language == Language::c ? toolchain.c : toolchain.cxx;
  add_sanitizers(words, request);
  words.emplace_back(*language == Language::c ? "-std=gnu11" : "-std=gnu++20");
  // Kernel code casts between types of one size as it likes, and lets numbers wrap.
  add(words, {"-O2", "-g", "-Wall", "-fPIC", "-fno-strict-aliasing", "-fwrapv"});
  // By line, as they stand in the source; calls run side by side.
  if (request.coverage) add(words, {"-O0", "--coverage", "-fprofile-update=atomic"});
  words.push_back(fmt::format("-DKBUILD_MODNAME=\"{}\"", name));
  words.push_back(fmt::format("-DUMDEV_KERNEL_API=0x{:06x}", number_of(request.vintage)));
  add(words, {"-I", toolchain.headers});
  // Its names are its own: one that the daemon has too is not meant. It needs none of the daemon's, so what
  // is missing is missing here already.
  add(words, {"-shared", "-Wl,-Bsymbolic", "-Wl,-z,defs", "-Wl,-z,now"});
  words.insert(words.end(), request.sources.begin(), request.sources.end());
  add(words, {"-o", request.output});
  words.insert(words.end(), request.extra.begin(), request.extra.end());
  return words;
}

std::string quote(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) {
    if (!line.empty()) line += ' ';
    const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](char letter) {
      return is_name_letter(letter) || std::string_view("-./=,+:@%").find(letter) != std::string_view::npos;
    });
    if (plain) {
      line += word;
      continue;
    }
    line += '\'';
    for (const char letter : word) line += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
    line += '\'';
  }
  return line;
}

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  while (true) {
    const auto begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return words;
    text.remove_prefix(begin);
    const auto end = std::min(text.find_first_of(" \t"), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

}  // namespace umdev::compile

#include "umdev/compile/skeleton.h"

#include <fmt/format.h>

#include <algorithm>

namespace umdev::compile {
namespace {

constexpr std::string_view placeholder = "skeleton";
constexpr std::size_t name_max = 40;

bool is_small(char letter) {
  return letter >= 'a' && letter <= 'z';
}

// As a kernel's modules are called; it becomes part of the names of functions.
bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= name_max && is_small(name.front()) &&
         std::all_of(name.begin(), name.end(), [](char letter) {
           return is_small(letter) || (letter >= '0' && letter <= '9') || letter == '_';
         });
}

// "my_card" for "skeleton", "MyCard" for "Skeleton".
std::string type_name_of(std::string_view name) {
  std::string type;
  bool begins = true;
  for (const char letter : name) {
    if (letter != '_') type += begins && is_small(letter) ? static_cast<char>(letter - 'a' + 'A') : letter;
    begins = letter == '_';
  }
  return type;
}

void replace_all(std::string& text, std::string_view what, std::string_view by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
    text.replace(at, what.size(), by);
}

std::string named(std::string_view text, std::string_view name, std::string_view source) {
  std::string result(text);
  replace_all(result, "skeleton.c", source);
  replace_all(result, placeholder, name);
  replace_all(result, "Skeleton", type_name_of(name));
  return result;
}

}  // namespace

std::expected<std::vector<NewFile>, std::string> make_skeleton(std::string_view name, Language language) {
  if (!is_name(name))
    return std::unexpected(
        fmt::format("\"{}\": a driver's name is of small letters, digits and '_', begins with a letter, and "
                    "has at most {}",
                    name, name_max));
  const bool is_c = language == Language::c;
  const std::string source = fmt::format("{}.{}", name, is_c ? "c" : "cc");
  std::vector<NewFile> files;
  files.push_back({.name = source, .text = named(is_c ? skeleton_c : skeleton_cxx, name, source)});
  files.push_back({.name = "Makefile", .text = named(skeleton_makefile, name, source)});
  return files;
}

}  // namespace umdev::compile

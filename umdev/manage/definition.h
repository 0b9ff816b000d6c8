// A definition: what a device is to be made of when it is started, in mdevctl's own format.
//
//   {"mdev_type": "mtty-2", "start": "auto", "attrs": [{"vendor/speed": "9600"}, {"enable": "1"}]}
//
// "start" is "auto" (when the daemon starts) or "manual". The attributes are written to the device's files in
// this order, a name as often as it stands there. Keys that are not known here are kept.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "umdev/mdev/types.h"
#include "umdev/support/uuid.h"

namespace umdev::manage {

// More than this is no definition.
inline constexpr std::size_t definition_size_max = 65536;
inline constexpr std::size_t attributes_max = 1024;
inline constexpr std::size_t attribute_name_max = 1024;

enum class Start : std::uint8_t { manual, automatic };
std::string_view to_string(Start start);  // "manual", "auto"

struct Definition {
  std::string type;
  Start start = Start::manual;
  mdev::Attributes attributes;
  std::string others = "{}";  // what else stands in the file: a JSON object

  friend bool operator==(const Definition&, const Definition&) = default;
};

// Which definition. mdevctl lets several parents have one of the same UUID.
struct DefinitionKey {
  std::string parent;
  Uuid uuid;

  friend auto operator<=>(const DefinitionKey&, const DefinitionKey&) = default;
};

// What is wrong, for people; where it is known, beginning with "line N: ".
using Refused = std::unexpected<std::string>;

// Strict: wrong types, missing keys, doubled keys, names that lead out of their directory are refused.
std::expected<Definition, std::string> parse_definition(std::string_view text);
// As mdevctl writes it: parse_definition() of it is the same definition.
std::string format_definition(const Definition& definition);

// "attrs" alone, for who carries it in a message: [{"NAME": "VALUE"}, ...].
std::expected<mdev::Attributes, std::string> parse_attributes(std::string_view json);
std::string format_attributes(const mdev::Attributes& attributes);

// A name that stays in the directory where it is put: one component, no hidden one, of at most 255 bytes.
bool is_file_name(std::string_view name);
// A parent's name as a directory of definitions. mdevctl's own "scripts.d" is none.
bool is_parent_name(std::string_view name);

}  // namespace umdev::manage

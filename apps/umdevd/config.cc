#include "apps/umdevd/config.h"

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <sstream>

namespace umdev::daemon {
namespace {

using Unfit = std::unexpected<std::string>;

constexpr std::size_t name_max = 64;

// A configuration is read once, so its reader is an object with the file's name and what it has found so far.
class Reader {
 public:
  explicit Reader(std::string_view file) : file_(file) {}

  std::expected<Config, std::string> read(const toml::table& root) {
    for (const auto& [key, node] : root)
      if (key.str() != "parent")
        return unfit(key.source(), key.str(), "unknown key; there is only [[parent]]");
    const toml::node* parents = root.get("parent");
    if (parents == nullptr) return Unfit(fmt::format("{}: it names no parent: add a [[parent]]", file_));
    const toml::array* array = parents->as_array();
    if (array == nullptr || !array->is_homogeneous<toml::table>())
      return unfit(parents->source(), "parent", "write [[parent]], with two brackets");
    for (const toml::node& parent : *array)
      if (auto added = add_parent(*parent.as_table()); !added) return Unfit(added.error());
    return std::move(config_);
  }

 private:
  Unfit unfit(const toml::source_region& where, std::string_view key, std::string_view what) const {
    return Unfit(fmt::format("{}:{}: {}: {}", file_, where.begin.line, key, what));
  }

  std::expected<void, std::string> add_parent(const toml::table& table) {
    ParentConfig parent;
    const toml::node* driver = table.get("driver");
    if (driver == nullptr)
      return unfit(table.source(), "driver", fmt::format("is missing; one of {}", driver_names()));
    const auto driver_name = driver->value_exact<std::string>();
    if (driver_name) parent.driver = find_driver(*driver_name);
    if (parent.driver == nullptr)
      return unfit(driver->source(), "driver", fmt::format("not one of {}", driver_names()));
    if (auto named = read_name(table, parent); !named) return named;
    if (auto known = check_keys(table, *parent.driver); !known) return known;
    for (const DriverOption& option : parent.driver->options) {
      const auto value = read_option(table, option);
      if (!value) return Unfit(value.error());
      parent.options.push_back(*value);
    }
    config_.parents.push_back(std::move(parent));
    return {};
  }

  std::expected<void, std::string> read_name(const toml::table& table, ParentConfig& parent) {
    const toml::node* name = table.get("name");
    const auto& where = name != nullptr ? name->source() : table.source();
    if (name == nullptr) {
      parent.name = parent.driver->name;
    } else {
      const auto text = name->value_exact<std::string>();
      if (!text || !is_name(*text))
        return unfit(where, "name", "a word of letters, digits, '-', '_', '.' and ':', at most 64");
      parent.name = *text;
    }
    for (const ParentConfig& other : config_.parents)
      if (other.name == parent.name) return unfit(where, "name", "two parents are called the same");
    return {};
  }

  // It becomes the name of a directory, and a word of command lines.
  static bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= name_max && text.front() != '.' && text.front() != '-' &&
           std::all_of(text.begin(), text.end(), [](unsigned char letter) {
             return letter < 128 && (std::isalnum(letter) != 0 || std::strchr("-_.:", letter) != nullptr);
           });
  }

  std::expected<void, std::string> check_keys(const toml::table& table, const DriverEntry& driver) const {
    for (const auto& [key, node] : table) {
      const std::string_view name = key.str();
      if (name == "driver" || name == "name") continue;
      const auto& options = driver.options;
      if (std::none_of(options.begin(), options.end(),
                       [&](const auto& option) { return option.key == name; }))
        return unfit(key.source(), name, fmt::format("the driver {} has no such key", driver.name));
    }
    return {};
  }

  std::expected<std::uint32_t, std::string> read_option(const toml::table& table,
                                                        const DriverOption& option) const {
    const toml::node* node = table.get(option.key);
    if (node == nullptr) return option.fallback;
    const auto value = node->value_exact<std::int64_t>();
    if (!value || *value < option.min || *value > option.max)
      return unfit(node->source(), option.key,
                   fmt::format("a number of {} from {} to {}", option.meaning, option.min, option.max));
    return static_cast<std::uint32_t>(*value);
  }

  static std::string driver_names() {
    std::string names;
    for (const DriverEntry& driver : all_drivers())
      names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ", driver.name);
    return names;
  }

  const std::string_view file_;
  Config config_;
};

}  // namespace

Config default_config() {
  Config config;
  for (const DriverEntry& driver : all_drivers()) {
    ParentConfig parent{.name = std::string(driver.name), .driver = &driver, .options = {}};
    for (const DriverOption& option : driver.options) parent.options.push_back(option.fallback);
    config.parents.push_back(std::move(parent));
  }
  return config;
}

std::expected<Config, std::string> parse_config(std::string_view text, std::string_view file) {
  const toml::parse_result parsed = toml::parse(text, file);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    return Unfit(fmt::format("{}:{}: {}", file, error.source().begin.line, error.description()));
  }
  return Reader(file).read(parsed.table());
}

std::expected<Config, std::string> read_config(const std::string& path) {
  std::ifstream file(path);
  if (!file) return Unfit(fmt::format("{}: {}", path, std::strerror(errno)));
  std::ostringstream text;
  text << file.rdbuf();
  if (file.bad()) return Unfit(fmt::format("{}: cannot be read", path));
  return parse_config(text.str(), path);
}

}  // namespace umdev::daemon

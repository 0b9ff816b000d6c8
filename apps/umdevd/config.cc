#include "apps/umdevd/config.h"

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>

#include "umdev/os/accounts.h"

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
      if (key.str() != "parent" && key.str() != "control" && key.str() != "sockets")
        return unfit(key.source(), key.str(), "unknown key; there are [[parent]], [control] and [sockets]");
    if (auto read = read_access(root, "control", config_.control); !read) return Unfit(read.error());
    if (auto read = read_access(root, "sockets", config_.sockets); !read) return Unfit(read.error());
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
    if (auto read = read_access(table, "sockets", parent.sockets); !read) return read;
    if (auto read = read_types(table, parent); !read) return read;
    config_.parents.push_back(std::move(parent));
    return {};
  }

  // "types": what is said of single types.
  std::expected<void, std::string> read_types(const toml::table& table, ParentConfig& parent) const {
    const toml::node* node = table.get("types");
    if (node == nullptr) return {};
    const toml::table* types = node->as_table();
    if (types == nullptr) return unfit(node->source(), "types", "a table, with a table for each type");
    const auto offered = parent.driver->make(parent.options).spec.types;
    for (const auto& [key, value] : *types) {
      const std::string id(key.str());
      if (std::none_of(offered.begin(), offered.end(), [&](const mdev::TypeSpec& type) {
            return fmt::format("{}-{}", parent.driver->name, type.name) == id;
          }))
        return unfit(key.source(), id, fmt::format("the driver {} has no such type", parent.driver->name));
      const toml::table* type = value.as_table();
      if (type == nullptr) return unfit(value.source(), id, "a table is wanted");
      for (const auto& [inner, ignored] : *type)
        if (inner.str() != "sockets")
          return unfit(inner.source(), inner.str(), "unknown key; there is \"sockets\"");
      if (auto read = read_access(*type, "sockets", parent.type_sockets[id]); !read) return read;
    }
    return {};
  }

  // The table `name` of owner, group and mode, where there is one.
  std::expected<void, std::string> read_access(const toml::table& parent, std::string_view name,
                                               FileAccess& access) const {
    const toml::node* node = parent.get(name);
    if (node == nullptr) return {};
    const toml::table* table = node->as_table();
    if (table == nullptr) return unfit(node->source(), name, "a table of owner, group and mode");
    for (const auto& [key, value] : *table) {
      const auto text = value.value_exact<std::string>();
      if (key.str() == "owner") {
        const auto user = text ? os::find_user(*text) : fail(EINVAL, "no text");
        if (!user) return unfit(value.source(), "owner", "a user of this machine, or a number in quotes");
        access.owner = *user;
      } else if (key.str() == "group") {
        const auto group = text ? os::find_group(*text) : fail(EINVAL, "no text");
        if (!group) return unfit(value.source(), "group", "a group of this machine, or a number in quotes");
        access.group = *group;
      } else if (key.str() == "mode") {
        access.mode = read_mode(text.value_or(""));
        if (!access.mode)
          return unfit(value.source(), "mode", "octal digits in quotes, as \"0660\"; from 0600 to 0777");
      } else {
        return unfit(key.source(), key.str(), "unknown key; there are owner, group and mode");
      }
    }
    return {};
  }

  // A socket that its owner cannot use is a mistake.
  static std::optional<std::uint32_t> read_mode(std::string_view text) {
    std::uint32_t mode = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
    if (text.empty() || error != std::errc() || rest != text.data() + text.size()) return std::nullopt;
    return mode > 0777 || (mode & 0600) != 0600 ? std::nullopt : std::optional(mode);
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
      if (name == "driver" || name == "name" || name == "sockets" || name == "types") continue;
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

namespace {

constexpr mode_t private_mode = 0600;
constexpr mode_t others = 0077;

// What a deeper level says counts.
void refine(FileAccess& access, const FileAccess& by) {
  if (by.owner) access.owner = by.owner;
  if (by.group) access.group = by.group;
  if (by.mode) access.mode = by.mode;
}

os::SocketFile decide(const FileAccess& access) {
  return {.mode = access.mode.value_or(private_mode), .owner = access.owner, .group = access.group};
}

bool opens(const FileAccess& access) {
  return access.owner || (access.mode.value_or(private_mode) & others) != 0;
}

}  // namespace

os::SocketFile socket_file(const Config& config, std::string_view parent, std::string_view type) {
  FileAccess access = config.sockets;
  for (const ParentConfig& one : config.parents) {
    if (one.name != parent) continue;
    refine(access, one.sockets);
    const auto found = one.type_sockets.find(type);
    if (found != one.type_sockets.end()) refine(access, found->second);
  }
  return decide(access);
}

os::SocketFile control_socket_file(const Config& config) {
  return decide(config.control);
}

bool opens_sockets(const Config& config) {
  return opens(config.sockets) ||
         std::any_of(config.parents.begin(), config.parents.end(), [](const ParentConfig& parent) {
           return opens(parent.sockets) || std::any_of(parent.type_sockets.begin(), parent.type_sockets.end(),
                                                       [](const auto& type) { return opens(type.second); });
         });
}

bool opens_anything(const Config& config) {
  return opens(config.control) || opens_sockets(config);
}

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

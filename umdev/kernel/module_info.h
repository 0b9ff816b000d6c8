// What is told of a module that was loaded.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace umdev::kernel {

enum class ModuleState : std::uint8_t { coming, live, going, crashed };
std::string_view name_of(ModuleState state);

// "6.1", of a number as LINUX_VERSION_CODE; "5.13-rc" for the form between two releases; "" for 0.
std::string api_text(std::uint32_t api);

struct ModuleInfo {
  struct Parameter {
    std::string name;
    std::string value;
    std::string meaning;
  };
  std::string name;
  std::string path;
  std::uint32_t api = 0;  // as LINUX_VERSION_CODE
  ModuleState state = ModuleState::coming;
  std::string crash;  // in what it crashed; empty otherwise
  std::string description;
  std::string license;
  std::string version;
  std::vector<std::string> parents;
  std::size_t instances = 0;
  std::size_t open_devices = 0;
  std::vector<Parameter> parameters;
  std::vector<std::string> unfinished;  // of one that is going: what its end waits for
};

}  // namespace umdev::kernel

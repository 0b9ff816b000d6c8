#include "umdev/kernel/module_info.h"

#include <fmt/format.h>

namespace umdev::kernel {

std::string_view name_of(ModuleState state) {
  switch (state) {
    case ModuleState::coming:
      return "coming";
    case ModuleState::live:
      return "live";
    case ModuleState::going:
      return "going";
    case ModuleState::crashed:
      return "crashed";
  }
  return "";
}

std::string api_text(std::uint32_t api) {
  constexpr std::uint32_t api_5_13_rc = 0x050cff;
  if (api == 0) return {};
  if (api == api_5_13_rc) return "5.13-rc";
  return fmt::format("{}.{}", api >> 16, api >> 8 & 0xff);
}

}  // namespace umdev::kernel

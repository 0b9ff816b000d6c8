#include "umdev/kernel/parameter_text.h"

#include <cstring>

namespace umdev::kernel {
namespace {

template <typename T>
T read(const ::umdev_parameter& parameter) {
  T value;
  std::memcpy(static_cast<void*>(&value), parameter.value, sizeof(value));
  return value;
}

}  // namespace

std::string parameter_text(const ::umdev_parameter& parameter) {
  switch (parameter.type) {
    case umdev_parameter_bool:
      return read<bool>(parameter) ? "Y" : "N";
    case umdev_parameter_byte:
      return std::to_string(read<unsigned char>(parameter));
    case umdev_parameter_short:
      return std::to_string(read<short>(parameter));
    case umdev_parameter_ushort:
      return std::to_string(read<unsigned short>(parameter));
    case umdev_parameter_int:
      return std::to_string(read<int>(parameter));
    case umdev_parameter_uint:
      return std::to_string(read<unsigned>(parameter));
    case umdev_parameter_long:
      return std::to_string(read<long>(parameter));
    case umdev_parameter_ulong:
      return std::to_string(read<unsigned long>(parameter));
    case umdev_parameter_ullong:
      return std::to_string(read<unsigned long long>(parameter));
    case umdev_parameter_charp: {
      const char* const text = read<const char*>(parameter);
      return text != nullptr ? text : "";
    }
    case umdev_parameter_string:
      return {static_cast<const char*>(parameter.value),
              ::strnlen(static_cast<const char*>(parameter.value), parameter.room)};
  }
  return {};
}

}  // namespace umdev::kernel

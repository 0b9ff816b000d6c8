// VFIO_DEVICE_FEATURE where it completes inline.
#pragma once

#include <vector>

#include "umdev/vfio/device_file.h"

namespace umdev::test {

inline Result<std::vector<std::byte>> feature(vfio::DeviceFile& file, const vfio::FeatureRequest& request) {
  Result<std::vector<std::byte>> result = fail(EINPROGRESS, "not completed inline");
  file.feature(request, [&](Result<vfio::FeatureAnswer> answer) {
    if (answer)
      result = std::move(answer->data);
    else
      result = std::unexpected(answer.error());
  });
  return result;
}

// The structure that a GET answers with.
template <typename T>
Result<T> get_feature(vfio::DeviceFile& file, std::uint32_t number) {
  const auto data = UMDEV_TRY(feature(file, {.flags = number | abi::vfio_device_feature_get}));
  const auto value = load_struct<T>(data);
  if (!value) return fail(EBADMSG, "the answer is too short");
  return *value;
}

template <typename T>
Result<std::vector<std::byte>> set_feature(vfio::DeviceFile& file, std::uint32_t number, const T& value) {
  return feature(file, {.flags = number | abi::vfio_device_feature_set, .data = bytes_of(value)});
}

}  // namespace umdev::test

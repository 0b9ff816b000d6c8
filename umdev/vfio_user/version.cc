#include "umdev/vfio_user/version.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "umdev/abi/vfio_user.h"
#include "umdev/iommu/types.h"

namespace umdev::vfio_user {
namespace {

using Json = nlohmann::json;

// Parses without exceptions; discarded when it is no JSON or nests too deep.
Json parse(std::string_view text, std::size_t depth_max) {
  bool too_deep = false;
  const auto watch_depth = [&](int depth, Json::parse_event_t, Json&) {
    too_deep |= static_cast<std::size_t>(depth) > depth_max;
    return !too_deep;
  };
  Json parsed = Json::parse(text, watch_depth, /*allow_exceptions=*/false);
  return too_deep ? Json(Json::value_t::discarded) : parsed;
}

// Takes a number that is not negative out of an object; what is not there stays as it is, what is too large
// is cut.
template <typename T>
Result<> read_number(const Json& object, const char* name, T& value) {
  const auto found = object.find(name);
  if (found == object.end()) return {};
  if (!found->is_number_unsigned()) return fail(EINVAL, "a capability that should be a number is none");
  value = static_cast<T>(std::min<std::uint64_t>(found->get<std::uint64_t>(), std::numeric_limits<T>::max()));
  return {};
}

Result<> read_bool(const Json& object, const char* name, bool& value) {
  const auto found = object.find(name);
  if (found == object.end()) return {};
  if (!found->is_boolean()) return fail(EINVAL, "a capability that should be true or false is neither");
  value = found->get<bool>();
  return {};
}

Result<Json> read_object(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return Json::object();
  if (!found->is_object()) return fail(EINVAL, "a capability that should be an object is none");
  return *found;
}

Result<> read_migration(const Json& object, Capabilities& result) {
  const Json migration = UMDEV_TRY(read_object(object, "migration"));
  result.migration = object.contains("migration");
  UMDEV_TRY(read_number(migration, "pgsize", result.migration_pgsize));
  UMDEV_TRY(read_number(migration, "max_bitmap_size", result.max_bitmap_size));
  if (!std::has_single_bit(result.migration_pgsize))
    return fail(EINVAL, "the page size of bitmaps is no power of two");
  return {};
}

Result<Capabilities> read_capabilities(const Json& root) {
  if (!root.is_object()) return fail(EINVAL, "the version text is no JSON object");
  const Json object = UMDEV_TRY(read_object(root, "capabilities"));
  Capabilities result;
  UMDEV_TRY(read_number(object, "max_msg_fds", result.max_msg_fds));
  UMDEV_TRY(read_number(object, "max_data_xfer_size", result.max_data_xfer_size));
  UMDEV_TRY(read_number(object, "max_dma_maps", result.max_dma_maps));
  UMDEV_TRY(read_number(object, "pgsizes", result.pgsizes));
  UMDEV_TRY(read_bool(object, "write_multiple", result.write_multiple));
  const Json twin = UMDEV_TRY(read_object(object, "twin_socket"));
  UMDEV_TRY(read_bool(twin, "supported", result.twin_socket));
  UMDEV_TRY(read_number(twin, "fd_index", result.twin_fd_index));
  UMDEV_TRY(read_migration(object, result));
  if (result.max_data_xfer_size == 0) return fail(EINVAL, "max_data_xfer_size is 0");
  return result;
}

}  // namespace

Result<VersionMessage> decode_version(ConstBytes payload, const Limits& limits) {
  const auto fixed = load_struct<abi::VfioUserVersion>(payload);
  if (!fixed) return fail(EINVAL, "the payload is shorter than its structure");
  VersionMessage message{.major = fixed->major_number, .minor = fixed->minor_number, .capabilities = {}};
  const ConstBytes rest = payload.subspan(sizeof *fixed);
  if (rest.empty()) return message;
  if (rest.size() > limits.version_text) return fail(EINVAL, "the version text is too long");
  const std::string_view text(reinterpret_cast<const char*>(rest.data()), rest.size());
  if (text.find('\0') != text.size() - 1) return fail(EINVAL, "the version text does not end with its zero");
  message.capabilities =
      UMDEV_TRY(read_capabilities(parse(text.substr(0, text.size() - 1), limits.version_depth)));
  return message;
}

std::vector<std::byte> encode_version(const VersionMessage& message, bool is_reply) {
  const Capabilities& own = message.capabilities;
  Json capabilities{{"max_msg_fds", own.max_msg_fds},
                    {"max_data_xfer_size", own.max_data_xfer_size},
                    {"max_dma_maps", own.max_dma_maps},
                    {"pgsizes", own.pgsizes}};
  if (own.write_multiple) capabilities["write_multiple"] = true;
  if (own.twin_socket) {
    capabilities["twin_socket"] = Json{{"supported", true}};
    if (is_reply) capabilities["twin_socket"]["fd_index"] = own.twin_fd_index;
  }
  if (own.migration)
    capabilities["migration"] =
        Json{{"pgsize", own.migration_pgsize}, {"max_bitmap_size", own.max_bitmap_size}};
  const std::string text = Json{{"capabilities", std::move(capabilities)}}.dump();
  const abi::VfioUserVersion fixed{.major_number = message.major, .minor_number = message.minor};
  std::vector<std::byte> bytes(sizeof fixed + text.size() + 1);
  std::memcpy(bytes.data(), &fixed, sizeof fixed);
  std::memcpy(bytes.data() + sizeof fixed, text.c_str(), text.size() + 1);
  return bytes;
}

Result<VersionMessage> answer_version(const VersionMessage& proposed, const Limits& limits) {
  if (proposed.major != abi::vfio_user_major) return fail(EINVAL, "another major version");
  const Capabilities& client = proposed.capabilities;
  // Any power of two from our page size on, as the kernel's type1 says of itself.
  const std::uint64_t page_sizes = client.pgsizes & ~(iommu::page_size - 1);
  if (page_sizes == 0) return fail(EINVAL, "no page size that both sides can map");
  return VersionMessage{
      .major = proposed.major,
      .minor = std::min(proposed.minor, abi::vfio_user_minor),
      .capabilities = {.max_msg_fds = limits.fds_per_message,
                       .max_data_xfer_size = std::min(client.max_data_xfer_size, limits.data_transfer),
                       .max_dma_maps = std::min(client.max_dma_maps, limits.dma_maps),
                       .pgsizes = page_sizes,
                       .write_multiple = client.write_multiple,
                       // Its descriptor comes with the answer, at index 0.
                       .twin_socket = client.twin_socket && client.max_msg_fds > 0,
                       .migration = client.migration,
                       .migration_pgsize = client.migration_pgsize,
                       .max_bitmap_size = std::min<std::uint64_t>(client.max_bitmap_size, limits.bitmap)}};
}

}  // namespace umdev::vfio_user

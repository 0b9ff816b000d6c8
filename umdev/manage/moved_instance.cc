#include "umdev/manage/moved_instance.h"

#include "umdev/support/state_stream.h"

namespace umdev::manage {
namespace {

constexpr std::string_view identity = "umdev instance";
constexpr StreamTag instance_tag("inst");
constexpr StreamTag interrupts_tag("irqs");
constexpr StreamTag config_tag("conf");
constexpr StreamTag device_tag("devc");
constexpr StreamTag client_tag("sess");
constexpr std::uint16_t version = 1;

Result<std::vector<std::byte>> bytes_in(StreamReader& reader, StreamTag tag) {
  SectionReader section = UMDEV_TRY(reader.take(tag, version));
  const ConstBytes bytes = UMDEV_TRY(section.get_bytes());
  UMDEV_TRY(section.end());
  return std::vector<std::byte>(bytes.begin(), bytes.end());
}

}  // namespace

Result<std::vector<std::byte>> to_stream(const MovedInstance& instance) {
  StreamWriter stream(identity, moved_instance_max);
  stream.begin(instance_tag, version);
  stream.put_text(instance.uuid.to_string());
  stream.put_text(instance.parent);
  stream.put_text(instance.type);
  stream.begin(interrupts_tag, version, SectionKind::optional);
  stream.put(static_cast<std::uint32_t>(instance.interrupts.size()));
  for (const bool enabled : instance.interrupts) stream.put_flag(enabled);
  stream.begin(config_tag, version);
  stream.put_bytes(instance.config);
  stream.begin(device_tag, version);
  stream.put_bytes(instance.state);
  if (instance.client) {
    stream.begin(client_tag, version, SectionKind::optional);
    stream.put(instance.client->stream_size);
    stream.put(instance.client->descriptors);
  }
  stream.finish();
  const ConstBytes bytes = UMDEV_TRY(stream.bytes());
  return std::vector<std::byte>(bytes.begin(), bytes.end());
}

Result<MovedInstance> moved_instance_of(ConstBytes bytes) {
  StreamReader reader = UMDEV_TRY(StreamReader::open(bytes, identity));
  MovedInstance instance;
  SectionReader head = UMDEV_TRY(reader.take(instance_tag, version));
  const auto uuid = Uuid::parse(UMDEV_TRY(head.get_text()));
  if (!uuid) return fail(EINVAL, "the stream names no UUID");
  instance.uuid = *uuid;
  instance.parent = UMDEV_TRY(head.get_text());
  instance.type = UMDEV_TRY(head.get_text());
  UMDEV_TRY(head.end());
  SectionReader interrupts = UMDEV_TRY(reader.take(interrupts_tag, version));
  const auto count = UMDEV_TRY(interrupts.get<std::uint32_t>());
  for (std::uint32_t index = 0; index < count; ++index)
    instance.interrupts.push_back(UMDEV_TRY(interrupts.get_flag()));
  UMDEV_TRY(interrupts.end());
  instance.config = UMDEV_TRY(bytes_in(reader, config_tag));
  instance.state = UMDEV_TRY(bytes_in(reader, device_tag));
  if (reader.has(client_tag)) {
    SectionReader client = UMDEV_TRY(reader.take(client_tag, version));
    instance.client.emplace();
    instance.client->stream_size = UMDEV_TRY(client.get<std::uint64_t>());
    instance.client->descriptors = UMDEV_TRY(client.get<std::uint32_t>());
    UMDEV_TRY(client.end());
  }
  UMDEV_TRY(reader.end());
  return instance;
}

}  // namespace umdev::manage

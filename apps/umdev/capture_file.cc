#include "apps/umdev/capture_file.h"

#include <cerrno>

#include "umdev/os/system_error.h"

namespace umdev::cli {
namespace {

constexpr std::uint32_t nanosecond_magic = 0xa1b23c4d;
constexpr std::uint32_t link_type_user0 = 147;
constexpr std::uint32_t message_max = 1U << 26;

struct FileHeader {
  std::uint32_t magic = nanosecond_magic;
  std::uint16_t major_version = 2;
  std::uint16_t minor_version = 4;
  std::uint32_t time_zone = 0;
  std::uint32_t accuracy = 0;
  std::uint32_t length_max = message_max;
  std::uint32_t link_type = link_type_user0;
};
static_assert(sizeof(FileHeader) == 24);

struct RecordHeader {
  std::uint32_t seconds;
  std::uint32_t nanoseconds;
  std::uint32_t kept;
  std::uint32_t size;
};
static_assert(sizeof(RecordHeader) == 16);

struct MessageHeader {
  std::uint8_t version;
  std::uint8_t direction;
  std::uint16_t descriptors;
  std::uint32_t session;
};
static_assert(sizeof(MessageHeader) == 8);

int leave_open(std::FILE*) {
  return 0;
}

}  // namespace

Result<CaptureFile> CaptureFile::create(const std::string& path) {
  const bool standard = path == "-";
  Stream stream(standard ? stdout : std::fopen(path.c_str(), "wbe"), standard ? leave_open : std::fclose);
  if (!stream) return os::fail_errno("the capture file cannot be made");
  return CaptureFile(std::move(stream));
}

Result<> CaptureFile::begin() {
  UMDEV_TRY(write(bytes_of(FileHeader{})));
  return flush();
}

Result<> CaptureFile::add(const CapturedMessage& message) {
  constexpr std::uint64_t second = 1'000'000'000;
  const RecordHeader record{.seconds = static_cast<std::uint32_t>(message.time / second),
                            .nanoseconds = static_cast<std::uint32_t>(message.time % second),
                            .kept = static_cast<std::uint32_t>(sizeof(MessageHeader) + message.bytes.size()),
                            .size = static_cast<std::uint32_t>(sizeof(MessageHeader)) + message.size};
  const MessageHeader header{.version = 1,
                             .direction = message.from_client ? std::uint8_t{0} : std::uint8_t{1},
                             .descriptors = message.descriptors,
                             .session = message.session};
  UMDEV_TRY(write(bytes_of(record)));
  UMDEV_TRY(write(bytes_of(header)));
  UMDEV_TRY(write(message.bytes));
  return flush();
}

Result<> CaptureFile::write(ConstBytes bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stream_.get()) == bytes.size()) return {};
  return os::fail_errno("the capture file cannot be written");
}

Result<> CaptureFile::flush() {
  if (std::fflush(stream_.get()) == 0) return {};
  return os::fail_errno("the capture file cannot be written");
}

}  // namespace umdev::cli

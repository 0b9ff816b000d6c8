// Any stream as a session that comes from another place: it is refused, or it is a session, which can go on
// to the next place as the same.
//
// The input: how many descriptors come with it (1 byte, of which the high bit says that the rest is the
// stream as it is); else sections whose frame and sums are made here (a fuzzer finds no CRC): which, length
// (2), bytes.
#include <sys/eventfd.h>

#include <array>
#include <cstdint>
#include <vector>

#include "tests/support/fuzz/step_reader.h"
#include "umdev/support/assert.h"
#include "umdev/support/state_stream.h"
#include "umdev/vfio_user/session_state.h"

namespace umdev::vfio_user {
namespace {

using test::StepReader;

constexpr std::string_view identity = "umdev vfio-user session";
constexpr std::size_t stream_max = 1 << 16;

std::vector<std::byte> make_stream(StepReader& reader) {
  constexpr std::array tags{StreamTag("sess"), StreamTag("sock"), StreamTag("twin"), StreamTag("wait"),
                            StreamTag("dmap"), StreamTag("irqs"), StreamTag("????")};
  constexpr std::uint8_t newer = 0x80;
  StreamWriter writer(identity, stream_max);
  constexpr int sections_max = 8;
  for (int section = 0; section < sections_max && !reader.at_end(); ++section) {
    const std::uint8_t which = reader.byte();
    writer.begin(tags.at(which % tags.size()), which >= newer ? 2 : 1);
    for (const std::byte byte : reader.bytes(reader.little_endian(2)))
      writer.put(std::to_integer<std::uint8_t>(byte));
  }
  writer.finish();
  const auto bytes = writer.bytes();
  return bytes ? std::vector<std::byte>(bytes->begin(), bytes->end()) : std::vector<std::byte>{};
}

void run(StepReader reader) {
  const os::UniqueFd file(::eventfd(0, EFD_CLOEXEC));
  constexpr std::uint8_t raw = 0x80;
  const std::uint8_t how = reader.byte();
  vfio::MovedSession moved;
  for (unsigned i = 0; i < (how & (raw - 1U)); ++i) moved.descriptors.push_back(file.dup().value());
  if ((how & raw) != 0) {
    const ConstBytes bytes = reader.bytes(stream_max);
    moved.stream.assign(bytes.begin(), bytes.end());
  } else {
    moved.stream = make_stream(reader);
  }

  const Limits limits;
  auto state = session_state_of(std::move(moved), limits);
  if (!state) return;
  auto again = to_stream(*std::move(state), limits);
  UMDEV_ASSERT(again.has_value(), "a session that came cannot go on");
  const std::vector<std::byte> stream = again->stream;
  const std::size_t descriptors = again->descriptors.size();
  auto same = session_state_of(*std::move(again), limits);
  UMDEV_ASSERT(same.has_value(), "a session that goes on does not arrive");
  const auto once_more = to_stream(*std::move(same), limits);
  UMDEV_ASSERT(once_more && once_more->stream == stream && once_more->descriptors.size() == descriptors,
               "a session arrives as another");
}

}  // namespace
}  // namespace umdev::vfio_user

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  umdev::vfio_user::run(umdev::test::StepReader(std::as_bytes(std::span(data, size))));
  return 0;
}

// Any stream into a serial card: it is refused and nothing has changed, or it becomes the card's state, which
// can be saved and loaded again as the same, and is one that a guest can go on with.
//
// The input: how (1 byte); then the stream as it is, or sections whose frame and sums are made here (a fuzzer
// finds no CRC): tag, version and kind, length, bytes. What is left are accesses of the guest.
#include <array>
#include <cstdint>
#include <vector>

#include "drivers/mtty/mtty.h"
#include "tests/support/fake_access.h"
#include "tests/support/fake_user.h"
#include "tests/support/fuzz/step_reader.h"
#include "umdev/support/state_stream.h"

namespace umdev::mtty {
namespace {

using test::StepReader;

constexpr std::array<std::string_view, 2> identities{"mtty, ports: 1", "mtty, ports: 2"};
constexpr std::size_t stream_max = 8192;

std::vector<std::byte> make_stream(StepReader& reader, std::string_view identity) {
  constexpr std::array tags{StreamTag("mtty"), Uart::section_tag, StreamTag("????")};
  StreamWriter writer(identity, stream_max);
  constexpr int sections_max = 8;
  for (int section = 0; section < sections_max && !reader.at_end(); ++section) {
    const std::uint8_t which = reader.byte();
    if (which >= 0xc0) break;
    const auto kind = (which & 4) != 0 ? SectionKind::optional : SectionKind::mandatory;
    // Version 1, mostly.
    writer.begin(tags.at(which & 3U ? (which & 3U) - 1 : 0),
                 static_cast<std::uint16_t>(which < 0xa0 ? 1 : which), kind);
    for (const std::byte byte : reader.bytes(reader.byte() % 64))
      writer.put(std::to_integer<std::uint8_t>(byte));
  }
  writer.finish();
  const auto bytes = writer.bytes();
  return bytes ? std::vector<std::byte>(bytes->begin(), bytes->end()) : std::vector<std::byte>{};
}

std::vector<std::byte> saved(Mtty& card, std::string_view identity) {
  StreamWriter writer(identity, stream_max);
  card.save(writer);
  writer.finish();
  const auto bytes = writer.bytes();
  UMDEV_ASSERT(bytes.has_value(), "a card's state is larger than any stream may be");
  return {bytes->begin(), bytes->end()};
}

bool load(Mtty& card, ConstBytes stream, std::string_view identity) {
  auto reader = StreamReader::open(stream, identity);
  return reader && card.load(*reader);
}

void run(StepReader reader) {
  const std::uint8_t how = reader.byte();
  const unsigned ports = 1 + (how & 1);
  const std::string_view identity = identities.at(ports - 1);
  const auto device = Mtty::create(ports);
  auto& card = static_cast<Mtty&>(*device);
  test::FakeUser user(card);
  card.open_device(user, [](Result<>) {});

  const std::vector<std::byte> before = saved(card, identity);
  std::vector<std::byte> stream;
  if ((how & 2) != 0) {
    const ConstBytes raw = reader.bytes(SIZE_MAX);
    stream.assign(raw.begin(), raw.end());
  } else {
    stream = make_stream(reader, identity);
  }
  if (StreamReader::open(stream, identity))
    UMDEV_ASSERT(StreamReader::check_beginning(stream, identity).has_value(),
                 "a good stream has a bad beginning");
  if (load(card, stream, identity)) {
    const std::vector<std::byte> after = saved(card, identity);
    UMDEV_ASSERT(load(card, after, identity), "what was saved is refused");
    UMDEV_ASSERT(saved(card, identity) == after, "what was loaded is saved as something else");
  } else {
    UMDEV_ASSERT(saved(card, identity) == before, "a stream that was refused has changed the card");
  }

  constexpr int accesses_max = 200;
  for (int access = 0; access < accesses_max && !reader.at_end(); ++access) {
    const std::uint8_t where = reader.byte();
    const unsigned port = (where >> 3) % ports;
    const std::uint64_t offset = where & 7U;
    if ((where & 0x80) != 0)
      (void)test::write_register<std::uint8_t>(card, user, port, offset, reader.byte());
    else
      (void)test::read_register<std::uint8_t>(card, user, port, offset);
  }
  UMDEV_ASSERT(load(card, saved(card, identity), identity), "a state that a guest brought about cannot move");
  card.close_device(user, [](Result<>) {});
}

}  // namespace
}  // namespace umdev::mtty

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  umdev::mtty::run(umdev::test::StepReader(std::as_bytes(std::span(data, size))));
  return 0;
}

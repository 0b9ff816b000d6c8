// A session on a core in this process, with no socket: messages in, replies out, time stands still.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "tests/support/core_world.h"
#include "tests/unit/vfio_user/wire.h"
#include "umdev/os/unix_socket.h"
#include "umdev/vfio_user/session.h"
#include "umdev/vfio_user/version.h"

namespace umdev::vfio_user::test {

using umdev::test::CoreWorld;
using umdev::test::DeviceScript;

// A reply as its client sees it.
struct Reply {
  abi::VfioUserHeader header{};
  Octets payload;
  std::size_t fds = 0;
  // The errno of an error reply, 0 for success.
  int error() const {
    const auto result = result_of(header);
    return result ? 0 : result.error().code;
  }
  template <typename T>
  T as() const {
    const auto value = load_struct<T>(payload);
    EXPECT_TRUE(value) << "the reply is too short";
    return value.value_or(T{});
  }
};

class SessionFixture : public ::testing::Test, public SessionObserver {
 public:
  explicit SessionFixture(CoreWorld::Options options = {}) : world(options) {}
  ~SessionFixture() override {
    if (session) session->end("the test ends");
    session.reset();
    script->reads.clear();
    script->writes.clear();
    if (device.registration) device.registration.unregister(RemovePolicy::force, [](Result<>) {});
    world.host.advance(std::chrono::seconds(60));
  }

  void create_session() {
    session = Session::create({.core = world.core.get(),
                               .executor = &world.host.executor(),
                               .clock = &world.host.clock(),
                               .counters = &counters,
                               .limits = &limits,
                               .budget = budget},
                              {.iommu_group = device.group, .name = device.parent->name(), .caller = {}},
                              outbox, *this);
  }

  // Gives the session one message.
  void send(const Octets& message, std::vector<os::UniqueFd> fds = {}) {
    for (auto& fd : fds) assembler.incoming_fds().push(std::move(fd));
    ConstBytes rest = message;
    while (!rest.empty()) {
      const Bytes space = assembler.space();
      const std::size_t count = std::min(space.size(), rest.size());
      std::ranges::copy(rest.first(count), space.begin());
      assembler.commit(count);
      rest = rest.subspan(count);
      const auto frame = assembler.next();
      ASSERT_TRUE(frame);
      if (!*frame) continue;
      ASSERT_TRUE(session->takes_messages());
      session->handle(**frame);
    }
    ASSERT_EQ(*assembler.next(), nullptr);
  }
  template <typename T>
  void send(abi::VfioUserCommand number, const T& head, std::vector<os::UniqueFd> fds = {},
            std::uint32_t flags = 0) {
    send(command(next_id++, number, {bytes_of(head)}, flags), std::move(fds));
  }

  // The next reply, or nothing.
  std::optional<Reply> take_reply() {
    if (outbox.empty()) return std::nullopt;
    return take_message(outbox);
  }
  // The next message of an outbox that has one.
  static Reply take_message(Outbox& from) {
    Reply reply;
    const Outbox::Piece piece = from.front();
    reply.fds = piece.fds.size();
    reply.header = *load_struct<abi::VfioUserHeader>(piece.bytes);
    const Octets all = join({piece.bytes, piece.body});
    reply.payload.assign(all.begin() + sizeof reply.header, all.begin() + reply.header.size);
    from.sent(reply.header.size);
    return reply;
  }
  Reply expect_reply() {
    auto reply = take_reply();
    EXPECT_TRUE(reply) << "no reply";
    return reply.value_or(Reply{});
  }
  template <typename T>
  Reply ask(abi::VfioUserCommand number, const T& head, std::vector<os::UniqueFd> fds = {}) {
    send(number, head, std::move(fds));
    return expect_reply();
  }

  void send_version(std::string_view text = "{}") {
    send(command(next_id++, abi::vfio_user_version, {version_payload(text)}));
  }
  // Creates a session that has its device.
  void open_session() {
    create_session();
    send_version();
    ASSERT_EQ(expect_reply().error(), 0);
    ASSERT_TRUE(session->is_open());
  }

  void send_read(std::uint64_t offset, std::uint32_t count, std::uint32_t region = 0) {
    send(abi::vfio_user_region_read,
         abi::VfioUserRegionAccess{.offset = offset, .region = region, .count = count});
  }
  void send_write(std::uint64_t offset, const Octets& data, std::uint32_t flags = 0) {
    const abi::VfioUserRegionAccess head{
        .offset = offset, .region = 0, .count = static_cast<std::uint32_t>(data.size())};
    send(command(next_id++, abi::vfio_user_region_write, {bytes_of(head), data}, flags));
  }
  Reply map(std::uint64_t iova, std::uint64_t size, std::uint32_t flags, int fd = -1,
            std::uint64_t offset = 0) {
    std::vector<os::UniqueFd> fds;
    if (fd >= 0) fds.push_back(os::duplicate(fd).value());
    return ask(abi::vfio_user_dma_map,
               abi::VfioUserDmaMap{.argsz = 32, .flags = flags, .offset = offset, .iova = iova, .size = size},
               std::move(fds));
  }
  void send_unmap(std::uint64_t iova, std::uint64_t size, std::uint32_t flags = 0) {
    send(abi::vfio_user_dma_unmap,
         abi::VfioUserDmaUnmap{.argsz = 24, .flags = flags, .iova = iova, .size = size});
  }
  Reply unmap(std::uint64_t iova, std::uint64_t size, std::uint32_t flags = 0) {
    send_unmap(iova, size, flags);
    return expect_reply();
  }

  void session_changed() override { ++changes; }

  CoreWorld world;
  std::shared_ptr<DeviceScript> script = std::make_shared<DeviceScript>();
  CoreWorld::Registered device = world.add_device("device", script);
  Limits limits;
  Counters counters;
  std::shared_ptr<iommu::MappingBudget> budget = std::make_shared<iommu::MappingBudget>(100, 1ULL << 40);
  Outbox outbox;
  FrameAssembler assembler{limits.message(), limits.receive_buffer};
  std::shared_ptr<Session> session;
  int changes = 0;
  std::uint16_t next_id = 217;
};

}  // namespace umdev::vfio_user::test

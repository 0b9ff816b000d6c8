// A client's life, from its first word to its end, over a real socket.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <future>

#include "tests/integration/vfio_user/live_server.h"
#include "umdev/os/event_fd.h"

namespace umdev::vfio_user::test {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t page = Board::page;
constexpr std::uint32_t read_write = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write;

TEST(SessionLife, a_client_does_what_a_vmm_does) {
  LiveServer live;
  {
    Client client = live.client(0);
    const os::UniqueFd memory = os::create_memfd("guest", 16 * page).value();
    ASSERT_TRUE(client.dma_map(0, 16 * page, read_write, memory.get()));
    ASSERT_TRUE(client.dma_map(0xfffc0000, 0x40000, abi::vfio_dma_map_flag_read));
    EXPECT_EQ(client.device_info()->num_regions, board_regions);
    EXPECT_EQ(client.region_info(board_ram)->info.size, Board::ram_size);
    EXPECT_EQ(client.irq_info(0)->count, 1u);

    ASSERT_TRUE(client.write<std::uint32_t>(board_ram, 8, 0x12345678));
    EXPECT_EQ(client.read<std::uint32_t>(board_ram, 8), 0x12345678u);
    ASSERT_TRUE(client.region_write_posted(board_ram, 16, bytes_of(std::uint16_t{0xbeef})));
    EXPECT_EQ(client.read<std::uint16_t>(board_ram, 16), 0xbeefu);

    const os::EventFd event = os::EventFd::create().value();
    const int fd = event.get();
    ASSERT_TRUE(client.set_irqs({.flags = abi::vfio_irq_set_data_eventfd | abi::vfio_irq_set_action_trigger,
                                 .index = 0,
                                 .start = 0,
                                 .count = 1,
                                 .eventfds = std::span(&fd, 1),
                                 .bools = {}}));
    ASSERT_TRUE(client.write<std::uint32_t>(board_irq, 0, 1));
    EXPECT_EQ(event.take(), 1u);

    ASSERT_EQ(::pwrite(memory.get(), "data", 4, 0x2000), 4);
    ASSERT_TRUE(client.write<std::uint64_t>(board_dma, 0, 0x2000));
    EXPECT_EQ(client.read<std::uint32_t>(board_dma, 0), 0u);
    EXPECT_EQ(client.read<std::uint32_t>(board_dma, 4), 0x61746164u);

    ASSERT_TRUE(client.reset());
    EXPECT_EQ(client.read<std::uint32_t>(board_ram, 8), 0u);
    EXPECT_EQ(client.dma_unmap(0x1000000, page), 0u);
    EXPECT_EQ(client.dma_unmap_all(), 16 * page + 0x40000);
  }
  EXPECT_TRUE(eventually([&] { return live.is_idle(); }));
}

TEST(SessionLife, a_region_that_can_be_mapped_is_the_devices_memory) {
  LiveServer live;
  Client client = live.client(0);
  const ClientRegion region = client.region_info(board_shared).value();
  ASSERT_TRUE(region.fd);
  EXPECT_NE(region.info.flags & abi::vfio_region_info_flag_caps, 0u);
  EXPECT_EQ(region.info.cap_offset, 32u);
  void* memory = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, region.fd.get(),
                        static_cast<off_t>(region.info.offset + 2 * page));
  ASSERT_NE(memory, MAP_FAILED);
  *static_cast<std::uint32_t*>(memory) = 42;
  EXPECT_EQ(client.read<std::uint32_t>(board_shared, 2 * page), 42u);
  ::munmap(memory, page);
}

TEST(SessionLife, a_transfer_of_the_largest_size_passes_both_ways) {
  LiveServer live;
  Client client = live.client(0);
  std::vector<std::byte> data(1U << 20);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 7);
  EXPECT_EQ(client.region_write(board_ram, 4096, data), data.size());
  std::vector<std::byte> back(data.size());
  EXPECT_EQ(client.region_read(board_ram, 4096, back), back.size());
  EXPECT_EQ(back, data);
  back.resize((1U << 20) + 1);
  EXPECT_EQ(client.region_read(board_ram, 0, back).error().code, E2BIG);
}

// QEMU sends its maps one behind the other and waits for the last.
TEST(SessionLife, pipelined_requests_are_answered_in_their_order) {
  LiveServer live;
  Client client = live.client(0);
  constexpr std::uint16_t count = 2000;
  auto sender = std::async(std::launch::async, [&] {
    std::vector<std::byte> all;
    for (std::uint16_t id = 0; id < count; ++id) {
      const abi::VfioUserRegionAccess access{
          .offset = id * std::uint64_t{4}, .region = board_ram, .count = 4};
      const auto header = make_command(id, abi::vfio_user_region_read, sizeof access);
      for (const ConstBytes part : {bytes_of(header), bytes_of(access)})
        all.insert(all.end(), part.begin(), part.end());
    }
    return client.channel().send(all);
  });
  for (std::uint16_t id = 0; id < count; ++id) {
    const auto reply = client.channel().receive();
    ASSERT_TRUE(reply) << id << " " << reply.error().text;
    ASSERT_EQ(reply->header.message_id, id);
    ASSERT_EQ(load_struct<abi::VfioUserRegionAccess>(reply->payload)->offset, id * 4U);
  }
  EXPECT_TRUE(sender.get());
}

TEST(SessionLife, a_second_client_is_ebusy_and_gets_its_turn_when_the_first_left) {
  LiveServer live;
  {
    Client first = live.client(0);
    Client second = live.silent_client(0);
    EXPECT_EQ(second.negotiate().error().code, EBUSY);
    EXPECT_EQ(second.channel().receive().error().code, ECONNRESET);
    EXPECT_TRUE(first.read<std::uint32_t>(board_ram, 0));
  }
  Client third = live.client(0);  // at once: the grace covers that the first one's end is seen later
  EXPECT_TRUE(third.read<std::uint32_t>(board_ram, 0));
}

TEST(SessionLife, a_device_taken_away_by_force_ends_its_session) {
  LiveServer live;
  Client client = live.client(0);
  Client other = live.client(1);
  std::promise<void> over;
  live.instances[0].registration.unregister(RemovePolicy::force, [&](Result<>) { over.set_value(); });
  EXPECT_EQ(client.channel().receive().error().code, ECONNRESET);
  over.get_future().wait();
  EXPECT_TRUE(other.read<std::uint32_t>(board_ram, 0));
}

TEST(SessionLife, a_socket_that_is_removed_by_force_takes_its_sessions_along) {
  LiveServer live;
  Client client = live.client(0);
  std::promise<Result<>> busy;
  live.instances[0].endpoint.unregister(RemovePolicy::busy, [&](Result<> result) { busy.set_value(result); });
  EXPECT_EQ(busy.get_future().get().error().code, EBUSY);
  EXPECT_TRUE(client.read<std::uint32_t>(board_ram, 0));

  std::promise<void> over;
  live.instances[0].endpoint.unregister(RemovePolicy::force, [&](Result<>) { over.set_value(); });
  over.get_future().wait();
  EXPECT_EQ(client.channel().receive().error().code, ECONNRESET);
  EXPECT_NE(::access(live.instances[0].path.c_str(), F_OK), 0);
  EXPECT_EQ(Client::connect(live.instances[0].path).error().code, ENOENT);
}

TEST(SessionLife, a_socket_that_is_removed_can_wait_for_its_sessions) {
  LiveServer live;
  auto client = std::make_unique<Client>(live.client(0));
  std::promise<void> over;
  live.instances[0].endpoint.unregister(RemovePolicy::wait, [&](Result<>) { over.set_value(); });
  auto future = over.get_future();
  EXPECT_TRUE(eventually([&] { return ::access(live.instances[0].path.c_str(), F_OK) != 0; }));
  EXPECT_TRUE(client->read<std::uint32_t>(board_ram, 0));
  EXPECT_EQ(future.wait_for(50ms), std::future_status::timeout);
  client.reset();
  EXPECT_EQ(future.wait_for(20s), std::future_status::ready);
}

TEST(SessionLife, a_socket_with_a_long_path_works) {
  LiveServer live;
  const std::string path = live.directory + "/" + std::string(120, 'd');
  ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
  const auto& instance = live.instances[0];
  const std::uint32_t group = instance.device->group()->iommu_group().number();
  const Registration endpoint =
      live.server->listen({.path = path + "/instance.sock", .device = {group, "board0", {}}}).value();
  Client client = Client::connect(path + "/instance.sock").value();
  EXPECT_TRUE(client.negotiate());
}

TEST(SessionLife, status_shows_who_is_there) {
  LiveServer live;
  Client client = live.client(1);
  ASSERT_TRUE(client.dma_map(0, page, read_write));
  const ServerStatus status = live.server->status();
  ASSERT_EQ(status.sessions.size(), 1u);
  EXPECT_EQ(status.sessions[0].device, "board1");
  EXPECT_EQ(status.sessions[0].peer, ::getpid());
  EXPECT_TRUE(status.sessions[0].open);
  EXPECT_EQ(status.sessions[0].mappings, 1u);
  EXPECT_EQ(status.counters.messages[abi::vfio_user_dma_map], 1u);
}

TEST(SessionLife, a_server_ends_with_sessions_on_it) {
  LiveServer live;
  Client client = live.client(0);
  Client silent = live.silent_client(1);
  live.server.reset();
  EXPECT_EQ(client.channel().receive().error().code, ECONNRESET);
  for (auto& instance : live.instances) instance.endpoint = {};
}

TEST(SessionLife, a_server_ends_after_its_workers) {
  LiveServer live;
  Client client = live.client(0);
  live.workers->stop();
  live.server.reset();
  EXPECT_EQ(client.channel().receive().error().code, ECONNRESET);
  for (auto& instance : live.instances) instance.endpoint = {};
  live.workers->stop();
}

TEST(SessionLife, many_clients_work_at_once) {
  constexpr std::size_t clients = 4;
  LiveServer live({.workers = 2, .devices = clients});
  std::vector<std::future<int>> all;
  for (std::size_t i = 0; i < clients; ++i)
    all.push_back(std::async(std::launch::async, [&live, i] {
      int wrong = 0;
      const os::UniqueFd memory = os::create_memfd("guest", 64 * page).value();
      for (int round = 0; round < 5; ++round) {
        Client client = live.client(i);
        for (std::uint32_t step = 0; step < 200; ++step) {
          const std::uint64_t iova = (step % 64) * page;
          wrong += !client.dma_map(iova, page, read_write, memory.get(), iova);
          wrong += !client.write<std::uint32_t>(board_ram, std::uint64_t{step} * 4, step);
          wrong += client.read<std::uint32_t>(board_ram, std::uint64_t{step} * 4) != step;
          wrong += client.dma_unmap(iova, page) != page;
        }
      }
      return wrong;
    }));
  for (auto& each : all) EXPECT_EQ(each.get(), 0);
  EXPECT_TRUE(eventually([&] { return live.is_idle(); }));
}

}  // namespace
}  // namespace umdev::vfio_user::test

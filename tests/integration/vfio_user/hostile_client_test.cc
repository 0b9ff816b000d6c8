// Clients that are silent, slow, broken, greedy or dead. Each loses only its own session: the others, on the
// same worker, go on.
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <ctime>
#include <random>
#include <thread>

#include "tests/integration/vfio_user/live_server.h"
#include "umdev/os/write_watch.h"

namespace umdev::vfio_user::test {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t page = Board::page;
constexpr std::uint32_t read_write = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write;

// A well-behaved client that works all the time, on the worker that the hostile one shares with it.
class Neighbour {
 public:
  explicit Neighbour(LiveServer& live) : client_(live.client(1)), thread_([this] { work(); }) {}
  ~Neighbour() {
    stop_ = true;
    thread_.join();
    EXPECT_EQ(failures_, 0);
  }
  // It gets a good many answers from now on.
  bool makes_progress() const {
    const std::uint64_t from = answers_;
    return eventually([&] { return answers_ >= from + 100; });
  }
  std::uint64_t answers() const { return answers_; }

 private:
  void work() {
    while (!stop_) {
      if (client_.read<std::uint32_t>(board_ram, 0))
        ++answers_;
      else
        ++failures_;
    }
  }
  Client client_;
  std::atomic<bool> stop_ = false;
  std::atomic<std::uint64_t> answers_ = 0;
  std::atomic<int> failures_ = 0;
  std::thread thread_;
};

// While it lives this process has no descriptors from `limit` on.
class DescriptorsBelow {
 public:
  explicit DescriptorsBelow(int limit) {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    const rlimit lower{.rlim_cur = static_cast<rlim_t>(limit), .rlim_max = before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &lower), 0);
  }
  ~DescriptorsBelow() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }
  DescriptorsBelow(const DescriptorsBelow&) = delete;
  DescriptorsBelow& operator=(const DescriptorsBelow&) = delete;

 private:
  rlimit before_{};
};

// Of all threads of this process.
std::chrono::nanoseconds processor_time() {
  timespec time{};
  EXPECT_EQ(::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time), 0);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

Limits short_deadlines() {
  Limits limits;
  limits.version_deadline = 200ms;
  return limits;
}

abi::VfioUserHeader header_of_size(std::uint32_t size) {
  abi::VfioUserHeader header = make_command(1, abi::vfio_user_version, 0);
  header.size = size;
  return header;
}

bool is_closed(Client& client) {
  return client.channel().receive().error().code == ECONNRESET;
}

TEST(HostileClient, half_a_header_and_then_nothing_is_closed_at_the_deadline) {
  LiveServer live({.limits = short_deadlines()});
  const Neighbour neighbour(live);
  Client client = live.silent_client(0);
  ASSERT_TRUE(client.channel().send(bytes_of(header_of_size(20)).first(7)));
  EXPECT_TRUE(neighbour.makes_progress());
  EXPECT_TRUE(is_closed(client));
  EXPECT_EQ(live.server->status().counters.silent_clients, 1u);
}

TEST(HostileClient, silence_is_closed_at_the_deadline) {
  LiveServer live({.limits = short_deadlines()});
  const Neighbour neighbour(live);
  Client client = live.silent_client(0);
  EXPECT_TRUE(is_closed(client));
  EXPECT_TRUE(neighbour.makes_progress());
}

TEST(HostileClient, silence_after_version_is_nobodys_business) {
  LiveServer live({.limits = short_deadlines()});
  Client client = live.client(0);
  std::this_thread::sleep_for(300ms);
  EXPECT_TRUE(client.read<std::uint32_t>(board_ram, 0));
}

TEST(HostileClient, a_wrong_size_ends_the_session) {
  LiveServer live;
  const Neighbour neighbour(live);
  for (const std::uint32_t size : {0U, 15U, 2U << 20, UINT32_MAX}) {
    Client client = live.silent_client(0);
    ASSERT_TRUE(client.channel().send(bytes_of(header_of_size(size))));
    EXPECT_TRUE(is_closed(client)) << size;
  }
  {
    Client client = live.client(0);
    ASSERT_TRUE(client.channel().send(bytes_of(header_of_size(3))));
    EXPECT_TRUE(is_closed(client));
  }
  EXPECT_TRUE(neighbour.makes_progress());
  EXPECT_EQ(live.server->status().counters.broken_frames, 5u);
  EXPECT_TRUE(live.client(0).read<std::uint32_t>(board_ram, 0));
}

TEST(HostileClient, a_header_that_promises_more_than_comes) {
  LiveServer live;
  const Neighbour neighbour(live);
  {
    Client client = live.client(0);
    ASSERT_TRUE(client.channel().send(bytes_of(header_of_size(1U << 20))));
    ASSERT_TRUE(client.channel().send(std::vector<std::byte>(1000)));
    EXPECT_TRUE(neighbour.makes_progress());
  }
  EXPECT_TRUE(live.client(0).read<std::uint32_t>(board_ram, 0));
}

TEST(HostileClient, noise_is_answered_or_ends_the_session) {
  LiveServer live;
  const Neighbour neighbour(live);
  std::mt19937 random(1);  // NOLINT(bugprone-random-generator-seed): a failing run must repeat itself
  for (int round = 0; round < 50; ++round) {
    Client client = live.silent_client(0);
    std::vector<std::byte> noise(1 + random() % 3000);
    for (std::byte& byte : noise) byte = static_cast<std::byte>(random());
    [[maybe_unused]] const Result<> sent = client.channel().send(noise);
  }
  EXPECT_TRUE(neighbour.makes_progress());
  EXPECT_TRUE(live.client(0).read<std::uint32_t>(board_ram, 0));
}

TEST(HostileClient, ten_thousand_unexpected_descriptors_are_closed) {
  LiveServer live;
  const Neighbour neighbour(live);
  Client client = live.client(0);
  const std::size_t before = open_descriptors();
  const os::UniqueFd one(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const std::vector<int> many(250, one.get());
  const abi::VfioUserDeviceInfo info{.argsz = 16, .flags = 0, .num_regions = 0, .num_irqs = 0};
  for (int i = 0; i < 40; ++i)
    EXPECT_EQ(client.call(abi::vfio_user_device_get_info, bytes_of(info), {}, many).error().code, EINVAL);
  EXPECT_TRUE(client.device_info());
  EXPECT_TRUE(neighbour.makes_progress());
  EXPECT_EQ(live.server->status().counters.unexpected_descriptors, 10000u);
  EXPECT_EQ(open_descriptors(), before + 1);
}

TEST(HostileClient, one_for_whom_no_descriptor_is_left_waits_at_no_cost_and_is_served_later) {
  LiveServer live;
  const int next_free = os::UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)).get();
  std::optional<DescriptorsBelow> room_for_its_own_end(next_free + 1);
  Client client = live.silent_client(0);
  const auto before = processor_time();
  pollfd answer{.fd = client.channel().socket(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&answer, 1, 500), 0);
  EXPECT_LT(processor_time() - before, 150ms) << "it makes the socket readable all the time";
  EXPECT_EQ(live.server->status().counters.sessions_begun, 0u);
  room_for_its_own_end.reset();
  EXPECT_TRUE(client.negotiate());
}

TEST(HostileClient, a_client_that_never_reads_its_replies_costs_only_itself) {
  LiveServer live;
  const Neighbour neighbour(live);
  {
    Client client = live.client(0, 300ms);
    const abi::VfioUserRegionAccess access{.offset = 0, .region = board_ram, .count = 1U << 20};
    const auto header = make_command(1, abi::vfio_user_region_read, sizeof access);
    std::vector<std::byte> request;
    for (const ConstBytes part : {bytes_of(header), bytes_of(access)})
      request.insert(request.end(), part.begin(), part.end());
    Result<> sent;
    std::size_t requests = 0;
    while (sent && requests < 100000) {
      sent = client.channel().send(request);
      ++requests;
    }
    EXPECT_EQ(sent.error().code, ETIMEDOUT) << "the server does not read on";
    EXPECT_TRUE(neighbour.makes_progress());
  }
  EXPECT_TRUE(live.client(0).read<std::uint32_t>(board_ram, 0));
}

TEST(HostileClient, a_client_that_reads_slowly_gets_everything) {
  LiveServer live;
  Client client = live.client(0);
  const abi::VfioUserRegionAccess access{.offset = 0, .region = board_ram, .count = 1U << 20};
  const auto header = make_command(1, abi::vfio_user_region_read, sizeof access);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(client.channel().send(bytes_of(header)));
    ASSERT_TRUE(client.channel().send(bytes_of(access)));
  }
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(5ms);
    const auto reply = client.channel().receive();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->payload.size(), sizeof access + (1U << 20));
  }
}

TEST(HostileClient, a_client_that_truncates_its_memory_gets_efault) {
  LiveServer live;
  const Neighbour neighbour(live);
  Client client = live.client(0);
  const os::UniqueFd memory = os::create_memfd("guest", 8 * page, os::MemfdSize::changeable).value();
  ASSERT_TRUE(client.dma_map(0, 8 * page, read_write, memory.get()));
  ASSERT_TRUE(client.write<std::uint64_t>(board_dma, 0, 4 * page));
  EXPECT_EQ(client.read<std::uint32_t>(board_dma, 0), 0u);
  ASSERT_EQ(::ftruncate(memory.get(), 0), 0);
  ASSERT_TRUE(client.write<std::uint64_t>(board_dma, 0, 4 * page));
  ASSERT_TRUE(client.write<std::uint64_t>(board_dma, 0, 4 * page));
  EXPECT_EQ(client.read<std::uint32_t>(board_dma, 0), static_cast<std::uint32_t>(EFAULT));
  EXPECT_TRUE(client.read<std::uint32_t>(board_ram, 0)) << "its session goes on";
  EXPECT_TRUE(neighbour.makes_progress());
}

std::vector<std::byte> posted_writes(std::size_t count) {
  const std::uint32_t value = 7;
  const abi::VfioUserRegionAccess access{.offset = 0, .region = board_ram, .count = sizeof value};
  auto header = make_command(1, abi::vfio_user_region_write, sizeof access + sizeof value);
  header.flags |= abi::vfio_user_flags_no_reply;
  std::vector<std::byte> messages;
  for (std::size_t i = 0; i < count; ++i)
    for (const ConstBytes part : {bytes_of(header), bytes_of(access), bytes_of(value)})
      messages.insert(messages.end(), part.begin(), part.end());
  return messages;
}

TEST(HostileClient, one_that_sends_without_a_pause_takes_turns_with_its_neighbours) {
  constexpr int many = 400;
  Limits limits;
  limits.messages_per_turn = 10;
  LiveServer live({.limits = limits});
  live.instances[1].state->write_count = live.instances[0].state->write_count;
  Client greedy = live.client(0);
  Client modest = live.client(1);
  std::atomic<bool> both_sent = false;
  live.workers->at(0).post([&] { both_sent.wait(false); });
  ASSERT_TRUE(greedy.channel().send(posted_writes(many)));
  ASSERT_TRUE(modest.channel().send(posted_writes(1)));
  both_sent = true;
  both_sent.notify_all();
  EXPECT_TRUE(greedy.read<std::uint32_t>(board_ram, 0)) << "which is behind its writes";
  EXPECT_TRUE(modest.read<std::uint32_t>(board_ram, 0));
  EXPECT_EQ(*live.instances[0].state->write_count, many + 1);
  EXPECT_LE(live.instances[1].state->last_write, 2 * static_cast<int>(limits.messages_per_turn));
}

TEST(HostileClient, what_was_posted_before_the_end_is_done_though_it_takes_several_turns) {
  constexpr int many = 400;
  Limits limits;
  limits.messages_per_turn = 10;
  LiveServer live({.limits = limits});
  {
    Client client = live.client(0);
    ASSERT_TRUE(client.channel().send(posted_writes(many)));
  }
  EXPECT_TRUE(eventually([&] { return live.is_idle(); }));
  EXPECT_EQ(*live.instances[0].state->write_count, many);
}

TEST(HostileClient, more_clients_than_the_limit_are_closed_at_once) {
  Limits limits;
  limits.sessions_per_endpoint = 3;
  LiveServer live({.limits = limits});
  std::vector<Client> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(live.silent_client(0));
  Client fourth = live.silent_client(0);
  EXPECT_TRUE(is_closed(fourth));
  EXPECT_EQ(live.server->status().counters.connections_refused, 1u);
  clients.pop_back();
  EXPECT_TRUE(eventually([&] { return live.silent_client(0).negotiate().has_value(); }));
}

// --- Devices that take their time.

TEST(SlowDevice, an_access_that_completes_later_holds_up_only_its_session) {
  LiveServer live;
  live.instances[0].state->delay_milliseconds = 2000;
  const Neighbour neighbour(live);
  Client client = live.client(0);
  std::atomic<bool> answered = false;
  std::thread waiting([&] {
    EXPECT_EQ(client.read<std::uint32_t>(board_slow, 0), 0x51515151u);
    answered = true;
  });
  EXPECT_TRUE(neighbour.makes_progress());
  EXPECT_FALSE(answered) << "the neighbour went on while this one waited";
  waiting.join();
}

TEST(SlowDevice, messages_behind_a_slow_access_wait_in_their_order) {
  LiveServer live;
  Client client = live.client(0);
  for (const std::uint32_t region : {board_slow, board_ram}) {
    const abi::VfioUserRegionAccess access{.offset = 0, .region = region, .count = 4};
    const auto header =
        make_command(static_cast<std::uint16_t>(region), abi::vfio_user_region_read, sizeof access);
    ASSERT_TRUE(client.channel().send(bytes_of(header)));
    ASSERT_TRUE(client.channel().send(bytes_of(access)));
  }
  EXPECT_EQ(client.channel().receive()->header.message_id, board_slow);
  EXPECT_EQ(client.channel().receive()->header.message_id, board_ram);
}

TEST(SlowDevice, one_that_never_answers_gets_its_client_an_error_and_holds_up_nobody) {
  LiveServer live({.access_deadline = 500ms});
  const Neighbour neighbour(live);
  Client client = live.client(0);
  const std::uint64_t before = neighbour.answers();
  EXPECT_EQ(client.read<std::uint32_t>(board_stuck, 0).error().code, ETIMEDOUT);
  EXPECT_GT(neighbour.answers(), before);
  EXPECT_EQ(client.read<std::uint32_t>(board_ram, 0).error().code, EIO) << "the device is faulted";
  EXPECT_TRUE(neighbour.makes_progress());
}

TEST(SlowDevice, a_client_that_dies_in_a_slow_access_gives_everything_back) {
  LiveServer live;
  {
    Client client = live.client(0);
    const os::UniqueFd memory = os::create_memfd("guest", page).value();
    ASSERT_TRUE(client.dma_map(0, page, read_write, memory.get()));
    const abi::VfioUserRegionAccess access{.offset = 0, .region = board_slow, .count = 4};
    ASSERT_TRUE(client.channel().send(bytes_of(make_command(1, abi::vfio_user_region_read, sizeof access))));
    ASSERT_TRUE(client.channel().send(bytes_of(access)));
  }
  EXPECT_TRUE(eventually([&] { return live.is_idle(); }));
}

// --- Death at any moment.

// What a client sends in its life, one message a piece, with the descriptors of each.
struct Recorded {
  std::vector<std::byte> bytes;
  std::vector<int> fds;
  bool answered = true;
};

std::vector<Recorded> record_life(int memory, int event) {
  std::vector<Recorded> life;
  std::uint16_t id = 0;
  const auto add = [&](abi::VfioUserCommand command, std::initializer_list<ConstBytes> parts,
                       std::vector<int> fds = {}, std::uint32_t flags = 0) {
    std::vector<std::byte> payload;
    for (const ConstBytes part : parts) payload.insert(payload.end(), part.begin(), part.end());
    const auto header = make_command(id++, command, payload.size(), flags);
    Recorded message{.bytes = {}, .fds = std::move(fds), .answered = wants_reply(header)};
    for (const ConstBytes part : {bytes_of(header), ConstBytes(payload)})
      message.bytes.insert(message.bytes.end(), part.begin(), part.end());
    life.push_back(std::move(message));
  };
  add(abi::vfio_user_version, {encode_version({})});
  for (std::uint64_t i = 0; i < 3; ++i)
    add(abi::vfio_user_dma_map,
        {bytes_of(abi::VfioUserDmaMap{
            .argsz = 32, .flags = read_write, .offset = i * page, .iova = i * page, .size = page})},
        {memory});
  add(abi::vfio_user_dma_map, {bytes_of(abi::VfioUserDmaMap{.argsz = 32,
                                                            .flags = abi::vfio_dma_map_flag_read,
                                                            .offset = 0,
                                                            .iova = 0xfffc0000,
                                                            .size = 0x40000})});
  add(abi::vfio_user_device_get_info, {bytes_of(abi::VfioUserDeviceInfo{.argsz = 16})});
  add(abi::vfio_user_device_get_region_info, {bytes_of(abi::VfioUserRegionInfo{.argsz = 200, .index = 1})});
  add(abi::vfio_user_device_set_irqs,
      {bytes_of(abi::VfioUserIrqSet{.argsz = 20, .flags = 0x24, .index = 0, .start = 0, .count = 1})},
      {event});
  add(abi::vfio_user_region_read,
      {bytes_of(abi::VfioUserRegionAccess{.offset = 0, .region = board_ram, .count = 64})});
  add(abi::vfio_user_region_write,
      {bytes_of(abi::VfioUserRegionAccess{.offset = 0, .region = board_dma, .count = 8}),
       bytes_of(std::uint64_t{page})},
      {}, abi::vfio_user_flags_no_reply);
  add(abi::vfio_user_region_read,
      {bytes_of(abi::VfioUserRegionAccess{.offset = 0, .region = board_slow, .count = 4})});
  add(abi::vfio_user_dma_unmap,
      {bytes_of(abi::VfioUserDmaUnmap{.argsz = 24, .flags = 0, .iova = 0, .size = page})});
  add(abi::vfio_user_device_reset, {});
  return life;
}

TEST(KilledClient, at_every_message_boundary_and_within_messages_nothing_is_left) {
  constexpr std::size_t rounds = 1000;
  Limits limits;
  limits.sessions_per_endpoint = rounds;  // the dead may be many before the server sees it
  LiveServer live({.limits = limits});
  live.instances[0].state->delay_milliseconds = 1;
  const os::UniqueFd memory = os::create_memfd("guest", 4 * page).value();
  const os::UniqueFd event(os::EventFd::create()->dup().value());
  const auto life = record_life(memory.get(), event.get());
  ASSERT_TRUE(eventually([&] { return live.is_idle(); }));
  const std::size_t before = open_descriptors();
  std::mt19937 random(1);  // NOLINT(bugprone-random-generator-seed): a failing run must repeat itself
  for (std::size_t round = 0; round < rounds; ++round) {
    const std::size_t last = round % (life.size() + 1);
    const bool waits_for_replies = (round / (life.size() + 1)) % 2 == 0;
    Client client = live.silent_client(0);
    for (std::size_t i = 0; i < last; ++i) {
      ASSERT_TRUE(client.channel().send(life[i].bytes, life[i].fds));
      if (waits_for_replies && life[i].answered) {
        [[maybe_unused]] const auto reply = client.channel().receive();
      }
    }
    // Every other time it dies inside the next message.
    if (last < life.size() && random() % 2 == 0) {
      const ConstBytes next = life[last].bytes;
      [[maybe_unused]] const Result<> sent =
          client.channel().send(next.first(random() % next.size()), life[last].fds);
    }
    client.channel().close();
  }
  // The last one may not have been accepted yet.
  EXPECT_TRUE(eventually([&] { return live.server->status().counters.sessions_begun == rounds; }));
  EXPECT_TRUE(eventually([&] { return live.is_idle(); }));
  EXPECT_EQ(live.server->status().counters.sessions_ended, rounds);
  EXPECT_TRUE(eventually([&] { return open_descriptors() == before; }));
  EXPECT_EQ(live.instances[0].state->opens, live.instances[0].state->closes);
  EXPECT_TRUE(live.client(0).read<std::uint32_t>(board_ram, 0));
}

// Its eventfd has no room and waits for some: that holds up the worker once, until the watch has looked
// twice.
TEST(HostileClient, a_full_eventfd_that_blocks_is_interrupted_and_not_trusted_again) {
  const auto watch = os::WriteWatch::start();
  ASSERT_TRUE(watch);
  LiveServer live;
  const Neighbour neighbour(live);
  const std::uint64_t before = os::WriteWatch::count_interrupted();
  for (const bool comes_back : {false, true}) {
    Client client = live.client(0);
    const os::UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    const int fd = event.get();
    ASSERT_TRUE(client.set_irqs({.flags = abi::vfio_irq_set_data_eventfd | abi::vfio_irq_set_action_trigger,
                                 .index = 0,
                                 .start = 0,
                                 .count = 1,
                                 .eventfds = std::span(&fd, 1),
                                 .bools = {}}));
    ASSERT_EQ(::fcntl(fd, F_SETFL, O_RDWR), 0);
    const std::uint64_t all_but_one = UINT64_MAX - 1;
    ASSERT_EQ(::write(fd, &all_but_one, sizeof all_but_one), 8);
    for (int raised = 0; raised < 200 || os::WriteWatch::count_interrupted() == before; ++raised)
      ASSERT_TRUE(client.write<std::uint32_t>(board_irq, 0, 1));
    EXPECT_TRUE(neighbour.makes_progress()) << comes_back;
  }
  EXPECT_EQ(os::WriteWatch::count_interrupted(), before + 1);
}

}  // namespace
}  // namespace umdev::vfio_user::test

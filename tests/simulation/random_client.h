// What clients do, by chance: mostly what they should.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "tests/support/vfio_user/model_client.h"

namespace umdev::simulation {

using Random = std::mt19937_64;

// 0 to limit - 1.
inline std::uint64_t below(Random& random, std::uint64_t limit) {
  return limit == 0 ? 0 : random() % limit;
}
inline bool chance(Random& random, unsigned percent) {
  return below(random, 100) < percent;
}

// The memory files that clients lend; pages that carry their number.
class ClientFiles {
 public:
  static constexpr std::size_t count = 4;
  static constexpr std::uint64_t pages_usual = 16;

  ClientFiles();
  std::uint64_t pages(std::size_t file) const { return pages_.at(file); }
  int fd(std::size_t file) const { return files_.at(file).get(); }
  void resize(std::size_t file, std::uint64_t pages);
  // Has it ever been shrunk? Then what a mapping of it shows is not what the file has.
  bool is_whole(std::size_t file) const { return whole_.at(file); }

 private:
  std::vector<os::UniqueFd> files_;
  std::vector<std::uint64_t> pages_ = std::vector<std::uint64_t>(count, pages_usual);
  std::vector<bool> whole_ = std::vector<bool>(count, true);
};

struct Message {
  std::vector<std::byte> bytes;
  std::vector<os::UniqueFd> fds;
  std::vector<test::SentDescriptor> descriptors;
};

// A VERSION that this server agrees with.
Message make_version(Random& random, std::uint16_t id);
// Any other command.
Message make_command(Random& random, std::uint16_t id, const ClientFiles& files, test::ClientModel& model);
// A write to the doorbell.
Message make_doorbell(std::uint16_t id, const test::Doorbell& doorbell);

}  // namespace umdev::simulation

// A driver's migration for tests of the core: says what the test wants, keeps what it is asked.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "umdev/vfio/migration.h"

namespace umdev::test {

struct FakeMigrationData final : vfio::MigrationData {
  Result<std::size_t> read(Bytes into) override {
    const std::size_t count = std::min(into.size(), bytes.size());
    std::copy_n(bytes.begin(), count, into.begin());
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
    return count;
  }
  Result<std::size_t> write(ConstBytes from) override {
    bytes.insert(bytes.end(), from.begin(), from.end());
    return from.size();
  }
  bool has_bytes() const override { return !bytes.empty(); }
  Result<vfio::PrecopyInfo> precopy_info() const override {
    return vfio::PrecopyInfo{.initial_bytes = bytes.size()};
  }

  std::vector<std::byte> bytes;
};

class FakeMigration final : public vfio::Migration {
 public:
  std::uint64_t flags() const override { return the_flags; }
  void arc(vfio::User&, vfio::MigrationState from, vfio::MigrationState to,
           Done<std::shared_ptr<vfio::MigrationData>> done) override {
    arcs.push_back(std::string(name_of(from)) + ">" + std::string(name_of(to)));
    if (hold) {
      held = std::move(done);
      return;
    }
    if (!errors.empty()) {
      const int error = errors.front();
      errors.pop_front();
      if (error != 0) return done(fail(error, "the test said so"));
    }
    const bool begins = is_transferring(to) && !(is_saving(to) && is_saving(from)) && !forget_data;
    if (begins) data = std::make_shared<FakeMigrationData>();
    done(begins ? data : nullptr);
  }
  void ended(vfio::User&) override { arcs.emplace_back("ended"); }
  Result<std::uint64_t> data_size() override { return 4711; }

  std::uint64_t the_flags =
      abi::vfio_migration_stop_copy | abi::vfio_migration_p2p | abi::vfio_migration_pre_copy;
  bool hold = false;         // arcs complete when the test calls `held`
  bool forget_data = false;  // the driver's mistake
  std::deque<int> errors;    // of the next arcs; 0 is success
  std::vector<std::string> arcs;
  std::shared_ptr<FakeMigrationData> data;  // of the last transfer
  Done<std::shared_ptr<vfio::MigrationData>> held;
};

}  // namespace umdev::test

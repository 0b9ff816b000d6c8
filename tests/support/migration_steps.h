// The steps of a migration, where they complete inline.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "umdev/vfio/device_file.h"

namespace umdev::test {

// SET of the state: the stream that it began, or null.
inline Result<std::shared_ptr<vfio::MigrationFile>> go(vfio::DeviceFile& file, vfio::MigrationState wanted) {
  Result<std::shared_ptr<vfio::MigrationFile>> result = fail(EINPROGRESS, "not completed inline");
  file.set_migration_state(
      wanted, [&](Result<std::shared_ptr<vfio::MigrationFile>> stream) { result = std::move(stream); });
  return result;
}

// Everything that there is to read, in pieces of up to `piece` bytes, until the end or ENOMSG.
inline std::vector<std::byte> read_all(vfio::MigrationFile& stream, std::size_t piece = 4096) {
  std::vector<std::byte> all;
  std::vector<std::byte> buffer(piece);
  for (;;) {
    const auto count = stream.read(buffer);
    if (!count) {
      EXPECT_EQ(count.error().code, ENOMSG) << count.error().text;
      return all;
    }
    if (*count == 0) return all;
    all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*count));
  }
}

inline Result<> write_all(vfio::MigrationFile& stream, ConstBytes bytes, std::size_t piece = 4096) {
  while (!bytes.empty()) {
    const std::size_t count = std::min(piece, bytes.size());
    if (UMDEV_TRY(stream.write(bytes.first(count))) != count) return fail(EIO, "a part of it was taken");
    bytes = bytes.subspan(count);
  }
  return {};
}

// The device's whole stream, by way of STOP_COPY; the device is in `after` then.
inline std::vector<std::byte> save(vfio::DeviceFile& file,
                                   vfio::MigrationState after = vfio::MigrationState::running) {
  const auto stream = go(file, vfio::MigrationState::stop_copy).value();
  std::vector<std::byte> bytes = read_all(*stream);
  EXPECT_TRUE(go(file, after));
  return bytes;
}

// Gives the device a stream and lets it go to `after`; the error is the first one. The device is in RESUMING
// after an error.
inline Result<> load(vfio::DeviceFile& file, ConstBytes bytes,
                     vfio::MigrationState after = vfio::MigrationState::running) {
  const auto stream = UMDEV_TRY(go(file, vfio::MigrationState::resuming));
  UMDEV_TRY(write_all(*stream, bytes));
  UMDEV_TRY(go(file, after));
  return {};
}

}  // namespace umdev::test

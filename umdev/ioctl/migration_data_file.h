// The data stream of a migration: what VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE returns.
#pragma once

#include <memory>

#include "umdev/ioctl/world.h"
#include "umdev/vfio/migration_file.h"

namespace umdev::ioctl {

class MigrationDataFile final : public File {
 public:
  MigrationDataFile(std::shared_ptr<const World> world, std::shared_ptr<vfio::MigrationFile> data)
      : world_(std::move(world)), data_(std::move(data)) {}

  // ^File
  FileKind kind() const override { return FileKind::migration_data; }
  bool is_stream() const override { return true; }
  void ioctl(std::uint32_t command, std::uint64_t argument, std::shared_ptr<Caller> caller,
             Done<Answer> done) override;
  void read(std::uint64_t offset, Bytes into, std::shared_ptr<void> owner, Done<std::size_t> done) override;
  void write(std::uint64_t offset, ConstBytes from, std::shared_ptr<void> owner,
             Done<std::size_t> done) override;
  Readiness readiness() const override;
  void when_ready(Done<> done) override { data_->when_ready(std::move(done)); }

 private:
  Result<> get_precopy_info(Caller& caller, UserAddress argument);

  const std::shared_ptr<const World> world_;
  const std::shared_ptr<vfio::MigrationFile> data_;
};

}  // namespace umdev::ioctl

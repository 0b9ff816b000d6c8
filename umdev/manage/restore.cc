#include "umdev/manage/restore.h"

#include <algorithm>
#include <utility>

#include "umdev/abi/vfio.h"

namespace umdev::manage {
namespace {

using vfio::MigrationState;

constexpr std::uint32_t config_region = abi::vfio_pci_config_region_index;
// Vendor and device, at the front of configuration space: never written, so they say whose it is.
constexpr std::size_t config_identity = 4;

class Restoring : public std::enable_shared_from_this<Restoring> {
 public:
  Restoring(std::shared_ptr<const MovedInstance> moved, std::shared_ptr<vfio::DeviceFile> file,
            MigrationState until, Done<> done)
      : moved_(std::move(moved)), file_(std::move(file)), until_(until), done_(std::move(done)) {}

  void begin() {
    if (const auto state = file_->migration_state(); !state)
      return end(fail(EOPNOTSUPP, "the device does not migrate"));
    if (moved_->config.empty()) return resume();
    const auto region = file_->region_info(config_region);
    if (!region || region->size != moved_->config.size())
      return end(fail(EINVAL, "configuration space of another device"));
    buffer_->assign(config_identity, std::byte{0});
    file_->read(config_region, 0, *buffer_, buffer_,
                [self = shared_from_this()](Result<std::size_t> count) { self->identified(count); });
  }

 private:
  void identified(const Result<std::size_t>& count) {
    if (!count) return end(std::unexpected(count.error()));
    if (!std::ranges::equal(*buffer_, ConstBytes(moved_->config).first(config_identity)))
      return end(fail(EINVAL, "configuration space of another device"));
    *buffer_ = moved_->config;
    file_->write(config_region, 0, *buffer_, buffer_,
                 [self = shared_from_this()](Result<std::size_t> written) {
                   if (!written) return self->end(std::unexpected(written.error()));
                   self->resume();
                 });
  }

  void resume() {
    file_->set_migration_state(
        MigrationState::resuming,
        [self = shared_from_this()](Result<std::shared_ptr<vfio::MigrationFile>> stream) {
          if (!stream) return self->end(std::unexpected(stream.error()));
          self->load(**stream);
        });
  }

  void load(vfio::MigrationFile& stream) {
    if (const auto written = stream.write(moved_->state); !written)
      return end(std::unexpected(written.error()));
    file_->set_migration_state(
        until_, [self = shared_from_this()](Result<std::shared_ptr<vfio::MigrationFile>> data) {
          if (!data) return self->end(std::unexpected(data.error()));
          self->end({});
        });
  }

  void end(Result<> result) {
    file_.reset();
    done_(std::move(result));
  }

  const std::shared_ptr<const MovedInstance> moved_;
  std::shared_ptr<vfio::DeviceFile> file_;
  const MigrationState until_;
  Done<> done_;
  const std::shared_ptr<std::vector<std::byte>> buffer_ = std::make_shared<std::vector<std::byte>>();
};

}  // namespace

void restore(std::shared_ptr<const MovedInstance> moved, std::shared_ptr<vfio::DeviceFile> file,
             vfio::MigrationState until, Done<> done) {
  std::make_shared<Restoring>(std::move(moved), std::move(file), until, std::move(done))->begin();
}

}  // namespace umdev::manage

#include "umdev/kernel/module_migration.h"

#include <linux/vfio.h>

#include "include/umdev/kernel/umdev/migration.h"
#include "umdev/kernel/error_pointer.h"
#include "umdev/kernel/file_object.h"
#include "umdev/kernel/file_stream.h"
#include "umdev/kernel/inside.h"
#include "umdev/kernel/module.h"

namespace umdev::kernel {

using vfio::MigrationState;

namespace {

// The kernel that brought migration_get_data_size().
constexpr std::uint32_t api_with_data_size = 0x060200;

bool is_whole(const ::vfio_migration_ops& ops, std::uint32_t api) {
  return ops.migration_set_state != nullptr && ops.migration_get_state != nullptr &&
         (ops.migration_get_data_size != nullptr || api < api_with_data_size);
}

bool is_whole(const ::vfio_log_ops& ops) {
  return ops.log_start != nullptr && ops.log_stop != nullptr && ops.log_read_and_clear != nullptr;
}

bool stays_in_transfer(MigrationState from, MigrationState to) {
  return vfio::is_saving(from) && vfio::is_saving(to);
}

}  // namespace

Result<std::unique_ptr<ModuleMigration>> ModuleMigration::create(std::shared_ptr<VfioRecord> record) {
  const ::vfio_device& object = *record->object();
  if (object.log_ops != nullptr && !is_whole(*object.log_ops))
    return fail(EINVAL, "the device's log lacks a callback");
  if (object.mig_ops == nullptr) return nullptr;
  if (!is_whole(*object.mig_ops, record->module().api()))
    return fail(EINVAL, "the device's migration lacks a callback");
  if ((object.migration_flags & abi::vfio_migration_stop_copy) == 0)
    return fail(EINVAL, "migration without STOP_COPY");
  return std::make_unique<ModuleMigration>(std::move(record), *object.mig_ops);
}

ModuleMigration::ModuleMigration(std::shared_ptr<VfioRecord> record, const ::vfio_migration_ops& ops)
    : record_(std::move(record)),
      ops_(ops),
      flags_(record_->object()->migration_flags),
      logs_dma_(record_->object()->log_ops != nullptr) {}

ModuleMigration::~ModuleMigration() = default;

CallName ModuleMigration::call_name(const char* callback) const {
  return {.module = &record_->module(), .callback = callback, .device = record_->name().c_str()};
}

std::shared_ptr<FileStream> ModuleMigration::exchange_stream(std::shared_ptr<FileStream> stream) {
  Lock lock(mutex_);
  return std::exchange(stream_, std::move(stream));
}

struct ModuleMigration::ArcTask final : Task {
  using Answer = std::shared_ptr<vfio::MigrationData>;
  ArcTask(ModuleMigration& of, MigrationState begin, MigrationState end, Done<Answer> then)
      : migration(of), from(begin), to(end), done(std::move(then)) {}
  ModuleMigration& migration;
  MigrationState from;
  MigrationState to;
  Done<Answer> done;
  Result<Answer> result;

  void run(Call& call) override {
    const Inside inside(call, *migration.record_);
    ::file* const file = migration.ops_.migration_set_state(migration.record_->object(),
                                                            static_cast<::vfio_device_mig_state>(to));
    if (const int error = error_of_pointer(file); error != 0) {
      result = fail(error, "the module's change of state failed");
      ask_where_it_is();
      return;
    }
    // Whoever gives a file where no transfer begins finds it put again, as one that no user takes.
    const bool begins = vfio::is_transferring(to) && !stays_in_transfer(from, to);
    std::shared_ptr<FileStream> stream =
        file != nullptr ? std::make_shared<FileStream>(migration.record_, file) : nullptr;
    if (!begins && stream) std::exchange(stream, nullptr)->close();
    if (stays_in_transfer(from, to)) return;
    if (const auto before = migration.exchange_stream(stream)) before->close();
    result = Answer(std::move(stream));
  }
  void ask_where_it_is() {
    ::vfio_device_mig_state state = VFIO_DEVICE_STATE_ERROR;
    const int answer = migration.ops_.migration_get_state(migration.record_->object(), &state);
    migration.is_lost_ = answer == 0 && state == VFIO_DEVICE_STATE_ERROR;
  }
  void crashed() override { result = module_crashed(); }
  void finish() override { done(std::move(result)); }
};

void ModuleMigration::arc(vfio::User&, MigrationState from, MigrationState to,
                          Done<std::shared_ptr<vfio::MigrationData>> done) {
  is_lost_ = false;
  record_->module().world().calls().start(call_name("migration_set_state"),
                                          ArcTask(*this, from, to, std::move(done)));
}

MigrationState ModuleMigration::state_after_failure(const Error& error, MigrationState from) const {
  return is_lost_ ? MigrationState::error : Migration::state_after_failure(error, from);
}

// The driver has gone back by itself, in its reset or in its close. What is left to do is to put its file.
void ModuleMigration::ended(vfio::User&) {
  if (const auto stream = exchange_stream(nullptr)) stream->close_by_call();
}

Result<std::uint64_t> ModuleMigration::data_size() {
  if (ops_.migration_get_data_size == nullptr) return fail(ENOTTY, "the device does not say its size");
  return record_->module().world().calls().ask(
      call_name("migration_get_data_size"),
      [record = record_, &ops = ops_](Call& call) -> Result<std::uint64_t> {
        const Inside inside(call, *record);
        unsigned long length = 0;
        const int answer = ops.migration_get_data_size(record->object(), &length);
        if (answer != 0) return fail(-answer, "the module's migration_get_data_size failed");
        return length;
      });
}

int vfio_mig_get_next_state(umdev_u64 flags, umdev_u32 from, umdev_u32 wanted, umdev_u32* next) {
  const auto from_state = vfio::migration_state_of(from);
  const auto wanted_state = vfio::migration_state_of(wanted);
  if (!from_state || !wanted_state) return -EINVAL;
  const auto step = vfio::next_migration_state(flags, *from_state, *wanted_state);
  if (!step) return -step.error().code;
  *next = static_cast<umdev_u32>(*step);
  return 0;
}

}  // namespace umdev::kernel

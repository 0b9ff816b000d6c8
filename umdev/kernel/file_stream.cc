#include "umdev/kernel/file_stream.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "umdev/abi/migration.h"
#include "umdev/abi/vfio_ioctl.h"
#include "umdev/kernel/answer.h"
#include "umdev/kernel/file_object.h"
#include "umdev/kernel/inside.h"
#include "umdev/kernel/module.h"

namespace umdev::kernel {
namespace {

constexpr std::size_t piece_max = std::size_t{1} << 20;
constexpr unsigned mode_stream = 0x200000;  // FMODE_STREAM

// With the position that the file's kind wants.
template <typename Access>
ssize_t at_position(::file& file, Access access) {
  if ((file.f_mode & mode_stream) != 0) return access(nullptr);
  umdev_loff_t position = file.f_pos;
  const ssize_t answer = access(&position);
  file.f_pos = position;
  return answer;
}

}  // namespace

::file* FileStream::Held::get() {
  Lock lock(mutex);
  return file == nullptr ? nullptr : get_file(file);
}

void FileStream::Held::close() {
  ::file* mine = nullptr;
  {
    Lock lock(mutex);
    mine = std::exchange(file, nullptr);
  }
  if (mine != nullptr) fput(mine);
}

// `body` owns what it touches: the call may outlive the stream.
template <typename Body>
auto FileStream::use(const char* callback, Body body) const {
  using Answer = std::invoke_result_t<Body&, Call&, ::file&>;
  const CallName name{.module = &record_->module(), .callback = callback, .device = record_->name().c_str()};
  return record_->module().world().calls().ask(
      name, [held = held_, record = record_, body = std::move(body)](Call& call) mutable -> Answer {
        const Inside inside(call, *record);
        ::file* const file = held->get();
        if (file == nullptr) return fail(ENODEV, "the transfer is over");
        Answer answer = body(call, *file);
        fput(file);
        return answer;
      });
}

Result<std::size_t> FileStream::read(Bytes into) {
  auto bytes = std::make_shared<std::vector<std::byte>>(std::min(into.size(), piece_max));
  const auto count = use("file read", [bytes](Call& call, ::file& file) -> Result<std::size_t> {
    if (file.f_op->read == nullptr) return fail(EINVAL, "the module's file has no read");
    const UserMemory memory(call, Bytes(*bytes));
    const ssize_t answer = at_position(file, [&](umdev_loff_t* position) {
      return file.f_op->read(&file, reinterpret_cast<char*>(bytes->data()), bytes->size(), position);
    });
    return to_count(answer, bytes->size(), "the module's file cannot be read");
  });
  if (count) std::ranges::copy_n(bytes->begin(), static_cast<std::ptrdiff_t>(*count), into.begin());
  return count;
}

Result<std::size_t> FileStream::write(ConstBytes from) {
  auto bytes = std::make_shared<const std::vector<std::byte>>(from.begin(), from.end());
  return use("file write", [bytes](Call& call, ::file& file) -> Result<std::size_t> {
    if (file.f_op->write == nullptr) return fail(EINVAL, "the module's file has no write");
    // A file may take less than it is given; the stream's user is told of all or of an error.
    for (std::size_t taken = 0; taken < bytes->size();) {
      const ConstBytes rest = ConstBytes(*bytes).subspan(taken);
      const UserMemory memory(call, rest);
      const ssize_t answer = at_position(file, [&](umdev_loff_t* position) {
        return file.f_op->write(&file, reinterpret_cast<const char*>(rest.data()), rest.size(), position);
      });
      const std::size_t count =
          UMDEV_TRY(to_count(answer, rest.size(), "the module's file cannot be written"));
      if (count == 0) return fail(EIO, "the module's file takes nothing");
      taken += count;
    }
    return bytes->size();
  });
}

Result<vfio::PrecopyInfo> FileStream::precopy_info() const {
  return use("file ioctl", [](Call& call, ::file& file) -> Result<vfio::PrecopyInfo> {
    if (file.f_op->unlocked_ioctl == nullptr) return fail(ENOTTY, "the module's file has no ioctl");
    abi::VfioPrecopyInfo info{};
    info.argsz = sizeof(info);
    const UserMemory memory(call, Bytes(reinterpret_cast<std::byte*>(&info), sizeof(info)));
    const long answer = file.f_op->unlocked_ioctl(&file, abi::vfio_mig_get_precopy_info,
                                                  reinterpret_cast<unsigned long>(&info));
    if (answer < 0) return fail(static_cast<int>(-answer), "the module's file failed");
    return vfio::PrecopyInfo{.initial_bytes = info.initial_bytes, .dirty_bytes = info.dirty_bytes};
  });
}

void FileStream::close_by_call() const {
  struct CloseTask final : Task {
    CloseTask(std::shared_ptr<VfioRecord> of, std::shared_ptr<Held> what)
        : record(std::move(of)), held(std::move(what)) {}
    std::shared_ptr<VfioRecord> record;
    std::shared_ptr<Held> held;
    void run(Call& call) override {
      const Inside inside(call, *record);
      held->close();
    }
    void finish() override {}
  };
  const CallName name{
      .module = &record_->module(), .callback = "file release", .device = record_->name().c_str()};
  record_->module().world().calls().start(name, CloseTask(record_, held_));
}

}  // namespace umdev::kernel

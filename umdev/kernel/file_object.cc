#include "umdev/kernel/file_object.h"

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>

#include "umdev/kernel/belongings.h"
#include "umdev/kernel/error_pointer.h"
#include "umdev/kernel/module.h"
#include "umdev/vfio/group.h"

namespace umdev::kernel {
namespace {

// FMODE_*.
constexpr unsigned mode_read = 0x1;
constexpr unsigned mode_write = 0x2;
constexpr unsigned mode_seeks = 0x1c;

struct FileObject {
  explicit FileObject(Module& of) : module(of) {}
  Module& module;
  ::file file = {};
  ::inode inode = {};
  std::atomic<int> references = 1;
  std::shared_ptr<vfio::GroupFile> group;  // what it stands for, if it is one of VFIO's
  os::UniqueFd fd;                         // and if it is one that came with a request
};

FileObject& object_of(const ::file* file) {
  return *static_cast<FileObject*>(file->umdev);
}

unsigned mode_of(int flags) {
  const int access = flags & O_ACCMODE;
  return mode_seeks | (access != O_WRONLY ? mode_read : 0) | (access != O_RDONLY ? mode_write : 0);
}

const ::file_operations no_operations{};

// In the kernel it would keep the module in place. What is left at the module's end is freed; its release is
// not called any more, for what it would look at may be gone.
FileObject& make(Module& module, const ::file_operations& operations, std::string name) {
  auto made = std::make_unique<FileObject>(module);
  made->file.f_op = &operations;
  made->file.f_inode = &made->inode;
  made->file.umdev = made.get();
  FileObject& object = *made.release();
  module.belongings().add(&object.file, "file", std::move(name),
                          [&object] { const std::unique_ptr<FileObject> left(&object); });
  return object;
}

}  // namespace

::file* anon_inode_getfile(::module* owner, const char* name, const ::file_operations* operations, void* priv,
                           int flags) {
  if (operations == nullptr) return error_pointer<::file>(EINVAL);
  ::file& file = make(*static_cast<Module*>(owner->umdev), *operations, name).file;
  file.f_flags = static_cast<unsigned>(flags);
  file.f_mode = mode_of(flags);
  file.private_data = priv;
  return &file;
}

::file* make_group_file(Module& module, std::shared_ptr<vfio::GroupFile> group) {
  FileObject& object = make(module, no_operations, "group " + group->group().name());
  object.file.f_mode = mode_of(O_RDWR);
  object.group = std::move(group);
  return &object.file;
}

std::shared_ptr<vfio::GroupFile> group_of(const ::file* file) {
  return file == nullptr ? nullptr : object_of(file).group;
}

::file* fget(::module* owner, int fd) {
  const Call* const call = current_call();
  if (call == nullptr || fd < 0) return nullptr;
  const auto lent = std::ranges::find(call->descriptors, fd, &os::UniqueFd::get);
  auto own = lent != call->descriptors.end() ? lent->dup() : fail(EBADF, "no such descriptor");
  if (!own) return nullptr;
  FileObject& object = make(*static_cast<Module*>(owner->umdev), no_operations, "descriptor");
  object.file.f_mode = mode_of(O_RDWR);
  object.fd = std::move(*own);
  return &object.file;
}

const os::UniqueFd* descriptor_of(const ::file* file) {
  return file != nullptr && object_of(file).fd ? &object_of(file).fd : nullptr;
}

::file* get_file(::file* object) {
  ++object_of(object).references;
  return object;
}

void fput(::file* object) {
  FileObject& owned = object_of(object);
  if (owned.references.fetch_sub(1) != 1) return;
  const std::unique_ptr<FileObject> last(&owned);
  owned.module.belongings().remove(object);
  if (object->f_op->release != nullptr) object->f_op->release(&owned.inode, object);
}

}  // namespace umdev::kernel

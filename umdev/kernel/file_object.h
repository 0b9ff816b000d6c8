// Files that a module makes of operations of its own (anon_inode_getfile).
//
// A struct file is counted: the module has one reference, whoever it gives the file to another. The last one
// that is put calls the file's release, inside the call that it is put in.
#pragma once

#include <memory>

#include "include/umdev/kernel/umdev/services.h"
#include "umdev/os/unique_fd.h"

namespace umdev::vfio {
class GroupFile;
}

namespace umdev::kernel {

class Module;

// A file that stands for one of VFIO's: the module only hands it on. Has a reference.
::file* make_group_file(Module& module, std::shared_ptr<vfio::GroupFile> group);
// Null: null, or the file of something else.
std::shared_ptr<vfio::GroupFile> group_of(const ::file* file);

// The descriptor that a file of fget() stands for; null for another one, and for null.
const os::UniqueFd* descriptor_of(const ::file* file);

// The services. Any thread, in a call of the module.
// Null: it did not come with the request in service.
::file* fget(::module* owner, int fd);
::file* anon_inode_getfile(::module* owner, const char* name, const ::file_operations* operations, void* priv,
                           int flags);
::file* get_file(::file* object);
void fput(::file* object);

}  // namespace umdev::kernel

#include "umdev/kernel/module_file.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <link.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include <atomic>

#include "umdev/kernel/shared_object.h"
#include "umdev/os/memfd.h"
#include "umdev/os/system_error.h"

namespace umdev::kernel {
namespace {

// How often a file that was replaced is found under its name while what it was before stays mapped.
constexpr unsigned turns = 8;

std::unexpected<Refusal> refuse(const std::string& path, const Error& error) {
  return std::unexpected(Refusal{.error = error, .text = fmt::format("{}: {}", path, error.text)});
}

std::unexpected<Refusal> refuse_loading(const char* says) {
  return std::unexpected(Refusal{.error = Error{ENOEXEC, "the dynamic linker refuses the file"},
                                 .text = says != nullptr ? says : "the dynamic linker refuses it"});
}

// "/a/b.so", "/a/./b.so", "/a/././b.so"
std::string name_of_turn(const std::string& path, unsigned turn) {
  const auto slash = path.rfind('/');
  std::string name = slash == std::string::npos ? "./" : path.substr(0, slash + 1);
  for (; turn > 0; --turn) name += "./";
  return name + path.substr(slash == std::string::npos ? 0 : slash + 1);
}

struct Search {
  std::uintptr_t address;  // of something in the object
  os::GuardedCode found;
};

bool contains(const dl_phdr_info& info, const ElfW(Phdr) & segment, std::uintptr_t address) {
  const std::uintptr_t begin = info.dlpi_addr + segment.p_vaddr;
  return segment.p_type == PT_LOAD && address >= begin && address - begin < segment.p_memsz;
}

int look_at(dl_phdr_info* info, std::size_t, void* raw) {
  auto& search = *static_cast<Search*>(raw);
  bool is_it = false;
  os::GuardedCode code;
  for (int index = 0; index < info->dlpi_phnum; ++index) {
    const auto& segment = info->dlpi_phdr[index];
    is_it = is_it || contains(*info, segment, search.address);
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
    const std::uintptr_t begin = info->dlpi_addr + segment.p_vaddr;
    if (code.end == 0 || begin < code.begin) code.begin = begin;
    if (begin + segment.p_memsz > code.end) code.end = begin + segment.p_memsz;
  }
  if (is_it) search.found = code;
  return is_it ? 1 : 0;
}

Result<os::UniqueFd> copy_file(const std::string& path) {
  const os::UniqueFd from(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!from) return os::fail_errno("the file cannot be opened");
  struct stat status{};
  if (::fstat(from.get(), &status) != 0) return os::fail_errno("the file cannot be looked at");
  auto copy = UMDEV_TRY(os::create_memfd("umdev-module", 0, os::MemfdSize::changeable));
  auto left = static_cast<std::size_t>(status.st_size);
  while (left > 0) {
    const ssize_t count = ::sendfile(copy.get(), from.get(), nullptr, left);
    if (count <= 0) return fail(EIO, "the file cannot be copied");
    left -= static_cast<std::size_t>(count);
  }
  return copy;
}

os::GuardedCode find_code(const void* inside) {
  Search search{.address = reinterpret_cast<std::uintptr_t>(inside), .found = {}};
  ::dl_iterate_phdr(look_at, &search);
  return search.found;
}

}  // namespace

std::expected<std::unique_ptr<ModuleFile>, Refusal> ModuleFile::open(const std::string& path) {
  const auto described = read_shared_object(path);
  if (!described) return refuse(path, described.error());
  if (needs_address_sanitizer(*described) && !has_address_sanitizer())
    return refuse(path, Error{ENOEXEC,
                              "it was compiled with AddressSanitizer, which has to be there when the "
                              "program starts: start umdevd with --module"});
  // By its own name as long as that goes: a debugger and a sanitizer look into the file.
  for (unsigned turn = 0; turn < turns; ++turn) {
    auto file = map(name_of_turn(path, turn));
    if (!file || (*file)->is_fresh()) return file;
  }
  const auto copy = copy_file(path);
  if (!copy) return refuse(path, copy.error());
  static std::atomic<unsigned> copies = 0;  // a name that was not there before
  return map(name_of_turn("/proc/self/fd/" + std::to_string(copy->get()), ++copies));
}

std::expected<std::unique_ptr<ModuleFile>, Refusal> ModuleFile::map(const std::string& name) {
  // Now: a name that is missing is told here, not in the middle of a request.
  void* const handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return refuse_loading(::dlerror());
  std::unique_ptr<ModuleFile> file(new ModuleFile(handle));
  file->object_ = static_cast<const ::umdev_module*>(::dlsym(handle, UMDEV_MODULE_SYMBOL));
  if (file->object_ == nullptr || file->object_->self == nullptr)
    return refuse(name, Error{ENOEXEC, "it is a shared object, but no module: compile it with umdev cc"});
  file->code_ = find_code(file->object_);
  file->code_.name = file->object_->name;
  return file;
}

ModuleFile::~ModuleFile() {
  if (!kept_) {
    ::dlclose(handle_);
    return;
  }
  // Its variables are no longer what a module begins with.
  object_->self->umdev = handle_;
}

}  // namespace umdev::kernel

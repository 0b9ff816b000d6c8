#include "umdev/kernel/shared_object.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "umdev/os/system_error.h"
#include "umdev/os/unique_fd.h"

namespace umdev::kernel {
namespace {

#if defined(__x86_64__)
constexpr Elf64_Half machine = EM_X86_64;
#elif defined(__aarch64__)
constexpr Elf64_Half machine = EM_AARCH64;
#else
#error "say here which machine the modules are for"
#endif

constexpr std::uint64_t file_max = std::uint64_t{1} << 30;
constexpr std::size_t needed_max = 256;

// Structures of the file, wherever they lie; nothing for what is not in it.
class File {
 public:
  explicit File(ConstBytes bytes) : bytes_(bytes) {}

  template <typename T>
  std::optional<T> at(std::uint64_t offset) const {
    if (offset > bytes_.size() || bytes_.size() - offset < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof(T));
    return value;
  }
  std::optional<std::string> text_at(std::uint64_t offset) const {
    if (offset >= bytes_.size()) return std::nullopt;
    const auto* begin = reinterpret_cast<const char*>(bytes_.data()) + offset;
    const auto* end = static_cast<const char*>(std::memchr(begin, 0, bytes_.size() - offset));
    if (end == nullptr) return std::nullopt;
    return std::string(begin, end);
  }

 private:
  ConstBytes bytes_;
};

bool is_of_this_machine(const Elf64_Ehdr& header) {
  return std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == ELFCLASS64 &&
         header.e_ident[EI_DATA] == ELFDATA2LSB && header.e_machine == machine && header.e_type == ET_DYN;
}

// Where in the file what is mapped at an address lies.
std::optional<std::uint64_t> offset_of(const std::vector<Elf64_Phdr>& segments, std::uint64_t address) {
  for (const Elf64_Phdr& segment : segments)
    if (segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
        address - segment.p_vaddr < segment.p_filesz)
      return address - segment.p_vaddr + segment.p_offset;
  return std::nullopt;
}

std::unexpected<Error> broken() {
  return fail(ENOEXEC, "the shared object is not whole");
}

}  // namespace

Result<SharedObject> read_shared_object(ConstBytes bytes) {
  const File file(bytes);
  const auto header = file.at<Elf64_Ehdr>(0);
  if (!header || !is_of_this_machine(*header))
    return fail(ENOEXEC, "it is no shared object for this machine");
  std::vector<Elf64_Phdr> segments;
  for (std::uint64_t index = 0; index < header->e_phnum; ++index) {
    const auto segment = file.at<Elf64_Phdr>(header->e_phoff + index * sizeof(Elf64_Phdr));
    if (!segment) return broken();
    segments.push_back(*segment);
  }
  const auto dynamic = std::find_if(segments.begin(), segments.end(),
                                    [](const Elf64_Phdr& segment) { return segment.p_type == PT_DYNAMIC; });
  if (dynamic == segments.end()) return fail(ENOEXEC, "it is no shared object");
  std::optional<std::uint64_t> names;
  std::vector<std::uint64_t> needed;
  for (std::uint64_t at = 0; at + sizeof(Elf64_Dyn) <= dynamic->p_filesz; at += sizeof(Elf64_Dyn)) {
    const auto entry = file.at<Elf64_Dyn>(dynamic->p_offset + at);
    if (!entry) return broken();
    if (entry->d_tag == DT_NULL) break;
    if (entry->d_tag == DT_STRTAB) names = offset_of(segments, entry->d_un.d_ptr);
    if (entry->d_tag == DT_NEEDED) needed.push_back(entry->d_un.d_val);
    if (needed.size() > needed_max) return broken();
  }
  SharedObject object;
  for (const std::uint64_t name : needed) {
    auto text = names ? file.text_at(*names + name) : std::nullopt;
    if (!text) return broken();
    object.needed.push_back(std::move(*text));
  }
  return object;
}

Result<SharedObject> read_shared_object(const std::string& path) {
  const os::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return os::fail_errno("the file cannot be opened");
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return os::fail_errno("the file cannot be looked at");
  if (!S_ISREG(status.st_mode)) return fail(ENOEXEC, "it is no regular file");
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size == 0) return fail(ENOEXEC, "the file is empty");
  if (size > file_max) return fail(EFBIG, "the file is too large for a module");
  // Read, not mapped: somebody may truncate it.
  std::vector<std::byte> bytes(size);
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count =
        ::pread(fd.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (count < 0) return os::fail_errno("the file cannot be read");
    if (count == 0) return broken();
    done += static_cast<std::size_t>(count);
  }
  return read_shared_object(ConstBytes(bytes));
}

bool needs_address_sanitizer(const SharedObject& object) {
  return std::any_of(object.needed.begin(), object.needed.end(), [](const std::string& name) {
    return name.starts_with("libasan.") || name.starts_with("libclang_rt.asan");
  });
}

bool has_address_sanitizer() {
  return ::dlsym(RTLD_DEFAULT, "__asan_init") != nullptr;
}

}  // namespace umdev::kernel

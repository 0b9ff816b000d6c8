#include "umdev/run/filter.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <linux/vfio.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <vector>

#include "umdev/os/memfd.h"
#include "umdev/os/system_error.h"

namespace umdev::run {
namespace {

struct Release {
  void operator()(void* filter) const { ::seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Release>;

// libseccomp says its errors as negative numbers.
Result<> check(int status) {
  if (status < 0) return fail(-status, "libseccomp does not take the filter");
  return {};
}

// A call of that number, when one of its arguments is so.
Result<> stop_at(const Filter& filter, int call, const scmp_arg_cmp& condition) {
  return check(::seccomp_rule_add_array(filter.get(), SCMP_ACT_NOTIFY, call, 1, &condition));
}

Result<Filter> describe_filter() {
  Filter filter(::seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) return fail(EINVAL, "libseccomp makes no filter");
  // A program of another architecture finds the nodes, without what a file system cannot do.
  UMDEV_TRY(check(::seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW)));
  constexpr std::array<std::uint64_t, 4> commands{VFIO_GROUP_GET_DEVICE_FD, VFIO_DEVICE_FEATURE,
                                                  VFIO_DEVICE_GET_GFX_DMABUF, KVM_SET_DEVICE_ATTR};
  for (const std::uint64_t command : commands)
    UMDEV_TRY(stop_at(filter, SCMP_SYS(ioctl),
                      {.arg = 1, .op = SCMP_CMP_MASKED_EQ, .datum_a = UINT32_MAX, .datum_b = command}));
  UMDEV_TRY(stop_at(
      filter, SCMP_SYS(mmap),
      {.arg = 3, .op = SCMP_CMP_MASKED_EQ, .datum_a = MAP_SHARED | MAP_ANONYMOUS, .datum_b = MAP_SHARED}));
  UMDEV_TRY(stop_at(filter, SCMP_SYS(mmap),
                    {.arg = 5, .op = SCMP_CMP_GE, .datum_a = device_offsets, .datum_b = 0}));
  return filter;
}

Result<std::vector<sock_filter>> compile(const Filter& filter) {
  const os::UniqueFd file = UMDEV_TRY(os::create_memfd("umdev-filter", 0, os::MemfdSize::changeable));
  UMDEV_TRY(check(::seccomp_export_bpf(filter.get(), file.get())));
  std::vector<sock_filter> program(UMDEV_TRY(os::file_size(file.get())) / sizeof(sock_filter));
  const std::size_t size = program.size() * sizeof(sock_filter);
  if (::pread(file.get(), program.data(), size, 0) != static_cast<ssize_t>(size))
    return os::fail_errno("cannot read the filter");
  return program;
}

}  // namespace

// Not by libseccomp's own loading, which (in 2.5) knows no WAIT_KILLABLE_RECV: without it any signal would
// begin a call again that is being served.
Result<os::UniqueFd> install_filter() {
  const Filter filter = UMDEV_TRY(describe_filter());
  std::vector<sock_filter> program = UMDEV_TRY(compile(filter));
  const sock_fprog words{.len = static_cast<unsigned short>(program.size()), .filter = program.data()};
  const auto install = [&] {
    return static_cast<int>(
        ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                  SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &words));
  };
  int fd = install();
  if (fd < 0 && errno == EACCES && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) fd = install();
  os::UniqueFd listener(fd);
  if (!listener) return os::fail_errno("the kernel does not take the filter");
  if (::fcntl(listener.get(), F_SETFD, FD_CLOEXEC) != 0) return os::fail_errno("the listener stays open");
  return listener;
}

}  // namespace umdev::run

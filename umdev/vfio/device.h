// The driver API: what a device is to VFIO (the kernel's struct vfio_device_ops, with requests that may
// complete later).
//
// Threads. The core calls these functions from whichever thread brings the request, with none of its locks
// held, and does not serialise read, write, ioctl, mmap, set_irqs, device_feature, request and dma_unmap:
// several may be inside the device at once. open_device, close_device and (against those two) reset are
// serialised per device set. Wrap a device in `Serialized` to have one call at a time. Lifetimes. The core
// owns the device and destroys it after the last user has gone. A User lives from open_device() until
// close_device() has completed.
// Errors. An errno in a Result reaches the client as it is.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "umdev/abi/vfio.h"
#include "umdev/iommu/types.h"
#include "umdev/support/done.h"
#include "umdev/support/uuid.h"
#include "umdev/vfio/access.h"
#include "umdev/vfio/capability_chain.h"
#include "umdev/vfio/irq_request.h"
#include "umdev/vfio/user.h"

namespace umdev::vfio {

class Migration;

// VFIO_DEVICE_GET_INFO. `flags` are abi::vfio_device_flags_*.
struct DeviceInfo {
  std::uint32_t flags = 0;
  std::uint32_t num_regions = 0;
  std::uint32_t num_irqs = 0;
  CapabilityChain capabilities;
};

// VFIO_DEVICE_GET_REGION_INFO. `flags` are abi::vfio_region_info_flag_* (never CAPS: that is the doors' to
// set). A region that the device does not implement has size 0. `offset` is where the region begins in the
// device's file.
struct RegionInfo {
  std::uint32_t flags = 0;
  std::uint64_t size = 0;
  std::uint64_t offset = 0;
  CapabilityChain capabilities;
};

// A request to map part of a region: `offset` and `length` in bytes, page aligned, inside the region.
struct MmapRequest {
  std::uint32_t region = 0;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  bool writable = true;
};

// A piece of the answer: `length` bytes at `region_offset` are the bytes of `fd` at `fd_offset`. The
// descriptor is the device's; the door duplicates what it hands on. What no extent covers is a hole.
struct MmapExtent {
  int fd = -1;
  std::uint64_t fd_offset = 0;
  std::uint64_t region_offset = 0;
  std::uint64_t length = 0;
};

// An eventfd that stands for one kind of write: whoever shares it signals it in place of a write of `size`
// bytes at `offset` of a region (any, where `size` is 0), of the value `datamatch` where there is one. The
// descriptor is the device's, which watches it; the door duplicates what it hands on.
struct IoEventFd {
  int fd = -1;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::optional<std::uint64_t> datamatch;
};

// VFIO_DEVICE_FEATURE. `flags` as in the UAPI; a device sees those that the core does not answer itself,
// checked for GET with SET.
struct FeatureRequest {
  std::uint32_t flags = 0;
  ConstBytes data;  // what the user gave behind the header; valid until the call returns
  // How many bytes the user has room for behind the header: argsz without it.
  std::uint64_t room = UINT64_MAX;
};

// A command that the core does not answer itself (the kernel's ops->ioctl).
struct IoctlRequest {
  std::uint32_t command = 0;
  Bytes argument;
};

class Device {
 public:
  virtual ~Device() = default;

  // The driver's name, for messages.
  virtual std::string_view name() const = 0;

  // How many containers may have it open at a time. The kernel knows only one; a device that allows more has
  // each of them as a User with memory and interrupts of its own, and cannot migrate. Never changes; more
  // than one needs an IOMMU group of its own (an emulated device has it).
  virtual std::uint32_t users_max() const { return 1; }

  virtual DeviceInfo info() const = 0;
  // `index` < info().num_regions and num_irqs.
  virtual Result<RegionInfo> region_info(std::uint32_t index) const = 0;
  virtual Result<IrqInfo> irq_info(std::uint32_t index) const = 0;

  // First in: before any other call for this user. An error is the error of opening the device; nothing is
  // open then.
  virtual void open_device(User&, Done<> done) { done(); }
  // Last out: no access of this user is under way any more. Drop every pin of the user before completing.
  virtual void close_device(User&, Done<> done) { done(); }

  virtual void read(ReadRequest request) { request.complete(fail(EINVAL, "the device has no read")); }
  virtual void write(WriteRequest request) { request.complete(fail(EINVAL, "the device has no write")); }

  // VFIO_DEVICE_RESET. After it completed, no access that was under way before changes anything the user can
  // see.
  virtual void reset(User&, Done<> done) { done(fail(ENOTTY, "the device has no reset")); }

  // VFIO_DEVICE_SET_IRQS, validated. The default is the user's IrqSet.
  virtual Result<> set_irqs(User& user, IrqRequest& request) { return user.irqs().set(request); }

  virtual Result<std::vector<MmapExtent>> mmap(User&, const MmapRequest&) {
    return fail(EINVAL, "the device cannot be mapped");
  }

  // Writes to a region that can be made by signalling an eventfd instead (the other way round of
  // VFIO_DEVICE_IOEVENTFD: here the device has the eventfds). None is no error.
  virtual Result<std::vector<IoEventFd>> io_event_fds(User&, std::uint32_t /*region*/) {
    return std::vector<IoEventFd>();
  }

  // Please let go: the device is being removed. Called again every 10 seconds with a rising count,
  // concurrently with everything.
  virtual void request(unsigned /*count*/) {}

  // Does opening `name` mean this device? Positive yes, 0 no, negative: an errno that ends the whole search.
  // The default compares `name` with the name that the device was registered with.
  virtual int match(std::string_view registered_name, std::string_view name) const {
    return registered_name == name;
  }

  // May whoever shows this token (nothing: shows none) open the device? The default takes no token: EINVAL
  // for one that is given and not used. A device that wants one answers EACCES to none or the wrong one.
  virtual Result<> match_token(const std::optional<Uuid>& token) const {
    if (token) return fail(EINVAL, "the device takes no token");
    return {};
  }

  // True for a device that pins memory and implements dma_unmap(). Others may not pin (EINVAL), as in the
  // kernel.
  virtual bool pins_memory() const { return false; }
  // Drop your pins in this range. The unmap waits for the pins, not for this call.
  virtual void dma_unmap(User&, iommu::IovaRange) {}

  // Null for a device that cannot move to another place while it is in use. The same as long as it lives.
  virtual Migration* migration() { return nullptr; }

  // Features that the core does not know, and commands that it does not answer.
  virtual Result<std::vector<std::byte>> device_feature(User&, const FeatureRequest&) {
    return fail(ENOTTY, "unknown feature");
  }
  virtual Result<std::uint32_t> ioctl(User&, IoctlRequest) { return fail(ENOTTY, "unknown command"); }
};

}  // namespace umdev::vfio

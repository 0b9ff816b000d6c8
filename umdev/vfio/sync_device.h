// The short form of a device: every call answers before it returns.
#pragma once

#include "umdev/vfio/device.h"
#include "umdev/vfio/device_table.h"

namespace umdev::vfio {

// A device with a fixed table of regions and interrupts that answers at once. Override what it has; the rest
// answers as Device does. The functions must not wait (see BlockingDevice), and several may run at once (see
// Serialized); a driver with state either locks or is wrapped.
//
// They have names of their own, so that overriding one hides nothing of Device.
class SyncDevice : public Device {
 public:
  // What `table` refers to must outlive the device.
  explicit SyncDevice(const DeviceTable& table) : table_(table) {}

  DeviceInfo info() const override { return table_.info(); }
  Result<RegionInfo> region_info(std::uint32_t index) const override { return table_.region_info(index); }
  Result<IrqInfo> irq_info(std::uint32_t index) const override { return table_.irq_info(index); }

  // ^Device
  void open_device(User& user, Done<> done) final { done(open(user)); }
  void close_device(User& user, Done<> done) final {
    close(user);
    done();
  }
  void read(ReadRequest request) final {
    request.complete(read_region(request.user(), request.region(), request.offset(), request.data()));
  }
  void write(WriteRequest request) final {
    request.complete(write_region(request.user(), request.region(), request.offset(), request.data()));
  }
  void reset(User& user, Done<> done) final { done(reset_device(user)); }

 protected:
  // First in; an error is the error of opening the device.
  virtual Result<> open(User&) { return {}; }
  // Last out; drops every pin of the user.
  virtual void close(User&) {}
  // [offset, offset + data.size()) lies inside the region, and data is not empty. Returns how many bytes were
  // done.
  virtual Result<std::size_t> read_region(User&, std::uint32_t /*region*/, std::uint64_t /*offset*/,
                                          Bytes /*data*/) {
    return fail(EINVAL, "the device has no read");
  }
  virtual Result<std::size_t> write_region(User&, std::uint32_t /*region*/, std::uint64_t /*offset*/,
                                           ConstBytes /*data*/) {
    return fail(EINVAL, "the device has no write");
  }
  virtual Result<> reset_device(User&) { return fail(ENOTTY, "the device has no reset"); }

 private:
  const DeviceTable table_;
};

}  // namespace umdev::vfio

// skeleton: mediated PCI devices with 4 KiB of registers, the place to begin a driver at.
//
// The interface is the kernel's own, of Linux 6.1, used from C++. What a device is, is the class
// Skeleton; what follows it hands the kernel's calls on, and makes it appear: a class and a device to be the
// parent of the instances, one type, and the driver that makes an instance's VFIO device.
#include <linux/device.h>
#include <linux/init.h>
#include <linux/mdev.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <span>

namespace {

constexpr size_t config_size = 0x100;
constexpr size_t registers_size = 0x1000;

unsigned int instances = 16;

class Skeleton {
 public:
  Skeleton() {
    mutex_init(&lock_);
    reset();
  }
  ~Skeleton() { mutex_destroy(&lock_); }
  Skeleton(const Skeleton&) = delete;
  Skeleton& operator=(const Skeleton&) = delete;

  // What a guest finds, and what a reset brings back.
  void reset() {
    Lock lock(*this);
    config_.fill(0);
    registers_.fill(0);
    put_16(PCI_VENDOR_ID, 0x1b36);
    put_16(PCI_DEVICE_ID, 0x00ff);
    config_[PCI_CLASS_DEVICE + 1] = 0xff;  // a class of its own
    config_[PCI_BASE_ADDRESS_0] = PCI_BASE_ADDRESS_SPACE_MEMORY;
  }

  static constexpr size_t size_of(unsigned int region) {
    if (region == VFIO_PCI_CONFIG_REGION_INDEX) return config_size;
    return region == VFIO_PCI_BAR0_REGION_INDEX ? registers_size : 0;
  }

  // Both are within the region. Where a register does something, this is the place for it.
  void read(unsigned int region, size_t offset, std::span<u8> to) {
    Lock lock(*this);
    std::copy_n(memory_of(region).begin() + static_cast<ptrdiff_t>(offset), to.size(), to.begin());
  }

  void write(unsigned int region, size_t offset, std::span<const u8> from) {
    Lock lock(*this);
    const std::span<u8> memory = memory_of(region);
    for (size_t at = 0; at < from.size(); ++at) {
      const u8 mask = region == VFIO_PCI_CONFIG_REGION_INDEX ? writable_config(offset + at) : u8{0xff};
      u8& byte = memory[offset + at];
      byte = static_cast<u8>((byte & ~mask) | (from[at] & mask));
    }
  }

 private:
  // Calls of one device come side by side.
  class Lock {
   public:
    explicit Lock(Skeleton& skeleton) : skeleton_(skeleton) { mutex_lock(&skeleton_.lock_); }
    ~Lock() { mutex_unlock(&skeleton_.lock_); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

   private:
    Skeleton& skeleton_;
  };

  std::span<u8> memory_of(unsigned int region) {
    if (region == VFIO_PCI_CONFIG_REGION_INDEX) return config_;
    return registers_;
  }

  void put_16(size_t offset, u16 value) {
    config_[offset] = static_cast<u8>(value);
    config_[offset + 1] = static_cast<u8>(value >> 8);
  }

  // The bits of the address register that can be written tell how large the region is.
  static u8 writable_config(size_t offset) {
    if (offset == PCI_COMMAND) return PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
    if (offset < PCI_BASE_ADDRESS_0 || offset >= PCI_BASE_ADDRESS_0 + 4) return 0;
    return static_cast<u8>(~static_cast<u32>(registers_size - 1) >> 8 * (offset - PCI_BASE_ADDRESS_0));
  }

  mutex lock_ = {};
  std::array<u8, config_size> config_ = {};
  std::array<u8, registers_size> registers_ = {};
};

// What the core allocates, zeroed: its own part first.
struct State {
  vfio_device vdev;
  Skeleton skeleton;
};

Skeleton& skeleton_of(vfio_device* vdev) {
  return container_of(vdev, State, vdev)->skeleton;
}

int init_dev(vfio_device* vdev) {
  std::construct_at(&skeleton_of(vdev));
  return 0;
}

void release_dev(vfio_device* vdev) {
  std::destroy_at(&skeleton_of(vdev));
  vfio_free_device(vdev);
}

// The first file of a device is opened, the last one closed: the place for what only a user needs. Nobody
// finds what the user before has left.
int open_device(vfio_device* vdev) {
  skeleton_of(vdev).reset();
  return 0;
}
void close_device(vfio_device*) {}

// Where a region begins in the device's file: its index stands above the offset.
constexpr unsigned int region_shift = 40;

struct Access {
  unsigned int region;
  size_t offset;
};

// False where it is not within a region.
bool find_region(loff_t position, size_t count, Access& access) {
  const auto place = static_cast<u64>(position);
  access.region = static_cast<unsigned int>(place >> region_shift);
  access.offset = static_cast<size_t>(place & ((u64{1} << region_shift) - 1));
  const size_t size = Skeleton::size_of(access.region);
  return access.offset < size && count <= size - access.offset;
}

// A user's memory is copied in pieces.
constexpr size_t piece_size = 64;

ssize_t read(vfio_device* vdev, char* buffer, size_t count, loff_t* position) {
  Access access = {};
  if (!find_region(*position, count, access)) return -EINVAL;
  for (size_t done = 0; done < count;) {
    std::array<u8, piece_size> piece;
    const size_t part = std::min(count - done, piece_size);
    skeleton_of(vdev).read(access.region, access.offset + done, std::span(piece).first(part));
    if (copy_to_user(buffer + done, piece.data(), part) != 0) return -EFAULT;
    done += part;
  }
  *position += static_cast<loff_t>(count);
  return static_cast<ssize_t>(count);
}

ssize_t write(vfio_device* vdev, const char* buffer, size_t count, loff_t* position) {
  Access access = {};
  if (!find_region(*position, count, access)) return -EINVAL;
  for (size_t done = 0; done < count;) {
    std::array<u8, piece_size> piece;
    const size_t part = std::min(count - done, piece_size);
    if (copy_from_user(piece.data(), buffer + done, part) != 0) return -EFAULT;
    skeleton_of(vdev).write(access.region, access.offset + done, std::span(piece).first(part));
    done += part;
  }
  *position += static_cast<loff_t>(count);
  return static_cast<ssize_t>(count);
}

// Takes what the user has filled in of a structure, lets `answer` fill in the rest, and gives it back. `size`
// is how much of it there was in the first version of the interface.
template <typename T, typename Answer>
long exchange(unsigned long argument, size_t size, Answer answer) {
  auto* user = reinterpret_cast<void*>(argument);
  T value = {};
  if (copy_from_user(&value, user, size) != 0) return -EFAULT;
  if (value.argsz < size || !answer(value)) return -EINVAL;
  return copy_to_user(user, &value, size) != 0 ? -EFAULT : 0;
}

bool fill_info(vfio_device_info& info) {
  info.flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
  info.num_regions = VFIO_PCI_NUM_REGIONS;
  info.num_irqs = VFIO_PCI_NUM_IRQS;
  return true;
}

bool fill_region(vfio_region_info& info) {
  if (info.index >= VFIO_PCI_NUM_REGIONS) return false;
  info.offset = u64{info.index} << region_shift;
  info.size = Skeleton::size_of(info.index);
  info.flags = info.size != 0 ? VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE : 0;
  return true;
}

bool fill_irq(vfio_irq_info& info) {
  info.flags = VFIO_IRQ_INFO_EVENTFD;
  info.count = 0;  // it interrupts nobody
  return info.index < VFIO_PCI_NUM_IRQS;
}

long ioctl(vfio_device* vdev, unsigned int command, unsigned long argument) {
  switch (command) {
    case VFIO_DEVICE_GET_INFO:
      return exchange<vfio_device_info>(argument, offsetofend(vfio_device_info, num_irqs), fill_info);
    case VFIO_DEVICE_GET_REGION_INFO:
      return exchange<vfio_region_info>(argument, offsetofend(vfio_region_info, offset), fill_region);
    case VFIO_DEVICE_GET_IRQ_INFO:
      return exchange<vfio_irq_info>(argument, offsetofend(vfio_irq_info, count), fill_irq);
    case VFIO_DEVICE_RESET:
      skeleton_of(vdev).reset();
      return 0;
    default:
      return -ENOTTY;
  }
}

const vfio_device_ops device_ops = [] {
  vfio_device_ops ops = {};
  ops.name = "vfio-skeleton";
  ops.init = init_dev;
  ops.release = release_dev;
  ops.open_device = open_device;
  ops.close_device = close_device;
  ops.read = read;
  ops.write = write;
  ops.ioctl = ioctl;
  return ops;
}();

// An instance comes: somebody wrote a UUID to `create`.
int probe(mdev_device* mdev) {
  auto* state = vfio_alloc_device(State, vdev, &mdev->dev, &device_ops);
  if (IS_ERR(state)) return static_cast<int>(PTR_ERR(state));
  if (const int error = vfio_register_emulated_iommu_dev(&state->vdev); error != 0) {
    vfio_put_device(&state->vdev);
    return error;
  }
  dev_set_drvdata(&mdev->dev, state);
  return 0;
}

void remove(mdev_device* mdev) {
  auto* state = static_cast<State*>(dev_get_drvdata(&mdev->dev));
  vfio_unregister_group_dev(&state->vdev);
  vfio_put_device(&state->vdev);
}

mdev_driver driver = [] {
  mdev_driver made = {};
  made.device_api = VFIO_DEVICE_API_PCI_STRING;
  made.driver.name = "skeleton";
  made.driver.owner = THIS_MODULE;
  made.driver.mod_name = KBUILD_MODNAME;
  made.probe = probe;
  made.remove = remove;
  return made;
}();

mdev_type type = {"1", "4 KiB of registers", nullptr};
mdev_type* types[] = {&type};
mdev_parent parent;
device parent_device;
struct UMDEV_CLASS* parent_class = nullptr;

// What has been done, undone in the opposite order.
void undo(int steps) {
  if (steps > 3) mdev_unregister_parent(&parent);
  if (steps > 2) device_unregister(&parent_device);
  if (steps > 1) class_destroy(parent_class);
  if (steps > 0) mdev_unregister_driver(&driver);
}

int make_class() {
  parent_class = class_create(THIS_MODULE, "skeleton");
  return IS_ERR(parent_class) ? static_cast<int>(PTR_ERR(parent_class)) : 0;
}

int register_device() {
  parent_device.UMDEV_CLASS = parent_class;
  parent_device.release = [](device*) {};
  dev_set_name(&parent_device, "skeleton");
  const int error = device_register(&parent_device);
  if (error != 0) put_device(&parent_device);
  return error;
}

int skeleton_init() {
  driver.max_instances = instances;
  int (*const steps[])() = {
      [] { return mdev_register_driver(&driver); }, make_class, register_device,
      [] { return mdev_register_parent(&parent, &parent_device, &driver, types, std::size(types)); }};
  int done = 0;
  for (const auto& step : steps) {
    if (const int error = step(); error != 0) {
      undo(done);
      return error;
    }
    ++done;
  }
  return 0;
}

void skeleton_exit() {
  undo(4);
}

}  // namespace

module_param(instances, uint, 0444);
MODULE_PARM_DESC(instances, "instances at a time");
module_init(skeleton_init);
module_exit(skeleton_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Mediated PCI devices with 4 KiB of registers");

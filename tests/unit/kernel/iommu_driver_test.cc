// IOMMU drivers in C (struct vfio_iommu_driver_ops), in every form that they had: a container's file is given
// to one, and devices reach the memory that it has.
#include <algorithm>
#include <cstring>

#include "tests/support/fake_caller.h"
#include "tests/unit/kernel/module_fixture.h"
#include "umdev/abi/vfio_ioctl.h"
#include "umdev/ioctl/nodes.h"
#include "umdev/vfio/device_user.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::kernel {
namespace {

// As in own_memory.c.
constexpr std::uint32_t own_type = 77;
constexpr std::uint32_t own_count_pins = 0x3b64 + 100;
constexpr std::uint32_t own_crash = own_count_pins + 1;
constexpr int lack_pin = 1;
constexpr int lack_users = 2;
constexpr int lack_copy = 3;
constexpr int lack_rest = 4;
constexpr int lack_mandatory = 5;
constexpr int lack_unregister = 6;

constexpr std::uint64_t page = iommu::page_size;
constexpr ioctl::UserAddress arguments = 0x10000;
constexpr ioctl::UserAddress memory = 0x100000;
constexpr std::uint32_t read_write = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write;

test::CoreWorld::Options impatient() {
  test::CoreWorld::Options options;
  options.limits.unmap_deadline = std::chrono::milliseconds(100);
  return options;
}

class IommuDriver : public ModuleTest {
 public:
  IommuDriver() : ModuleTest(impatient()) {
    caller->add_memory(arguments, page);
    caller->add_memory(memory, 2 * page);
  }
  void TearDown() override {
    files = {};
    ModuleTest::TearDown();
  }

  int begin(const std::string& name, const std::string& parameter = "lack", const std::string& value = "0") {
    if (const int error = load(name); error != 0) return error;
    EXPECT_TRUE(module().set_parameter(parameter, value));
    return init();
  }

  // What a program has open.
  struct Files {
    std::shared_ptr<ioctl::File> container;
    std::shared_ptr<ioctl::File> group;
  };
  // A container that the group is in.
  void open(std::uint32_t group) {
    files.container = nodes.open_container({});
    files.group = nodes.open_group(group, {}).value();
    const int fd = caller->add_file(files.container);
    EXPECT_EQ(call_with(files.group, abi::vfio_group_set_container, fd), 0);
    caller->close_fd(fd);
  }
  // Its value, or minus the errno.
  long call(const std::shared_ptr<ioctl::File>& file, std::uint32_t command, std::uint64_t argument = 0) {
    long value = 0;
    const int error = wait_for_end<ioctl::Answer>([&](Done<ioctl::Answer> done) {
      auto shared = std::make_shared<Done<ioctl::Answer>>(std::move(done));
      file->ioctl(command, argument, caller, [&value, this, shared](Result<ioctl::Answer> answer) {
        if (answer) value = answer->value;
        if (answer) made = answer->file;
        (*shared)(std::move(answer));
      });
    });
    return error != 0 ? -error : value;
  }
  template <typename T>
  long call_with(const std::shared_ptr<ioctl::File>& file, std::uint32_t command, const T& argument) {
    return call(file, command, caller->put(arguments, argument));
  }
  long map(std::uint64_t iova, std::uint64_t size, ioctl::UserAddress vaddr = memory) {
    return call_with(files.container, abi::vfio_iommu_map_dma,
                     abi::VfioIommuType1DmaMap{.argsz = sizeof(abi::VfioIommuType1DmaMap),
                                               .flags = read_write,
                                               .vaddr = vaddr,
                                               .iova = iova,
                                               .size = size});
  }
  // How much was unmapped, or minus the errno.
  long unmap(std::uint64_t iova, std::uint64_t size) {
    const long answer =
        call_with(files.container, abi::vfio_iommu_unmap_dma,
                  abi::VfioIommuType1DmaUnmap{
                      .argsz = sizeof(abi::VfioIommuType1DmaUnmap), .flags = 0, .iova = iova, .size = size});
    return answer < 0 ? answer : static_cast<long>(caller->get<abi::VfioIommuType1DmaUnmap>(arguments).size);
  }
  long pins() { return call(files.container, own_count_pins); }

  // A device of C++ in the container.
  test::CoreWorld::Registered add_device() {
    auto device = world.add_device("scripted");
    open(device.group);
    return device;
  }
  // The device is open for as long as what this gives.
  std::shared_ptr<ioctl::File> open_device(const std::string& name) {
    std::memcpy(caller->at(arguments, name.size() + 1), name.c_str(), name.size() + 1);
    EXPECT_EQ(call(files.group, abi::vfio_group_get_device_fd, arguments), 0);
    return std::move(made);
  }
  // A device of C++ that has pinned the one page that is mapped. What is last goes first.
  struct Pinned {
    test::CoreWorld::Registered device;
    std::shared_ptr<ioctl::File> file;
    iommu::DmaPin pin;
  };
  Pinned pin_a_page(iommu::Access access = iommu::Access::read_write) {
    Pinned pinned{.device = add_device(), .file = nullptr, .pin = {}};
    EXPECT_EQ(call(files.container, abi::vfio_set_iommu, own_type), 0);
    EXPECT_EQ(map(0, page), 0);
    pinned.file = open_device("scripted");
    auto pin = pinned.device.script->user->pin({.iova = 0, .size = page}, access);
    EXPECT_TRUE(pin);
    if (pin) pinned.pin = std::move(*pin);
    return pinned;
  }
  std::uint32_t group_of(unsigned n) {
    return world.bus->find(test::MdevWorld::uuid(n)).value()->vfio_device()->group()->iommu_group().number();
  }

  // Of a device's file: region 0 by pins, region 1 by copies (reacher.c).
  static constexpr std::uint64_t region_size = 1ULL << 40;
  int access(const std::shared_ptr<ioctl::File>& device, unsigned region, std::uint64_t iova, bool writes,
             std::vector<std::byte>& bytes) {
    const std::uint64_t offset = (std::uint64_t{region} * region_size) + iova;
    auto buffer = std::make_shared<std::vector<std::byte>>(bytes);
    const int error = wait_for_end<std::size_t>([&](Done<std::size_t> done) {
      if (writes) return device->write(offset, *buffer, buffer, std::move(done));
      device->read(offset, *buffer, buffer, std::move(done));
    });
    bytes = *buffer;
    return error;
  }

  ioctl::Nodes nodes{*world.core};
  std::shared_ptr<test::FakeCaller> caller = std::make_shared<test::FakeCaller>();
  std::shared_ptr<ioctl::File> made;
  Files files;
};

// --- Every vintage.

struct EachVintage : IommuDriver, testing::WithParamInterface<std::uint32_t> {
  static std::string name() {
    char text[32];
    std::snprintf(text, sizeof(text), "own_0x%06x", GetParam());
    return text;
  }
  static bool since(std::uint32_t api) { return GetParam() >= api; }
};

TEST_P(EachVintage, C1_C2_a_container_is_the_drivers_from_set_iommu_to_the_last_group) {
  ASSERT_EQ(begin(name()), 0);
  EXPECT_TRUE(world.host.log().contains("a second time: -22"));
  const auto device = add_device();
  EXPECT_EQ(call(files.container, abi::vfio_check_extension, own_type), 1);
  EXPECT_EQ(call(files.container, abi::vfio_check_extension, own_type + 1), 0);
  EXPECT_EQ(call(files.container, abi::vfio_iommu_map_dma), -EINVAL) << "no driver yet";
  EXPECT_EQ(call(files.container, abi::vfio_set_iommu, own_type + 1), -ENODEV);
  ASSERT_EQ(call(files.container, abi::vfio_set_iommu, own_type), 0);
  EXPECT_TRUE(world.host.log().contains("group " + std::to_string(device.group) + " attached"));
  EXPECT_EQ(call(files.container, abi::vfio_set_iommu, own_type), -EINVAL);
  EXPECT_EQ(call(files.container, abi::vfio_check_extension, own_type), 1);
  EXPECT_EQ(call(files.container, own_type), -ENOTTY) << "no such command";
  EXPECT_EQ(unload(), EBUSY);
  EXPECT_EQ(call(files.group, abi::vfio_group_unset_container), 0);
  EXPECT_TRUE(world.host.log().contains("released with 0 groups, users none"));
  EXPECT_EQ(unload(), 0);
  EXPECT_EQ(call_with(files.group, abi::vfio_group_set_container, caller->add_file(files.container)), 0);
  EXPECT_EQ(call(files.container, abi::vfio_set_iommu, own_type), -ENODEV) << "unregistered";
}

TEST_P(EachVintage, C2_C37_D46_its_pages_are_mapped_pinned_copied_and_unmapped) {
  ASSERT_EQ(begin(name()), 0);
  const auto device = add_device();
  ASSERT_EQ(call(files.container, abi::vfio_set_iommu, own_type), 0);
  EXPECT_EQ(map(page, 3 * page), 0);
  EXPECT_EQ(map(2 * page, page), -EEXIST);
  EXPECT_EQ(map(page, 0), -EINVAL);
  const auto opened = open_device("scripted");
  vfio::User& user = *device.script->user;

  auto pin = user.pin({.iova = page + 100, .size = 2 * page}, iommu::Access::read_write);
  ASSERT_TRUE(pin) << pin.error().text;
  EXPECT_EQ(pins(), 3);
  std::size_t length = 0;
  for (const auto& segment : pin->segments()) length += segment.length;
  EXPECT_EQ(length, 2 * page);
  pin->segments().front().data[0] = std::byte{9};

  std::vector<std::byte> byte(1);
  test::Outcome<> copied;
  user.dma_read(page + 100, byte, copied.done());
  EXPECT_EQ(copied.error(), since(0x050700) ? 0 : ENOTTY);
  if (since(0x050700)) {
    EXPECT_EQ(byte.front(), std::byte{9});
  }

  EXPECT_EQ(test::error_of(user.pin({.iova = 0, .size = page}, iommu::Access::read)), EINVAL) << "unmapped";
  EXPECT_EQ(pins(), 3);
  EXPECT_EQ(test::error_of(user.pin({.iova = 3 * page, .size = 2 * page}, iommu::Access::read)), EINVAL)
      << "mapped for the first half only";
  EXPECT_EQ(pins(), 3) << "and nothing of it stays";
  pin->unpin();
  EXPECT_EQ(pins(), 0);
  EXPECT_EQ(unmap(page, page), -EINVAL);
  EXPECT_EQ(unmap(page, 3 * page), static_cast<long>(3 * page));
  EXPECT_EQ(unmap(page, 3 * page), 0);
}

TEST_P(EachVintage, B13_unmap_tells_the_devices_and_takes_what_they_do_not_let_go) {
  ASSERT_EQ(begin(name()), 0);
  auto [device, file, pin] = pin_a_page();
  EXPECT_EQ(unmap(0, page), static_cast<long>(page)) << "after the deadline";
  EXPECT_EQ(device.script->count("dma_unmap"), 1U);
  EXPECT_TRUE(pin.revoked());
  pin.segments().front().data[0] = std::byte{1};  // memory still, of nobody's
  pin.unpin();
}

TEST_P(EachVintage, what_a_closed_device_has_pinned_is_given_back) {
  ASSERT_EQ(begin(name()), 0);
  auto [device, file, pin] = pin_a_page(iommu::Access::read);
  file.reset();
  EXPECT_TRUE(run_until([&] { return pins() == 0; }));
  EXPECT_TRUE(pin.revoked());
}

TEST_P(EachVintage, C2_what_is_missing_is_answered_as_the_kernel_does) {
  for (const int lack : {lack_pin, lack_users, lack_copy, lack_rest}) {
    SCOPED_TRACE(lack);
    ASSERT_EQ(begin(name(), "lack", std::to_string(lack)), 0);
    auto device = world.add_device("scripted" + std::to_string(lack));
    open(device.group);
    ASSERT_EQ(call(files.container, abi::vfio_set_iommu, own_type), 0);
    ASSERT_EQ(map(0, page), 0);
    auto opened = open_device("scripted" + std::to_string(lack));
    EXPECT_EQ(test::error_of(device.script->user->pin({.iova = 0, .size = page}, iommu::Access::read)),
              lack == lack_pin ? ENOTTY : 0);
    std::vector<std::byte> byte(1);
    test::Outcome<> copied;
    device.script->user->dma_write(0, byte, copied.done());
    EXPECT_EQ(copied.error(), lack == lack_copy || !since(0x050700) ? ENOTTY : 0);
    const bool reads = !since(0x051000) && lack != lack_rest;
    EXPECT_EQ(wait_for_end<std::size_t>([&](Done<std::size_t> done) {
                auto buffer = std::make_shared<std::vector<std::byte>>(3);
                files.container->read(0, *buffer, buffer, std::move(done));
              }),
              reads ? 0 : EINVAL);
    EXPECT_EQ(wait_for_end<std::size_t>([&](Done<std::size_t> done) {
                auto buffer = std::make_shared<std::vector<std::byte>>(3);
                files.container->write(0, *buffer, buffer, std::move(done));
              }),
              reads ? 0 : EINVAL);
    const auto mapped = files.container->mmap({.offset = 0, .length = page});
    EXPECT_EQ(test::error_of(mapped), reads ? 0 : EINVAL);
    if (reads) {
      ASSERT_EQ(mapped->size(), 1U);
      EXPECT_GE(mapped->front().fd, 0);
      EXPECT_EQ(test::error_of(files.container->mmap({.offset = 16 * page, .length = page})), ENXIO);
    }
    opened.reset();
    files = {};
    EXPECT_EQ(unload(), 0);
    reset();
    test::Ending ending(device.registration);
    ASSERT_TRUE(run_until([&] { return ending.ended(); }));
  }
}

TEST_P(EachVintage, without_what_a_kernel_calls_unasked_a_driver_is_refused) {
  EXPECT_EQ(begin(name(), "lack", std::to_string(lack_mandatory)), EINVAL);
  reset();
  EXPECT_EQ(begin(name(), "lack", std::to_string(lack_unregister)), since(0x060000) ? EINVAL : 0);
}

TEST_P(EachVintage, C16_what_open_and_attach_group_refuse_is_what_set_iommu_answers) {
  ASSERT_EQ(begin(name(), "refuse", std::to_string(EDOM)), 0);
  const auto device = add_device();
  EXPECT_EQ(call(files.container, abi::vfio_set_iommu, own_type), -EDOM);
  EXPECT_EQ(unload(), 0);
  reset();
  ASSERT_EQ(begin(name(), "refuse", std::to_string(100 + EXDEV)), 0);
  EXPECT_EQ(call(files.container, abi::vfio_set_iommu, own_type), -EXDEV);
  EXPECT_TRUE(world.host.log().contains("released with 0 groups"));
  EXPECT_EQ(unload(), 0);
}

TEST_P(EachVintage, C2_the_close_of_the_containers_file_is_told_from_5_12_to_6_1) {
  ASSERT_EQ(begin(name()), 0);
  const auto device = add_device();
  ASSERT_EQ(call(files.container, abi::vfio_set_iommu, own_type), 0);
  files.container.reset();
  EXPECT_EQ(world.host.log().contains("the container is closed"), since(0x050c00) && !since(0x060200));
  EXPECT_FALSE(world.host.log().contains("released")) << "its group is open";
}

TEST_P(EachVintage, user_pointers_are_the_callers_memory) {
  ASSERT_EQ(begin(name(), "copies", "1"), 0);
  const auto device = add_device();
  ASSERT_EQ(call(files.container, abi::vfio_set_iommu, own_type), 0);
  *caller->at(memory + page + 5) = std::byte{55};
  EXPECT_EQ(map(0, 2 * page), 0);
  EXPECT_EQ(map(2 * page, 2 * page, 0x666000), -EFAULT);
  EXPECT_EQ(call(files.container, abi::vfio_iommu_map_dma, 0x666000), -EFAULT);
  EXPECT_EQ(call(files.container, abi::vfio_iommu_get_info, reinterpret_cast<std::uintptr_t>(&nodes)),
            -EFAULT)
      << "an address of ours is none of theirs";
  const auto opened = open_device("scripted");
  const auto pin = device.script->user->pin({.iova = page, .size = page}, iommu::Access::read);
  ASSERT_TRUE(pin);
  EXPECT_EQ(pin->segments().front().data[5], std::byte{55});
}

TEST_P(EachVintage, by_force_its_containers_lose_it) {
  ASSERT_EQ(begin(name()), 0);
  auto [device, file, pin] = pin_a_page();
  EXPECT_EQ(unload(/*forced=*/true), 0);
  EXPECT_TRUE(world.host.log().contains("released with 1 groups"));
  EXPECT_TRUE(pin.revoked());
  reset();
  pin.segments().front().data[0] = std::byte{1};
  EXPECT_EQ(map(0, page), -ENODEV);
  EXPECT_EQ(test::error_of(device.script->user->pin({.iova = 0, .size = page}, iommu::Access::read)), ENODEV);
  pin.unpin();
}

INSTANTIATE_TEST_SUITE_P(Vintages, EachVintage,
                         testing::Values(0x040a00, 0x050700, 0x050a00, 0x050d00, 0x051000, 0x060100,
                                         0x070000));

// --- A mediated device of a module, whose memory a module has.

struct TwoModules : IommuDriver {
  void begin_both(const std::string& driver, const std::string& device) {
    ASSERT_EQ(insmod(driver), 0);
    ASSERT_EQ(insmod_also(device), 0);
  }
  // For the next pair.
  void end_both(std::shared_ptr<ioctl::File> device) {
    device.reset();
    files = {};
    EXPECT_EQ(remove(1), 0);
    end_others();
    EXPECT_EQ(unload(), 0);
    reset();
  }
};

TEST_F(TwoModules, C37_D46_a_device_in_c_pins_and_reads_what_a_driver_in_c_has) {
  for (const char* const driver : {"own_0x050a00", "own_0x070000"}) {
    SCOPED_TRACE(driver);
    ASSERT_NO_FATAL_FAILURE(begin_both(driver, "reacher"));
    ASSERT_EQ(create(1, "reacher", "reacher-one"), 0);
    open(group_of(1));
    ASSERT_EQ(call(files.container, abi::vfio_set_iommu, own_type), 0);
    ASSERT_EQ(map(0x10000, 4 * page), 0);
    auto device = open_device(test::MdevWorld::uuid(1).to_string());
    std::vector<std::byte> bytes{std::byte{1}, std::byte{2}, std::byte{3}};
    EXPECT_EQ(access(device, 0, 0x10ff0, /*writes=*/true, bytes), 0);
    EXPECT_EQ(pins(), 1);
    bytes.assign(3, {});
    EXPECT_EQ(access(device, 1, 0x10ff0, /*writes=*/false, bytes), 0);
    EXPECT_EQ(bytes.back(), std::byte{3});
    bytes.assign(page, std::byte{7});
    EXPECT_EQ(access(device, 1, 0x10800, /*writes=*/true, bytes), 0) << "over two pages";
    EXPECT_EQ(access(device, 0, 0x11000, /*writes=*/false, bytes), 0);
    EXPECT_EQ(bytes[0x7ff], std::byte{7});
    EXPECT_EQ(bytes[0x800], std::byte{0});
    EXPECT_EQ(access(device, 0, 0x20000, /*writes=*/false, bytes), EINVAL);
    EXPECT_EQ(access(device, 1, 0x20000, /*writes=*/false, bytes), EINVAL);
    EXPECT_EQ(unmap(0x10000, 4 * page), static_cast<long>(4 * page));
    EXPECT_TRUE(world.host.log().contains("unmap 10000 of 4000"));
    EXPECT_EQ(pins(), 0);
    end_both(std::move(device));
  }
}

TEST_F(TwoModules, C34_drivers_are_told_what_their_containers_driver_has_not) {
  for (const int lack : {0, lack_users, lack_rest}) {
    SCOPED_TRACE(lack);
    ASSERT_EQ(begin("own_0x050d00", "lack", std::to_string(lack)), 0);
    ASSERT_EQ(insmod_also("emb_5_15"), 0);
    ASSERT_EQ(create(1, "emb", "emb-one"), 0);
    open(group_of(1));
    ASSERT_EQ(call(files.container, abi::vfio_set_iommu, own_type), 0);
    auto device = open_device(test::MdevWorld::uuid(1).to_string());
    std::vector<std::byte> byte(1);
    EXPECT_EQ(access(device, 0, 21, /*writes=*/true, byte), 0);
    EXPECT_TRUE(world.host.log().contains(lack == lack_users ? "notifier -25" : "notifier 0"));
    EXPECT_TRUE(world.host.log().contains(lack == lack_rest ? "domain -25" : "domain 1"));
    end_both(std::move(device));
  }
}

// --- Crashes.

TEST_F(IommuDriver, a_crash_in_it_ends_the_command_and_not_the_daemon) {
  ASSERT_EQ(load_guarded("own_crash"), 0);
  leaves_memory = true;
  ASSERT_EQ(init(), 0);
  auto [device, file, pin] = pin_a_page();
  EXPECT_EQ(call(files.container, own_crash), -EIO);
  EXPECT_TRUE(module().crash().value_or("").contains("iommu ioctl"));
  EXPECT_EQ(map(page, page), -EIO);
  EXPECT_EQ(test::error_of(device.script->user->pin({.iova = 0, .size = page}, iommu::Access::read)), EIO);
  pin.unpin();
  EXPECT_EQ(unload(/*forced=*/true), 0);
}

// --- Our own doors.

TEST_F(IommuDriver, calls_of_our_own_doors_become_its_ioctls) {
  ASSERT_EQ(insmod("own_0x070000"), 0);
  const auto device = world.add_device("scripted");
  const auto session = world.open(device);  // type1v2, which the driver that came last has as well
  const auto back_end = session.container->iommu().value();
  EXPECT_EQ(back_end->info()->page_sizes, page);
  EXPECT_TRUE(back_end->map({.flags = read_write, .iova = 0, .size = 2 * page}));
  EXPECT_EQ(test::error_of(back_end->map({.flags = read_write, .iova = page, .size = page})), EEXIST);
  test::Outcome<std::uint64_t> gone;
  back_end->unmap({.flags = 0, .iova = 0, .size = 2 * page}, gone.done());
  EXPECT_EQ(gone.value(), 2 * page);
  EXPECT_EQ(test::error_of(back_end->start_dirty_pages()), ENOTTY);
  EXPECT_EQ(test::error_of(back_end->stop_dirty_pages()), ENOTTY);
  std::vector<std::byte> bitmap(8);
  EXPECT_EQ(test::error_of(back_end->dirty_pages({.iova = 0, .size = page}, page, bitmap)), ENOTTY);
}

}  // namespace
}  // namespace umdev::kernel

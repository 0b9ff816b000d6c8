// Every callback of every vintage: what becomes of a driver that lacks it, and that it is called where it is
// there. One driver (callbacks/every.c), one table a vintage (callbacks/rows_*.inc); each row is two tests.
#include <map>

#include "tests/support/fake_backing.h"
#include "tests/unit/kernel/module_fixture.h"
#include "umdev/abi/migration.h"
#include "umdev/vfio/iommufd_binding.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::kernel {
namespace {

enum class Stage : std::uint8_t { loading, creating, opening, use };
using enum Stage;

struct Row {
  std::string structure;
  std::string member;
  Stage stage;
  int answer;
  std::string answer_name;
  bool is_called;

  std::string name() const { return structure + "_" + member; }
};

struct Vintage {
  std::string name;
  std::string module;
  std::vector<Row> rows;
};

#define CALLBACK(structure, member, stage, answer) {#structure, #member, stage, answer, #answer, true},
#define FIELD(structure, member, stage, answer) {#structure, #member, stage, answer, #answer, false},

std::vector<Vintage> vintages() {
  return {
      {"V4_10",
       "every_4_10",
       {
#include "tests/unit/kernel/callbacks/rows_4_10.inc"
       }},
      {"V5_13_rc",
       "every_5_13_rc",
       {
#include "tests/unit/kernel/callbacks/rows_5_13_rc.inc"
       }},
      {"V5_13",
       "every_5_13",
       {
#include "tests/unit/kernel/callbacks/rows_5_13.inc"
       }},
      {"V5_16",
       "every_5_16",
       {
#include "tests/unit/kernel/callbacks/rows_5_16.inc"
       }},
      {"V5_19",
       "every_5_19",
       {
#include "tests/unit/kernel/callbacks/rows_5_19.inc"
       }},
      {"V6_1",
       "every_6_1",
       {
#include "tests/unit/kernel/callbacks/rows_6_1.inc"
       }},
      {"V6_12",
       "every_6_12",
       {
#include "tests/unit/kernel/callbacks/rows_6_12.inc"
       }},
      {"V7_0",
       "every_7_0",
       {
#include "tests/unit/kernel/callbacks/rows_7_0.inc"
       }},
  };
}

class EveryCallback : public OpenDeviceTest {
 public:
  // Loads, creates, opens and uses, as far as `row`'s stage; the errno there. Before it nothing may fail.
  int reach(const std::string& module, const Row& row, const std::string& lack) {
    // A device is made by the driver's own ops, or by a parent for the generic driver of the bus.
    const bool own = (row.structure != "mdev_parent_ops" || row.member == "device_driver") &&
                     row.structure != "mdev_type_attribute" && row.structure != "type_attributes";
    for (const Stage stage : {loading, creating, opening, use}) {
      const int result = go_through(stage, module, row, lack, own);
      if (stage == row.stage) return result;
      EXPECT_EQ(result, 0) << "at stage " << static_cast<int>(stage);
      if (result != 0) return result;
    }
    return 0;
  }

 private:
  using Use = int (EveryCallback::*)();

  int go_through(Stage stage, const std::string& module, const Row& row, const std::string& lack, bool own) {
    switch (stage) {
      case loading:
        return load_without(module, lack, own);
      case creating:
        return create(1, "every", "every-one");
      case opening:
        return open();
      case use:
        return use_of(row);
    }
    return ENOSYS;
  }
  int load_without(const std::string& module_name, const std::string& lack, bool own) {
    if (const int error = load(module_name); error != 0) return error;
    // Up to 5.12 the generic driver takes every device that there is.
    if (own && module().api() < 0x050d00) {
      EXPECT_EQ(wait_for_end([&](Done<> done) {
                  world.vfio_mdev_registration.unregister(RemovePolicy::wait, std::move(done));
                }),
                0);
    }
    EXPECT_TRUE(module().set_parameter("lack", lack));
    EXPECT_TRUE(module().set_parameter("own", own ? "1" : "0"));
    return init();
  }
  int open() {
    const auto device = world.bus->find(test::MdevWorld::uuid(1)).value()->vfio_device();
    if (!device) return ENODEV;
    session.container = world.core->open_container();
    session.group = world.open_group(test::MdevWorld::uuid(1));
    EXPECT_TRUE(session.group->set_container(session.container));
    EXPECT_TRUE(session.container->set_iommu(abi::vfio_type1v2_iommu));
    return get_device(test::MdevWorld::uuid(1).to_string(), session.device);
  }
  int get_device(const std::string& name, std::shared_ptr<vfio::DeviceFile>& file) {
    auto opened = test::CoreWorld::get_device(*session.group, name);
    if (!opened) return opened.error().code;
    file = std::move(*opened);
    return 0;
  }
  template <typename T>
  static int errno_of(const Result<T>& result) {
    return result ? 0 : result.error().code;
  }

  // --- What makes the core call it.

  int use_of(const Row& row) {
    static const std::map<std::string, Use, std::less<>> uses{
        {"read", &EveryCallback::read},
        {"write", &EveryCallback::write},
        {"mmap", &EveryCallback::map},
        {"request", &EveryCallback::remove_while_open},
        {"match", &EveryCallback::open_by_another_name},
        {"release", &EveryCallback::close_and_remove},
        {"close_device", &EveryCallback::close_and_remove},
        {"remove", &EveryCallback::close_and_remove},
        {"dma_unmap", &EveryCallback::pin_and_unmap},
        {"device_feature", &EveryCallback::ask_its_feature},
        {"migration_set_state", &EveryCallback::stop},
        {"migration_get_state", &EveryCallback::fail_to_move},
        {"migration_get_data_size", &EveryCallback::ask_data_size},
        {"log_start", &EveryCallback::log_dma},
        {"log_read_and_clear", &EveryCallback::log_dma},
        {"log_stop", &EveryCallback::log_dma},
        {"match_token_uuid", &EveryCallback::show_token},
        {"bind_iommufd", &EveryCallback::use_iommufd},
        {"unbind_iommufd", &EveryCallback::use_iommufd},
        {"attach_ioas", &EveryCallback::use_iommufd},
        {"detach_ioas", &EveryCallback::use_iommufd},
        {"pasid_attach_ioas", &EveryCallback::use_pasid},
        {"pasid_detach_ioas", &EveryCallback::use_pasid},
        {"max_instances", &EveryCallback::show_available},
        {"get_available", &EveryCallback::show_available},
        {"available_instances", &EveryCallback::show_available},
        {"show_description", &EveryCallback::show_description},
        {"description", &EveryCallback::show_description},
        {"colour", &EveryCallback::show_colour},
        {"show", &EveryCallback::show_colour},
        {"store", &EveryCallback::store_colour},
        {"dev_attr_groups", &EveryCallback::show_parent_file},
        {"mdev_attr_groups", &EveryCallback::show_device_file},
        {"dev_groups", &EveryCallback::show_driver_file},
    };
    const auto found = uses.find(row.member);
    return found == uses.end() ? 0 : (this->*found->second)();
  }
  int read() { return errno_of(test::read_file(*session.device, 0, 0, 4)); }
  int write() { return errno_of(test::write_file(*session.device, 0, 0, std::vector<std::byte>(4))); }
  int map() { return errno_of(session.device->mmap({.region = 0, .offset = 0, .length = 4096})); }
  int remove_while_open() {
    std::optional<Result<>> removed;
    world.bus->remove(test::MdevWorld::uuid(1), RemovePolicy::wait,
                      [&](Result<> result) { removed = result; });
    EXPECT_TRUE(run_until([&] {
      return world.host.log().contains("request is called") ||
             world.host.log().contains("blocked until released by user");
    }));
    session = {};
    EXPECT_TRUE(run_until([&] { return removed.has_value(); }));
    return errno_of(*removed);
  }
  int open_by_another_name() {
    std::shared_ptr<vfio::DeviceFile> second;
    return get_device("another name", second);
  }
  int close_and_remove() {
    session = {};
    return remove(1);
  }
  int pin_and_unmap() {
    const auto iommu = session.container->iommu().value();
    EXPECT_TRUE(iommu->map({.flags = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write,
                            .iova = 0,
                            .size = iommu::page_size,
                            .vaddr = 0,
                            .backing = std::make_shared<test::MemoryBacking>(iommu::page_size),
                            .backing_offset = 0}));
    if (const auto pinned = test::write_file(*session.device, 0, 8, std::vector<std::byte>(4)); !pinned)
      return pinned.error().code;
    return wait_for_end<std::uint64_t>([&](Done<std::uint64_t> done) {
      iommu->unmap({.flags = 0, .iova = 0, .size = iommu::page_size, .bitmap_page_size = 0, .bitmap = {}},
                   std::move(done));
    });
  }
  int get_feature(std::uint32_t number) { return feature(number | get); }
  template <typename Structure>
  static std::vector<std::byte> to_bytes(const Structure& structure) {
    return {bytes_of(structure).begin(), bytes_of(structure).end()};
  }
  // Begins a log, reads it and ends it.
  int log_dma() {
    auto start =
        to_bytes(abi::VfioDmaLoggingStart{.page_size = iommu::page_size, .num_ranges = 1, .reserved = 0});
    const auto range = to_bytes(abi::VfioDmaLoggingRange{.iova = 0, .length = iommu::page_size});
    start.insert(start.end(), range.begin(), range.end());
    if (const int error =
            feature(abi::vfio_device_feature_dma_logging_start | abi::vfio_device_feature_set, start);
        error != 0)
      return error;
    const int error = feature(abi::vfio_device_feature_dma_logging_report | abi::vfio_device_feature_get,
                              to_bytes(abi::VfioDmaLoggingReport{
                                  .iova = 0, .length = iommu::page_size, .page_size = iommu::page_size}));
    return error != 0 ? error
                      : feature(abi::vfio_device_feature_dma_logging_stop | abi::vfio_device_feature_set);
  }
  int ask_its_feature() { return get_feature(77); }
  int ask_data_size() { return get_feature(abi::vfio_device_feature_mig_data_size); }
  int go(vfio::MigrationState state) {
    using File = std::shared_ptr<vfio::MigrationFile>;
    return wait_for_end<File>(
        [&](Done<File> done) { session.device->set_migration_state(state, std::move(done)); });
  }
  int stop() { return go(vfio::MigrationState::stop); }
  // Where it stands then it is asked.
  int fail_to_move() {
    const int result = go(vfio::MigrationState::resuming);
    return result == EXDEV ? 0 : result;
  }
  int show_token() { return errno_of(session.device->device().match_token(test::MdevWorld::uuid(1))); }

  // Opens it by its own node, attaches it and detaches it.
  int use_iommufd(vfio::IommufdBinding::Pasid pasid) {
    session = {};
    using Binding = std::shared_ptr<vfio::IommufdBinding>;
    const auto iommufd = std::make_shared<iommu::Iommufd>(world.host.clock(), world.core->limits());
    const std::uint32_t ioas = iommufd->add_ioas().value();
    const auto binding = wait_for_result<Binding>([&](Done<Binding> done) {
      vfio::IommufdBinding::create(world.bus->find(test::MdevWorld::uuid(1)).value()->vfio_device(), iommufd,
                                   std::move(done));
    });
    if (!binding) return binding.error().code;
    if (const int error = wait_for_end<std::uint32_t>(
            [&](Done<std::uint32_t> done) { (*binding)->attach(ioas, pasid, std::move(done)); });
        error != 0)
      return error;
    return wait_for_end([&](Done<> done) { (*binding)->detach(pasid, std::move(done)); });
  }
  int use_iommufd() { return use_iommufd(std::nullopt); }
  int use_pasid() { return use_iommufd(5); }

  static int errno_of_text(const std::string& shown) {
    if (shown == "errno ENOENT") return ENOENT;
    if (shown == "errno EIO") return EIO;
    EXPECT_FALSE(shown.starts_with("errno")) << shown;
    return 0;
  }
  int show_file(const std::string& path) {
    return errno_of_text(show("/devices/virtual/every/every/" + path));
  }
  int show_type_file(const std::string& name) { return show_file("mdev_supported_types/every-one/" + name); }
  int show_available() { return show_type_file("available_instances"); }
  int show_description() { return show_type_file("description"); }
  int show_colour() { return show_type_file("colour"); }
  int store_colour() {
    return store("/devices/virtual/every/every/mdev_supported_types/every-one/colour", "blue");
  }
  int show_parent_file() { return show_file("of_the_parent"); }
  int show_device_file() { return show_file(test::MdevWorld::uuid(1).to_string() + "/of_the_device"); }
  int show_driver_file() { return show_file(test::MdevWorld::uuid(1).to_string() + "/of_the_driver"); }
};

class Missing : public EveryCallback {
 public:
  Missing(std::string module, Row row) : module_name_(std::move(module)), row_(std::move(row)) {}
  void TestBody() override {
    EXPECT_EQ(reach(module_name_, row_, row_.structure + "." + row_.member), row_.answer);
  }

 private:
  const std::string module_name_;
  const Row row_;
};

// So is every member of a structure without a row: the driver that lacks nothing refuses to begin.
class Called : public EveryCallback {
 public:
  Called(std::string module, Row row) : module_name_(std::move(module)), row_(std::move(row)) {
    row_.stage = use;
  }
  void TestBody() override {
    ASSERT_EQ(reach(module_name_, row_, ""), 0);
    EXPECT_TRUE(run_until([&] { return world.host.log().contains(row_.name() + " is called"); }));
  }

 private:
  const std::string module_name_;
  Row row_;
};

template <typename Test>
void add_test(const Vintage& vintage, const Row& row, const std::string& name) {
  testing::RegisterTest(vintage.name.c_str(), name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                        [module = vintage.module, row]() -> EveryCallback* {
                          return std::make_unique<Test>(module, row).release();
                        });
}

const bool rows_are_tests = [] {
  for (const Vintage& vintage : vintages())
    for (const Row& row : vintage.rows) {
      const std::string answer = row.answer == 0 ? "allowed" : row.answer_name;
      add_test<Missing>(vintage, row, row.name() + "_missing_is_" + answer);
      if (row.is_called) add_test<Called>(vintage, row, row.name() + "_is_called");
    }
  return true;
}();

// How many there may be: the only callback that has a number beside it.
class Instances : public EveryCallback {};

TEST_F(Instances, D9_a_driver_that_says_no_number_of_instances_has_none) {
  const Row row{"mdev_driver", "get_available", creating, 0, "", false};
  EXPECT_EQ(reach("every_6_12", row, "mdev_driver.get_available mdev_driver.max_instances"), EUSERS);
}

TEST_F(Instances, D9_get_available_is_asked_and_max_instances_is_not) {
  const Row row{"mdev_driver", "max_instances", use, 0, "", false};
  EXPECT_EQ(reach("every_6_12", row, ""), 0);
  EXPECT_EQ(create(2, "every", "every-one"), EBUSY) << "what the driver's probe says";
}

}  // namespace
}  // namespace umdev::kernel

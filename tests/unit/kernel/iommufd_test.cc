// bind_iommufd and its like of a driver: called in the kernel's order, with the helpers that they wrap.
#include "tests/support/lent_iommufd.h"
#include "tests/unit/kernel/module_fixture.h"
#include "umdev/support/sanitizers.h"
#include "umdev/vfio/iommufd_binding.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::kernel {
namespace {

using test::error_of;

class ModuleIommufd : public OpenDeviceTest, public testing::WithParamInterface<const char*> {
 public:
  using Binding = std::shared_ptr<vfio::IommufdBinding>;

  void begin(const std::string& binds) { begin_module(load(GetParam()), binds); }
  void begin_module(int loaded, const std::string& binds) {
    ASSERT_EQ(loaded, 0);
    ASSERT_TRUE(module().set_parameter("binds", binds));
    ASSERT_EQ(init(), 0);
    ASSERT_EQ(create(1, "reacher", "reacher-one"), 0);
    device = world.bus->find(test::MdevWorld::uuid(1)).value()->vfio_device();
  }
  void TearDown() override {
    binding.reset();
    device.reset();
    OpenDeviceTest::TearDown();
  }

  // --- By its own node.
  int bind() {
    auto made = wait_for_result<Binding>(
        [&](Done<Binding> done) { vfio::IommufdBinding::create(device, iommufd.fd, std::move(done)); });
    if (made) binding = std::move(*made);
    return error_of(made);
  }
  int attach(std::uint32_t object, vfio::IommufdBinding::Pasid pasid = std::nullopt) {
    return wait_for_end<std::uint32_t>(
        [&](Done<std::uint32_t> done) { binding->attach(object, pasid, std::move(done)); });
  }
  int detach(vfio::IommufdBinding::Pasid pasid = std::nullopt) {
    return wait_for_end([&](Done<> done) { binding->detach(pasid, std::move(done)); });
  }
  bool close() {
    binding.reset();
    session = {};
    return run_until([&] { return device->reference_count() == 0; });
  }

  // --- By its group, with the iommufd in a container's place.
  int open_by_group() {
    const Uuid uuid = test::MdevWorld::uuid(1);
    return iommufd.open(session, world.open_group(uuid), uuid.to_string());
  }

  bool said(const std::string& step) { return world.host.log().contains(step); }
  // Region 0 is the memory by pins, region 1 by vfio_dma_rw().
  static int reach(vfio::DeviceFile& file, unsigned region) {
    return error_of(test::write_file(file, region, 8, std::vector<std::byte>(4)));
  }

  test::LentIommufd iommufd{world};
  std::shared_ptr<vfio::RegisteredDevice> device;
  Binding binding;
};

TEST_P(ModuleIommufd, B15_the_steps_of_a_device_by_its_own_node) {
  ASSERT_NO_FATAL_FAILURE(begin("by-helpers"));
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_EQ(bind(), 0);
  EXPECT_EQ(binding->id(), 2U);
  EXPECT_TRUE(said("step 1: bind_iommufd: 0, device 2")) << "told by the helper";
  EXPECT_TRUE(said("step 2: open_device"));
  EXPECT_EQ(reach(*binding->file(), 0), ENOENT);
  EXPECT_EQ(attach(77), ENOENT);
  EXPECT_TRUE(said("step 3: attach_ioas: -2, object 77"));
  EXPECT_EQ(attach(ioas), 0);
  EXPECT_TRUE(said("step 4: attach_ioas: 0, object 1"));
  EXPECT_EQ(reach(*binding->file(), 0), 0);
  EXPECT_EQ(reach(*binding->file(), 1), 0);
  EXPECT_EQ(detach(), 0);
  EXPECT_TRUE(said("unmap 0 of ffffffffffffffff"));
  EXPECT_TRUE(said("step 5: detach_ioas"));
  EXPECT_EQ(reach(*binding->file(), 0), ENOENT);
  EXPECT_FALSE(device->faulted()) << "it has let go of the page";
  EXPECT_TRUE(close());
  EXPECT_TRUE(said("step 6: close_device"));
  EXPECT_TRUE(said("step 7: unbind_iommufd"));
  EXPECT_FALSE(iommufd.is_in_use(ioas));
  EXPECT_TRUE(iommufd.fd->empty());
}

TEST_P(ModuleIommufd, B15_a_close_while_it_is_attached_detaches_in_unbind) {
  ASSERT_NO_FATAL_FAILURE(begin("by-helpers"));
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_EQ(bind(), 0);
  ASSERT_EQ(attach(ioas), 0);
  EXPECT_TRUE(close());
  EXPECT_TRUE(said("step 4: close_device"));
  EXPECT_TRUE(said("unmap 0 of ffffffffffffffff"));
  EXPECT_TRUE(said("step 5: unbind_iommufd"));
  EXPECT_FALSE(iommufd.is_in_use(ioas));
  EXPECT_TRUE(iommufd.fd->empty());
}

TEST_P(ModuleIommufd, B15_the_steps_of_a_device_by_its_group) {
  ASSERT_NO_FATAL_FAILURE(begin("by-helpers"));
  EXPECT_EQ(open_by_group(), ENODEV) << "no IOAS";
  EXPECT_TRUE(said("step 4: unbind_iommufd"));
  session = {};
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_TRUE(iommufd.fd->set_compatibility_ioas(ioas));
  ASSERT_EQ(open_by_group(), 0);
  EXPECT_TRUE(said("step 5: bind_iommufd: 0, device 2"));
  EXPECT_TRUE(said("step 6: open_device"));
  EXPECT_TRUE(said("step 7: attach_ioas: 0, object 1"));
  EXPECT_EQ(reach(*session.device, 0), 0);
  EXPECT_TRUE(close());
  EXPECT_TRUE(said("step 9: unbind_iommufd"));
  EXPECT_FALSE(iommufd.is_in_use(ioas));
}

TEST_P(ModuleIommufd, B15_a_bind_that_fails_is_the_users_error) {
  ASSERT_NO_FATAL_FAILURE(begin("no-bind"));
  EXPECT_EQ(bind(), EDOM);
  EXPECT_FALSE(said("open_device"));
  EXPECT_FALSE(said("unbind_iommufd"));
  EXPECT_TRUE(iommufd.fd->empty());
}

TEST_P(ModuleIommufd, B15_an_open_that_fails_is_unbound) {
  ASSERT_NO_FATAL_FAILURE(begin("no-open"));
  EXPECT_EQ(bind(), EPROTO);
  EXPECT_TRUE(said("step 3: unbind_iommufd"));
  EXPECT_FALSE(said("close_device"));
  EXPECT_TRUE(iommufd.fd->empty());
}

TEST_P(ModuleIommufd, B15_an_attach_that_fails_is_the_users_error) {
  ASSERT_NO_FATAL_FAILURE(begin("no-attach"));
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_EQ(bind(), 0);
  EXPECT_EQ(attach(ioas), EXDEV);
  EXPECT_FALSE(iommufd.is_in_use(ioas));
}

TEST_P(ModuleIommufd, B15_a_driver_without_the_helpers_has_no_access) {
  ASSERT_NO_FATAL_FAILURE(begin("alone"));
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_EQ(bind(), 0);
  EXPECT_EQ(binding->id(), 0U);
  EXPECT_EQ(attach(ioas), 0);
  EXPECT_EQ(reach(*binding->file(), 0), EINVAL);
  EXPECT_EQ(reach(*binding->file(), 1), EINVAL);
  EXPECT_FALSE(iommufd.is_in_use(ioas));
}

TEST_P(ModuleIommufd, B15_a_driver_without_the_callbacks_is_bound_and_attached_all_the_same) {
  ASSERT_NO_FATAL_FAILURE(begin(""));
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_EQ(bind(), 0);
  EXPECT_EQ(binding->id(), 2U);
  EXPECT_EQ(attach(ioas), 0);
  EXPECT_EQ(reach(*binding->file(), 0), 0);
  EXPECT_EQ(attach(ioas, 5), EOPNOTSUPP);
  EXPECT_TRUE(close());
  EXPECT_FALSE(iommufd.is_in_use(ioas));
}

TEST_P(ModuleIommufd, B15_an_attach_that_sleeps_faults_the_device) {
  ASSERT_NO_FATAL_FAILURE(begin("sleep"));
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_EQ(bind(), 0);
  std::optional<int> told;
  binding->attach(ioas, std::nullopt, [&](Result<std::uint32_t> id) { told = error_of(id); });
  EXPECT_FALSE(told);
  world.host.advance(world.core->limits().access_deadline);
  EXPECT_EQ(told, ETIMEDOUT);
  EXPECT_TRUE(device->faulted());
}

TEST_P(ModuleIommufd, B15_the_driver_attaches_and_detaches_a_pasid) {
  ASSERT_NO_FATAL_FAILURE(begin("by-helpers"));
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_EQ(bind(), 0);
  const bool has_pasids = std::string(GetParam()) == "reacher_7_0";
  EXPECT_EQ(attach(ioas, 5), has_pasids ? 0 : EOPNOTSUPP);
  EXPECT_EQ(said("step 3: pasid_attach_ioas 5 to 1"), has_pasids);
  EXPECT_EQ(attach(ioas, 10), has_pasids ? ERANGE : EOPNOTSUPP) << "what the driver says";
  EXPECT_EQ(detach(5), has_pasids ? 0 : EOPNOTSUPP);
  EXPECT_EQ(said("step 5: pasid_detach_ioas 5"), has_pasids);
}

INSTANTIATE_TEST_SUITE_P(Vintages, ModuleIommufd, testing::Values("reacher_6_12", "reacher_7_0"));

class CrashingIommufd : public ModuleIommufd {};
TEST_P(CrashingIommufd, a_crash_in_attach_fails_it_and_the_binding_still_ends) {
  if (has_own_heap) GTEST_SKIP() << "a crash is the sanitizer's to report";
  leaves_memory = true;
  ASSERT_NO_FATAL_FAILURE(begin_module(load_guarded(GetParam()), "crash"));
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_EQ(bind(), 0);
  EXPECT_EQ(attach(ioas), EIO);
  EXPECT_TRUE(module().crash().value_or("").contains("attach_ioas"));
  EXPECT_TRUE(close());
  EXPECT_TRUE(iommufd.fd->destroy(ioas));
  EXPECT_TRUE(iommufd.fd->empty());
}
INSTANTIATE_TEST_SUITE_P(Guarded, CrashingIommufd, testing::Values("reacher_crash"));

}  // namespace
}  // namespace umdev::kernel

// A device and its user's iommufd: the order of its steps, whose errors they are, and what is left of them.
#include <gtest/gtest.h>

#include "tests/support/binding_device.h"
#include "tests/support/core_world.h"
#include "tests/support/lent_iommufd.h"
#include "tests/support/outcome.h"
#include "umdev/vfio/iommufd_binding.h"
#include "umdev/vfio/serialized.h"

namespace umdev::vfio {
namespace {

using Calls = std::vector<std::string>;
using test::error_of;

struct Iommufd : testing::Test {
  ~Iommufd() override {
    binding.reset();
    session = {};
    if (device.registration) device.registration.unregister(RemovePolicy::force, [](Result<>) {});
    world.host.advance(world.core->limits().force_deadline);
  }

  // Registered when it is first asked for, as the scripts say by then.
  const std::shared_ptr<RegisteredDevice>& registered() {
    if (device.device) return device.device;
    std::unique_ptr<Device> made = std::make_unique<test::BindingDevice>(script, steps);
    if (serialized) made = std::make_unique<Serialized>(std::move(made), world.host.executor());
    device.parent = world.add_parent("d0");
    auto result = world.core->register_emulated_device(std::move(made), {.parent = device.parent});
    device.device = std::move(result->device);
    device.registration = std::move(result->registration);
    return device.device;
  }

  // --- By its own node.
  // The errno, EINPROGRESS while it is not over.
  int bind() {
    IommufdBinding::create(registered(), iommufd.fd, [this](Result<std::shared_ptr<IommufdBinding>> made) {
      bind_error = error_of(made);
      if (made) binding = std::move(*made);
    });
    return bind_error;
  }
  int attach(std::uint32_t object, IommufdBinding::Pasid pasid = std::nullopt) {
    test::Outcome<std::uint32_t> outcome;
    binding->attach(object, pasid, outcome.done());
    told = outcome.value().value_or(0);
    return outcome.error();
  }
  int detach(IommufdBinding::Pasid pasid = std::nullopt) {
    test::Outcome<> outcome;
    binding->detach(pasid, outcome.done());
    return outcome.error();
  }

  // --- By its group, with the iommufd in a container's place.
  int open_by_group() {
    const std::uint32_t group = registered()->group()->iommu_group().number();
    return iommufd.open(session, world.core->open_group(group).value(), "d0");
  }
  int open_again(std::shared_ptr<DeviceFile>& file) {
    auto opened = test::CoreWorld::get_device(*session.group, "d0");
    if (!opened) return opened.error().code;
    file = std::move(*opened);
    return 0;
  }

  int pin() {
    return error_of(script->user->pin({.iova = 0, .size = iommu::page_size}, iommu::Access::read));
  }

  test::CoreWorld world;
  test::LentIommufd iommufd{world};
  std::shared_ptr<test::DeviceScript> script = std::make_shared<test::DeviceScript>();
  std::shared_ptr<test::BindingScript> steps = std::make_shared<test::BindingScript>();
  bool serialized = false;
  test::CoreWorld::Registered device;
  int bind_error = EINPROGRESS;
  std::shared_ptr<IommufdBinding> binding;
  test::CoreWorld::Session session;
  std::uint32_t told = 0;
};

// --- The order.

TEST_F(Iommufd, B15_bind_comes_before_open_and_unbind_after_close) {
  ASSERT_EQ(bind(), 0);
  binding.reset();
  EXPECT_EQ(script->seen(), (Calls{"bind", "open", "close", "unbind"}));
  EXPECT_TRUE(iommufd.fd->empty());
}

TEST_F(Iommufd, B15_an_open_that_fails_is_unbound) {
  script->open_error = EPROTO;
  EXPECT_EQ(bind(), EPROTO);
  EXPECT_EQ(script->seen(), (Calls{"bind", "open", "unbind"}));
  EXPECT_TRUE(iommufd.fd->empty());
  EXPECT_EQ(registered()->reference_count(), 0U);
}

TEST_F(Iommufd, B15_a_device_that_is_closed_while_attached_is_unbound_only) {
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_EQ(bind(), 0);
  ASSERT_EQ(attach(ioas), 0);
  binding.reset();
  EXPECT_EQ(script->seen(), (Calls{"bind", "open", "attach 1", "close", "unbind", "dma_unmap"}))
      << "the framework's unbind detaches it, and says what goes";
  EXPECT_FALSE(iommufd.is_in_use(ioas));
  EXPECT_TRUE(iommufd.fd->empty());
}

TEST_F(Iommufd, B15_a_device_that_is_cut_off_is_unbound_and_cannot_be_attached) {
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_EQ(bind(), 0);
  ASSERT_EQ(attach(ioas), 0);
  device.registration.unregister(RemovePolicy::force, [](Result<>) {});
  world.host.advance(world.core->limits().force_deadline);
  EXPECT_EQ(script->count("unbind"), 1U);
  EXPECT_FALSE(iommufd.is_in_use(ioas));
  EXPECT_EQ(attach(ioas), ENODEV);
  EXPECT_EQ(detach(), ENODEV);
}

TEST_F(Iommufd, B15_a_device_behind_a_wrapper_is_asked_as_well) {
  serialized = true;
  ASSERT_EQ(bind(), 0);
  EXPECT_EQ(script->seen(), (Calls{"bind", "open"}));
}

TEST_F(Iommufd, B15_for_a_device_that_is_not_asked_the_framework_does_it) {
  steps->is_asked = false;
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_EQ(bind(), 0);
  EXPECT_EQ(binding->id(), 2U);
  ASSERT_EQ(attach(ioas), 0);
  EXPECT_EQ(told, ioas);
  EXPECT_EQ(pin(), 0);
  EXPECT_EQ(detach(), 0);
  EXPECT_EQ(attach(77), ENOENT);
  binding.reset();
  EXPECT_EQ(script->seen(), (Calls{"open", "dma_unmap", "close"}));
  EXPECT_FALSE(iommufd.is_in_use(ioas));
  EXPECT_TRUE(iommufd.fd->empty());
}

// --- What the device says is what its user hears.

TEST_F(Iommufd, B15_the_error_of_bind_is_the_users_and_nothing_is_opened) {
  steps->bind_error = EDOM;
  EXPECT_EQ(bind(), EDOM);
  EXPECT_EQ(script->seen(), Calls{"bind"});
  EXPECT_TRUE(iommufd.fd->empty()) << "it had bound itself before";
  steps->bind_error = 0;
  EXPECT_EQ(bind(), 0);
}

TEST_F(Iommufd, B15_the_ids_are_what_the_device_answers) {
  steps->adds_to_ids = 100;
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_EQ(bind(), 0);
  EXPECT_EQ(binding->id(), 102U);
  EXPECT_EQ(attach(ioas), 0);
  EXPECT_EQ(told, 100 + ioas);
}

TEST_F(Iommufd, B15_the_error_of_attach_is_the_users_and_nothing_is_attached) {
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_EQ(bind(), 0);
  EXPECT_EQ(attach(77), ENOENT) << "the framework's own";
  steps->attach_error = EXDEV;
  EXPECT_EQ(attach(ioas), EXDEV);
  EXPECT_EQ(pin(), ENOENT);
  EXPECT_FALSE(iommufd.is_in_use(ioas));
}

TEST_F(Iommufd, B15_attach_gives_the_memory_and_detach_takes_it) {
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_EQ(bind(), 0);
  EXPECT_EQ(pin(), ENOENT);
  ASSERT_EQ(attach(ioas), 0);
  EXPECT_EQ(pin(), 0);
  EXPECT_TRUE(iommufd.is_in_use(ioas));
  EXPECT_EQ(detach(), 0);
  EXPECT_EQ(script->count("dma_unmap"), 1U);
  EXPECT_EQ(pin(), ENOENT);
  EXPECT_EQ(detach(), 0) << "attached nowhere";
  EXPECT_EQ(script->count("detach"), 2U);
}

TEST_F(Iommufd, B15_attach_to_another_ioas_replaces) {
  const std::uint32_t first = iommufd.add_ioas();
  const std::uint32_t second = iommufd.add_ioas();
  ASSERT_EQ(bind(), 0);
  ASSERT_EQ(attach(first), 0);
  ASSERT_EQ(attach(second), 0);
  EXPECT_EQ(script->count("detach"), 0U);
  EXPECT_FALSE(iommufd.is_in_use(first));
  EXPECT_TRUE(iommufd.is_in_use(second));
}

TEST_F(Iommufd, B15_a_device_that_does_not_bind_itself_is_opened_and_can_pin_nothing) {
  steps->does_the_work = false;
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_EQ(bind(), 0);
  EXPECT_EQ(binding->id(), 0U);
  EXPECT_EQ(pin(), EINVAL);
  EXPECT_EQ(attach(ioas), 0) << "as the device says";
  EXPECT_EQ(pin(), EINVAL);
  EXPECT_FALSE(iommufd.is_in_use(ioas));
}

TEST_F(Iommufd, B15_what_a_device_does_not_give_back_is_taken) {
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_EQ(bind(), 0);
  ASSERT_EQ(attach(ioas), 0);
  steps->does_the_work = false;
  EXPECT_EQ(detach(), 0);
  EXPECT_TRUE(iommufd.is_in_use(ioas)) << "the device has its way while it is open";
  binding.reset();
  EXPECT_FALSE(iommufd.is_in_use(ioas));
  EXPECT_TRUE(iommufd.fd->empty());
}

TEST_F(Iommufd, B15_the_steps_make_sense_once_and_in_their_order) {
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_EQ(bind(), 0);
  EXPECT_EQ(error_of(steps->use->bind()), EBUSY);
  EXPECT_EQ(error_of(steps->use->unbind()), 0);
  EXPECT_EQ(error_of(steps->use->unbind()), 0);
  EXPECT_EQ(error_of(steps->use->attach(ioas)), EINVAL);
  EXPECT_EQ(error_of(steps->use->detach()), EINVAL);
  binding.reset();
  EXPECT_EQ(error_of(steps->use->bind()), ENODEV) << "the device was closed";
}

TEST_F(Iommufd, B15_pasids_are_the_devices_own) {
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_EQ(bind(), 0);
  EXPECT_EQ(attach(ioas, 5), EOPNOTSUPP);
  EXPECT_EQ(detach(5), EOPNOTSUPP);
  binding.reset();
  steps->has_pasids = true;
  ASSERT_EQ(bind(), 0);
  EXPECT_EQ(attach(ioas, 5), 0);
  EXPECT_EQ(told, ioas + 1);
  EXPECT_EQ(detach(5), 0);
  EXPECT_EQ(script->seen(), (Calls{"bind", "open", "close", "unbind", "bind", "open", "attach 1 of pasid 5",
                                   "detach of pasid 5"}));
}

// --- Steps that do not end.

TEST_F(Iommufd, B15_a_bind_that_hangs_faults_the_device_and_is_nothing_when_it_ends) {
  steps->hold = true;
  ASSERT_EQ(bind(), EINPROGRESS);
  world.host.advance(world.core->limits().access_deadline);
  EXPECT_EQ(bind_error, ETIMEDOUT);
  EXPECT_TRUE(registered()->faulted());
  EXPECT_TRUE(world.host.log().contains("bind_iommufd was not completed in time"));
  EXPECT_TRUE(iommufd.fd->empty());
  steps->held_id(std::uint32_t{2});
  EXPECT_EQ(script->seen(), Calls{"bind"});
  EXPECT_EQ(error_of(steps->use->bind()), ENODEV);
}

TEST_F(Iommufd, B15_an_attach_that_hangs_faults_the_device_which_is_closed_all_the_same) {
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_EQ(bind(), 0);
  steps->hold = true;
  test::Outcome<std::uint32_t> attached;
  binding->attach(ioas, std::nullopt, attached.done());
  world.host.advance(world.core->limits().access_deadline);
  EXPECT_EQ(attached.error(), ETIMEDOUT);
  EXPECT_TRUE(registered()->faulted());
  steps->hold = false;
  EXPECT_EQ(attach(ioas), EIO);
  steps->held_id(ioas);
  binding.reset();
  EXPECT_EQ(script->count("unbind"), 1U);
  EXPECT_FALSE(iommufd.is_in_use(ioas));
}

TEST_F(Iommufd, B15_a_detach_that_hangs_is_a_detach) {
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_EQ(bind(), 0);
  ASSERT_EQ(attach(ioas), 0);
  steps->does_the_work = false;
  steps->hold = true;
  test::Outcome<> detached;
  binding->detach(std::nullopt, detached.done());
  world.host.advance(world.core->limits().access_deadline);
  EXPECT_EQ(detached.error(), ETIMEDOUT);
  EXPECT_FALSE(iommufd.is_in_use(ioas));
  steps->hold = false;
  steps->held();
}

TEST_F(Iommufd, B15_an_unbind_that_hangs_holds_nothing) {
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_EQ(bind(), 0);
  ASSERT_EQ(attach(ioas), 0);
  steps->does_the_work = false;
  steps->hold = true;
  binding.reset();
  EXPECT_TRUE(iommufd.is_in_use(ioas));
  world.host.advance(world.core->limits().access_deadline);
  EXPECT_FALSE(iommufd.is_in_use(ioas));
  EXPECT_EQ(registered()->reference_count(), 0U);
  steps->held();
}

// --- By its group.

TEST_F(Iommufd, B15_by_its_group_it_is_bound_opened_and_attached) {
  const std::uint32_t ioas = iommufd.add_ioas();
  ASSERT_TRUE(iommufd.fd->set_compatibility_ioas(ioas));
  ASSERT_EQ(open_by_group(), 0);
  EXPECT_EQ(script->seen(), (Calls{"bind", "open", "attach 1"}));
  EXPECT_EQ(pin(), 0);
  std::shared_ptr<DeviceFile> second;
  ASSERT_EQ(open_again(second), 0);
  EXPECT_EQ(script->seen().size(), 3U) << "only for the first of its files";
  second.reset();
  session.device.reset();
  EXPECT_EQ(script->seen(), (Calls{"bind", "open", "attach 1", "close", "unbind", "dma_unmap"}));
  EXPECT_FALSE(iommufd.is_in_use(ioas));
  EXPECT_TRUE(iommufd.fd->empty());
}

TEST_F(Iommufd, B15_by_its_group_without_an_ioas_it_is_closed_again) {
  EXPECT_EQ(open_by_group(), ENODEV);
  EXPECT_EQ(script->seen(), (Calls{"bind", "open", "close", "unbind"}));
  EXPECT_TRUE(iommufd.fd->empty());
}

TEST_F(Iommufd, B15_by_its_group_the_error_of_attach_is_that_of_the_open) {
  ASSERT_TRUE(iommufd.fd->set_compatibility_ioas(iommufd.add_ioas()));
  steps->attach_error = EXDEV;
  EXPECT_EQ(open_by_group(), EXDEV);
  EXPECT_EQ(script->seen(), (Calls{"bind", "open", "attach 1", "close", "unbind"}));
  steps->attach_error = 0;
  EXPECT_EQ(open_again(session.device), 0);
}

TEST_F(Iommufd, B15_by_a_container_proper_nobody_is_asked) {
  static_cast<void>(registered());
  device.group = device.device->group()->iommu_group().number();
  session = world.open(device);
  EXPECT_EQ(script->seen(), Calls{"open"});
}

}  // namespace
}  // namespace umdev::vfio

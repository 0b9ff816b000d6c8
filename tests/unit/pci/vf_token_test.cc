// Who may open a physical function and its virtual functions, as vfio-pci has it.
#include "umdev/pci/vf_token.h"

#include <gtest/gtest.h>

#include "tests/support/fake_access.h"
#include "tests/support/fake_user.h"
#include "tests/support/outcome.h"
#include "tests/unit/pci/physical_function.h"
#include "umdev/abi/migration.h"

namespace umdev::pci {
namespace {

using test::error_of;
using test::FakeUser;
using test::Outcome;
using test::PhysicalFunction;
using test::read_register;

constexpr std::uint32_t config = abi::vfio_pci_config_region_index;
constexpr std::uint32_t set_token = abi::vfio_device_feature_pci_vf_token | abi::vfio_device_feature_set;

const Uuid first = Uuid::parse("52ac9bff-3a88-4fbd-901a-0d767c3b6c97").value();
const Uuid second = Uuid::parse("88594674-90a0-47a9-aea8-9d9b352ac08a").value();

TEST(VfToken, a_virtual_function_wants_the_one_that_is_set) {
  VfToken token(first);
  EXPECT_EQ(error_of(token.match_virtual(std::nullopt)), EACCES);
  EXPECT_EQ(error_of(token.match_virtual(second)), EACCES);
  EXPECT_TRUE(token.match_virtual(first));
  token.set(second);
  EXPECT_EQ(error_of(token.match_virtual(first)), EACCES);
  EXPECT_TRUE(token.match_virtual(second));
}

TEST(VfToken, who_opens_the_physical_function_may_set_it_while_no_virtual_one_is_open) {
  VfToken token(first);
  EXPECT_TRUE(token.match_physical(std::nullopt));
  EXPECT_TRUE(token.match_virtual(first)) << "none shown, none set";
  EXPECT_TRUE(token.match_physical(second));
  EXPECT_TRUE(token.match_virtual(second));

  token.add_user();
  EXPECT_EQ(error_of(token.match_physical(std::nullopt)), EACCES);
  EXPECT_EQ(error_of(token.match_physical(first)), EACCES);
  EXPECT_TRUE(token.match_physical(second));
  EXPECT_TRUE(token.match_virtual(second));
  token.remove_user();
  EXPECT_TRUE(token.match_physical(first));
  EXPECT_TRUE(token.match_virtual(first));
}

struct TokenOfFunctions : testing::Test {
  Result<> open(PciDevice& device, FakeUser& who) {
    Outcome<> outcome;
    device.open_device(who, outcome.done());
    return outcome.succeeded() ? Result<>() : fail(EIO, "it was not opened");
  }
  void close(PciDevice& device, FakeUser& who) {
    Outcome<> outcome;
    device.close_device(who, outcome.done());
    EXPECT_TRUE(outcome.succeeded());
  }
  int feature(PciDevice& device, std::uint32_t flags, ConstBytes data) {
    return error_of(device.device_feature(user, {.flags = flags, .data = data, .room = data.size()}));
  }
  ConstBytes bytes(const Uuid& token) { return std::as_bytes(std::span(token.bytes())); }

  test::TestHost host;
  PhysicalFunction physical;
  std::unique_ptr<PciDevice> virtual_function = physical.create_virtual_function(host).value();
  FakeUser user{physical};
  FakeUser virtual_user{*virtual_function};
};

TEST_F(TokenOfFunctions, is_nobodys_until_it_is_set) {
  EXPECT_FALSE(physical.is_virtual());
  EXPECT_TRUE(virtual_function->is_virtual());
  for (const auto& shown : {std::optional<Uuid>(), std::optional(first), std::optional(Uuid())})
    EXPECT_EQ(error_of(virtual_function->match_token(shown)), EACCES);
  EXPECT_TRUE(physical.match_token(std::nullopt));
}

TEST_F(TokenOfFunctions, lasts_when_the_physical_functions_user_has_gone) {
  ASSERT_TRUE(physical.match_token(first));
  ASSERT_TRUE(open(physical, user));
  close(physical, user);
  EXPECT_EQ(error_of(virtual_function->match_token(second)), EACCES);
  EXPECT_TRUE(virtual_function->match_token(first));
}

TEST_F(TokenOfFunctions, guards_the_physical_function_while_a_virtual_one_is_open) {
  ASSERT_TRUE(physical.match_token(first));
  ASSERT_TRUE(open(*virtual_function, virtual_user));
  EXPECT_EQ(error_of(physical.match_token(std::nullopt)), EACCES);
  EXPECT_TRUE(physical.match_token(first));
  close(*virtual_function, virtual_user);
  EXPECT_TRUE(physical.match_token(std::nullopt));
}

TEST_F(TokenOfFunctions, is_a_feature_that_is_set_and_never_read) {
  EXPECT_EQ(feature(physical, set_token, bytes(second)), 0);
  EXPECT_TRUE(virtual_function->match_token(second));
  EXPECT_EQ(feature(physical, set_token, bytes(first).first(15)), EINVAL);
  EXPECT_EQ(
      feature(physical, abi::vfio_device_feature_pci_vf_token | abi::vfio_device_feature_get, bytes(first)),
      EINVAL);
  EXPECT_EQ(feature(physical, abi::vfio_device_feature_pci_vf_token, bytes(first)), EINVAL);
  EXPECT_EQ(feature(physical, set_token | abi::vfio_device_feature_probe, {}), 0);
  EXPECT_TRUE(virtual_function->match_token(second)) << "none of these has set it";
  EXPECT_EQ(feature(*virtual_function, set_token, bytes(first)), ENOTTY);
  EXPECT_EQ(feature(physical, 1 | abi::vfio_device_feature_set, bytes(first)), ENOTTY);
}

TEST_F(TokenOfFunctions, another_function_has_none) {
  EXPECT_EQ(error_of(virtual_function->create_virtual_function(host)), EOPNOTSUPP);
}

TEST_F(TokenOfFunctions, config_space_says_how_many_there_are_through_resets_and_users) {
  const std::uint16_t sriov = physical.layout().sriov_offset();
  const auto shown = [&](std::uint16_t at) {
    return *read_register<std::uint16_t>(physical, user, config, sriov + at);
  };
  ASSERT_TRUE(open(physical, user));
  EXPECT_EQ(shown(abi::pci_sriov_num_vf), 0);
  physical.show_virtual_functions(2);
  EXPECT_TRUE(test::write_register<std::uint16_t>(physical, user, config, sriov + abi::pci_sriov_num_vf, 3));
  Outcome<> outcome;
  physical.reset(user, outcome.done());
  EXPECT_EQ(shown(abi::pci_sriov_num_vf), 2);
  close(physical, user);
  ASSERT_TRUE(open(physical, user));
  EXPECT_EQ(shown(abi::pci_sriov_num_vf), 2);
  EXPECT_EQ(shown(abi::pci_sriov_ctrl), abi::pci_sriov_ctrl_vfe | abi::pci_sriov_ctrl_mse);
  physical.show_virtual_functions(0);
  EXPECT_EQ(shown(abi::pci_sriov_num_vf), 0);
  EXPECT_EQ(shown(abi::pci_sriov_ctrl), 0);
  close(physical, user);
}

}  // namespace
}  // namespace umdev::pci

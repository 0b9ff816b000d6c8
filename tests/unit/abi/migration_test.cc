// The names of umdev/abi/migration.h against the system's header, as far as that has them.
#include "umdev/abi/migration.h"

#include <gtest/gtest.h>
#include <linux/vfio.h>

#include <cstddef>

namespace umdev::abi {
namespace {

TEST(MigrationNames, are_those_of_the_system_header) {
  EXPECT_EQ(+vfio_device_feature_pci_vf_token, VFIO_DEVICE_FEATURE_PCI_VF_TOKEN);
  EXPECT_EQ(+vfio_device_feature_migration, VFIO_DEVICE_FEATURE_MIGRATION);
  EXPECT_EQ(+vfio_device_feature_mig_device_state, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE);
  EXPECT_EQ(vfio_migration_stop_copy, VFIO_MIGRATION_STOP_COPY);
  EXPECT_EQ(vfio_migration_p2p, VFIO_MIGRATION_P2P);
  EXPECT_EQ(+vfio_device_state_error, +VFIO_DEVICE_STATE_ERROR);
  EXPECT_EQ(+vfio_device_state_stop, +VFIO_DEVICE_STATE_STOP);
  EXPECT_EQ(+vfio_device_state_running, +VFIO_DEVICE_STATE_RUNNING);
  EXPECT_EQ(+vfio_device_state_stop_copy, +VFIO_DEVICE_STATE_STOP_COPY);
  EXPECT_EQ(+vfio_device_state_resuming, +VFIO_DEVICE_STATE_RESUMING);
  EXPECT_EQ(+vfio_device_state_running_p2p, +VFIO_DEVICE_STATE_RUNNING_P2P);
}

TEST(MigrationStructures, lie_as_in_the_system_header) {
  EXPECT_EQ(sizeof(VfioDeviceFeatureMigration), sizeof(struct ::vfio_device_feature_migration));
  EXPECT_EQ(sizeof(VfioDeviceFeatureMigState), sizeof(vfio_device_feature_mig_state));
  EXPECT_EQ(offsetof(VfioDeviceFeatureMigState, data_fd), offsetof(vfio_device_feature_mig_state, data_fd));
}

#ifdef VFIO_MIGRATION_PRE_COPY
TEST(MigrationNames, of_pre_copy_are_those_of_the_system_header) {
  EXPECT_EQ(vfio_migration_pre_copy, VFIO_MIGRATION_PRE_COPY);
  EXPECT_EQ(+vfio_device_state_pre_copy, +VFIO_DEVICE_STATE_PRE_COPY);
  EXPECT_EQ(+vfio_device_state_pre_copy_p2p, +VFIO_DEVICE_STATE_PRE_COPY_P2P);
  EXPECT_EQ(+vfio_device_feature_mig_data_size, VFIO_DEVICE_FEATURE_MIG_DATA_SIZE);
  EXPECT_EQ(sizeof(VfioPrecopyInfo), sizeof(vfio_precopy_info));
}
#endif

}  // namespace
}  // namespace umdev::abi

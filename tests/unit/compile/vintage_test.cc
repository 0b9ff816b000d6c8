#include "umdev/compile/vintage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace umdev::compile {
namespace {

using ::testing::HasSubstr;

std::expected<Choice, std::string> choose(std::string text) {
  const SourceText source{.name = "x.c", .text = std::move(text)};
  return choose_vintage({&source, 1});
}

TEST(Vintage, each_has_a_name_and_is_found_by_it) {
  for (const Vintage vintage : all_vintages()) EXPECT_EQ(find_vintage(name_of(vintage)), vintage);
  EXPECT_EQ(find_vintage("6.2"), std::nullopt);
  EXPECT_EQ(find_vintage(""), std::nullopt);
}

TEST(Vintage, numbers_are_in_the_order_of_the_vintages) {
  std::uint32_t last = 0;
  for (const Vintage vintage : all_vintages()) {
    EXPECT_GT(number_of(vintage), last);
    last = number_of(vintage);
  }
}

TEST(Vintage, the_names_of_a_driver_tell) {
  struct Case {
    std::string_view source;
    Vintage vintage;
  };
  const Case cases[] = {
      {"vfio_add_group_dev(dev, &ops, data);", Vintage::v4_10},
      {"static struct mdev_parent_ops fops; mdev_register_device(&dev, &fops);", Vintage::v4_10},
      {"static const struct parent_ops fops;", Vintage::v4_10},
      {"mdev_register_driver(&driver, THIS_MODULE);", Vintage::v4_10},
      {"vfio_init_group_dev(&s->vdev, dev, &ops, s); vfio_register_group_dev(&s->vdev);", Vintage::v5_13_rc},
      {"vfio_init_group_dev(&s->vdev, dev, &ops); vfio_register_group_dev(&s->vdev);", Vintage::v5_13},
      {"struct mdev_parent_ops fops; vfio_init_group_dev(a, b, c);", Vintage::v5_13},
      {"vfio_init_group_dev(a, b, c); vfio_register_emulated_iommu_dev(a);", Vintage::v5_16},
      {"vfio_alloc_device(a, b, c, d); vfio_register_emulated_iommu_dev(a);", Vintage::v6_1},
      {"vfio_alloc_device(a, b, c, d); x = { .bind_iommufd = f };", Vintage::v6_12},
      {"vfio_alloc_device(a, b, c, d); eventfd_signal(ctx);", Vintage::v6_12},
      {"vfio_alloc_device(a, b, c, d); eventfd_signal(ctx, 1);", Vintage::v6_1},
      {"static const struct vfio_log_ops log;", Vintage::v6_1},
      {"struct vfio_migration_ops ops = { .migration_get_data_size = f };", Vintage::v6_12},
      {"vfio_alloc_device(a, b, c, d); x = { .get_region_info_caps = f };", Vintage::v7_0},
      {"vfio_check_precopy_ioctl(vdev, cmd, arg, &info);", Vintage::v7_0},
      {"struct vfio_iommu_driver_ops ops = { .register_notifier = f };", Vintage::v4_10},
      {"int attach(void* data, struct iommu_group* group, enum vfio_group_type type);", Vintage::v5_16},
      {"struct vfio_iommu_driver_ops ops = { .register_device = f };", Vintage::v6_1},
  };
  for (const Case& one : cases) {
    const auto choice = choose(std::string(one.source));
    ASSERT_TRUE(choice) << one.source << ": " << choice.error();
    EXPECT_EQ(name_of(choice->vintage), name_of(one.vintage)) << one.source;
  }
}

TEST(Vintage, the_newest_where_nothing_tells) {
  const auto choice =
      choose("/* vfio_add_group_dev() */ int parent_ops; static const char *s = \"mdev_uuid\";");
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->vintage, Vintage::v7_0);
  EXPECT_TRUE(choice->because.empty());
  EXPECT_THAT(describe(*choice), HasSubstr("nothing in the source tells"));
}

TEST(Vintage, names_that_exclude_each_other_are_told) {
  const auto choice = choose("vfio_add_group_dev(a, b, c);\nvfio_alloc_device(a, b, c, d);");
  ASSERT_FALSE(choice);
  EXPECT_THAT(choice.error(), HasSubstr("x.c:1 uses vfio_add_group_dev (until 4.10)"));
  EXPECT_THAT(choice.error(), HasSubstr("x.c:2 uses vfio_alloc_device (since 6.1)"));
  EXPECT_THAT(choice.error(), HasSubstr("--api"));
}

TEST(Vintage, what_was_picked_and_why_is_one_line) {
  EXPECT_EQ(
      describe(*choose("\nvfio_alloc_device(a, b, c, d);\nvfio_free_device(v);")),
      "interface 6.1: x.c:2 uses vfio_alloc_device (since 6.1), x.c:3 uses vfio_free_device (only 6.1)");
  EXPECT_EQ(describe(*choose("eventfd_signal(a, 1);")),
            "interface 4.10: x.c:1 uses eventfd_signal with 2 arguments (until 6.1)");
}

TEST(Vintage, several_sources_of_one_module_are_looked_at_together) {
  const SourceText sources[] = {{.name = "a.c", .text = "vfio_put_device(v);"},
                                {.name = "b.c", .text = "x = { .attach_ioas = f };"}};
  const auto choice = choose_vintage(sources);
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->vintage, Vintage::v6_12);
  ASSERT_EQ(choice->because.size(), 1U);
  EXPECT_EQ(choice->because[0].file, "b.c");
}

}  // namespace
}  // namespace umdev::compile

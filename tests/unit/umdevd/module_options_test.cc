#include "apps/umdevd/module_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace umdev::daemon {
namespace {

using ::testing::HasSubstr;
using Words = std::vector<std::string>;
using Parameters = control::Modules::Parameters;

TEST(ModuleOptions, paths_are_made_absolute_and_keep_their_order) {
  const auto modules = parse_modules(Words{"/b/./two.so", "one.so"}, {});
  ASSERT_TRUE(modules);
  ASSERT_EQ(modules->size(), 2U);
  EXPECT_EQ((*modules)[0].path, "/b/two.so");
  EXPECT_EQ((*modules)[0].name(), "two");
  EXPECT_TRUE((*modules)[1].path.starts_with('/'));
  EXPECT_TRUE((*modules)[1].path.ends_with("/one.so"));
}

TEST(ModuleOptions, a_parameter_of_the_only_module_needs_no_name_of_it) {
  const auto modules = parse_modules(Words{"/one.so"}, Words{"count=2", "one.word=a=b.c", "empty="});
  ASSERT_TRUE(modules) << modules.error();
  EXPECT_EQ((*modules)[0].parameters, (Parameters{{"count", "2"}, {"word", "a=b.c"}, {"empty", ""}}));
}

TEST(ModuleOptions, with_several_modules_it_has_to_be_said_which) {
  const Words paths{"/one.so", "/two.so"};
  const auto modules = parse_modules(paths, Words{"two.count=3"});
  ASSERT_TRUE(modules) << modules.error();
  EXPECT_TRUE((*modules)[0].parameters.empty());
  EXPECT_EQ((*modules)[1].parameters, (Parameters{{"count", "3"}}));
  EXPECT_THAT(parse_modules(paths, Words{"count=3"}).error(), HasSubstr("of which module"));
}

TEST(ModuleOptions, what_is_no_parameter_of_a_module_is_told) {
  EXPECT_THAT(parse_modules(Words{"/one.so"}, Words{"count"}).error(), HasSubstr("NAME=VALUE"));
  EXPECT_THAT(parse_modules(Words{"/one.so"}, Words{"=3"}).error(), HasSubstr("NAME=VALUE"));
  EXPECT_THAT(parse_modules(Words{"/one.so"}, Words{"two.a=3"}).error(), HasSubstr("no such --module"));
  EXPECT_THAT(parse_modules({}, Words{"a=3"}).error(), HasSubstr("no such --module"));
}

TEST(ModuleOptions, a_module_takes_the_place_of_the_parent_that_is_called_as_it) {
  Config config = default_config();
  const std::size_t before = config.parents.size();
  leave_place(config, *parse_modules(Words{"/x/mtty.so", "/x/other.so"}, {}));
  EXPECT_EQ(config.parents.size(), before - 1);
  for (const ParentConfig& parent : config.parents) EXPECT_NE(parent.name, "mtty");
}

}  // namespace
}  // namespace umdev::daemon

#include "umdev/compile/skeleton.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "umdev/compile/vintage.h"

namespace umdev::compile {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class SkeletonTest : public ::testing::TestWithParam<Language> {};

TEST_P(SkeletonTest, is_called_as_one_wants_it) {
  const auto files = make_skeleton("my_card2", GetParam());
  ASSERT_TRUE(files) << files.error();
  ASSERT_EQ(files->size(), 2U);
  EXPECT_EQ((*files)[0].name, GetParam() == Language::c ? "my_card2.c" : "my_card2.cc");
  EXPECT_EQ((*files)[1].name, "Makefile");
  for (const NewFile& file : *files) {
    EXPECT_THAT(file.text, HasSubstr("my_card2"));
    EXPECT_THAT(file.text, Not(HasSubstr("keleton")));
  }
  EXPECT_THAT((*files)[1].text, HasSubstr("cc " + (*files)[0].name + " -o"));
}

TEST_P(SkeletonTest, is_written_for_the_interface_of_a_kernel_with_long_support) {
  const auto files = make_skeleton("card", GetParam());
  ASSERT_TRUE(files);
  const SourceText source{.name = (*files)[0].name, .text = (*files)[0].text};
  const auto choice = choose_vintage({&source, 1});
  ASSERT_TRUE(choice) << choice.error();
  EXPECT_EQ(choice->vintage, Vintage::v6_1);
}

INSTANTIATE_TEST_SUITE_P(Languages, SkeletonTest, ::testing::Values(Language::c, Language::cxx),
                         [](const auto& parameter) { return parameter.param == Language::c ? "c" : "cxx"; });

TEST(Skeleton, a_name_that_is_no_word_of_c_is_refused) {
  for (const char* name : {"", "1card", "my-card", "Card", "a b", "../x", "_x", "ä"})
    EXPECT_FALSE(make_skeleton(name, Language::c)) << name;
  EXPECT_FALSE(make_skeleton(std::string(41, 'a'), Language::c));
  EXPECT_TRUE(make_skeleton(std::string(40, 'a'), Language::c));
}

}  // namespace
}  // namespace umdev::compile

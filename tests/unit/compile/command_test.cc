#include "umdev/compile/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace umdev::compile {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

using Words = std::vector<std::string>;

const Toolchain toolchain{.c = {"gcc"}, .cxx = {"ccache", "g++"}, .headers = "/include"};

std::expected<Words, std::string> command_for(Words sources, std::string output = "x.so") {
  return make_command({.sources = std::move(sources), .output = std::move(output)}, toolchain);
}

TEST(Command, the_language_is_the_end_of_the_name) {
  EXPECT_EQ(language_of("a.c"), Language::c);
  for (const char* name : {"a.cc", "a.cpp", "a.cxx", "a.C", "b.c.cc"})
    EXPECT_EQ(language_of(name), Language::cxx);
  for (const char* name : {"a", "a.h", "a.o", "c", ""}) EXPECT_EQ(language_of(name), std::nullopt) << name;
}

TEST(Command, the_module_is_called_as_the_file_with_the_letters_of_a_kernels_module) {
  EXPECT_EQ(module_name_of("out/my-driver.so"), "my_driver");
  EXPECT_EQ(module_name_of("mtty.so"), "mtty");
  EXPECT_EQ(module_name_of("a.b"), "a_b");
  EXPECT_EQ(module_name_of("out/"), "");
}

TEST(Command, a_c_driver_is_compiled_as_kernel_code_is) {
  const auto words = command_for({"a.c", "b.c"}, "out/my-x.so");
  ASSERT_TRUE(words) << words.error();
  EXPECT_EQ(words->front(), "gcc");
  for (const char* word : {"-std=gnu11", "-fno-strict-aliasing", "-fPIC", "-shared",
                           "-DKBUILD_MODNAME=\"my_x\"", "-DUMDEV_KERNEL_API=0x070000", "a.c", "b.c"})
    EXPECT_THAT(*words, Contains(word));
  EXPECT_EQ(*(std::find(words->begin(), words->end(), "-I") + 1), "/include");
  EXPECT_EQ(*(std::find(words->begin(), words->end(), "-o") + 1), "out/my-x.so");
}

TEST(Command, a_cxx_driver_is_compiled_by_the_cxx_compiler) {
  const auto words = command_for({"a.cc"});
  ASSERT_TRUE(words);
  EXPECT_EQ(Words(words->begin(), words->begin() + 2), toolchain.cxx);
  EXPECT_THAT(*words, Contains("-std=gnu++20"));
}

TEST(Command, the_vintage_is_a_number_of_the_headers) {
  const auto words =
      make_command({.sources = {"a.c"}, .output = "a.so", .vintage = Vintage::v5_13_rc}, toolchain);
  EXPECT_THAT(*words, Contains("-DUMDEV_KERNEL_API=0x050cff"));
}

TEST(Command, sanitizers_go_on_behind_what_they_find) {
  const auto words =
      make_command({.sources = {"a.c"}, .output = "a.so", .sanitizers = {"address", "undefined"}}, toolchain);
  EXPECT_THAT(*words, Contains("-fsanitize=address,undefined"));
  EXPECT_THAT(*words, Contains("-fsanitize-recover=address,undefined"));
  EXPECT_THAT(*words, Not(Contains("-shared-libsan")));
}

TEST(Command, clang_is_told_that_the_sanitizer_is_shared) {
  const auto words = make_command({.sources = {"a.c"}, .output = "a.so", .sanitizers = {"address"}},
                                  {.c = {"clang-19"}, .cxx = {}, .headers = "/include"});
  EXPECT_THAT(*words, Contains("-shared-libsan"));
}

TEST(Command, coverage_counts_the_lines_of_the_source) {
  const auto words = make_command(
      {.sources = {"a.c"}, .output = "a.so", .vintage = Vintage::v6_1, .coverage = true}, toolchain);
  EXPECT_THAT(*words, Contains("--coverage"));
  EXPECT_LT(std::find(words->begin(), words->end(), "-O2"), std::find(words->begin(), words->end(), "-O0"));
}

TEST(Command, words_of_the_user_come_last) {
  const auto words =
      make_command({.sources = {"a.c"}, .output = "a.so", .extra = {"-O0", "--coverage"}}, toolchain);
  EXPECT_EQ(Words(words->end() - 2, words->end()), (Words{"-O0", "--coverage"}));
}

TEST(Command, what_cannot_be_a_module_is_told) {
  EXPECT_THAT(command_for({}).error(), HasSubstr("name a source"));
  EXPECT_THAT(command_for({"a.o"}).error(), HasSubstr("a.o: neither C"));
  EXPECT_THAT(command_for({"a.c", "b.cc"}).error(), HasSubstr("not in both"));
  EXPECT_THAT(command_for({"a.c"}, "").error(), HasSubstr("-o"));
  EXPECT_THAT(command_for({"a.c"}, ".so").error(), HasSubstr("-o"));
}

TEST(Command, sanitizers_are_address_and_undefined) {
  EXPECT_EQ(parse_sanitizers("address"), Words{"address"});
  EXPECT_EQ(parse_sanitizers("undefined,address"), (Words{"undefined", "address"}));
  for (const char* list : {"", "thread", "address,", ",address", "address,thread"})
    EXPECT_FALSE(parse_sanitizers(list)) << list;
}

TEST(Command, a_line_is_quoted_for_a_shell) {
  EXPECT_EQ(quote({"gcc", "-DA=\"x\"", "a b", "", "it's"}), R"(gcc '-DA="x"' 'a b' '' 'it'\''s')");
}

TEST(Command, the_words_of_a_variable_are_split_at_blanks) {
  EXPECT_THAT(split_words("  ccache\tgcc "), ElementsAre("ccache", "gcc"));
  EXPECT_THAT(split_words(" "), ElementsAre());
}

}  // namespace
}  // namespace umdev::compile

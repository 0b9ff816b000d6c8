#include "umdev/support/uuid.h"

#include <gtest/gtest.h>

namespace umdev {
namespace {

constexpr std::string_view good = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

TEST(Uuid, prints_what_it_parsed_in_lower_case) {
  EXPECT_EQ(Uuid::parse(good)->to_string(), good);
  EXPECT_EQ(Uuid::parse("83B8F4F2-509F-382F-3C1E-E6BFE0FA1001")->to_string(), good);
}

TEST(Uuid, refuses_every_other_form_with_einval) {
  const std::string_view bad[] = {"",
                                  "8",
                                  "83b8f4f2-509f-382f-3c1e-e6bfe0fa100",
                                  "83b8f4f2-509f-382f-3c1e-e6bfe0fa10012",
                                  "{83b8f4f2-509f-382f-3c1e-e6bfe0fa100}",
                                  "83b8f4f2509f-382f-3c1e-e6bfe0fa10-01",
                                  "83b8f4f2-509f-382f-3c1e-e6bfe0fa100g",
                                  "83b8f4f2-509f-382f-3c1e_e6bfe0fa1001",
                                  " 3b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
                                  "83b8f4f2--09f-382f-3c1e-e6bfe0fa1001"};
  for (const std::string_view text : bad) EXPECT_EQ(Uuid::parse(text).error().code, EINVAL) << text;
}

TEST(Uuid, D32_create_takes_36_or_37_characters_and_ignores_the_37th) {
  const std::string uuid(good);
  EXPECT_TRUE(Uuid::parse_create(uuid));
  EXPECT_TRUE(Uuid::parse_create(uuid + "\n"));
  EXPECT_TRUE(Uuid::parse_create(uuid + "x"));
  EXPECT_EQ(Uuid::parse_create(uuid.substr(0, 35)).error().code, EINVAL);
  EXPECT_EQ(Uuid::parse_create(uuid + "\n\n").error().code, EINVAL);
}

}  // namespace
}  // namespace umdev

// The host-wide registry of UUIDs, and the ledger of a parent's resources.
#include "umdev/mdev/registry.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "tests/unit/mdev/mdev_fixture.h"
#include "umdev/mdev/resource_ledger.h"

namespace umdev::mdev {
namespace {

TEST(Registry, a_uuid_is_reserved_once_and_free_after_its_release) {
  Registry registry(10);
  const Uuid uuid = MdevWorld::uuid(1);
  EXPECT_TRUE(registry.reserve(uuid));
  EXPECT_EQ(registry.reserve(uuid).error().code, EEXIST);
  EXPECT_EQ(registry.state(uuid), InstanceState::probing);
  EXPECT_EQ(registry.find(uuid).error().code, EAGAIN);
  EXPECT_EQ(registry.find_removing(uuid), nullptr);
  EXPECT_TRUE(registry.list().empty());
  EXPECT_EQ(registry.size(), 1U);
  registry.release(uuid);
  EXPECT_EQ(registry.state(uuid).error().code, ENODEV);
  EXPECT_TRUE(registry.reserve(uuid));
}

using RegistryTest = CardTest;

TEST_F(RegistryTest, an_instance_is_claimed_for_one_removal) {
  ASSERT_EQ(create(1), 0);
  const auto instance = world.bus->find(uuid(1)).value();
  Registry registry(10);
  ASSERT_TRUE(registry.reserve(uuid(1)));
  EXPECT_EQ(registry.begin_removal(*instance).error().code, ENODEV) << "it is not this one's yet";
  registry.activate(uuid(1), instance);
  EXPECT_EQ(registry.find_removing(uuid(1)), nullptr);
  EXPECT_TRUE(registry.begin_removal(*instance));
  EXPECT_EQ(registry.state(uuid(1)), InstanceState::removing);
  EXPECT_EQ(registry.begin_removal(*instance).error().code, EAGAIN);
  EXPECT_EQ(registry.find_removing(uuid(1)), instance);
  EXPECT_EQ(registry.find(uuid(1)), instance);
  registry.cancel_removal(uuid(1));
  EXPECT_EQ(registry.state(uuid(1)), InstanceState::active);
  EXPECT_TRUE(registry.begin_removal(*instance));
  registry.release(uuid(1));
  EXPECT_EQ(registry.begin_removal(*instance).error().code, ENODEV);
}

// An instance that went does not stand for a later one of its UUID.
TEST_F(RegistryTest, a_claim_is_of_the_instance_and_not_of_its_uuid) {
  ASSERT_EQ(create(1), 0);
  const auto old = world.bus->find(uuid(1)).value();
  ASSERT_EQ(remove(1), 0);
  ASSERT_EQ(create(1), 0);
  const auto now = world.bus->find(uuid(1)).value();
  Registry registry(10);
  ASSERT_TRUE(registry.reserve(uuid(1)));
  registry.activate(uuid(1), now);
  EXPECT_EQ(registry.begin_removal(*old).error().code, ENODEV);
  EXPECT_TRUE(registry.begin_removal(*now));
}

TEST(Ledger, draws_all_or_nothing) {
  auto ledger = std::make_shared<ResourceLedger>(Resources{{"ports", 4}, {"memory", 10}});
  EXPECT_EQ(ledger->draw({{"ports", 1}, {"memory", 11}}).error().code, ENOSPC);
  EXPECT_EQ(ledger->available({{"ports", 1}}), 4U) << "of what failed nothing is drawn";
  EXPECT_EQ(ledger->draw({{"ports", 1}, {"time", 1}}).error().code, EINVAL);
  EXPECT_FALSE(ledger->covers({{"time", 1}}));
  EXPECT_TRUE(ledger->covers({{"ports", 100}, {"memory", 1}}));
  auto lease = ledger->draw({{"ports", 3}, {"memory", 5}});
  ASSERT_TRUE(lease);
  EXPECT_EQ(ledger->available({{"ports", 1}, {"memory", 1}}), 1U) << "the scarcest decides";
  EXPECT_EQ(ledger->available({}), UINT32_MAX);
  EXPECT_EQ(ledger->available({{"time", 1}}), 0U);
  lease->give_back();
  lease->give_back();
  EXPECT_EQ(ledger->available({{"ports", 1}}), 4U);
}

TEST(Ledger, a_name_that_stands_there_twice_counts_twice) {
  auto ledger = std::make_shared<ResourceLedger>(Resources{{"ports", 3}, {"ports", 2}});
  EXPECT_EQ(ledger->available({{"ports", 1}}), 5U);
  EXPECT_EQ(ledger->available({{"ports", 2}, {"ports", 1}}), 1U);
  EXPECT_EQ(ledger->draw({{"ports", 3}, {"ports", 3}}).error().code, ENOSPC);
  EXPECT_EQ(ledger->draw({{"ports", UINT64_MAX}, {"ports", 2}}).error().code, ENOSPC);
  EXPECT_TRUE(ledger->draw({{"ports", 3}, {"ports", 2}}));
  EXPECT_EQ(ledger->available({{"ports", 1}}), 5U);
}

TEST(Ledger, a_lease_outlives_the_parents_share_and_moves) {
  auto ledger = std::make_shared<ResourceLedger>(Resources{{"ports", 2}});
  auto first = ledger->draw({{"ports", 1}});
  auto second = ledger->draw({{"ports", 1}});
  ASSERT_TRUE(first && second);
  *first = std::move(*second);
  EXPECT_EQ(ledger->available({{"ports", 1}}), 1U) << "what was overwritten is given back";
  ledger.reset();
  first->give_back();
}

// Against plain arithmetic: whatever is drawn and given back, what is free is the total less what is out.
RC_GTEST_PROP(Ledger, is_plain_arithmetic, (std::vector<std::uint8_t> steps)) {
  const std::uint64_t total_a = 20;
  const std::uint64_t total_b = 7;
  auto ledger = std::make_shared<ResourceLedger>(Resources{{"a", total_a}, {"b", total_b}});
  std::uint64_t out_a = 0;
  std::uint64_t out_b = 0;
  struct Out {
    ResourceLedger::Lease lease;
    std::uint64_t a, b;
  };
  std::vector<Out> leases;
  for (const std::uint8_t step : steps) {
    const std::uint64_t a = step % 5;
    const std::uint64_t b = step / 5 % 3;
    if (step % 7 == 0 && !leases.empty()) {
      Out& out = leases[step % leases.size()];
      out_a -= out.a;
      out_b -= out.b;
      leases.erase(leases.begin() + static_cast<std::ptrdiff_t>(step % leases.size()));
    } else {
      auto lease = ledger->draw({{"a", a}, {"b", b}});
      RC_ASSERT(lease.has_value() == (out_a + a <= total_a && out_b + b <= total_b));
      if (!lease) continue;
      out_a += a;
      out_b += b;
      leases.push_back({std::move(*lease), a, b});
    }
    RC_ASSERT(ledger->available({{"a", 1}}) == total_a - out_a);
    RC_ASSERT(ledger->available({{"b", 2}}) == (total_b - out_b) / 2);
  }
  leases.clear();
  RC_ASSERT(ledger->available({{"a", 1}}) == total_a);
}

}  // namespace
}  // namespace umdev::mdev

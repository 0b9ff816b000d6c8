// Sequences of operations on a container against a plain model: one entry for each mapped page.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "tests/unit/iommu/fixtures.h"
#include "umdev/abi/vfio.h"
#include "umdev/iommu/type1.h"

namespace umdev::iommu {
namespace {

struct Step {
  unsigned kind = 0;
  std::uint64_t page_number = 0;
  std::uint64_t pages = 0;
  std::uint64_t offset = 0;  // in bytes, for pins and copies
  unsigned backing = 0;
  std::uint64_t backing_page = 0;
  unsigned access = 0;
};

// NOLINTNEXTLINE(readability-identifier-naming): RapidCheck looks for this name
void showValue(const Step& step, std::ostream& out) {
  out << "{kind " << step.kind << ", page " << step.page_number << " + " << step.pages << ", offset "
      << step.offset << ", backing " << step.backing << " page " << step.backing_page << ", access "
      << step.access << "}";
}

constexpr std::uint64_t space_pages = 24;
constexpr std::uint64_t backing_pages = 12;
constexpr std::uint32_t mapping_limit = 5;

rc::Gen<Step> any_step() {
  const auto below = [](std::uint64_t end) { return rc::gen::inRange<std::uint64_t>(0, end); };
  return rc::gen::build<Step>(
      rc::gen::set(&Step::kind, rc::gen::inRange(0U, 8U)),
      rc::gen::set(&Step::page_number, below(space_pages)), rc::gen::set(&Step::pages, below(7)),
      rc::gen::set(&Step::offset, rc::gen::element<std::uint64_t>(0, 0, 1, 17, page - 1)),
      rc::gen::set(&Step::backing, rc::gen::inRange(0U, 2U)),
      rc::gen::set(&Step::backing_page, below(backing_pages)),
      rc::gen::set(&Step::access, rc::gen::element(0U, 1U, 2U, 3U, 3U, 3U)));
}

// What the container promises, said as simply as can be.
class Model {
 public:
  struct Page {
    int mapping;
    unsigned access;
    unsigned backing;
    std::uint64_t backing_page;
  };

  int map(const Step& step) {
    if (step.pages == 0 || step.access == 0) return EINVAL;
    if (!ids_in(step.page_number, step.pages).empty()) return EEXIST;
    std::set<int> ids;
    for (const auto& [number, entry] : pages) ids.insert(entry.mapping);
    if (ids.size() == mapping_limit) return ENOSPC;
    if (step.backing_page + step.pages > backing_pages) return EFAULT;
    ++last_mapping;
    for (std::uint64_t index = 0; index != step.pages; ++index) {
      pages[step.page_number + index] = {last_mapping, step.access, step.backing, step.backing_page + index};
    }
    return 0;
  }

  // The mappings that go; EINVAL as -1 in the set.
  std::set<int> unmap(const Step& step, bool v2) {
    const std::set<int> hit = ids_in(step.page_number, step.pages);
    const auto starts_before = [&](int id) {
      return std::any_of(pages.begin(), pages.end(), [&](const auto& entry) {
        return entry.second.mapping == id && entry.first < step.page_number;
      });
    };
    const auto ends_after = [&](int id) {
      return std::any_of(pages.begin(), pages.end(), [&](const auto& entry) {
        return entry.second.mapping == id && entry.first >= step.page_number + step.pages;
      });
    };
    const bool head_cut = std::any_of(hit.begin(), hit.end(), starts_before);
    if (v2 && (head_cut || std::any_of(hit.begin(), hit.end(), ends_after))) return {-1};
    if (!v2 && head_cut) return {};
    return hit;
  }

  std::uint64_t remove(const std::set<int>& ids) {
    return page * std::erase_if(pages, [&](const auto& entry) { return ids.contains(entry.second.mapping); });
  }

  // The first error that a device meets on its way through the range.
  int check(IovaRange range, unsigned access) const {
    if (range.size == 0) return EINVAL;
    for (std::uint64_t number = range.iova / page; number <= range.last() / page; ++number) {
      const auto found = pages.find(number);
      if (found == pages.end()) return EINVAL;
      if ((found->second.access & access) != access) return EPERM;
    }
    return 0;
  }

  std::set<int> ids_in(std::uint64_t first, std::uint64_t count) const {
    std::set<int> ids;
    for (std::uint64_t number = first; number != first + count; ++number) {
      if (const auto found = pages.find(number); found != pages.end()) ids.insert(found->second.mapping);
    }
    return ids;
  }

  std::map<std::uint64_t, Page> pages;
  int last_mapping = 0;
};

class Run {
 public:
  explicit Run(bool v2) : v2_(v2) {
    for (unsigned index = 0; index != 2; ++index) {
      real_[index] = std::make_shared<MemoryBacking>(backing_pages * page);
      expected_[index].resize(backing_pages * page);
    }
    instance_ = *driver_.open(v2 ? abi::vfio_type1v2_iommu : abi::vfio_type1_iommu);
    instance_->register_user(user_);
  }
  ~Run() {
    pins_.clear();
    instance_->unregister_user(user_);
  }

  void apply(const Step& step) {
    switch (step.kind) {
      case 0:
      case 1:
        return map(step);
      case 2:
        return unmap(step, false);
      case 3:
        return step.offset == 17 ? unmap(step, true) : unmap(step, false);
      case 4:
        return pin(step);
      case 5:
        return unpin(step);
      case 6:
        return read(step);
      default:
        return write(step);
    }
  }

  void check_at_end() {
    for (unsigned index = 0; index != 2; ++index) {
      RC_ASSERT(std::ranges::equal(real_[index]->bytes(), expected_[index]));
      RC_ASSERT(real_[index]->revoked().empty());
    }
    RC_ASSERT(instance_->mapping_count() == model_.ids_in(0, space_pages + 8).size());
    RC_ASSERT(clock_.pending_timers() == 0U);
  }

 private:
  static IovaRange range_of(const Step& step) {
    const std::uint64_t bytes = step.pages * page;
    return {step.page_number * page + step.offset, bytes > step.offset ? bytes - step.offset : bytes};
  }

  void map(const Step& step) {
    const Result<> result = instance_->map({.flags = step.access,
                                            .iova = step.page_number * page,
                                            .size = step.pages * page,
                                            .backing = real_[step.backing],
                                            .backing_offset = step.backing_page * page});
    RC_ASSERT(error_of(result) == model_.map(step));
  }

  void unmap(const Step& step, bool all) {
    if (!all && step.pages == 0) return;
    std::set<int> ids = all ? model_.ids_in(0, space_pages + 8) : model_.unmap(step, v2_);
    Outcome<std::uint64_t> outcome;
    instance_->unmap({.flags = all ? abi::vfio_dma_unmap_flag_all : 0,
                      .iova = all ? 0 : step.page_number * page,
                      .size = all ? 0 : step.pages * page},
                     outcome.done());
    if (ids.contains(-1)) {
      RC_ASSERT(outcome.error() == EINVAL);
      return;
    }
    const auto is_hit = [&](const DmaPin& held) {
      const std::uint64_t first = held.range().iova / page;
      const std::uint64_t last = held.range().last() / page;
      return std::ranges::any_of(model_.ids_in(first, last - first + 1),
                                 [&](int id) { return ids.contains(id); });
    };
    const bool waits = std::ranges::any_of(pins_, is_hit);
    RC_ASSERT(outcome.is_done() == !waits);
    if (waits) {
      const std::uint64_t number = std::ranges::find_if(model_.pages, [&](const auto& entry) {
                                     return ids.contains(entry.second.mapping);
                                   })->first;
      RC_ASSERT(error_of(instance_->pin(user_, {number * page, 1}, Access::none)) == EINVAL);
      RC_ASSERT(error_of(instance_->map(
                    {.flags = 3, .iova = number * page, .size = page, .backing = real_[0]})) == EEXIST);
    }
    std::erase_if(pins_, is_hit);
    RC_ASSERT(outcome.value() == model_.remove(ids));
  }

  void pin(const Step& step) {
    const IovaRange range = range_of(step);
    Result<DmaPin> result = instance_->pin(user_, range, static_cast<Access>(step.access));
    const int expected = !v2_ ? EACCES : model_.check(range, step.access);
    RC_ASSERT(error_of(result) == expected);
    if (!result) return;
    std::uint64_t at = range.iova;
    for (const DmaSegment& segment : result->segments()) {
      for (std::size_t index = 0; index < segment.length;) {
        const Model::Page& entry = model_.pages.at(at / page);
        const std::byte* there = real_[entry.backing]->bytes().data() + entry.backing_page * page + at % page;
        RC_ASSERT(segment.data + index == there);
        const std::uint64_t step_on = std::min(page - at % page, segment.length - index);
        index += step_on;
        at += step_on;
      }
    }
    RC_ASSERT(at == range.iova + range.size);
    pins_.push_back(std::move(*result));
  }

  void unpin(const Step& step) {
    if (pins_.empty()) return;
    pins_.erase(pins_.begin() + static_cast<std::ptrdiff_t>(step.page_number % pins_.size()));
  }

  std::byte& expected_at(Iova iova) {
    const Model::Page& entry = model_.pages.at(iova / page);
    return expected_[entry.backing][entry.backing_page * page + iova % page];
  }

  void read(const Step& step) {
    const IovaRange range = range_of(step);
    std::vector<std::byte> into(range.size);
    Outcome<> outcome;
    instance_->dma_read(user_, range.iova, into, outcome.done());
    RC_ASSERT(outcome.error() == model_.check(range, 1));
    if (!outcome.succeeded()) return;
    for (std::uint64_t index = 0; index < range.size; index += 97) {
      RC_ASSERT(into[index] == expected_at(range.iova + index));
    }
  }

  void write(const Step& step) {
    const IovaRange range = range_of(step);
    std::vector<std::byte> from(range.size);
    for (std::byte& byte : from) byte = static_cast<std::byte>(++written_);
    Outcome<> outcome;
    instance_->dma_write(user_, range.iova, from, outcome.done());
    RC_ASSERT(outcome.error() == model_.check(range, 3));
    if (!outcome.succeeded()) return;
    for (std::uint64_t index = 0; index != range.size; ++index) {
      expected_at(range.iova + index) = from[index];
    }
  }

  const bool v2_;
  test::ManualClock clock_;
  Type1Driver driver_{clock_, Limits{.mappings_per_container = mapping_limit}};
  std::array<std::shared_ptr<MemoryBacking>, 2> real_;
  std::array<std::vector<std::byte>, 2> expected_;
  std::shared_ptr<IommuInstance> instance_;
  FakeDmaUser user_;
  std::vector<DmaPin> pins_;
  Model model_;
  unsigned written_ = 0;
};

void behaves_as_the_model(bool v2) {
  const bool held = rc::check([v2] {
    Run run(v2);
    for (const Step& step : *rc::gen::container<std::vector<Step>>(any_step())) run.apply(step);
    run.check_at_end();
  });
  EXPECT_TRUE(held);
}

TEST(Type1Model, v2_sequences_behave_as_the_model) {
  behaves_as_the_model(true);
}

TEST(Type1Model, v1_sequences_behave_as_the_model) {
  behaves_as_the_model(false);
}

}  // namespace
}  // namespace umdev::iommu

#include "apps/umdevd/metrics_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "umdev/support/mutex.h"

namespace umdev::daemon {
namespace {

constexpr const char* target = "sys/fs/umdev/metrics";

class MetricsAttribute final : public tree::BinaryAttribute {
 public:
  explicit MetricsAttribute(const manage::Metrics& metrics) : metrics_(metrics) {}

  // ^tree::BinaryAttribute
  std::uint64_t size() const override { return 0; }
  Result<std::size_t> read(std::uint64_t offset, Bytes into) override UMDEV_EXCLUDES(mutex_) {
    // Drivers are asked for some of it: no lock is held.
    std::string text;
    if (offset == 0) text = manage::to_prometheus(metrics_.collect());
    Lock lock(mutex_);
    if (offset == 0) text_ = std::move(text);
    if (offset >= text_.size()) return 0;
    const std::size_t count = std::min<std::size_t>(into.size(), text_.size() - offset);
    std::memcpy(into.data(), text_.data() + offset, count);
    return count;
  }

 private:
  const manage::Metrics& metrics_;
  Mutex mutex_;
  std::string text_ UMDEV_GUARDED_BY(mutex_);  // since the last read at 0
};

}  // namespace

std::unique_ptr<tree::Attribute> metrics_attribute(const manage::Metrics& metrics) {
  return std::make_unique<MetricsAttribute>(metrics);
}

void MetricsLink::create(Log& log) {
  std::error_code error;
  if (std::filesystem::is_symlink(path_, error)) std::filesystem::remove(path_, error);
  std::filesystem::create_symlink(target, path_, error);
  exists_ = !error;
  if (error) log.warning(fmt::format("{}: {}", path_, error.message()));
}

void MetricsLink::remove() {
  std::error_code error;
  if (std::exchange(exists_, false)) std::filesystem::remove(path_, error);
}

}  // namespace umdev::daemon

// The metrics as a file: fs/umdev/metrics in the tree, and RUNTIME/metrics, a link to it.
#pragma once

#include <memory>
#include <string>

#include "umdev/manage/metrics.h"
#include "umdev/support/log.h"
#include "umdev/tree/attribute.h"

namespace umdev::daemon {

// A text of any size. A read at 0 renders it; reads behind that go on in the same text, so who reads in
// pieces gets one moment unless another begins meanwhile. The registry outlives it.
std::unique_ptr<tree::Attribute> metrics_attribute(const manage::Metrics& metrics);

// Any one thread.
class MetricsLink {
 public:
  explicit MetricsLink(const std::string& runtime_directory) : path_(runtime_directory + "/metrics") {}

  // What is in the way and is a link (of a daemon that was killed) is replaced; anything else stays, and is
  // complained of.
  void create(Log& log);
  // When it is there.
  void remove();

 private:
  const std::string path_;
  bool exists_ = false;
};

}  // namespace umdev::daemon

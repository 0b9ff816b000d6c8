// Tells watchers of definitions.
#pragma once

#include "umdev/control/news.h"
#include "umdev/manage/definitions.h"

namespace umdev::daemon {

// Any thread. The news outlive it.
class DefinitionNews final : public manage::DefinitionObserver {
 public:
  explicit DefinitionNews(control::News& news) : news_(news) {}

  // ^manage::DefinitionObserver
  void definition_changed(std::string_view what, const manage::DefinitionKey& key,
                          std::string_view type) override {
    news_.tell(what, key.uuid, key.parent, type);
  }

 private:
  control::News& news_;
};

}  // namespace umdev::daemon

// Tells watchers of definitions.
#pragma once

#include "umdev/control/news.h"
#include "umdev/manage/definitions.h"
#include "umdev/manage/kept_states.h"

namespace umdev::daemon {

// Any thread. The news outlive it.
class DefinitionNews final : public manage::DefinitionObserver {
 public:
  DefinitionNews(control::News& news, manage::KeptStates& kept) : news_(news), kept_(kept) {}

  // ^manage::DefinitionObserver
  void definition_changed(std::string_view what, const manage::DefinitionKey& key,
                          std::string_view type) override {
    if (what == "undefined") kept_.forget(key);
    news_.tell(what, key.uuid, key.parent, type);
  }

 private:
  control::News& news_;
  manage::KeptStates& kept_;
};

}  // namespace umdev::daemon

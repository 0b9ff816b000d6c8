// A callback of a device is inside the module, for as long as this lives.
#pragma once

#include "umdev/kernel/call.h"
#include "umdev/kernel/vfio_record.h"

namespace umdev::kernel {

class Inside {
 public:
  Inside(Call& call, VfioRecord& record) : call_(call), record_(record) {
    record_.enter();
    call_.inside = &record_;
    call_.pages = &record_.pages();
  }
  ~Inside() {
    call_.inside = nullptr;
    record_.leave();
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  Call& call_;
  VfioRecord& record_;
};

}  // namespace umdev::kernel

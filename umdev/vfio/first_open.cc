#include "umdev/vfio/first_open.h"

#include <utility>

#include "umdev/vfio/device_user.h"
#include "umdev/vfio/driver_call.h"
#include "umdev/vfio/iommufd_steps.h"
#include "umdev/vfio/registered_device.h"

namespace umdev::vfio {
namespace {

void open_device(DeviceUser& user, Done<> done) {
  Done<> bounded = user.device().in_time(std::move(done), "open_device was not completed in time");
  driver_call([&] { user.device().device().open_device(user, std::move(bounded)); });
}

void close_device(DeviceUser& user, Done<> done) {
  Done<> bounded = user.device().in_time(std::move(done), "close_device was not completed in time");
  driver_call([&] { user.device().device().close_device(user, std::move(bounded)); });
}

struct Opening {
  std::shared_ptr<DeviceUser> user;
  Done<> done;
};

// The device is bound, and not open (any more).
void unbind_and_fail(const std::shared_ptr<Opening>& opening, Error error) {
  opening->user->iommufd()->unbind([opening, error](Result<>) { opening->done(std::unexpected(error)); });
}

void attach_opened(const std::shared_ptr<Opening>& opening) {
  opening->user->iommufd()->attach_at_open([opening](Result<> attached) {
    if (attached) return opening->done();
    close_device(*opening->user,
                 [opening, error = attached.error()](Result<>) { unbind_and_fail(opening, error); });
  });
}

}  // namespace

void first_open(std::shared_ptr<DeviceUser> user, Done<> done) {
  if (!user->iommufd()) return open_device(*user, std::move(done));
  auto opening = std::make_shared<Opening>(std::move(user), std::move(done));
  opening->user->iommufd()->bind([opening](Result<> bound) {
    if (!bound) return opening->done(std::move(bound));
    open_device(*opening->user, [opening](Result<> opened) {
      if (!opened) return unbind_and_fail(opening, opened.error());
      attach_opened(opening);
    });
  });
}

void last_close(std::shared_ptr<DeviceUser> user, Done<> done) {
  auto closing = std::make_shared<Opening>(std::move(user), std::move(done));
  close_device(*closing->user, [closing](Result<>) {
    if (!closing->user->iommufd()) return closing->done();
    closing->user->iommufd()->unbind([closing](Result<>) { closing->done(); });
  });
}

}  // namespace umdev::vfio

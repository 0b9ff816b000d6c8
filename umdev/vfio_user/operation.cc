#include "umdev/vfio_user/operation.h"

#include "umdev/vfio_user/session.h"

namespace umdev::vfio_user {

void Mailbox::close() {
  Lock lock(mutex_);
  executor_ = nullptr;
}

void Mailbox::post(void (Session::*act)()) {
  Lock lock(mutex_);
  if (executor_ == nullptr) return;
  executor_->post([self = shared_from_this(), act] {
    if (const auto session = self->session_.lock()) ((*session).*act)();
  });
}

void Mailbox::post_operation_completed() {
  post(&Session::operation_completed);
}

void Mailbox::post_dma_asked() {
  post(&Session::dma_asked);
}

void Mailbox::revoked() {
  post(&Session::device_revoked);
}

void Operation::complete_open(Result<std::shared_ptr<vfio::DeviceFile>> file) {
  if (file) {
    file_ = std::move(*file);
    complete(0);
  } else {
    complete(std::unexpected(file.error()));
  }
}

void Operation::complete_feature(Result<vfio::FeatureAnswer> answer) {
  if (answer) {
    answer_ = std::move(answer->data);
    complete(0);
  } else {
    complete(std::unexpected(answer.error()));
  }
}

void Operation::fit_buffer(std::size_t size) {
  if (buffer_.size() < size || size <= kept_buffer) std::vector<std::byte>(size).swap(buffer_);
}

}  // namespace umdev::vfio_user

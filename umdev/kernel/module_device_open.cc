// A module's device is opened and closed: for its user, and for each file of that.
#include <algorithm>
#include <utility>

#include "umdev/kernel/answer.h"
#include "umdev/kernel/inside.h"
#include "umdev/kernel/module.h"
#include "umdev/kernel/module_device.h"
#include "umdev/kernel/vm_area.h"

namespace umdev::kernel {

struct ModuleDevice::OpenTask final : Task {
  OpenTask(ModuleDevice& of, vfio::User& by, Done<> then) : device(of), user(by), done(std::move(then)) {}
  ModuleDevice& device;
  vfio::User& user;
  Done<> done;
  Result<> result;

  void run(Call& call) override {
    const Inside inside(call, *device.record_);
    result = open(call);
  }
  Result<> open(Call& call) {
    const Callbacks& callbacks = device.record_->callbacks();
    const bool has_open = std::visit([](const auto& form) { return form.ops.open != nullptr; }, callbacks);
    if (!has_open && device.record_->needs_open()) return fail(EINVAL, "the parent has no open");
    if (device.record_->is_retired()) return fail(ENODEV, "the parent has removed the device");
    device.record_->set_user(&user);
    device.record_->find_kvm(&user);
    Result<> opened = open_and_learn(call, callbacks);
    if (!opened) device.record_->set_user(nullptr);
    return opened;
  }
  Result<> open_and_learn(Call& call, const Callbacks& callbacks) {
    UMDEV_TRY(to_result(
        std::visit([](const auto& form) { return form.ops.open ? form.ops.open(form.self) : 0; }, callbacks),
        "the module's open failed"));
    auto answers = ask_device(*device.record_, call);
    if (!answers) {
      std::visit(
          [](const auto& form) {
            if (form.ops.close) form.ops.close(form.self);
          },
          callbacks);
      return std::unexpected(answers.error());
    }
    std::vector<std::uint64_t> offsets;
    for (const auto& region : answers->regions) offsets.push_back(region ? region->offset : 0);
    device.region_offsets_ = std::move(offsets);
    device.record_->module().count_open(1);
    Lock lock(device.mutex_);
    device.answers_ = std::move(*answers);
    return {};
  }
  void crashed() override {
    device.record_->set_user(nullptr);
    result = module_crashed();
  }
  void finish() override { done(std::move(result)); }
};

void ModuleDevice::open_device(vfio::User& user, Done<> done) {
  record_->module().world().calls().start(call_name("open_device"), OpenTask(*this, user, std::move(done)));
}

struct ModuleDevice::CloseTask final : Task {
  CloseTask(ModuleDevice& of, Done<> then) : device(of), done(std::move(then)) {}
  ModuleDevice& device;
  Done<> done;

  void run(Call& call) override {
    const Inside inside(call, *device.record_);
    if (!device.record_->is_retired())
      std::visit(
          [](const auto& form) {
            if (form.ops.close) form.ops.close(form.self);
          },
          device.record_->callbacks());
    device.record_->release_buffers();
    device.forget_user();
  }
  void crashed() override { device.forget_user(); }
  void finish() override { done(); }
};

void ModuleDevice::close_device(vfio::User&, Done<> done) {
  record_->module().world().calls().start(call_name("close_device"), CloseTask(*this, std::move(done)));
}

// One file of several, opened or closed.
struct ModuleDevice::FileTask final : Task {
  FileTask(ModuleDevice& of, bool begins, Done<> then) : device(of), opens(begins), done(std::move(then)) {}
  ModuleDevice& device;
  bool opens;
  Done<> done;
  Result<> result;

  void run(Call& call) override {
    const Inside inside(call, *device.record_);
    if (device.record_->is_retired()) {
      if (opens) result = fail(ENODEV, "the parent has removed the device");
      return;
    }
    const int answer = std::visit(
        [this](const auto& form) {
          if (opens) return form.ops.open != nullptr ? form.ops.open(form.self) : 0;
          if (form.ops.close != nullptr) form.ops.close(form.self);
          return 0;
        },
        device.record_->callbacks());
    result = to_result(answer, "the module's open failed");
  }
  void crashed() override { result = module_crashed(); }
  void finish() override { done(std::move(result)); }
};

void ModuleDevice::open_file(vfio::User&, Done<> done) {
  if (!record_->opens_each_file()) return done();
  record_->module().world().calls().start(call_name("open"), FileTask(*this, true, std::move(done)));
}

void ModuleDevice::close_file(vfio::User&, Done<> done) {
  if (!record_->opens_each_file()) return done();
  record_->module().world().calls().start(call_name("release"), FileTask(*this, false, std::move(done)));
}

void ModuleDevice::forget_user() {
  std::vector<::page*> pages;
  {
    Lock lock(mutex_);
    pages = std::exchange(mapped_pages_, {});
  }
  put_pages(pages);
  record_->set_user(nullptr);
  record_->find_kvm(nullptr);
  record_->module().count_open(-1);
}

// A mapping keeps its pages until the device is closed; one reference each is enough for all mappings.
void ModuleDevice::hold_pages(std::span<::page* const> pages) {
  std::vector<::page*> known;
  {
    Lock lock(mutex_);
    for (::page* each : pages) {
      const auto place = std::ranges::lower_bound(mapped_pages_, each);
      if (place != mapped_pages_.end() && *place == each)
        known.push_back(each);
      else
        mapped_pages_.insert(place, each);
    }
  }
  put_pages(known);
}

}  // namespace umdev::kernel

// A device that is asked when its user's memory comes from an iommufd.
#pragma once

#include <memory>
#include <string>

#include "tests/support/scripted_device.h"
#include "umdev/vfio/binds_iommufd.h"
#include "umdev/vfio/device_wrapper.h"
#include "umdev/vfio/iommufd_use.h"

namespace umdev::test {

// What the test sets and sees, beside the device's own script. Outlives the device.
struct BindingScript {
  bool does_the_work = true;  // calls the framework's part in its steps
  int bind_error = 0;         // after its work
  int attach_error = 0;       // before its work
  std::uint32_t adds_to_ids = 0;
  bool hold = false;  // every step completes when the test says so
  bool has_pasids = false;
  bool is_asked = true;

  std::shared_ptr<vfio::IommufdUse> use;
  Done<std::uint32_t> held_id;
  Done<> held;
};

class BindingDevice final : public vfio::DeviceWrapper, public vfio::BindsIommufd {
 public:
  BindingDevice(std::shared_ptr<DeviceScript> script, std::shared_ptr<BindingScript> binding)
      : DeviceWrapper(std::make_unique<ScriptedDevice>(script)),
        script_(std::move(script)),
        binding_(std::move(binding)) {}

  bool binds_iommufd() const override { return binding_->is_asked; }
  void bind_iommufd(std::shared_ptr<vfio::IommufdUse> use, Done<std::uint32_t> done) override {
    script_->record("bind");
    binding_->use = std::move(use);
    Result<std::uint32_t> id = 0;
    if (binding_->does_the_work) id = binding_->use->bind();
    if (binding_->bind_error != 0) id = fail(binding_->bind_error, "the test said so");
    answer(std::move(id), std::move(done));
  }
  void unbind_iommufd(Done<> done) override {
    script_->record("unbind");
    if (binding_->does_the_work) static_cast<void>(binding_->use->unbind());
    answer(std::move(done));
  }
  void attach_ioas(std::uint32_t object, Done<std::uint32_t> done) override {
    script_->record("attach " + std::to_string(object));
    if (binding_->attach_error != 0) return done(fail(binding_->attach_error, "the test said so"));
    answer(binding_->does_the_work ? binding_->use->attach(object) : object, std::move(done));
  }
  void detach_ioas(Done<> done) override {
    script_->record("detach");
    if (binding_->does_the_work) static_cast<void>(binding_->use->detach());
    answer(std::move(done));
  }
  bool attaches_pasids() const override { return binding_->has_pasids; }
  void attach_pasid(std::uint32_t pasid, std::uint32_t object, Done<std::uint32_t> done) override {
    script_->record("attach " + std::to_string(object) + " of pasid " + std::to_string(pasid));
    done(object + 1);
  }
  void detach_pasid(std::uint32_t pasid, Done<> done) override {
    script_->record("detach of pasid " + std::to_string(pasid));
    done();
  }

 private:
  void answer(Result<std::uint32_t> id, Done<std::uint32_t> done) {
    if (binding_->hold) {
      binding_->held_id = std::move(done);
      return;
    }
    if (id) *id += binding_->adds_to_ids;
    done(std::move(id));
  }
  void answer(Done<> done) {
    if (binding_->hold) {
      binding_->held = std::move(done);
      return;
    }
    done();
  }

  const std::shared_ptr<DeviceScript> script_;
  const std::shared_ptr<BindingScript> binding_;
};

}  // namespace umdev::test

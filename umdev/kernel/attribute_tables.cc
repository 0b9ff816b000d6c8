#include "umdev/kernel/attribute_tables.h"

#include <cstring>
#include <string>

#include "umdev/device/device.h"
#include "umdev/kernel/module.h"

namespace umdev::kernel {
namespace {

// The driver's attribute is the first member of its struct device_attribute.
::device_attribute* device_attribute_of(::attribute* attribute) {
  return reinterpret_cast<::device_attribute*>(attribute);
}

// What the call is named by, where it crashes: "show of level".
std::string name_of(const char* callback, const ::attribute& attribute) {
  return std::string(callback) + " of " + attribute.name;
}

}  // namespace

AttributeTables::AttributeTables(Module& module, const ::attribute_group* const* groups, Resolve resolve)
    : module_(module), resolve_(resolve) {
  for (; groups != nullptr && *groups != nullptr; ++groups) {
    auto& table = attributes_.emplace_back();
    int index = 0;
    for (::attribute** each = (*groups)->attrs; each != nullptr && *each != nullptr; ++each, ++index) {
      const Source& source = sources_.emplace_back(this, *groups, *each, index);
      table.push_back(
          {.name = (*each)->name,
           .mode = (*each)->mode,
           .show = device_attribute_of(*each)->show != nullptr ? &AttributeTables::show : nullptr,
           .store = device_attribute_of(*each)->store != nullptr ? &AttributeTables::store : nullptr,
           .context = &source});
    }
    groups_.push_back(
        {.name = (*groups)->name != nullptr ? std::string_view((*groups)->name) : std::string_view(),
         .attributes = table,
         .is_visible = (*groups)->is_visible != nullptr ? &AttributeTables::is_visible : nullptr});
    pointers_.push_back(&groups_.back());
  }
}

Result<std::string> AttributeTables::show(device::Device& device, const device::DeviceAttribute& attribute) {
  const auto& source = *static_cast<const Source*>(attribute.context);
  const std::shared_ptr<::device> object = source.tables->resolve_(device);
  if (object == nullptr) return fail(ENODEV, "the device is going");
  // The kernel lends a page, and a driver may print into it without looking.
  std::string text(tree::attribute_size, '\0');
  ::device_attribute* const shown = device_attribute_of(source.attribute);
  ssize_t length = 0;
  const auto show = [&] { length = shown->show(object.get(), shown, text.data()); };
  if (!source.tables->module_.call(name_of("show", *source.attribute).c_str(), device.name().c_str(), show))
    return module_crashed();
  if (length < 0) return fail(static_cast<int>(-length), "the driver's show failed");
  text.resize(std::min<std::size_t>(static_cast<std::size_t>(length), tree::show_limit));
  return text;
}

void AttributeTables::store(device::Device& device, const device::DeviceAttribute& attribute,
                            std::string_view text, Done<std::size_t> done) {
  const auto& source = *static_cast<const Source*>(attribute.context);
  const std::shared_ptr<::device> object = source.tables->resolve_(device);
  if (object == nullptr) return done(fail(ENODEV, "the device is going"));
  const std::string copy(text);  // drivers count on a NUL behind it
  ::device_attribute* const stored = device_attribute_of(source.attribute);
  ssize_t length = 0;
  const auto store = [&] { length = stored->store(object.get(), stored, copy.c_str(), copy.size()); };
  if (!source.tables->module_.call(name_of("store", *source.attribute).c_str(), device.name().c_str(), store))
    return done(module_crashed());
  if (length < 0) return done(fail(static_cast<int>(-length), "the driver's store failed"));
  done(static_cast<std::size_t>(length));
}

tree::Mode AttributeTables::is_visible(const device::Device& device,
                                       const device::DeviceAttribute& attribute) {
  const auto& source = *static_cast<const Source*>(attribute.context);
  // is_visible() of the kernel is given the device to change, if only through its attributes.
  const std::shared_ptr<::device> object = source.tables->resolve_(const_cast<device::Device&>(device));
  if (object == nullptr) return 0;
  tree::Mode mode = 0;
  source.tables->module_.call(name_of("is_visible", *source.attribute).c_str(), device.name().c_str(), [&] {
    mode = source.group->is_visible(&object->kobj, source.attribute, source.index);
  });
  return mode;
}

}  // namespace umdev::kernel

#include "umdev/kernel/module.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>
#include <utility>

#include "umdev/kernel/belongings.h"
#include "umdev/kernel/deferred.h"
#include "umdev/kernel/kernel_thread.h"
#include "umdev/kernel/legacy_parent.h"
#include "umdev/kernel/mdev_driver.h"
#include "umdev/kernel/services.h"
#include "umdev/mdev/parent.h"

namespace umdev::kernel {
namespace {

using Texts = std::vector<std::unique_ptr<char[]>>;

// As the kernel's kstrto functions: 0x is hexadecimal, a leading 0 octal.
template <typename Number>
Result<> parse_number(std::string_view text, void* value) {
  const bool negative = text.starts_with('-');
  if (negative && !std::numeric_limits<Number>::is_signed) return fail(EINVAL, "the parameter has no sign");
  if (negative) text.remove_prefix(1);
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text.starts_with('0')) {
    base = 8;
  }
  const std::string signed_text = (negative ? "-" : "") + std::string(text);
  Number number = 0;
  const char* const end = signed_text.data() + signed_text.size();
  const auto parsed = std::from_chars(signed_text.data(), end, number, base);
  if (parsed.ec == std::errc::result_out_of_range) return fail(ERANGE, "the number is out of range");
  if (parsed.ec != std::errc() || parsed.ptr != end || text.starts_with('-'))
    return fail(EINVAL, "the parameter is a number");
  std::memcpy(value, &number, sizeof(number));
  return {};
}

Result<> parse_bool(std::string_view text, void* value) {
  // A parameter without a value is a switch.
  const bool yes = text.empty() || text == "1" || text == "y" || text == "Y" || text == "on";
  if (!yes && text != "0" && text != "n" && text != "N" && text != "off")
    return fail(EINVAL, "the parameter is y or n");
  std::memcpy(value, &yes, sizeof(yes));
  return {};
}

Result<> set_string(const ::umdev_parameter& parameter, std::string_view text) {
  if (text.size() >= parameter.room) return fail(ENOSPC, "the text is too long for the parameter");
  auto* const to = static_cast<char*>(parameter.value);
  std::memcpy(to, text.data(), text.size());
  to[text.size()] = '\0';
  return {};
}

// The module may keep the text anywhere, for as long as it is there: `texts` are its own.
Result<> set_pointer(const ::umdev_parameter& parameter, std::string_view text, Texts& texts) {
  auto copy = std::make_unique<char[]>(text.size() + 1);
  std::memcpy(copy.get(), text.data(), text.size());
  char* const begin = copy.get();
  std::memcpy(parameter.value, static_cast<const void*>(&begin), sizeof(begin));
  texts.push_back(std::move(copy));
  return {};
}

Result<> set_value(const ::umdev_parameter& parameter, std::string_view text, Texts& texts) {
  switch (parameter.type) {
    case umdev_parameter_bool:
      return parse_bool(text, parameter.value);
    case umdev_parameter_byte:
      return parse_number<std::uint8_t>(text, parameter.value);
    case umdev_parameter_short:
      return parse_number<short>(text, parameter.value);
    case umdev_parameter_ushort:
      return parse_number<unsigned short>(text, parameter.value);
    case umdev_parameter_int:
      return parse_number<int>(text, parameter.value);
    case umdev_parameter_uint:
      return parse_number<unsigned>(text, parameter.value);
    case umdev_parameter_long:
      return parse_number<long>(text, parameter.value);
    case umdev_parameter_ulong:
      return parse_number<unsigned long>(text, parameter.value);
    case umdev_parameter_ullong:
      return parse_number<unsigned long long>(text, parameter.value);
    case umdev_parameter_charp:
      return set_pointer(parameter, text, texts);
    case umdev_parameter_string:
      return set_string(parameter, text);
  }
  return fail(EINVAL, "the parameter has a type that is not known here");
}

std::string to_hex_number(std::uintptr_t number) {
  std::array<char, 2 * sizeof(number)> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, 16).ptr;
  return "0x" + std::string(digits.data(), end);
}

// As addr2line takes it: the file's name, and where in it.
std::string place_of(std::uintptr_t instruction) {
  Dl_info info{};
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a register held it
  if (::dladdr(reinterpret_cast<void*>(instruction), &info) == 0 || info.dli_fname == nullptr)
    return to_hex_number(instruction);
  const std::string_view path = info.dli_fname;
  const auto offset = instruction - reinterpret_cast<std::uintptr_t>(info.dli_fbase);
  return std::string(path.substr(path.rfind('/') + 1)) + "+" + to_hex_number(offset);
}

}  // namespace

std::unexpected<Error> module_crashed() {
  return fail(EIO, "the module has crashed");
}

Result<std::unique_ptr<Module>> Module::create(World& world, const ::umdev_module& object) {
  if (object.abi != UMDEV_MODULE_ABI) return fail(ENOEXEC, "the module was compiled for other headers");
  if (object.services_size > sizeof(::umdev_services))
    return fail(ENOEXEC, "the module was compiled for newer headers than this program has");
  if (object.name == nullptr || object.self == nullptr || object.services == nullptr)
    return fail(ENOEXEC, "the module's description is not whole");
  if (object.self->umdev != nullptr) return fail(EEXIST, "the module is loaded already");
  std::unique_ptr<Module> module(new Module(world, object));  // private
  object.self->umdev = module.get();
  *object.services = &services();
  return module;
}

Module::Module(World& world, const ::umdev_module& object)
    : world_(world),
      object_(object),
      name_(object.name),
      belongings_(std::make_unique<Belongings>()),
      deferred_(std::make_shared<Deferred>(*this)) {}

Module::~Module() {
  UMDEV_ASSERT(state_ != State::running, "a module was destroyed while it runs");
  object_.self->umdev = nullptr;
}

std::span<const ::umdev_parameter> Module::parameters() const {
  return {object_.parameters, object_.parameters_end};
}

std::span<const ::umdev_module_note> Module::notes() const {
  return {object_.notes, object_.notes_end};
}

std::string_view Module::note(std::string_view tag) const {
  for (const ::umdev_module_note& each : notes())
    if (each.tag == tag) return each.text;
  return {};
}

Result<> Module::set_parameter(std::string_view name, std::string_view text) {
  if (state_ != State::loaded) return fail(EBUSY, "the module has begun");
  for (const ::umdev_parameter& parameter : parameters())
    if (parameter.name == name) return set_value(parameter, text, texts_);
  return fail(ENOENT, "the module has no such parameter");
}

Result<> Module::init() {
  if (state_ != State::loaded) return fail(EBUSY, "the module has begun");
  state_ = State::running;
  int answer = 0;
  if (object_.init != nullptr) call("module_init", "", [&] { answer = object_.init(); });
  if (answer >= 0 && !has_crashed()) return {};
  take_back();
  state_ = State::ended;
  if (has_crashed()) return module_crashed();
  return fail(-answer, "module_init failed");
}

Result<> Module::exit(bool forced) {
  if (state_ != State::running) return fail(EBUSY, "the module does not run");
  if (object_.exit == nullptr && !forced) return fail(EBUSY, "the module has no module_exit");
  if (!forced && open_devices() > 0)
    return fail(EBUSY, "a device of the module is open, or a container has its IOMMU driver");
  forced_ = forced;
  is_in_exit_ = true;
  if (object_.exit != nullptr) call("module_exit", "", [&] { object_.exit(); });
  is_in_exit_ = false;
  take_back();
  state_ = State::ended;
  return {};
}

std::size_t Module::open_devices() const {
  return open_devices_.load();
}

Result<> Module::guard(const os::GuardedCode& code) {
  code_ = code;
  return os::CrashGuard::install();
}

std::optional<std::string> Module::crash() const {
  if (!has_crashed()) return std::nullopt;
  Lock lock(mutex_);
  return crash_;
}

void Module::note_crash(const Call& call, const os::Crash& crash) {
  const std::string device = *call.device != '\0' ? std::string(" of ") + call.device : std::string();
  std::string text = std::string(call.callback) + device + ": ";
  if (crash.signal == 0) {
    text += "it was given up";
  } else {
    const bool is_own = crash.instruction >= code_.begin && crash.instruction < code_.end;
    text += os::name_of_signal(crash.signal) + std::string(" at ") + to_hex_number(crash.address) + ", " +
            (is_own ? "at " + place_of(crash.instruction) : "in a function that it called");
  }
  world_.log().error("module " + name_ + " has crashed in " + text + "; it is not called any more");
  Lock lock(mutex_);
  if (crash_.empty()) crash_ = std::move(text);
  has_crashed_ = true;
}

std::vector<std::string> Module::unfinished() const {
  std::vector<std::string> texts;
  if (is_in_exit_) texts.emplace_back("module_exit");
  for (const Deferred::Run run : deferred_->running())
    texts.push_back("work " + place_of(reinterpret_cast<std::uintptr_t>(run)));
  for (const auto& thread : threads_.values())
    if (thread->is_running()) texts.push_back(std::string("thread ") + thread->task()->comm);
  return texts;
}

bool Module::is_idle() const {
  return deferred_->is_idle() &&
         std::ranges::none_of(threads_.values(), [](const auto& thread) { return thread->is_running(); });
}

void Module::give_up() {
  std::string text = "its end, which waits for";
  for (const std::string& each : unfinished()) text += " " + each;
  world_.log().error("module " + name_ + " is given up in " + text);
  Lock lock(mutex_);
  if (crash_.empty()) crash_ = std::move(text);
  has_crashed_ = true;
}

// Null for a parent that is no module's.
const Module* Module::module_of(const mdev::ParentDriver& driver) {
  if (const auto* parent = dynamic_cast<const ModuleParent*>(&driver)) return &parent->module();
  if (const auto* parent = dynamic_cast<const LegacyParent*>(&driver)) return &parent->module();
  return nullptr;
}

std::vector<std::string> Module::parents() const {
  std::vector<std::string> names;
  for (const auto& parent : world_.bus().parents())
    if (module_of(parent->driver()) == this) names.push_back(parent->name());
  return names;
}

void Module::take_back() {
  const CallScope scope(*this, "the end");
  // First what may still be at work.
  if (const std::size_t left = deferred_->end(); left > 0)
    world_.log().warning("module " + name_ + " left work or timers behind: " + std::to_string(left));
  belongings_->take_back_all(world_.log(), name_);
}

}  // namespace umdev::kernel

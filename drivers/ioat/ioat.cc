#include "drivers/ioat/ioat.h"

#include <utility>

#include "umdev/support/assert.h"

namespace umdev::ioat {
namespace {

constexpr StreamTag errors_tag("errs");
constexpr std::uint16_t errors_version = 1;

// Drivers in programs map the registers.
constexpr std::uint32_t registers_flags =
    abi::vfio_region_info_flag_read | abi::vfio_region_info_flag_write | abi::vfio_region_info_flag_mmap;

pci::Model make_model(Ioat::Kind kind) {
  const bool is_virtual = kind == Ioat::Kind::virtual_function;
  const pci::Bar registers{
      .kind = pci::Bar::Kind::memory64, .size = spec::registers_size, .region_flags = registers_flags};
  pci::ConfigLayout layout(abi::pci_cfg_space_exp_size);
  layout.identify({.vendor = spec::vendor_id,
                   .device = spec::device_id,
                   .subsystem_vendor = spec::vendor_id,
                   .subsystem = spec::device_id,
                   .class_code = spec::class_code,
                   .revision = spec::revision});
  layout.add_bar(spec::registers_bar, registers);
  if (!is_virtual) {
    layout.add_interrupt_pin(spec::interrupt_pin);
    layout.add_power_management();
    layout.add_msi({});
  }
  layout.add_msix({.vectors = spec::msix_vectors,
                   .table_bar = spec::registers_bar,
                   .table_offset = spec::msix_table,
                   .pba_bar = spec::registers_bar,
                   .pba_offset = spec::msix_pending_bits});
  layout.add_express({});
  layout.add_error_reporting();
  for (const std::uint16_t errors : {spec::dmauncerrsts, spec::chanerr_int, spec::chanerrmsk_int})
    layout.set<std::uint32_t>(errors, 0, 0, ~std::uint32_t{0});
  if (kind == Ioat::Kind::physical) {
    layout.begin_extended_at(spec::own_registers_end);
    layout.add_sriov({.total = spec::virtual_functions,
                      .first_offset = spec::virtual_function_offset,
                      .stride = 1,
                      .device = spec::device_id,
                      .bars = {registers}});
  }
  return pci::Model(std::move(layout));
}

}  // namespace

std::unique_ptr<Ioat> Ioat::create(unsigned channels, DeviceHost& host, Kind kind) {
  UMDEV_ASSERT(channels >= 1 && channels <= spec::channels_max, "the engine has one to four channels");
  return std::unique_ptr<Ioat>(new Ioat(channels, host, kind));
}

Ioat::Ioat(unsigned channels, DeviceHost& host, Kind kind)
    : PciDevice(pci::share(make_model(kind))),
      kind_(kind),
      channel_count_(channels),
      migration_(*this, channels),
      engine_(channels) {
  WorkSource& source = *this;
  for (unsigned channel = 0; channel < channels; ++channel)
    workers_.push_back(std::make_unique<Worker>(source, host, channel));
}

std::unique_ptr<pci::PciDevice> Ioat::make_virtual_function(DeviceHost& host) {
  return create(1, host, Kind::virtual_function);
}

// --- The user's accesses.

Result<> Ioat::bar_read(vfio::User&, std::uint32_t, std::uint64_t offset, Bytes into) {
  Lock lock(mutex_);
  if (!reachable_) return fail(EBUSY, "the DMA engine stands still to be moved");
  engine_.read(offset, into);
  tell();
  return {};
}

Result<> Ioat::bar_write(vfio::User&, std::uint32_t, std::uint64_t offset, ConstBytes from) {
  {
    Lock lock(mutex_);
    if (!reachable_) return fail(EBUSY, "the DMA engine stands still to be moved");
    engine_.write(offset, from);
    tell();
  }
  start_workers();
  return {};
}

// A channel sends a message of its own, or all share one interrupt: a line, which begins to be high with a
// message for who has no line. The lock keeps raising and lowering in order.
void Ioat::tell() {
  const Signals signals = engine_.take_signals();
  for (unsigned channel = 0; channel < channel_count_; ++channel)
    if ((signals.channels >> channel & 1U) != 0) raise_irq(abi::vfio_pci_msix_irq_index, channel);
  if (!signals.line) return;
  if (!*signals.line) return lower_irq(abi::vfio_pci_intx_irq_index);
  raise_irq(abi::vfio_pci_intx_irq_index);
  raise_irq(abi::vfio_pci_msi_irq_index);
  raise_irq(abi::vfio_pci_msix_irq_index);
}

// --- The workers' side.

// A turn is posted with no lock held: whoever runs it may do so at once.
void Ioat::start_workers() {
  std::array<Gate::Pass, spec::channels_max> passes;
  {
    Lock lock(mutex_);
    for (unsigned channel = 0; channel < channel_count_; ++channel) {
      if (at_work_[channel] || !engine_.channel(channel).has_work()) continue;
      passes[channel] = gate_.enter();
      at_work_[channel] = static_cast<bool>(passes[channel]);
    }
  }
  for (unsigned channel = 0; channel < channel_count_; ++channel)
    if (passes[channel]) workers_[channel]->start(std::move(passes[channel]));
}

vfio::User& Ioat::user() {
  Lock lock(mutex_);
  UMDEV_ASSERT(user_ != nullptr, "a channel works for nobody");
  return *user_;
}

bool Ioat::is_bus_master() {
  return (config_value<std::uint16_t>(abi::pci_command) & abi::pci_command_master) != 0;
}

bool Ioat::begin(unsigned channel, std::uint64_t& address) {
  Lock lock(mutex_);
  Channel& next = engine_.channel(channel);
  if (!next.has_work() || gate_.closed()) {
    at_work_[channel] = false;
    return false;
  }
  address = next.begin();
  return true;
}

std::optional<Channel::Completion> Ioat::completion(unsigned channel, const Descriptor& descriptor,
                                                    std::uint32_t error) {
  Lock lock(mutex_);
  return engine_.channel(channel).completion(descriptor, error);
}

void Ioat::finish(unsigned channel, const Descriptor& descriptor, std::uint32_t error) {
  Lock lock(mutex_);
  const bool counts = error != 0 && !engine_.channel(channel).cancelled();
  engine_.channel(channel).finish(descriptor, error);
  if (counts)
    set_config_value<std::uint32_t>(spec::chanerr_int,
                                    config_value<std::uint32_t>(spec::chanerr_int) | error);
  tell();
}

// --- Beginning, end, reset.

void Ioat::while_quiet(Step step, Done<> done) {
  {
    Lock lock(mutex_);
    operations_.push_back({std::move(step), std::move(done)});
    if (operations_.size() > 1) return;
  }
  quiesce();
}

// Nobody else closes or opens the gate while an operation is under way, so this cannot fail.
void Ioat::quiesce() {
  gate_.close([this](Result<>) {
    Step step;
    {
      Lock lock(mutex_);
      step = std::move(operations_.front().step);
    }
    step([this](Result<> result) { end_operation(std::move(result)); });
  });
}

// The device may go with what is completed last.
void Ioat::end_operation(Result<> result) {
  Done<> done;
  bool more = false;
  {
    Lock lock(mutex_);
    done = std::move(operations_.front().done);
    operations_.pop_front();
    more = !operations_.empty();
    if (!more && running_) gate_.open();
  }
  if (!more) {
    start_workers();
    return done(std::move(result));
  }
  done(std::move(result));
  quiesce();
}

void Ioat::open_device(vfio::User& user, Done<> done) {
  {
    Lock lock(mutex_);
    user_ = &user;
  }
  PciDevice::open_device(user, std::move(done));
}

void Ioat::close_device(vfio::User& user, Done<> done) {
  while_quiet(
      [this, &user](Done<> closed) {
        {
          Lock lock(mutex_);
          user_ = nullptr;
        }
        PciDevice::close_device(user, std::move(closed));
      },
      std::move(done));
}

void Ioat::reset(vfio::User& user, Done<> done) {
  while_quiet([this, &user](Done<> ended) { PciDevice::reset(user, std::move(ended)); }, std::move(done));
}

// No descriptor is under way.
void Ioat::function_reset() {
  for (const auto& worker : workers_) worker->forget();
  Lock lock(mutex_);
  engine_.reset();
  lower_irq(abi::vfio_pci_intx_irq_index);
}

// --- Migration.

void Ioat::set_running(bool running, bool reachable, Done<> done) {
  while_quiet(
      [this, running, reachable](Done<> set) {
        {
          Lock lock(mutex_);
          running_ = running;
          reachable_ = reachable;
        }
        set();
      },
      std::move(done));
}

void Ioat::save(StreamWriter& stream) {
  Lock lock(mutex_);
  engine_.save(stream);
  stream.begin(errors_tag, errors_version);
  stream.put(config_value<std::uint32_t>(spec::chanerr_int));
  save_msix(stream);
}

Result<> Ioat::load(StreamReader& stream) {
  Lock lock(mutex_);
  Engine engine(channel_count_);
  UMDEV_TRY(engine.load(stream));
  SectionReader errors = UMDEV_TRY(stream.take(errors_tag, errors_version));
  const auto chanerr_int = UMDEV_TRY(errors.get<std::uint32_t>());
  UMDEV_TRY(errors.end());
  pci::MsixTable msix = UMDEV_TRY(load_msix(stream));
  UMDEV_TRY(stream.end());
  engine_ = std::move(engine);
  if (engine_.is_line_high()) raise_irq(abi::vfio_pci_intx_irq_index);
  set_msix(std::move(msix));
  set_config_value<std::uint32_t>(spec::chanerr_int, chanerr_int);
  return {};
}

}  // namespace umdev::ioat

#include "umdev/vfio_user/session_state.h"

#include <utility>

#include "umdev/abi/vfio.h"
#include "umdev/iommu/types.h"
#include "umdev/support/state_stream.h"

namespace umdev::vfio_user {
namespace {

constexpr std::string_view identity = "umdev vfio-user session";
constexpr StreamTag session_tag("sess");
constexpr StreamTag socket_tag("sock");
constexpr StreamTag twin_tag("twin");
constexpr StreamTag backlog_tag("wait");
constexpr StreamTag memory_tag("dmap");
constexpr StreamTag interrupts_tag("irqs");
constexpr std::uint16_t version = 1;
constexpr std::uint32_t no_file = UINT32_MAX;

// --- Out.

class Writer {
 public:
  explicit Writer(std::size_t size_max) : stream_(identity, size_max) {}

  void begin(StreamTag tag) { stream_.begin(tag, version); }
  template <typename T>
  void put(T value) {
    stream_.put(value);
  }
  void put_flag(bool value) { stream_.put_flag(value); }
  void put_count(std::size_t count) { stream_.put(static_cast<std::uint32_t>(count)); }
  void put_bytes(ConstBytes bytes) { stream_.put_bytes(bytes); }
  void put_fd(os::UniqueFd fd) {
    put_flag(static_cast<bool>(fd));
    if (fd) fds_.push_back(std::move(fd));
  }
  void put_fds(std::vector<os::UniqueFd> fds) {
    put_count(fds.size());
    for (os::UniqueFd& fd : fds) put_fd(std::move(fd));
  }

  Result<vfio::MovedSession> finish() {
    stream_.finish();
    const ConstBytes bytes = UMDEV_TRY(stream_.bytes());
    return vfio::MovedSession{.stream = {bytes.begin(), bytes.end()}, .descriptors = std::move(fds_)};
  }

 private:
  StreamWriter stream_;
  std::vector<os::UniqueFd> fds_;
};

void put(Writer& writer, const Capabilities& agreed) {
  writer.put(agreed.max_msg_fds);
  writer.put(agreed.max_data_xfer_size);
  writer.put(agreed.max_dma_maps);
  writer.put(agreed.pgsizes);
  writer.put_flag(agreed.write_multiple);
  writer.put_flag(agreed.twin_socket);
  writer.put_flag(agreed.migration);
  writer.put(agreed.migration_pgsize);
  writer.put(agreed.max_bitmap_size);
}

void put(Writer& writer, StreamState stream) {
  writer.put_fd(std::move(stream.socket));
  writer.put_bytes(stream.received.bytes);
  writer.put_count(stream.received.attached.size());
  for (ReceivedBytes::Attached& attached : stream.received.attached) {
    writer.put(attached.position);
    writer.put_flag(attached.lost);
    writer.put_fds(std::move(attached.fds));
  }
  writer.put_count(stream.unsent.size());
  for (UnsentPiece& piece : stream.unsent) {
    writer.put_bytes(piece.bytes);
    writer.put_fds(std::move(piece.fds));
  }
}

void put(Writer& writer, BacklogMessage message) {
  writer.put_bytes(bytes_of(message.header));
  writer.put_bytes(message.payload);
  writer.put_flag(message.fds->lost());
  std::vector<os::UniqueFd> fds;
  for (std::size_t i = 0; i < message.fds->size(); ++i) fds.push_back(message.fds->take(i));
  writer.put_fds(std::move(fds));
}

void put(Writer& writer, vfio::IrqIndexSetup index) {
  writer.put_flag(index.enabled);
  writer.put(index.vectors_enabled);
  writer.put_count(index.vectors.size());
  for (vfio::IrqVectorSetup& vector : index.vectors) {
    writer.put_flag(vector.masked);
    writer.put_flag(vector.line);
    writer.put_flag(vector.pending);
    writer.put_fd(std::move(vector.trigger));
    writer.put_fd(std::move(vector.unmask));
  }
}

// --- In.

// A section with the descriptors that it speaks of.
class Reader {
 public:
  Reader(SectionReader section, std::vector<os::UniqueFd>& fds, std::size_t& next)
      : section_(section), fds_(fds), next_(next) {}

  template <typename T>
  Result<T> get() {
    return section_.get<T>();
  }
  Result<bool> get_flag() { return section_.get_flag(); }
  // At most `most`.
  Result<std::uint32_t> get_count(std::size_t most) {
    const auto count = UMDEV_TRY(section_.get<std::uint32_t>());
    if (count > most) return fail(EINVAL, "more of something than a session has");
    return count;
  }
  Result<std::vector<std::byte>> get_bytes(std::size_t most) {
    const ConstBytes bytes = UMDEV_TRY(section_.get_bytes());
    if (bytes.size() > most) return fail(EINVAL, "more bytes than wait in a session");
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  }
  Result<os::UniqueFd> get_fd() {
    if (!UMDEV_TRY(get_flag())) return os::UniqueFd();
    if (next_ == fds_.size() || !fds_[next_]) return fail(EINVAL, "a descriptor is missing");
    return std::move(fds_[next_++]);
  }
  Result<std::vector<os::UniqueFd>> get_fds() {
    const auto count = UMDEV_TRY(get_count(os::max_fds_per_message));
    std::vector<os::UniqueFd> fds;
    for (std::uint32_t i = 0; i < count; ++i) {
      fds.push_back(UMDEV_TRY(get_fd()));
      if (!fds.back()) return fail(EINVAL, "a descriptor of a message is empty");
    }
    return fds;
  }
  Result<> end() const { return section_.end(); }

 private:
  SectionReader section_;
  std::vector<os::UniqueFd>& fds_;
  std::size_t& next_;
};

bool is_power_of_two(std::uint64_t value) {
  return value != 0 && (value & (value - 1)) == 0;
}

Result<Capabilities> get_capabilities(Reader& reader, const Limits& limits) {
  Capabilities agreed;
  agreed.max_msg_fds = UMDEV_TRY(reader.get<std::uint32_t>());
  agreed.max_data_xfer_size = UMDEV_TRY(reader.get<std::uint32_t>());
  agreed.max_dma_maps = UMDEV_TRY(reader.get<std::uint32_t>());
  agreed.pgsizes = UMDEV_TRY(reader.get<std::uint64_t>());
  agreed.write_multiple = UMDEV_TRY(reader.get_flag());
  agreed.twin_socket = UMDEV_TRY(reader.get_flag());
  agreed.migration = UMDEV_TRY(reader.get_flag());
  agreed.migration_pgsize = UMDEV_TRY(reader.get<std::uint64_t>());
  agreed.max_bitmap_size = UMDEV_TRY(reader.get<std::uint64_t>());
  if (agreed.max_data_xfer_size == 0 || agreed.pgsizes == 0 || !is_power_of_two(agreed.migration_pgsize))
    return fail(EINVAL, "what no two sides agree on");
  if (agreed.max_msg_fds > limits.fds_per_message || agreed.max_data_xfer_size > limits.data_transfer ||
      agreed.max_dma_maps > limits.dma_maps || agreed.max_bitmap_size > limits.bitmap)
    return fail(EINVAL, "the session has larger limits than are allowed here");
  return agreed;
}

Result<StreamState> get_stream(Reader& reader, const Limits& limits) {
  StreamState stream;
  stream.socket = UMDEV_TRY(reader.get_fd());
  if (!stream.socket) return fail(EINVAL, "the socket is missing");
  stream.received.bytes =
      UMDEV_TRY(reader.get_bytes(std::max<std::size_t>(limits.message(), limits.receive_buffer)));
  const auto attached = UMDEV_TRY(reader.get_count(ReceivedBytes::attached_max));
  for (std::uint32_t i = 0; i < attached; ++i) {
    ReceivedBytes::Attached& message = stream.received.attached.emplace_back();
    message.position = UMDEV_TRY(reader.get<std::uint32_t>());
    if (message.position >= stream.received.bytes.size() ||
        (i > 0 && message.position <= stream.received.attached[i - 1].position))
      return fail(EINVAL, "descriptors of a message that is not there");
    message.lost = UMDEV_TRY(reader.get_flag());
    message.fds = UMDEV_TRY(reader.get_fds());
  }
  const auto pieces = UMDEV_TRY(reader.get_count(limits.output_max));
  std::size_t left = limits.output_max;
  for (std::uint32_t i = 0; i < pieces; ++i) {
    UnsentPiece& piece = stream.unsent.emplace_back();
    piece.bytes = UMDEV_TRY(reader.get_bytes(left));
    if (piece.bytes.empty()) return fail(EINVAL, "an empty piece");
    left -= piece.bytes.size();
    piece.fds = UMDEV_TRY(reader.get_fds());
  }
  UMDEV_TRY(reader.end());
  return stream;
}

Result<std::vector<BacklogMessage>> get_backlog(Reader& reader, const Limits& limits) {
  std::vector<BacklogMessage> backlog;
  const auto count = UMDEV_TRY(reader.get_count(limits.backlog_messages));
  for (std::uint32_t i = 0; i < count; ++i) {
    BacklogMessage& message = backlog.emplace_back();
    const auto header = UMDEV_TRY(reader.get_bytes(sizeof message.header));
    const auto read = load_struct<abi::VfioUserHeader>(header);
    if (!read) return fail(EINVAL, "a message without its header");
    message.header = *read;
    message.payload = UMDEV_TRY(reader.get_bytes(limits.message() - sizeof message.header));
    if (message.header.size != sizeof message.header + message.payload.size())
      return fail(EINVAL, "a message of another size than it says");
    message.fds = std::make_unique<os::FdBatch>();
    if (UMDEV_TRY(reader.get_flag())) message.fds->set_lost();
    for (os::UniqueFd& fd : UMDEV_TRY(reader.get_fds())) message.fds->push(std::move(fd));
  }
  UMDEV_TRY(reader.end());
  return backlog;
}

Result<> get_memory(Reader& reader, const Limits& limits, SessionState& state) {
  state.files = UMDEV_TRY(reader.get_fds());
  const auto count = UMDEV_TRY(reader.get_count(limits.dma_maps));
  for (std::uint32_t i = 0; i < count; ++i) {
    MappingState mapping{.iova = UMDEV_TRY(reader.get<std::uint64_t>()),
                         .size = UMDEV_TRY(reader.get<std::uint64_t>()),
                         .flags = UMDEV_TRY(reader.get<std::uint32_t>()),
                         .file = UMDEV_TRY(reader.get<std::uint32_t>()),
                         .offset = UMDEV_TRY(reader.get<std::uint64_t>())};
    constexpr std::uint32_t known = abi::vfio_dma_map_flag_read | abi::vfio_dma_map_flag_write;
    if ((mapping.flags & ~known) != 0 || (mapping.flags & known) == 0)
      return fail(EINVAL, "a mapping for no kind of access");
    if (mapping.file == no_file) mapping.file.reset();
    if (mapping.file && *mapping.file >= state.files.size())
      return fail(EINVAL, "a mapping of a file that is not there");
    state.mappings.push_back(mapping);
  }
  return reader.end();
}

Result<vfio::IrqSetup> get_interrupts(Reader& reader) {
  constexpr std::size_t indexes_max = 64;
  constexpr std::size_t vectors_max = 4096;
  vfio::IrqSetup interrupts;
  const auto indexes = UMDEV_TRY(reader.get_count(indexes_max));
  for (std::uint32_t i = 0; i < indexes; ++i) {
    vfio::IrqIndexSetup& index = interrupts.emplace_back();
    index.enabled = UMDEV_TRY(reader.get_flag());
    index.vectors_enabled = UMDEV_TRY(reader.get<std::uint32_t>());
    const auto vectors = UMDEV_TRY(reader.get_count(vectors_max));
    for (std::uint32_t number = 0; number < vectors; ++number) {
      vfio::IrqVectorSetup& vector = index.vectors.emplace_back();
      vector.masked = UMDEV_TRY(reader.get_flag());
      vector.line = UMDEV_TRY(reader.get_flag());
      vector.pending = UMDEV_TRY(reader.get_flag());
      vector.trigger = UMDEV_TRY(reader.get_fd());
      vector.unmask = UMDEV_TRY(reader.get_fd());
    }
  }
  UMDEV_TRY(reader.end());
  return interrupts;
}

}  // namespace

Result<vfio::MovedSession> to_stream(SessionState state, const Limits& limits) {
  Writer writer(limits.moved_session);
  writer.begin(session_tag);
  put(writer, state.agreed);
  writer.put(state.fds_max);
  writer.put_flag(state.shares_device);
  writer.begin(socket_tag);
  put(writer, std::move(state.stream));
  if (state.twin) {
    writer.begin(twin_tag);
    put(writer, *std::move(state.twin));
  }
  writer.begin(backlog_tag);
  writer.put_count(state.backlog.size());
  for (BacklogMessage& message : state.backlog) put(writer, std::move(message));
  writer.begin(memory_tag);
  writer.put_fds(std::move(state.files));
  writer.put_count(state.mappings.size());
  for (const MappingState& mapping : state.mappings) {
    writer.put(mapping.iova);
    writer.put(mapping.size);
    writer.put(mapping.flags);
    writer.put(mapping.file.value_or(no_file));
    writer.put(mapping.offset);
  }
  writer.begin(interrupts_tag);
  writer.put_count(state.interrupts.size());
  for (vfio::IrqIndexSetup& index : state.interrupts) put(writer, std::move(index));
  auto moved = UMDEV_TRY(writer.finish());
  moved.shares_device = state.shares_device;
  return moved;
}

Result<SessionState> session_state_of(vfio::MovedSession moved, const Limits& limits) {
  if (moved.stream.size() > limits.moved_session) return fail(EINVAL, "the session's stream is too long");
  StreamReader stream = UMDEV_TRY(StreamReader::open(moved.stream, identity));
  std::size_t next_fd = 0;
  const auto section = [&](StreamTag tag) -> Result<Reader> {
    return Reader(UMDEV_TRY(stream.take(tag, version)), moved.descriptors, next_fd);
  };
  SessionState state;
  Reader head = UMDEV_TRY(section(session_tag));
  state.agreed = UMDEV_TRY(get_capabilities(head, limits));
  state.fds_max = UMDEV_TRY(head.get<std::uint32_t>());
  state.shares_device = UMDEV_TRY(head.get_flag());
  UMDEV_TRY(head.end());
  Reader socket = UMDEV_TRY(section(socket_tag));
  state.stream = UMDEV_TRY(get_stream(socket, limits));
  if (stream.has(twin_tag) != state.agreed.twin_socket)
    return fail(EINVAL, "a twin socket that was not agreed on");
  if (state.agreed.twin_socket) {
    Reader twin = UMDEV_TRY(section(twin_tag));
    state.twin = UMDEV_TRY(get_stream(twin, limits));
  }
  Reader backlog = UMDEV_TRY(section(backlog_tag));
  state.backlog = UMDEV_TRY(get_backlog(backlog, limits));
  Reader memory = UMDEV_TRY(section(memory_tag));
  UMDEV_TRY(get_memory(memory, limits, state));
  Reader interrupts = UMDEV_TRY(section(interrupts_tag));
  state.interrupts = UMDEV_TRY(get_interrupts(interrupts));
  UMDEV_TRY(stream.end());
  if (next_fd != moved.descriptors.size()) return fail(EINVAL, "more descriptors than the session has");
  return state;
}

}  // namespace umdev::vfio_user

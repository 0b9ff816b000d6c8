#include "umdev/uapi/open_file.h"

#include <vector>

namespace umdev::uapi {

Result<std::shared_ptr<OpenFile>> OpenFile::create(std::shared_ptr<ioctl::File> file, fuse::NodeId inode,
                                                   FileTable& files, Programs& programs) {
  UMDEV_TRY(files.add(inode, file));
  return std::shared_ptr<OpenFile>(new OpenFile(std::move(file), inode, files, programs));
}

OpenFile::~OpenFile() {
  files_.remove(inode_);
}

// The buffer is the driver's for as long as it wants, which may be after the answer.
void OpenFile::read(const fuse::Caller&, std::uint64_t offset, std::size_t size, Done<std::string> done) {
  struct Reading {
    std::string buffer;
    Done<std::string> done;
  };
  auto reading = std::make_shared<Reading>(std::string(size, '\0'), std::move(done));
  const Bytes into = std::as_writable_bytes(std::span(reading->buffer));
  file_->read(offset, into, reading, [reading](Result<std::size_t> count) {
    if (!count) return reading->done(std::unexpected(count.error()));
    reading->done(reading->buffer.substr(0, *count));
  });
}

void OpenFile::write(const fuse::Caller&, std::uint64_t offset, ConstBytes from, Done<std::size_t> done) {
  struct Writing {
    std::vector<std::byte> buffer;
    Done<std::size_t> done;
  };
  auto writing = std::make_shared<Writing>(std::vector<std::byte>(from.begin(), from.end()), std::move(done));
  const ConstBytes bytes = writing->buffer;
  file_->write(offset, bytes, writing, [writing](Result<std::size_t> count) { writing->done(count); });
}

// A new descriptor cannot be made of here: such calls come by a supervisor, and what this one gives is
// dropped.
void OpenFile::ioctl(const fuse::Caller& caller, std::uint32_t command, std::uint64_t argument,
                     Done<std::int32_t> done) {
  auto answered = std::make_shared<Done<std::int32_t>>(std::move(done));
  file_->ioctl(command, argument, programs_.call_of(caller), [answered](Result<ioctl::Answer> answer) {
    if (!answer) return (*answered)(std::unexpected(answer.error()));
    if (answer->file || answer->fd)
      return (*answered)(fail(EOPNOTSUPP, "a new descriptor takes a supervisor: umdev run"));
    (*answered)(answer->value);
  });
}

}  // namespace umdev::uapi

// Attributes that are bytes at offsets, and who writes.
#include <algorithm>
#include <vector>

#include "tests/unit/tree/tree_fixture.h"

namespace umdev::tree {
namespace {

class Memory final : public BinaryAttribute {
 public:
  explicit Memory(std::vector<std::byte>& bytes, std::uint64_t size) : bytes_(bytes), size_(size) {}
  std::uint64_t size() const override { return size_; }
  Result<std::size_t> read(std::uint64_t offset, Bytes into) override {
    if (offset >= bytes_.size()) return 0;
    const std::size_t count = std::min<std::size_t>(into.size(), bytes_.size() - offset);
    std::ranges::copy(ConstBytes(bytes_).subspan(offset, count), into.begin());
    return count;
  }
  void write(const Writer& writer, std::uint64_t offset, ConstBytes from, Done<std::size_t> done) override {
    writer_uid = writer.uid;
    std::ranges::copy(from, bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
    done(from.size());
  }
  std::uint32_t writer_uid = 0;

 private:
  std::vector<std::byte>& bytes_;
  const std::uint64_t size_;
};

class BinaryAttributes : public TreeTest {
 public:
  NodeHandle add(std::uint64_t size) {
    auto memory = std::make_unique<Memory>(bytes, size);
    attribute = memory.get();
    return root.add_attribute({"config", 0644, std::move(memory)}).value();
  }
  std::vector<std::byte> bytes = std::vector<std::byte>(10000, std::byte{7});
  Memory* attribute = nullptr;
};

TEST_F(BinaryAttributes, its_size_is_its_own) {
  const NodeHandle node = add(10000);
  EXPECT_EQ(tree.info(node.node()).size, 10000U);
  EXPECT_TRUE(tree.info(node.node()).binary);
  const NodeHandle plain = root.add_attribute(text("name", "x")).value();
  EXPECT_EQ(tree.info(plain.node()).size, 4096U);
  EXPECT_FALSE(tree.info(plain.node()).binary);
}

TEST_F(BinaryAttributes, a_read_is_not_cut_to_a_page) {
  const NodeHandle node = add(10000);
  std::vector<std::byte> into(20000);
  EXPECT_EQ(tree.read_at(node.node(), 0, into).value(), 10000U);
  EXPECT_EQ(tree.read_at(node.node(), 9999, into).value(), 1U);
  EXPECT_EQ(tree.read_at(node.node(), 10000, into).value(), 0U);
  EXPECT_EQ(tree.read_at(node.node(), UINT64_MAX, into).value(), 0U);
  EXPECT_EQ(tree.read("/config").value().size(), 10000U);
}

TEST_F(BinaryAttributes, a_write_goes_to_its_offset_and_is_cut_at_the_end) {
  const NodeHandle node = add(10000);
  const std::vector<std::byte> from(100, std::byte{1});
  WriteResult written;
  tree.write_at(node.node(), 9998, from, written.done(), {.uid = 5});
  EXPECT_EQ(written.result->value(), 2U);
  EXPECT_EQ(bytes[9997], std::byte{7});
  EXPECT_EQ(bytes[9998], std::byte{1});
  EXPECT_EQ(attribute->writer_uid, 5U);
}

TEST_F(BinaryAttributes, a_write_behind_the_end_is_efbig) {
  const NodeHandle node = add(10000);
  WriteResult behind;
  tree.write_at(node.node(), 10000, std::as_bytes(std::span("x", 1)), behind.done());
  EXPECT_EQ(error_of(*behind.result), EFBIG);
  WriteResult empty;
  tree.write_at(node.node(), 10000, {}, empty.done());
  EXPECT_EQ(empty.result->value(), 0U);
}

TEST_F(BinaryAttributes, one_without_an_end_answers_for_itself) {
  const NodeHandle node = add(0);
  std::vector<std::byte> into(20000);
  EXPECT_EQ(tree.info(node.node()).size, 0U);
  EXPECT_EQ(tree.read_at(node.node(), 1, into).value(), 9999U);
  EXPECT_EQ(tree.read("/config").value().size(), 10000U);
}

TEST_F(BinaryAttributes, offsets_are_refused_of_a_text) {
  const NodeHandle node = root.add_attribute(text("name", "x", 0644)).value();
  std::byte into[1];
  EXPECT_EQ(error_of(tree.read_at(node.node(), 0, into)), EINVAL);
  WriteResult written;
  tree.write_at(node.node(), 0, into, written.done());
  EXPECT_EQ(error_of(*written.result), EINVAL);
}

TEST_F(BinaryAttributes, one_that_is_gone_is_enodev) {
  NodeHandle node = add(10000);
  const NodeRef kept = node.node();
  node.remove();
  std::byte into[1];
  EXPECT_EQ(error_of(tree.read_at(kept, 0, into)), ENODEV);
  WriteResult written;
  tree.write_at(kept, 0, into, written.done());
  EXPECT_EQ(error_of(*written.result), ENODEV);
}

class TellsWriter final : public Attribute {
 public:
  explicit TellsWriter(Writer& last) : last_(last) {}
  void store_from(const Writer& writer, std::string_view text, Done<std::size_t> done) override {
    last_ = writer;
    done(text.size());
  }

 private:
  Writer& last_;
};

TEST_F(TreeTest, a_store_that_wants_to_know_is_told_who_writes) {
  Writer last{.uid = 9, .gid = 9, .pid = 9};
  const NodeHandle node = root.add_attribute({"who", 0200, std::make_unique<TellsWriter>(last)}).value();
  EXPECT_EQ(write_now(tree, "/who", "x").value(), 1U);
  EXPECT_EQ(last.uid, 0U);
  EXPECT_EQ(last.pid, 0);
  WriteResult written;
  tree.write("/who", "x", written.done(), {.uid = 1000, .gid = 100, .pid = 42});
  EXPECT_EQ(last.uid, 1000U);
  EXPECT_EQ(last.gid, 100U);
  EXPECT_EQ(last.pid, 42);
}

}  // namespace
}  // namespace umdev::tree

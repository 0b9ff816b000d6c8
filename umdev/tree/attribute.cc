#include "umdev/tree/attribute.h"

namespace umdev::tree {

Result<std::string> Attribute::show() {
  return fail(EIO, "the attribute has no show");
}

void Attribute::store(std::string_view, Done<std::size_t> done) {
  done(fail(EIO, "the attribute has no store"));
}

void Attribute::store_from(const Writer&, std::string_view text, Done<std::size_t> done) {
  store(text, std::move(done));
}

Result<std::size_t> BinaryAttribute::read(std::uint64_t, Bytes) {
  return fail(EIO, "the attribute has no read");
}

void BinaryAttribute::write(const Writer&, std::uint64_t, ConstBytes, Done<std::size_t> done) {
  done(fail(EIO, "the attribute has no write"));
}

namespace {

class TextAttribute final : public Attribute {
 public:
  explicit TextAttribute(std::string text) : text_(std::move(text)) {}
  Result<std::string> show() override { return text_; }

 private:
  const std::string text_;
};

class FunctionAttribute final : public Attribute {
 public:
  FunctionAttribute(Show show, Store store) : show_(std::move(show)), store_(std::move(store)) {}
  Result<std::string> show() override { return show_ ? show_() : Attribute::show(); }
  void store(std::string_view text, Done<std::size_t> done) override {
    if (store_) {
      store_(text, std::move(done));
    } else {
      Attribute::store(text, std::move(done));
    }
  }

 private:
  Show show_;
  Store store_;
};

}  // namespace

std::unique_ptr<Attribute> text_attribute(std::string text) {
  return std::make_unique<TextAttribute>(std::move(text));
}

std::unique_ptr<Attribute> function_attribute(Show show, Store store) {
  return std::make_unique<FunctionAttribute>(std::move(show), std::move(store));
}

}  // namespace umdev::tree

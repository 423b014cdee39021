// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>

#include "expr/ast.h"
#include "expr/eval.h"
#include "expr/text_formats.h"
#include "expr/unicode.h"

// JSONPath as jsonpath_rw 1.4 reads it. Its operators, loosest first: `..`  `.`  `|`  `where`; a
// bracket binds to the step before it.
namespace millrace::expr {
namespace {

constexpr size_t kMostSteps = 200;  // a step lies in its parent's: so deep is the tree
constexpr size_t kLongestPath = 4096;

struct Step {
  enum class Kind : uint8_t {
    Root,
    This,
    Parent,
    Fields,
    Index,
    Slice,
    Child,
    Descendants,
    Union,
    Where
  };
  Kind kind = Kind::This;
  std::vector<std::string> fields;
  int64_t index = 0;
  std::optional<int64_t> start, stop;
  std::unique_ptr<Step> left, right;
};
using StepPtr = std::unique_ptr<Step>;

class PathParser {
 public:
  explicit PathParser(std::string_view text) : text_(text) {}

  Result<StepPtr> run() {
    TRY(StepPtr path, descendants());
    skip();
    if (at_ < text_.size()) return fail();
    return path;
  }

 private:
  Error fail() const {
    return eval_error(fmt::format("Parse error in the JSONPath '{}' at position {}", text_, at_));
  }
  void skip() {
    while (at_ < text_.size() && unicode::is_space(static_cast<char32_t>(text_[at_]))) ++at_;
  }
  bool peek(std::string_view token) {
    skip();
    return text_.substr(at_).starts_with(token);
  }
  bool accept(std::string_view token) {
    if (!peek(token)) return false;
    at_ += token.size();
    return true;
  }
  bool accept_where() {
    skip();
    bool word = text_.substr(at_).starts_with("where") &&
                (at_ + 5 == text_.size() || !is_id(text_[at_ + 5]));
    if (word) at_ += 5;
    return word;
  }
  static bool is_id_start(char c) {
    return (c | 0x20) >= 'a' ? (c | 0x20) <= 'z' || c == '_' : c == '@' || c == '_';
  }
  static bool is_id(char c) { return is_id_start(c) || (c >= '0' && c <= '9') || c == '-'; }

  Result<StepPtr> make_step(Step::Kind kind, StepPtr left = nullptr, StepPtr right = nullptr) {
    if (++steps_ > kMostSteps) {
      return eval_error(fmt::format("the JSONPath has more than {} steps", kMostSteps));
    }
    auto step = std::make_unique<Step>();
    step->kind = kind;
    step->left = std::move(left);
    step->right = std::move(right);
    return step;
  }

  Result<StepPtr> descendants() {
    TRY(StepPtr left, child());
    while (peek("..")) {
      at_ += 2;
      TRY(StepPtr right, child());
      TRY(left, make_step(Step::Kind::Descendants, std::move(left), std::move(right)));
    }
    return left;
  }
  Result<StepPtr> child() {
    TRY(StepPtr left, union_of());
    while (!peek("..") && accept(".")) {
      TRY(StepPtr right, union_of());
      TRY(left, make_step(Step::Kind::Child, std::move(left), std::move(right)));
    }
    return left;
  }
  Result<StepPtr> union_of() {
    TRY(StepPtr left, where());
    while (accept("|")) {
      TRY(StepPtr right, where());
      TRY(left, make_step(Step::Kind::Union, std::move(left), std::move(right)));
    }
    return left;
  }
  Result<StepPtr> where() {
    TRY(StepPtr left, bracketed());
    while (accept_where()) {
      TRY(StepPtr right, bracketed());
      TRY(left, make_step(Step::Kind::Where, std::move(left), std::move(right)));
    }
    return left;
  }
  Result<StepPtr> bracketed() {
    StepPtr left;
    if (peek("[")) {
      TRY(left, bracket());
    } else {
      TRY(left, atom());
    }
    while (peek("[")) {
      TRY(StepPtr right, bracket());
      TRY(left, make_step(Step::Kind::Child, std::move(left), std::move(right)));
    }
    return left;
  }

  Result<StepPtr> atom() {
    if (++depth_ > kMaxNesting) return eval_error("the JSONPath nests too deep");
    if (accept("$")) return make_step(Step::Kind::Root);
    if (accept("(")) {
      TRY(StepPtr inner, descendants());
      if (!accept(")")) return fail();
      --depth_;
      return inner;
    }
    if (accept("`this`")) return make_step(Step::Kind::This);
    if (accept("`parent`")) return make_step(Step::Kind::Parent);
    TRY(StepPtr step, make_step(Step::Kind::Fields));
    if (accept("*")) {
      step->fields.emplace_back("*");
    } else {
      TRY(fields(*step));
    }
    --depth_;
    return step;
  }

  Result<void> fields(Step& step) {
    do {
      TRY(std::string name, identifier());
      step.fields.push_back(std::move(name));
    } while (accept(","));
    return {};
  }

  Result<std::string> identifier() {
    skip();
    if (at_ >= text_.size()) return fail();
    char c = text_[at_];
    std::string name;
    if (c == '\'' || c == '"') {
      for (++at_; at_ < text_.size() && text_[at_] != c; ++at_) {
        if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
        name += text_[at_];
      }
      if (at_ >= text_.size()) return fail();
      ++at_;
      return name;
    }
    if (!is_id_start(c)) return fail();
    while (at_ < text_.size() && is_id(text_[at_])) name += text_[at_++];
    return name;
  }

  std::optional<int64_t> number() {
    skip();
    size_t end = at_;
    if (end < text_.size() && text_[end] == '-') ++end;
    while (end < text_.size() && text_[end] >= '0' && text_[end] <= '9') ++end;
    Item item;
    if (!python::parse_int(text_.substr(at_, end - at_), 10, item) || !item.is_int()) return {};
    at_ = end;
    return item.value().as_int();
  }

  Result<StepPtr> bracket() {
    accept("[");
    TRY(StepPtr step, make_step(Step::Kind::Slice));
    if (!accept("*")) {
      step->start = number();
      if (accept(":")) {
        step->stop = number();
      } else if (step->start) {
        step->kind = Step::Kind::Index;
        step->index = *step->start;
      } else {
        step->kind = Step::Kind::Fields;
        TRY(fields(*step));
      }
    }
    if (!accept("]")) return fail();
    return step;
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  size_t steps_ = 0;
};

struct Datum {
  Item value;
  std::shared_ptr<Datum> parent;
};
using DatumPtr = std::shared_ptr<Datum>;
using Found = std::vector<DatumPtr>;

class PathFinder {
 public:
  explicit PathFinder(Evaluator& eval) : eval_(eval) {}

  Result<Found> find(const Step& step, const DatumPtr& at) {
    TRY(eval_.meter.step());
    TRY(eval_.meter.enter());
    Level level(eval_.meter);
    switch (step.kind) {
      case Step::Kind::Root: {
        DatumPtr root = at;
        while (root->parent) root = root->parent;
        return Found{root};
      }
      case Step::Kind::This: return Found{at};
      case Step::Kind::Parent:
        if (!at->parent)
          return eval_error("AttributeError: the JSONPath asks for a parent of the root");
        return Found{at->parent};
      case Step::Kind::Fields: return fields(step, at);
      case Step::Kind::Index: return index(step, at);
      case Step::Kind::Slice: return slice(step, at);
      case Step::Kind::Union: {
        TRY(Found out, find(*step.left, at));
        TRY(Found more, find(*step.right, at));
        out.insert(out.end(), more.begin(), more.end());
        return out;
      }
      case Step::Kind::Child:
      case Step::Kind::Where:
      case Step::Kind::Descendants: break;
    }
    TRY(Found bases, find(*step.left, at));
    Found out;
    for (const auto& base : bases) {
      if (step.kind == Step::Kind::Descendants) {
        TRY(descend(*step.right, base, out));
        continue;
      }
      TRY(Found more, find(*step.right, base));
      if (step.kind == Step::Kind::Child) {
        out.insert(out.end(), more.begin(), more.end());
      } else if (!more.empty()) {
        out.push_back(base);
      }
    }
    return out;
  }

 private:
  Result<DatumPtr> below(const DatumPtr& parent, Item value) {
    constexpr size_t kCounts = 16;  // of a shared_ptr
    TRY(eval_.meter.take(sizeof(Datum) + kCounts + sizeof(DatumPtr)));
    return std::make_shared<Datum>(Datum{std::move(value), parent});
  }
  Result<void> put(Found& out, const DatumPtr& parent, Item value) {
    TRY(DatumPtr datum, below(parent, std::move(value)));
    out.push_back(std::move(datum));
    return {};
  }

  Result<Found> fields(const Step& step, const DatumPtr& at) {
    Found out;
    if (!is_map(at->value)) return out;
    TRY(auto entries, entries_of(eval_, at->value));
    bool all = false;
    for (const auto& name : step.fields) all |= name == "*";
    if (all) {
      for (auto& [key, value] : entries) TRY(put(out, at, std::move(value)));
      return out;
    }
    TRY(eval_.meter.step(step.fields.size() * entries.size() / 16));
    for (const auto& name : step.fields) {
      for (const auto& [key, value] : entries) {
        if (key.is_string() && key.str() == name) TRY(put(out, at, value));
      }
    }
    return out;
  }

  Result<Found> index(const Step& step, const DatumPtr& at) {
    TRY(int64_t size, eval_.length(at->value));
    if (size <= step.index) return Found{};
    TRY(Item value, eval_.subscript(at->value, Item(step.index)));
    if (value.is_undefined()) return eval_error(fmt::format("KeyError: {}", step.index));
    Found out;
    TRY(put(out, at, std::move(value)));
    return out;
  }

  Result<Found> slice(const Step& step, const DatumPtr& at) {
    const Item& value = at->value;
    bool single = is_python_dict(eval_, value) || python::is_integer(value) || value.is_string();
    Found out;
    if (single) {
      TRY(put(out, at, value));
      return out;
    }
    if (!is_sequence(value)) {
      return type_error(fmt::format("'{}' object cannot be sliced", python::type_name(value)));
    }
    TRY(auto items, eval_.items_of(value));
    auto range = unicode::slice_range(static_cast<int64_t>(items.size()), step.start, step.stop, 1);
    for (int64_t i = 0; i < range.count; ++i) {
      TRY(put(out, at, items[static_cast<size_t>(range.start + i)]));
    }
    return out;
  }

  Result<void> descend(const Step& right, const DatumPtr& at, Found& out) {
    TRY(eval_.meter.enter());
    Level level(eval_.meter);
    TRY(Found here, find(right, at));
    out.insert(out.end(), here.begin(), here.end());
    if (is_python_list(eval_, at->value)) {
      TRY(auto items, eval_.items_of(at->value));
      for (auto& item : items) {
        TRY(DatumPtr child, below(at, std::move(item)));
        TRY(descend(right, child, out));
      }
    } else if (is_python_dict(eval_, at->value)) {
      TRY(auto entries, entries_of(eval_, at->value));
      for (auto& [key, value] : entries) {
        TRY(DatumPtr child, below(at, std::move(value)));
        TRY(descend(right, child, out));
      }
    }
    return {};
  }

  Evaluator& eval_;
};

}  // namespace

Result<Item> query_jsonpath(Evaluator& eval, const Item& item, std::string_view path) {
  if (path.size() > kLongestPath) {
    return eval_error(fmt::format("expected a JSONPath of at most {} bytes, found {}", kLongestPath,
                                  path.size()));
  }
  TRY(eval.meter.step(1 + path.size() / 4));
  TRY(StepPtr steps, PathParser(path).run());
  TRY(Found found, PathFinder(eval).find(*steps, std::make_shared<Datum>(Datum{item, nullptr})));
  if (found.empty()) return Item();
  std::vector<Item> values;
  for (const auto& datum : found) values.push_back(datum->value);
  return eval.list(std::move(values));
}

}  // namespace millrace::expr

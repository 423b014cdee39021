// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <sstream>
#include <stdexcept>

#include "base/yaml_flow.h"
#include "base/yaml_scalar.h"
#include "expr/eval.h"
#include "expr/text_formats.h"
#include "expr/unicode.h"

// yaml.safe_load of PyYAML: the scalars of YAML 1.1.
namespace millrace::expr {
namespace {

constexpr int kDeepest = 60;
constexpr const char* kTooDeep = "YAMLError: the document nests deeper than 60 levels";
constexpr size_t kMostNumber = 400;  // characters; beyond that nothing is a number

// 1:30:00 counts in sixties.
double sexagesimal(std::string_view digits) {
  double total = 0;
  while (!digits.empty()) {
    size_t end = std::min(digits.find(':'), digits.size());
    double part = 0;
    python::parse_float(digits.substr(0, end), part);
    total = total * 60 + part;
    digits.remove_prefix(std::min(end + 1, digits.size()));
  }
  return total;
}

std::optional<Item> integer_of(std::string text) {
  std::erase(text, '_');
  bool negative = text[0] == '-';
  if (text[0] == '-' || text[0] == '+') text.erase(0, 1);
  Item item;
  if (text.find(':') != std::string::npos) {
    double total = sexagesimal(text);
    if (total > 9e15) return {};
    return Item(static_cast<int64_t>(negative ? -total : total));
  }
  int base = text.starts_with("0b") ? 2 : text.starts_with("0x") ? 16 : text[0] == '0' ? 8 : 10;
  std::string digits = base == 2 || base == 16 ? text.substr(2) : text;
  if (!python::parse_int(digits, base, item)) return {};
  if (!negative) return item;
  return make_int(-python::as_int128(item));
}

Item real_of(std::string text) {
  std::erase(text, '_');
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  bool negative = text[0] == '-';
  if (text[0] == '-' || text[0] == '+') text.erase(0, 1);
  double d = 0;
  if (text == ".inf") {
    d = HUGE_VAL;
  } else if (text == ".nan") {
    d = std::nan("");
  } else if (text.find(':') != std::string::npos) {
    d = sexagesimal(text);
  } else {
    python::parse_float(text, d);
  }
  return Item(negative ? -d : d);
}

// Thrown through yaml-cpp to end a parse.
struct Refused {
  Error error;
};

// Walks a text before yaml-cpp keeps any of it: one document, and the memory of its nodes is paid
// for. Of `,` yaml-cpp makes empty documents without end, and LoadAll keeps them all.
class BeforeItIsKept final : public YAML::EventHandler {
 public:
  explicit BeforeItIsKept(Evaluator& eval) : eval_(eval) {}
  void OnDocumentStart(const YAML::Mark&) override {
    if (++documents_ == 1) return;
    throw Refused{eval_error("ComposerError: expected a single document in the stream")};
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override { pay(); }
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override { pay(); }
  void OnScalar(const YAML::Mark&, const std::string& tag, YAML::anchor_t,
                const std::string&) override {
    pay(tag);
  }
  void OnSequenceStart(const YAML::Mark&, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    pay(tag);
  }
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string& tag, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    pay(tag);
  }
  void OnMapEnd() override {}
  int documents() const { return documents_; }

 private:
  // Each node has its tag written out, with the prefix that a %TAG gave it.
  void pay(std::string_view tag = {}) {
    constexpr size_t kNode = 256;  // bytes of yaml-cpp's, measured
    if (tag.size() > kLongestYamlTag) {
      throw Refused{eval_error(fmt::format(
          "YAMLError: expected a tag of at most {} bytes, found {}", kLongestYamlTag, tag.size()))};
    }
    auto taken = eval_.meter.take(kNode + tag.size());
    if (!taken.ok()) throw Refused{std::move(taken).error()};
  }
  Evaluator& eval_;
  int documents_ = 0;
};

// Turns yaml-cpp's nodes into items. Aliases are followed, so the size is counted.
class YamlReader {
 public:
  explicit YamlReader(Evaluator& eval) : eval_(eval) {}

  Result<Value> read(const YAML::Node& node, int depth) {
    TRY(eval_.meter.step());
    TRY(eval_.meter.take(sizeof(Value) * 2));
    if (depth > kDeepest) return eval_error(kTooDeep);
    switch (node.Type()) {
      case YAML::NodeType::Scalar: return scalar(node);
      case YAML::NodeType::Sequence: {
        Value out = Value::list();
        for (const auto& child : node) {
          TRY(Value value, read(child, depth + 1));
          out.push_back(std::move(value));
        }
        return out;
      }
      case YAML::NodeType::Map: return map(node, depth);
      default: return Value();
    }
  }

 private:
  Result<Value> scalar(const YAML::Node& node) {
    const std::string& text = node.Scalar();
    TRY(eval_.meter.take(text.size()));
    const std::string& tag = node.Tag();
    if (tag == "!" || tag == "tag:yaml.org,2002:str") return Value(text);
    auto plain = resolve_yaml_scalar(text);
    if (!plain) return Value(text);
    return to_value(eval_, *plain);  // refuses what no Value holds
  }

  Result<Value> map(const YAML::Node& node, int depth) {
    Value merged = Value::map();
    Value own = Value::map();
    for (const auto& entry : node) {
      TRY(Value key, read(entry.first, depth + 1));
      TRY(Value value, read(entry.second, depth + 1));
      if (key.is_list() || key.is_map()) {
        return eval_error("ConstructorError: while constructing a mapping: found unhashable key");
      }
      bool is_merge = key.is_string() && key.as_string() == "<<" && entry.first.Tag() == "?";
      if (is_merge) {
        TRY(merge(merged, value));
        continue;
      }
      std::string name = key.is_string() ? std::string(key.as_string())
                         : key.is_bool() ? (key.as_bool() ? "true" : "false")
                         : key.is_null() ? "null"
                                         : to_text(key);
      own.set(name, std::move(value));
    }
    if (merged.size() == 0) return own;
    for (const auto& entry : own.as_map()) merged.mutable_map().set(entry.key, entry.value);
    return merged;
  }

  // `<<: *base` or a list of bases, of which the earlier wins.
  Result<void> merge(Value& into, const Value& from) {
    if (from.is_map()) {
      for (const auto& entry : from.as_map()) {
        if (!into.find(entry.name())) into.mutable_map().set(entry.key, entry.value);
      }
      return {};
    }
    if (!from.is_list()) return eval_error("ConstructorError: expected a mapping for merging");
    for (const auto& item : from.as_list()) {
      if (!item.is_map()) return eval_error("ConstructorError: expected a mapping for merging");
      TRY(merge(into, item));
    }
    return {};
  }

  Evaluator& eval_;
};

}  // namespace

bool is_yaml_timestamp(std::string_view text) {
  return yaml_scalar_kind(text) == YamlScalar::Timestamp;
}

std::optional<Item> resolve_yaml_scalar(std::string_view text) {
  if (text.size() > kMostNumber) return {};
  switch (yaml_scalar_kind(text)) {
    case YamlScalar::Null: return Item();
    case YamlScalar::Bool: return Item(millrace::resolve_yaml_scalar(text));
    case YamlScalar::Int: return integer_of(std::string(text));
    case YamlScalar::Float: return real_of(std::string(text));
    case YamlScalar::Timestamp:
    case YamlScalar::String: break;
  }
  return {};
}

Result<Item> load_yaml(Evaluator& eval, std::string_view text) {
  TRY(eval.meter.take(text.size() * 8));
  TRY(eval.meter.step(1 + text.size() * 4));  // short lines take 800 ns a byte, in two walks
  if (size_t at = text.find('\0'); at != text.npos) {  // to yaml-cpp it would be UTF-16
    return eval_error(
        fmt::format("ReaderError: unacceptable character #x0000: special characters "
                    "are not allowed, position {}",
                    unicode::index_of(text, at)));
  }
  try {
    // The parser keeps all of a line of brackets before it tells how deep it nests.
    if (find_flow_fault(text, kDeepest + 2, SIZE_MAX)) return eval_error(kTooDeep);
    BeforeItIsKept before(eval);
    std::istringstream input{std::string(text)};
    YAML::Parser parser(input);
    while (parser.HandleNextDocument(before)) {
    }
    if (before.documents() == 0) return Item();
    TRY(Value value, YamlReader(eval).read(YAML::Load(std::string(text)), 0));
    return Item::raw(std::move(value));
  } catch (Refused& refused) {
    return std::move(refused.error);
  } catch (const YAML::Exception& e) {
    return eval_error(fmt::format("YAMLError: {}", e.what()));
  } catch (const std::logic_error& e) {  // yaml-cpp 0.7 lets some of libstdc++'s through
    return eval_error(fmt::format("YAMLError: {}", e.what()));
  }
}

}  // namespace millrace::expr

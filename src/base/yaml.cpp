// SPDX-License-Identifier: Apache-2.0
#include "base/yaml.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <sstream>

#include "base/charset.h"
#include "base/json.h"
#include "base/number.h"
#include "base/problems.h"
#include "base/text.h"
#include "base/yaml_flow.h"
#include "base/yaml_scalar.h"

namespace millrace {
namespace {

// Ends the parse from inside yaml-cpp, which knows only exceptions.
struct Stop {
  int line;
  std::string message;
};

size_t count_nodes(const YamlNode& node) {
  size_t count = 1;
  for (const YamlNode& child : node.children) count += count_nodes(child);
  return count;
}

size_t depth_of(const YamlNode& node) {
  size_t deepest = 0;
  for (const YamlNode& child : node.children) deepest = std::max(deepest, depth_of(child));
  return deepest + 1;
}

// Builds the tree from yaml-cpp's events. A frame is a list or a map that is still open.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::string_view file, const YamlLimits& limits) : file_(file), limits_(limits) {}

  YamlNode take() { return std::move(root_); }
  std::vector<Problem> take_problems() { return std::move(problems_).take(); }
  void problem(int line, std::string message) {
    problems_.add(fmt::format("{}:{}", file_, line), std::move(message));
  }

  void refuse(const YamlFlow& flow) {
    problem(flow.line, flow.fault == YamlFlow::Fault::TooDeep ? too_deep() : too_many());
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ == 2) throw Stop{line(mark), "expected one document, found a second one"};
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add({.line = line(mark)}, anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto found = anchors_.find(anchor);
    if (found == anchors_.end()) throw Stop{line(mark), "an alias stands inside its own anchor"};
    const YamlNode& target = found->second;
    count(count_nodes(target), line(mark));
    if (frames_.size() + depth_of(target) > limits_.max_depth) throw Stop{line(mark), too_deep()};
    YamlNode copy = target;
    copy.line = line(mark);
    place(std::move(copy), 0);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    check_tag(tag, line(mark));
    add({.value = scalar(tag, text, line(mark)), .text = text, .line = line(mark)}, anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(Value::list(), mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(Value::map(), mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    YamlNode node;
    YAML::anchor_t anchor;
    bool has_key = false;  // a map's entry waits for its value
    std::string key;
    int key_line = 0;
    std::vector<YamlNode> merges;  // values of `<<`
  };

  static int line(const YAML::Mark& mark) { return std::max(mark.line, 0) + 1; }

  std::string too_deep() const {
    return fmt::format("nested deeper than {} levels", limits_.max_depth);
  }
  std::string too_many() const {
    return fmt::format("more than {} values (aliases count as what they stand for)",
                       limits_.max_nodes);
  }
  void count(size_t nodes, int at) {
    nodes_ += nodes;
    if (nodes_ <= limits_.max_nodes) return;
    throw Stop{at, too_many()};
  }

  void count_key(const YamlNode& map, int at) {
    if (map.children.size() < limits_.max_keys) return;
    throw Stop{at, fmt::format("expected at most {} keys in a map", limits_.max_keys)};
  }

  Value scalar(const std::string& tag, const std::string& text, int at) {
    constexpr std::string_view kStandard = "tag:yaml.org,2002:";
    if (tag == "?" || tag.empty()) return kept(resolve_yaml_scalar(text), text, at, true);
    if (tag == "!") return Value(text);
    std::string_view name = tag;
    if (name.starts_with(kStandard)) {
      name.remove_prefix(kStandard.size());
      if (name == "str" || name == "timestamp") return Value(text);
      Value value = resolve_yaml_scalar(text);
      auto real = name == "float" ? yaml_float(text) : std::nullopt;
      if (real) return kept(Value(*real), text, at, false);
      bool fits = (name == "int" && value.is_int()) || (name == "bool" && value.is_bool()) ||
                  (name == "null" && value.is_null());
      if (fits) return value;
      problem(at, fmt::format("expected a value for the tag '!!{}', found '{}'", name, text));
      return value;
    }
    unknown_tag(tag, at);
    return Value(text);
  }
  // It would go on as another number, or as null.
  Value kept(Value scalar, const std::string& text, int at, bool plain) {
    if (!scalar.is_float()) return scalar;
    if (plain && yaml_scalar_kind(text) == YamlScalar::Int) {
      problem(at, fmt::format("expected a whole number from -2^63 to 2^63 - 1, found {}; in quotes "
                              "it stays as it is",
                              text));
    } else if (!std::isfinite(scalar.as_float())) {
      problem(at, fmt::format("expected a number up to 1.79e308, found {}", text));
    } else if (vanished(text, scalar.as_float())) {
      problem(at, fmt::format("expected 0 or a number from 5e-324, found {}", text));
    } else if (text.find(':') == text.npos && is_another_number(text, scalar.as_float())) {
      problem(at, fmt::format("expected a number that a double holds, found {}; in quotes it stays "
                              "as it is",
                              text));
    }
    return scalar;
  }
  static void check_tag(std::string_view tag, int at) {
    if (tag.size() <= kLongestYamlTag) return;
    throw Stop{at, fmt::format("expected a tag of at most {} bytes, found {}", kLongestYamlTag,
                               tag.size())};
  }
  void unknown_tag(std::string_view tag, int at) {
    problem(at, fmt::format("the tag '{}' is not supported: remove it", tag));
  }

  void open(Value empty, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    check_tag(tag, line(mark));
    bool known = tag.empty() || tag == "?" || tag == "!" || tag == "tag:yaml.org,2002:seq" ||
                 tag == "tag:yaml.org,2002:map";
    if (!known) unknown_tag(tag, line(mark));
    count(1, line(mark));
    if (frames_.size() + 1 >= limits_.max_depth) throw Stop{line(mark), too_deep()};
    frames_.push_back({.node = {.value = std::move(empty), .line = line(mark)}, .anchor = anchor});
  }

  void close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    for (const YamlNode& merged : frame.merges) merge(frame.node, merged);
    place(std::move(frame.node), frame.anchor);
  }

  void add(YamlNode node, YAML::anchor_t anchor) {
    count(1, node.line);
    place(std::move(node), anchor);
  }

  // Puts a finished node where the open frame wants it: as a key, a value, an item or the root.
  void place(YamlNode node, YAML::anchor_t anchor) {
    if (anchor != 0) {
      count(count_nodes(node), node.line);  // the copy below is memory too
      anchors_[anchor] = node;
    }
    if (frames_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = frames_.back();
    if (frame.node.value.is_list()) {
      frame.node.value.push_back(node.value);
      frame.node.children.push_back(std::move(node));
    } else if (!frame.has_key) {
      begin_entry(frame, node);
    } else {
      end_entry(frame, std::move(node));
    }
  }

  void begin_entry(Frame& frame, const YamlNode& key) {
    if (!key.children.empty() || key.value.is_list() || key.value.is_map()) {
      problem(key.line, fmt::format("expected a text as key, found {}", key.value.type_name()));
    }
    frame.has_key = true;
    frame.key = key.text;
    frame.key_line = key.line;
  }

  void end_entry(Frame& frame, YamlNode value) {
    frame.has_key = false;
    if (frame.key == "<<") {
      add_merge(frame, std::move(value));
      return;
    }
    if (frame.node.value.find(frame.key)) {
      if (problems_.full()) return;  // looking for the first of them takes long
      problem(frame.key_line, fmt::format("the key '{}' is given twice (first in line {})",
                                          frame.key, frame.node.find(frame.key)->line));
      return;
    }
    count_key(frame.node, frame.key_line);
    value.key = frame.key;
    value.line = frame.key_line;
    frame.node.value.set(value.key, value.value);
    frame.node.children.push_back(std::move(value));
  }

  void add_merge(Frame& frame, YamlNode value) {
    if (value.value.is_map()) {
      frame.merges.push_back(std::move(value));
      return;
    }
    bool all_maps = value.value.is_list() &&
                    std::ranges::all_of(value.children, [](auto& c) { return c.value.is_map(); });
    if (!all_maps) {
      problem(frame.key_line, fmt::format("expected a map or a list of maps at '<<', found {}",
                                          value.value.type_name()));
      return;
    }
    for (YamlNode& child : value.children) frame.merges.push_back(std::move(child));
  }

  // Keys that stand in the map itself, or in an earlier merge, win.
  void merge(YamlNode& into, const YamlNode& from) {
    for (const YamlNode& entry : from.children) {
      if (into.value.find(entry.key)) continue;
      count_key(into, into.line);
      into.value.set(entry.key, entry.value);
      into.children.push_back(entry);
    }
  }

  std::string file_;
  YamlLimits limits_;
  size_t nodes_ = 0;
  int documents_ = 0;
  YamlNode root_;
  std::vector<Frame> frames_;
  std::map<YAML::anchor_t, YamlNode> anchors_;
  Problems problems_;
};

Error syntax_error(std::string_view file, std::vector<Problem> problems) {
  // With the first of them, for whoever hands on the message alone.
  const Problem& first = problems.front();
  auto line = std::string_view(first.path).substr(std::min(first.path.size(), file.size() + 1));
  std::string more = problems.size() > 1 ? fmt::format(" (and {} more)", problems.size() - 1) : "";
  std::string message =
      fmt::format("{} is not valid YAML: line {}: {}{}", file, line, first.message, more);
  return Error(ErrorKind::Invalid, "BAS-0006", std::move(message))
      .with_problems(std::move(problems));
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view name) const {
  if (!value.is_map()) return nullptr;
  for (const YamlNode& child : children) {
    if (child.key == name) return &child;
  }
  return nullptr;
}

int YamlNode::line_of(std::string_view json_pointer) const {
  const YamlNode* node = this;
  while (json_pointer.starts_with('/')) {
    json_pointer.remove_prefix(1);
    std::string name;
    size_t i = 0;
    for (; i < json_pointer.size() && json_pointer[i] != '/'; ++i) {
      bool escaped = json_pointer[i] == '~' && i + 1 < json_pointer.size();
      name += !escaped ? json_pointer[i] : json_pointer[++i] == '1' ? '/' : '~';
    }
    json_pointer.remove_prefix(i);
    const YamlNode* next = node->find(name);
    if (node->value.is_list()) {
      size_t index = SIZE_MAX;
      std::from_chars(name.data(), name.data() + name.size(), index);
      next = index < node->children.size() ? &node->children[index] : nullptr;
    }
    if (!next) break;
    node = next;
  }
  return node->line;
}

Result<YamlNode> parse_yaml(std::string_view text, std::string_view file,
                            const YamlLimits& limits) {
  auto fail = [&](int line, std::string message) {
    return syntax_error(file, {{fmt::format("{}:{}", file, line), std::move(message)}});
  };
  if (text.size() > limits.max_bytes) {
    return fail(1, fmt::format("larger than {} bytes", limits.max_bytes));
  }
  if (size_t at = first_not_utf8(text); at != text.npos) {
    auto line = 1 + std::ranges::count(text.substr(0, at), '\n');
    return fail(static_cast<int>(line),
                fmt::format("expected UTF-8, found the byte {:02X} at byte {}",
                            static_cast<unsigned char>(text[at]), at));
  }
  if (size_t at = text.find('\0'); at != text.npos) {  // to yaml-cpp it would be UTF-16
    auto line = 1 + std::ranges::count(text.substr(0, at), '\n');
    return fail(
        static_cast<int>(line),
        fmt::format("expected text without the character U+0000, found one at byte {}", at));
  }
  TreeBuilder builder(file, limits);
  if (auto fault = find_flow_fault(text, limits.max_depth, limits.max_nodes)) {
    builder.refuse(*fault);
    return syntax_error(file, builder.take_problems());
  }
  try {
    std::istringstream input{std::string(text)};
    YAML::Parser parser(input);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Stop& stop) {
    builder.problem(stop.line, stop.message);
  } catch (const YAML::Exception& error) {
    builder.problem(std::max(error.mark.line, 0) + 1, error.msg);
  } catch (const std::exception& error) {
    builder.problem(1, error.what());  // yaml-cpp 0.7 lets some of libstdc++'s through
  }
  auto problems = builder.take_problems();
  if (!problems.empty()) return syntax_error(file, std::move(problems));
  return builder.take();
}

}  // namespace millrace

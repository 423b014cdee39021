// SPDX-License-Identifier: Apache-2.0
#include "base/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "base/files.h"
#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"

namespace millrace {
namespace {

using Kind = FieldType::Kind;
constexpr std::string_view kPrefix = "MILLRACE__";
constexpr std::string_view kFileSuffix = "_file";
constexpr size_t kMaxFileBytes = 1 << 20;
constexpr size_t kMaxSecretBytes = 64 << 10;

const FieldType* without_optional(const FieldType* type) {
  while (type != nullptr && type->kind == Kind::Optional) type = type->element;
  return type;
}

const Fields* fields_of_type(const FieldType* type) {
  type = without_optional(type);
  return type != nullptr && type->kind == Kind::Object ? &type->fields() : nullptr;
}

Value value_of(const YamlNode& node, const FieldType* type);

Value map_of(const YamlNode& node, const Fields* fields) {
  Value map = Value::map();
  for (const YamlNode& child : node.children) {
    if (child.value.is_null()) continue;  // `key:` alone: often a section that is commented out
    const Field* line = fields != nullptr ? fields->find(child.key) : nullptr;
    map.set(child.key, value_of(child, line != nullptr ? line->type : nullptr));
  }
  return map;
}

// A scalar is what YAML resolves it to, but its text where a text is wanted: `version: 1.10`.
Value value_of(const YamlNode& node, const FieldType* type) {
  type = without_optional(type);
  if (type != nullptr && type->kind == Kind::Value) return node.value;
  if (node.value.is_map()) return map_of(node, fields_of_type(type));
  if (node.value.is_list()) {
    const FieldType* item = type != nullptr && type->kind == Kind::List ? type->element : nullptr;
    Value list = Value::list();
    for (const YamlNode& child : node.children) list.push_back(value_of(child, item));
    return list;
  }
  bool wants_number = type != nullptr && (type->kind == Kind::Bool || type->kind == Kind::Int ||
                                          type->kind == Kind::Float);
  return wants_number ? node.value : Value(node.text);
}

void set_at(Value& map, std::span<const std::string_view> path, Value value) {
  if (path.size() == 1) {
    map.set(path[0], std::move(value));
    return;
  }
  Value child = map[path[0]].is_map() ? map[path[0]] : Value::map();
  set_at(child, path.subspan(1), std::move(value));
  map.set(path[0], std::move(child));
}

bool is_at_or_below(std::string_view path, std::string_view other) {
  return path.starts_with(other) && (path.size() == other.size() || path[other.size()] == '/');
}

// Lays the layers over each other in one tree and remembers where each key came from.
class Layers {
 public:
  explicit Layers(const Fields& fields) : fields_(fields) {}

  Result<void> add_file(const std::string& path) {
    TRY(std::string text, read_file(path, kMaxFileBytes));
    TRY(yaml_, parse_yaml(text, path));
    file_ = path;
    if (yaml_.value.is_null()) return {};
    if (!yaml_.value.is_map()) {
      return Error(
          ErrorKind::Invalid, "BAS-0010",
          fmt::format("{}: expected a map of sections, found {}", path, yaml_.value.type_name()));
    }
    tree_ = map_of(yaml_, &fields_);
    return {};
  }

  // "MILLRACE__API__PORT=8080"; other names are not ours.
  void add_environment(std::string_view entry) {
    size_t equals = entry.find('=');
    if (!entry.starts_with(kPrefix) || equals == std::string_view::npos) return;
    std::string_view name = entry.substr(0, equals);
    std::string path = to_lower_ascii(name.substr(kPrefix.size()));
    for (size_t at; (at = path.find("__")) != std::string::npos;) path.replace(at, 2, ".");
    add(path, entry.substr(equals + 1), fmt::format("environment {}", name));
  }

  void add_flag(std::string_view entry) {
    size_t equals = entry.find('=');
    std::string_view name = entry.substr(0, equals);
    std::string origin = fmt::format("flag {}", name);
    if (equals == std::string_view::npos) {
      problems_.push_back({origin, "expected section.key=value"});
    } else {
      add(name, entry.substr(equals + 1), std::move(origin));
    }
  }

  Result<void> decode_into(void* config) {
    read_secret_files(tree_, fields_, "");
    if (auto done = millrace::decode_into(config, fields_, tree_, Scalars::Text); !done.ok()) {
      for (const Problem& problem : done.error().problems()) {
        std::string key = problem.path.empty() ? "" : problem.path.substr(1);
        std::ranges::replace(key, '/', '.');
        problems_.push_back(
            {origin_of(problem.path), fmt::format("'{}': {}", key, problem.message)});
      }
    }
    if (problems_.empty()) return {};
    const Problem& first = problems_.front();
    return Error(ErrorKind::Invalid, "BAS-0010",
                 fmt::format("invalid configuration: {}: {}", first.path, first.message))
        .with_problems(std::move(problems_));
  }

 private:
  void add(std::string_view dotted, std::string_view text, std::string origin) {
    auto path = split(dotted, '.');
    set_at(tree_, path, Value(text));
    origins_.push_back({fmt::format("/{}", fmt::join(path, "/")), std::move(origin)});
  }

  // Puts the content of the file that `NAME_file` names in the place of the secret NAME.
  void read_secret_files(Value& map, const Fields& fields, const std::string& path) {
    for (const Field& line : fields.lines()) {
      const Value* given = map.find(line.name);
      if (const Fields* nested = fields_of_type(line.type); nested && given && given->is_map()) {
        Value child = *given;
        read_secret_files(child, *nested, fmt::format("{}/{}", path, line.name));
        map.set(line.name, std::move(child));
      }
      std::string companion = fmt::format("{}{}", line.name, kFileSuffix);
      const Value* file = map.find(companion);
      if (!line.is_secret || file == nullptr || fields.find(companion) != nullptr) continue;
      std::string origin = origin_of(fmt::format("{}/{}", path, companion));
      std::string path_given(file->is_string() ? file->as_string() : "");
      Result<std::string> text = read_file(path_given, kMaxSecretBytes);
      if (given != nullptr) {
        problems_.push_back(
            {origin, fmt::format("'{}' and '{}' are both set: keep one", line.name, companion)});
      } else if (!text.ok()) {
        problems_.push_back({origin, fmt::format("'{}': {}", companion, text.error().message())});
      }
      map.mutable_map().erase(companion);
      map.set(line.name, text.ok() ? trim(*text) : "");
      origins_.push_back({fmt::format("{}/{}", path, line.name), origin});
    }
  }

  // The last layer that set the key, one below it or one above it.
  std::string origin_of(std::string_view pointer) const {
    for (auto it = origins_.rbegin(); it != origins_.rend(); ++it) {
      if (is_at_or_below(it->path, pointer) || is_at_or_below(pointer, it->path)) {
        return it->message;
      }
    }
    if (file_.empty()) return "configuration";
    return fmt::format("{}:{}", file_, yaml_.line_of(pointer));
  }

  const Fields& fields_;
  Value tree_ = Value::map();
  YamlNode yaml_;
  std::string file_;
  std::vector<Problem> origins_;  // JSON pointer, origin
  std::vector<Problem> problems_;
};

class Printer {
 public:
  explicit Printer(ConfigDocs docs) : docs_(docs) {}

  void section(const void* object, const Fields& fields, size_t indent) {
    for (const Field& line : fields.lines()) {
      const void* member = line.in(object);
      bool nested = line.type->kind == Kind::Object;
      if (docs_ == ConfigDocs::With) comment(line, fields, indent, nested);
      out_.append(indent, ' ');
      out_ += line.name;
      out_ += ':';
      if (nested) {
        out_ += '\n';
        section(member, line.type->fields(), indent + 2);
      } else {
        out_ += json_of(object, fields, line);
        out_ += '\n';
      }
    }
  }
  std::string take() { return std::move(out_); }

 private:
  // JSON is YAML; a key that has no value stands alone.
  static std::string json_of(const void* object, const Fields& fields, const Field& line) {
    Value value = encode(object, fields)[line.name];
    return value.is_null() ? "" : " " + to_json(value);
  }

  void comment(const Field& line, const Fields& fields, size_t indent, bool nested) {
    std::string text(line.doc);
    if (!line.unit_text.empty()) text += fmt::format(" In {}.", line.unit_text);
    std::string fallback = nested ? "" : json_of(fields.defaults(), fields, line);
    if (line.is_required) text += " Required.";
    if (!line.is_required && !fallback.empty()) text += fmt::format(" Default:{}.", fallback);
    if (text.empty()) return;
    out_ += fmt::format("{:{}}# {}\n", "", indent, trim(text));
  }

  ConfigDocs docs_;
  std::string out_;
};

}  // namespace

Result<void> load_config_into(void* config, const Fields& fields, const ConfigSources& sources) {
  Layers layers(fields);
  if (!sources.file.empty()) TRY(layers.add_file(sources.file));
  for (const auto& entry : sources.environment) layers.add_environment(entry);
  for (const auto& entry : sources.flags) layers.add_flag(entry);
  return layers.decode_into(config);
}

std::string print_config(const void* config, const Fields& fields, ConfigDocs docs) {
  Printer printer(docs);
  printer.section(config, fields, 0);
  return printer.take();
}

}  // namespace millrace

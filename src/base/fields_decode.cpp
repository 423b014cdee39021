// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/fields.h"
#include "base/json.h"
#include "base/problems.h"
#include "base/text.h"

namespace millrace {
namespace {

using Kind = FieldType::Kind;

template <typename T>
T& as(void* p) {
  return *static_cast<T*>(p);
}

size_t count_characters(std::string_view utf8) {
  return static_cast<size_t>(std::ranges::count_if(
      utf8, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string_view kind_name(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::Null: return "null";
    case Value::Kind::Bool: return "boolean";
    case Value::Kind::Int: return "integer";
    case Value::Kind::Float: return "number";
    case Value::Kind::String: return "string";
    case Value::Kind::List: return "array";
    case Value::Kind::Map: return "object";
  }
  return "";
}

std::string_view expected_name(const FieldType& type) {
  switch (type.kind) {
    case Kind::Bool: return "boolean";
    case Kind::Int: return "integer";
    case Kind::Float: return "number";
    case Kind::Value: return "a value";
    case Kind::Optional: return expected_name(*type.element);
    case Kind::List: return "array";
    case Kind::Object: return "object";
    default: return "string";
  }
}

// The start of a client's text, for messages.
std::string_view shown(std::string_view text) { return text.substr(0, 64); }

template <typename T>
bool parse_number(std::string_view text, T& number) {
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  return ec == std::errc() && end == text.data() + text.size();
}

class Decoder {
 public:
  explicit Decoder(Scalars scalars) : scalars_(scalars) {}

  std::vector<Problem> take_problems() { return std::move(problems_).take(); }

  void object(const Fields& fields, void* p, const Value& value) {
    if (!value.is_map()) return wrong_type("object", value);
    for (const auto& entry : value.as_map()) {
      if (fields.find(entry.name()) == nullptr) {
        Step step(*this, shown(entry.name()));
        if (!problems_.full()) report(fmt::format("unknown field{}", fields.hint(entry.name())));
      }
    }
    for (const Field& line : fields.lines()) {
      Step step(*this, line.name);
      if (const Value* given = value.find(line.name)) {
        member(line, *line.type, line.in(p), *given);
      } else if (line.is_required) {
        report(fmt::format("missing: expected {}", expected_name(*line.type)));
      }
    }
  }

 private:
  // Keeps the path to the value that is being read.
  class Step {
   public:
    Step(Decoder& decoder, std::string_view name)
        : decoder_(decoder), length_(decoder.path_.size()) {
      decoder.path_ += '/';
      for (char c : name) {  // RFC 6901 escapes
        if (c == '~') decoder.path_ += "~0";
        if (c == '/') decoder.path_ += "~1";
        if (c != '~' && c != '/') decoder.path_ += c;
      }
    }
    ~Step() { decoder_.path_.resize(length_); }
    Step(const Step&) = delete;

   private:
    Decoder& decoder_;
    size_t length_;
  };

  void report(std::string message) { problems_.add(path_, std::move(message)); }
  void wrong_type(std::string_view expected, const Value& found) {
    report(fmt::format("expected {}, found {}", expected, found.type_name()));
  }

  void member(const Field& line, const FieldType& type, void* p, const Value& value) {
    switch (type.kind) {
      case Kind::Bool: return boolean(as<bool>(p), value);
      case Kind::Int: return integer(line, type, p, value);
      case Kind::Float: return real(line, as<double>(p), value);
      case Kind::String: return string(line, as<std::string>(p), value);
      case Kind::Secret: {
        std::string text;
        string(line, text, value);
        as<Secret>(p) = Secret(std::move(text));
        return;
      }
      case Kind::Value: return any(line, as<Value>(p), value);
      case Kind::Id: return id(as<int64_t>(p), value);
      case Kind::Time: return time(as<Timestamp>(p), value);
      case Kind::Enum: return enumerator(type, p, value);
      case Kind::Optional:
        if (value.is_null() && type.element->kind != Kind::Value) return type.clear(p);
        return member(line, *type.element, type.add(p), value);
      case Kind::List: return list(line, type, p, value);
      case Kind::Object: return object(type.fields(), p, value);
    }
  }

  bool is_text(const Value& value) const { return scalars_ == Scalars::Text && value.is_string(); }

  void boolean(bool& out, const Value& value) {
    if (value.is_bool()) {
      out = value.as_bool();
    } else if (is_text(value) && (value.as_string() == "true" || value.as_string() == "false")) {
      out = value.as_string() == "true";
    } else if (is_text(value)) {
      report(fmt::format("expected 'true' or 'false', found '{}'", shown(value.as_string())));
    } else {
      wrong_type("boolean", value);
    }
  }

  void integer(const Field& line, const FieldType& type, void* p, const Value& value) {
    int64_t number = 0;
    if (value.is_int()) {
      number = value.as_int();
    } else if (!is_text(value)) {
      return wrong_type("integer", value);
    } else if (!parse_number(value.as_string(), number)) {
      return report(fmt::format("expected integer, found '{}'", shown(value.as_string())));
    }
    double low = std::max(line.min, static_cast<double>(type.type_min));
    double high = std::min(line.max, static_cast<double>(type.type_max));
    if (check_range(low, high, static_cast<double>(number), fmt::to_string(number))) {
      type.store(p, number);
    }
  }

  void real(const Field& line, double& out, const Value& value) {
    double number = 0;
    if (value.is_number()) {
      number = value.as_float();
    } else if (!is_text(value)) {
      return wrong_type("number", value);
    } else if (!parse_number(value.as_string(), number)) {
      return report(fmt::format("expected number, found '{}'", shown(value.as_string())));
    }
    if (check_range(line.min, line.max, number, fmt::to_string(number))) out = number;
  }

  bool check_range(double low, double high, double number, std::string_view text) {
    if (number >= low && number <= high) return true;
    bool above = number > high;
    report(fmt::format("expected at {} {}, found {}", above ? "most" : "least", above ? high : low,
                       text));
    return false;
  }

  void check_length(const Field& line, size_t length, std::string_view what) {
    if (length < line.min_length) {
      report(fmt::format("expected at least {} {}, found {}", line.min_length, what, length));
    } else if (length > line.max_length) {
      report(fmt::format("expected at most {} {}, found {}", line.max_length, what, length));
    }
  }

  void string(const Field& line, std::string& out, const Value& value) {
    if (!value.is_string()) return wrong_type("string", value);
    if (size_t at = value.as_string().find('\0'); at != std::string_view::npos) {
      return report(fmt::format("expected text, found a NUL character at byte {}", at));
    }
    out = value.as_string();
    if (line.type->kind != Kind::List) check_length(line, count_characters(out), "characters");
  }

  void any(const Field& line, Value& out, const Value& value) {
    bool parses = is_text(value) && line.value_kind && line.value_kind != Value::Kind::String;
    if (parses) {
      auto parsed = parse_json(value.as_string());
      if (!parsed.ok()) return report(parsed.error().message());
      out = *std::move(parsed);
    } else {
      out = value;
    }
    if (line.value_kind && out.kind() != *line.value_kind) {
      wrong_type(kind_name(*line.value_kind), out);
    }
  }

  void id(int64_t& out, const Value& value) {
    if (!value.is_string()) return wrong_type("string", value);
    auto parsed = parse_id(value.as_string(), "id");
    if (!parsed.ok()) return report(parsed.error().message());
    out = *parsed;
  }

  void time(Timestamp& out, const Value& value) {
    if (!value.is_string()) return wrong_type("string", value);
    auto parsed = parse_rfc3339(value.as_string());
    if (!parsed.ok()) return report(parsed.error().message());
    out.ms = *parsed;
  }

  void enumerator(const FieldType& type, void* p, const Value& value) {
    if (!value.is_string()) return wrong_type("string", value);
    std::vector<std::string_view> names;
    for (const auto& entry : type.names()) {
      if (entry.name == value.as_string()) return type.store(p, entry.value);
      names.push_back(entry.name);
    }
    report(fmt::format("expected one of {}; found '{}'{}", fmt::join(names, ", "),
                       shown(value.as_string()), did_you_mean(value.as_string(), names)));
  }

  void list(const Field& line, const FieldType& type, void* p, const Value& value) {
    Value items = value;
    if (is_text(value)) {
      items = Value::list();
      for (std::string_view part : split(value.as_string(), ',')) {
        if (!trim(part).empty()) items.push_back(trim(part));
      }
    }
    if (!items.is_list()) return wrong_type("array", value);
    type.clear(p);
    check_length(line, items.size(), "items");
    if (items.size() > line.max_length) return;
    for (size_t i = 0; i < items.size(); ++i) {
      Step step(*this, fmt::to_string(i));
      member(line, *type.element, type.add(p), items.as_list()[i]);
    }
  }

  Scalars scalars_;
  std::string path_;
  Problems problems_;
};

std::string summary(const Fields& fields, const std::vector<Problem>& problems) {
  const Problem& first = problems.front();
  std::string where = first.path.empty() ? "" : fmt::format("'{}': ", first.path);
  std::string more;
  if (problems.size() > 1) more = fmt::format(" (and {} more)", problems.size() - 1);
  return fmt::format("invalid {}: {}{}{}", fields.name(), where, first.message, more);
}

}  // namespace

Result<void> decode_into(void* object, const Fields& fields, const Value& value, Scalars scalars) {
  Decoder decoder(scalars);
  decoder.object(fields, object, value);
  auto problems = decoder.take_problems();
  if (problems.empty()) return {};
  return Error(ErrorKind::Invalid, "BAS-0004", summary(fields, problems))
      .with_problems(std::move(problems));
}

}  // namespace millrace

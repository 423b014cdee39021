// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/ids.h"
#include "base/secret.h"
#include "base/time.h"
#include "base/value.h"

// One table per struct, from which its JSON codec, validation, JSON Schema, configuration keys
// and CLI columns come:
//
//   struct RuleInput {
//     std::string ref;
//     int64_t timeout_ms = 60'000;
//     std::vector<std::string> tags;
//     static const Fields& fields();
//   };
//
//   const Fields& RuleInput::fields() {
//     static const Field lines[] = {
//         field("ref", &RuleInput::ref, "pack.name").required().length(3, 128),
//         field("timeout_ms", &RuleInput::timeout_ms, "How long one attempt may run.")
//             .range(1, 86'400'000)
//             .unit("ms"),
//         field("tags", &RuleInput::tags, "Free labels.").length(0, 20),
//     };
//     static const auto table = fields_of<RuleInput>("RuleInput", "A rule as sent.", lines);
//     return table;
//   }
//
//   TRY(auto input, decode<RuleInput>(body));
//   std::string json = encode_json(output);
//
// The default of a field is what a default-constructed struct holds. Member types: bool, integers,
// double, std::string, Secret, Value, Id<...>, Timestamp, enums, structs with a table, and
// std::optional and std::vector of these. An enum needs only a `to_string` beside it that answers
// "unknown" (or a name already used) for a number that is no value; values lie in 0..255.
//
// The walkers are compiled once: a table costs data, not code. Tables are read-only and may be
// used by any thread.
namespace millrace {

class Fields;

// How the walkers see one C++ member type. One static instance per type; made by type_of<T>().
struct FieldType {
  enum class Kind : uint8_t {
    Bool,
    Int,
    Float,
    String,
    Secret,
    Value,
    Id,
    Time,
    Enum,
    Optional,
    List,
    Object
  };
  struct EnumName {
    int64_t value;
    std::string_view name;
  };

  Kind kind;
  // Int, Id, Time, Enum: the member as a number. `type_min`, `type_max`: what fits.
  int64_t (*load)(const void*) = nullptr;
  void (*store)(void*, int64_t) = nullptr;
  int64_t type_min = 0;
  int64_t type_max = 0;
  const std::vector<EnumName>& (*names)() = nullptr;  // Enum
  const FieldType* element = nullptr;                 // Optional, List
  const Fields& (*fields)() = nullptr;                // Object
  // Optional and List: elements by index; `add` appends a default one and returns it.
  size_t (*size)(const void*) = nullptr;
  const void* (*at)(const void*, size_t) = nullptr;
  void* (*add)(void*) = nullptr;
  void (*clear)(void*) = nullptr;
};

template <typename T>
const FieldType* type_of();

// One line of a table. The chained setters are for the table only.
struct Field {
  std::string_view name;
  std::string_view doc;
  std::string_view unit_text;  // "ms", "bytes": for docs and the CLI
  const FieldType* type = nullptr;
  size_t offset = 0;
  bool is_required = false;
  bool is_secret = false;
  double min = -std::numeric_limits<double>::infinity();  // of numbers
  double max = std::numeric_limits<double>::infinity();
  size_t min_length = 0;  // of strings in characters, of lists in items
  size_t max_length = SIZE_MAX;
  std::optional<Value::Kind> value_kind;  // of Value members: the only kind that is allowed

  Field& required() { return is_required = true, *this; }
  // Shown as "***" when redacted.
  Field& secret() { return is_secret = true, *this; }
  Field& unit(std::string_view text) { return unit_text = text, *this; }
  // Limits of a number, or of each number of a list; both inclusive.
  Field& range(double low, double high) { return min = low, max = high, *this; }
  Field& at_least(double low) { return min = low, *this; }
  Field& length(size_t low, size_t high) { return min_length = low, max_length = high, *this; }
  // A Value member that must be, say, an object.
  Field& only(Value::Kind kind) { return value_kind = kind, *this; }

  const void* in(const void* object) const { return static_cast<const char*>(object) + offset; }
  void* in(void* object) const { return static_cast<char*>(object) + offset; }
};

template <typename Struct, typename Member>
Field field(std::string_view name, Member Struct::* member, std::string_view doc) {
  // A pointer to a data member is the member's offset (Itanium C++ ABI, 2.3).
  static_assert(sizeof(member) == sizeof(ptrdiff_t));
  Field line;
  line.name = name;
  line.doc = doc;
  line.type = type_of<Member>();
  line.offset = static_cast<size_t>(std::bit_cast<ptrdiff_t>(member));
  line.is_secret = std::is_same_v<Member, Secret>;
  return line;
}

class Fields {
 public:
  // `lines` must outlive this.
  Fields(std::string_view name, std::string_view doc, std::span<const Field> lines,
         const void* (*defaults)())
      : name_(name), doc_(doc), lines_(lines), defaults_(defaults) {}

  std::string_view name() const { return name_; }  // the schema's name in OpenAPI
  std::string_view doc() const { return doc_; }
  std::span<const Field> lines() const { return lines_; }
  const Field* find(std::string_view name) const;
  // " (did you mean 'x'?)", or empty.
  std::string hint(std::string_view name) const;
  // A default-constructed struct.
  const void* defaults() const { return defaults_(); }

 private:
  std::string_view name_;
  std::string_view doc_;
  std::span<const Field> lines_;
  const void* (*defaults_)();
};

template <typename Struct>
Fields fields_of(std::string_view name, std::string_view doc, std::span<const Field> lines) {
  return Fields(name, doc, lines, [] {
    static const Struct defaults{};
    return static_cast<const void*>(&defaults);
  });
}

template <typename T>
concept HasFields = requires {
  { T::fields() } -> std::same_as<const Fields&>;
};

// Json: each value has its JSON type. Text: scalars may be strings ("10", "true"), a list may be
// one comma-separated string: for query parameters, environment entries and YAML.
enum class Scalars : uint8_t { Json, Text };
enum class Secrets : uint8_t { Redact, Reveal };

// Fills the struct from a map; fields that are absent keep what they hold. Collects all problems,
// each with its JSON Pointer: `/tags/0`: `expected string, found integer`.
// Errors: Invalid, BAS-0004.
Result<void> decode_into(void* object, const Fields& fields, const Value& value,
                         Scalars scalars = Scalars::Json);

template <HasFields T>
Result<T> decode(const Value& value, Scalars scalars = Scalars::Json) {
  T object{};
  TRY(decode_into(&object, T::fields(), value, scalars));
  return object;
}

// An empty optional, an id 0 and a time 0 are left out; all else is written.
Value encode(const void* object, const Fields& fields, Secrets secrets = Secrets::Redact);
void append_encoded_json(std::string& out, const void* object, const Fields& fields,
                         Secrets secrets = Secrets::Redact);

template <HasFields T>
Value encode(const T& object, Secrets secrets = Secrets::Redact) {
  return encode(&object, T::fields(), secrets);
}
template <HasFields T>
std::string encode_json(const T& object, Secrets secrets = Secrets::Redact) {
  std::string out;
  append_encoded_json(out, &object, T::fields(), secrets);
  return out;
}

// One field for people: a string as it is, everything else as JSON, "" when absent; redacted.
std::string field_text(const void* object, const Field& field);

// JSON Schema (2020-12, the dialect of OpenAPI 3.1) of the struct; a nested struct is a reference
// to `#/components/schemas/NAME`.
Value json_schema(const Fields& fields);
// Adds the schema of the struct and of all that it refers to, by name.
void add_schemas(Value& components, const Fields& fields);

namespace detail {

template <typename T>
inline constexpr bool kIsId = false;
template <typename Tag>
inline constexpr bool kIsId<Id<Tag>> = true;
template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
template <typename T>
inline constexpr bool kIsList = false;
template <typename T>
inline constexpr bool kIsList<std::vector<T>> = true;

using EnumToString = std::string_view (*)(int64_t);
std::vector<FieldType::EnumName> collect_enum_names(EnumToString to_string);

template <typename T>
FieldType number_type(FieldType::Kind kind) {
  FieldType type{kind};
  type.load = [](const void* p) { return static_cast<int64_t>(*static_cast<const T*>(p)); };
  type.store = [](void* p, int64_t n) { *static_cast<T*>(p) = static_cast<T>(n); };
  return type;
}

template <typename T>
FieldType int_type() {
  FieldType type = number_type<T>(FieldType::Kind::Int);
  using Limits = std::numeric_limits<T>;
  constexpr bool kBig = sizeof(T) == 8 && std::is_unsigned_v<T>;
  type.type_min = static_cast<int64_t>(Limits::min());
  type.type_max = kBig ? INT64_MAX : static_cast<int64_t>(Limits::max());
  return type;
}

template <typename T>
FieldType enum_type() {
  FieldType type = number_type<T>(FieldType::Kind::Enum);
  type.names = []() -> const std::vector<FieldType::EnumName>& {
    static const auto names =
        collect_enum_names([](int64_t n) -> std::string_view { return to_string(T(n)); });
    return names;
  };
  return type;
}

template <typename T>
FieldType optional_type() {
  FieldType type{FieldType::Kind::Optional};
  type.element = type_of<typename T::value_type>();
  type.size = [](const void* p) -> size_t { return static_cast<const T*>(p)->has_value() ? 1 : 0; };
  type.at = [](const void* p, size_t) -> const void* { return &**static_cast<const T*>(p); };
  type.add = [](void* p) -> void* { return &static_cast<T*>(p)->emplace(); };
  type.clear = [](void* p) { static_cast<T*>(p)->reset(); };
  return type;
}

template <typename T>
FieldType list_type() {
  static_assert(!std::is_same_v<T, std::vector<bool>>, "use std::vector<uint8_t>");
  FieldType type{FieldType::Kind::List};
  type.element = type_of<typename T::value_type>();
  type.size = [](const void* p) { return static_cast<const T*>(p)->size(); };
  type.at = [](const void* p, size_t i) -> const void* { return &(*static_cast<const T*>(p))[i]; };
  type.add = [](void* p) -> void* { return &static_cast<T*>(p)->emplace_back(); };
  type.clear = [](void* p) { static_cast<T*>(p)->clear(); };
  return type;
}

template <typename T>
FieldType make_type() {
  using Kind = FieldType::Kind;
  if constexpr (std::is_same_v<T, bool>) {
    return {Kind::Bool};
  } else if constexpr (std::is_integral_v<T>) {
    return int_type<T>();
  } else if constexpr (std::is_same_v<T, double>) {
    return {Kind::Float};
  } else if constexpr (std::is_same_v<T, std::string>) {
    return {Kind::String};
  } else if constexpr (std::is_same_v<T, Secret>) {
    return {Kind::Secret};
  } else if constexpr (std::is_same_v<T, Value>) {
    return {Kind::Value};
  } else if constexpr (std::is_same_v<T, Timestamp>) {
    return {Kind::Time};
  } else if constexpr (kIsId<T>) {
    static_assert(sizeof(T) == sizeof(int64_t));
    return {Kind::Id};
  } else if constexpr (std::is_enum_v<T>) {
    return enum_type<T>();
  } else if constexpr (kIsOptional<T>) {
    return optional_type<T>();
  } else if constexpr (kIsList<T>) {
    return list_type<T>();
  } else {
    static_assert(HasFields<T>, "this member type needs a `static const Fields& fields()`");
    FieldType type{Kind::Object};
    type.fields = &T::fields;
    return type;
  }
}

}  // namespace detail

template <typename T>
const FieldType* type_of() {
  static const FieldType type = detail::make_type<T>();
  return &type;
}

}  // namespace millrace

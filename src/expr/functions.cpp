// SPDX-License-Identifier: Apache-2.0
#include "expr/functions.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "expr/eval.h"

namespace millrace::expr {
namespace {

Type type_named(std::string_view name) {
  constexpr std::pair<std::string_view, Type> kTypes[] = {
      {"any", Type::Any},           {"nonnull", Type::NonNull},
      {"str", Type::String},        {"str|null", Type::MaybeString},
      {"int", Type::Int},           {"bool", Type::Bool},
      {"num", Type::Number},        {"num|null", Type::MaybeNumber},
      {"iter", Type::Iterable},     {"iterator", Type::Iterator},
      {"seq", Type::Sequence},      {"map", Type::Map},
      {"set", Type::Set},           {"regex", Type::Regex},
      {"ordering", Type::Ordering}, {"context", Type::Context},
      {"lambda", Type::Lambda},     {"rule", Type::Rule},
      {"pair", Type::Pair}};
  for (const auto& [text, type] : kTypes) {
    if (text == name) return type;
  }
  ASSERT_MSG(false, "unknown type in a signature");
  return Type::Any;
}

Signature parse_signature(std::string_view text) {
  Signature signature;
  for (std::string_view word : split(text, ' ')) {
    if (word.empty()) continue;
    if (word == "!") {
      signature.no_kwargs = true;
      continue;
    }
    if (word == "**") {
      signature.kwargs = true;
      continue;
    }
    Param param;
    size_t colon = word.find(':');
    if (colon != std::string_view::npos) {
      param.type = type_named(word.substr(colon + 1));
      word = word.substr(0, colon);
    }
    if (word.starts_with('*')) {
      signature.varargs = true;
      word.remove_prefix(1);
    } else if (word.ends_with('?')) {
      param.optional = true;
      word.remove_suffix(1);
    } else {
      ++signature.required;
    }
    param.name = word;
    signature.params.push_back(param);
  }
  return signature;
}

}  // namespace

const Item* Args::find_named(std::string_view name) const {
  for (const auto& [key, value] : named_) {
    if (key == name) return &value;
  }
  return nullptr;
}

size_t Args::text_bytes() const {
  size_t bytes = 0;
  for (const Item& item : items_) bytes += item.is_string() ? item.str().size() : 0;
  for (const auto& [name, item] : named_) bytes += item.is_string() ? item.str().size() : 0;
  return bytes;
}

Table::Table(std::initializer_list<std::span<const Row>> parts) {
  for (const auto& part : parts) {
    for (const Row& row : part) {
      auto after =
          std::upper_bound(functions_.begin(), functions_.end(), row.name,
                           [](std::string_view name, const Function& f) { return name < f.name; });
      functions_.insert(after, {row.name, parse_signature(row.signature), row.run, row.use});
    }
  }
}

uint32_t Table::find(std::string_view name) const {
  auto at = std::lower_bound(functions_.begin(), functions_.end(), name,
                             [](const Function& f, std::string_view n) { return f.name < n; });
  if (at == functions_.end() || at->name != name) return kNone;
  return static_cast<uint32_t>(at - functions_.begin());
}

std::string Table::suggest(std::string_view name) const {
  std::vector<std::string_view> names;
  for (const auto& function : functions_) names.push_back(function.name);
  return did_you_mean(name, names);
}

Result<void> bind(const Function& function, Args& args) {
  const Signature& signature = function.signature;
  size_t fixed = signature.params.size() - (signature.varargs ? 1 : 0);
  if (args.size() > fixed && !signature.varargs) {
    return type_error(fmt::format("{}() takes {} positional arguments but {} were given",
                                  function.name, fixed, args.size()));
  }
  size_t positional = args.size();
  while (args.size() < fixed) args.push_missing();
  for (size_t i = 0; i < args.named().size();) {
    std::string_view name = args.named()[i].first;
    size_t at = 0;
    while (at < fixed && signature.params[at].name != name) ++at;
    if (at == fixed) {
      if (!signature.kwargs) {
        return type_error(
            fmt::format("{}() got an unexpected keyword argument '{}'", function.name, name));
      }
      ++i;
      continue;
    }
    if (at < positional || args.given(at)) {
      return type_error(
          fmt::format("{}() got multiple values for argument '{}'", function.name, name));
    }
    args.give(at, args.named()[i].second);
    args.drop_named(i);
  }
  for (size_t i = 0; i < signature.required; ++i) {
    if (args.given(i)) continue;
    return type_error(fmt::format("{}() missing required argument: '{}'", function.name,
                                  signature.params[i].name));
  }
  return {};
}

}  // namespace millrace::expr

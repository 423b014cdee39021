// SPDX-License-Identifier: Apache-2.0
#include "kernel/printed.h"

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "kernel/limits.h"

namespace millrace::kernel {
namespace {

constexpr JsonLimits kOutputLimits{.max_depth = kStructuredDepth.most,
                                   .max_bytes = kStructuredOutput.most};

Printed parse_jsonl(std::string_view text) {
  Printed parsed{Value::list(), {}};
  size_t number = 0;
  for (auto line : split(text, '\n')) {
    ++number;
    if (trim(line).empty()) continue;
    auto value = parse_json(line, kOutputLimits);
    if (!value.ok()) return {Value(), fmt::format("line {}: {}", number, value.error().message())};
    parsed.value.push_back(std::move(*value));
  }
  return parsed;
}

}  // namespace

Printed parse_printed(OutputFormat format, std::string_view text) {
  auto from = [](Result<Value> value) {
    return value.ok() ? Printed{std::move(*value), {}} : Printed{Value(), value.error().message()};
  };
  auto yaml = [&]() -> Result<Value> {
    TRY(auto root,
        parse_yaml(text, "stdout",
                   {.max_bytes = kOutputLimits.max_bytes, .max_depth = kOutputLimits.max_depth}));
    return std::move(root.value);
  };
  switch (format) {
    case OutputFormat::Text: return {};
    case OutputFormat::Json:
      return trim(text).empty() ? Printed{} : from(parse_json(text, kOutputLimits));
    case OutputFormat::Yaml: return from(yaml());
    case OutputFormat::Jsonl: return parse_jsonl(text);
  }
  return {};
}

}  // namespace millrace::kernel

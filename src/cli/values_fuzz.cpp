// SPDX-License-Identifier: Apache-2.0
#include "cli/values.h"

#include "base/fuzzing.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/output.h"

namespace millrace::cli {
namespace {

constexpr std::string_view kTypes[] = {"string", "integer", "number", "boolean", "object", "array"};

bool has_type(const Value& value, std::string_view type) {
  return type == "number" ? value.is_number() : value.type_name() == type;
}

// The type of a parameter, then a word of the command line for it.
FUZZ(values) {
  fuzz::Reader in(input);
  auto type = in.one_of(kTypes);
  auto item = in.one_of(kTypes);
  auto text = in.rest();
  auto schema = Value::map({{"type", type}, {"items", Value::map({{"type", item}})}});
  if (auto value = typed_value("p", schema, text); value.ok()) {
    fuzz::plant(type == "array" && value->size() > 2);
    ASSERT(has_type(*value, type));
    if (type == "string") ASSERT(value->as_string() == text);
    if (check_texts(*value).ok()) ASSERT(parse_json(to_json(*value)).ok());
  }
  if (auto ms = parse_duration("--for", text); ms.ok()) ASSERT(*ms >= 0);
  if (auto count = parse_count("--limit", text, 1); count.ok()) ASSERT(*count >= 1);
}

CommandTable commands() {
  auto nothing = [](const Invocation&) -> Result<int> { return 0; };
  return {{.path = "copy",
           .arguments = {{"DIR", ""}},
           .options = {{.name = "--quick"}},
           .local = nothing},
          {.path = "copy verify", .arguments = {{"SET", ""}}, .local = nothing},
          {.path = "send",
           .arguments = {{"TO", ""}, {.name = "WORD", .optional = true, .many = true}},
           .options = {{.name = "--tag", .value = "T", .repeats = true},
                       {.name = "--file", .value = "F", .letter = 'f'},
                       {.name = "--level", .value = "L", .choices = {"low", "high"}}},
           .local = nothing}};
}

// A line for each word of the command line. Behind `--` all words are what they are.
FUZZ(words) {
  static const CommandTable table = commands();
  std::vector<std::string> words;
  fuzz::Reader in(input);
  while (!in.empty() && words.size() < 64) words.emplace_back(in.line());
  auto parsed = parse(table, words);
  if (!parsed.ok()) {
    ASSERT(parsed.error().code() == "CLI-0001");
    return;
  }
  if (!parsed->command()) {
    ASSERT(!parsed->help.empty());
    return;
  }
  fuzz::plant(parsed->all("--tag").size() > 1 && parsed->has("--file"));
  const auto& level = parsed->get("--level");
  ASSERT(level.empty() || level == "low" || level == "high");
  if (parsed->command()->path != "send") return;
  words = {"send", "--", parsed->get("TO")};
  for (const auto& word : parsed->all("WORD")) words.push_back(word);
  auto again = parse(table, words);
  ASSERT(again.ok());
  ASSERT(again->get("TO") == parsed->get("TO") && again->all("WORD") == parsed->all("WORD"));
}

// What a server answers, as people see it.
FUZZ(output) {
  auto value = parse_json(input);
  if (!value.ok()) return;
  constexpr Column kColumns[] = {{"ID", "id"},
                                 {"STATUS", "status", Look::Status},
                                 {"TIME", "a.time", Look::Time},
                                 {"FOR", "for", Look::DurationMs},
                                 {"ON", "on", Look::Flag}};
  ValueList rows = value->is_list() ? value->as_list() : ValueList{*value};
  for (auto format : {Format::Table, Format::Json, Format::Yaml, Format::JsonLines}) {
    Style style{.format = format, .colour = format == Format::Table};
    auto text = style.rows(kColumns, rows) + style.object(*value);
    fuzz::plant(rows.size() > 2);
    ASSERT(text.size() < (1 << 20));
  }
}

}  // namespace
}  // namespace millrace::cli

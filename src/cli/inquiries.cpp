// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/json.h"
#include "cli/tables.h"
#include "cli/values.h"

namespace millrace::cli {
namespace {

const std::string kInquiryRoute = "/api/v1/inquiries";

constexpr Column kInquiryColumns[] = {
    {"ID", "id"},
    {"STATUS", "status"},
    {"PROMPT", "prompt"},
    {"USERS", "users"},
    {"EXPIRES", "expires", Look::Time},
    {"CREATED", "created", Look::Time},
};

// The answer from words: `key=value` by the inquiry's schema, `key:=json`.
Result<Value> read_answer(const Value& inquiry, const std::vector<std::string>& words) {
  Value answer = Value::map();
  for (const auto& word : words) {
    size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0) {
      return usage_error(fmt::format("expected key=value or key:=json, found '{}'", word));
    }
    std::string name = word.substr(0, equals);
    std::string text = word.substr(equals + 1);
    if (name.ends_with(':')) {
      name.pop_back();
      auto value = parse_json(text);
      if (!value.ok()) return std::move(value).error().with_context(name);
      answer.set(name, std::move(*value));
    } else {
      TRY(auto value, typed_value(name, inquiry["schema"]["properties"][name], text));
      answer.set(name, std::move(value));
    }
  }
  return answer;
}

Result<int> answer(Context& context) {
  auto path = path_of(kInquiryRoute, context.in.get("ID"));
  Value response;
  if (context.in.has("--response")) {
    auto json = parse_json(context.in.get("--response"));
    if (!json.ok()) return std::move(json).error().with_context("--response");
    response = std::move(*json);
  } else {
    TRY(auto inquiry, context.session.get(path));
    TRY(response, read_answer(inquiry, context.in.all("VALUES")));
  }
  TRY(auto answered, context.session.send(
                         {.path = path + "/answer", .body = Value::map({{"response", response}})}));
  if (context.is_table()) {
    context.print(fmt::format("inquiry {}: answered by {}\n", answered.string_or("id", ""),
                              answered.string_or("responder", "")));
  } else {
    context.print_object(answered);
  }
  return 0;
}

}  // namespace

CommandTable inquiry_commands() {
  return {
      list_command({.path = "inquiry list",
                    .help = "List questions to people, newest first",
                    .route = kInquiryRoute,
                    .columns = kInquiryColumns,
                    .filters = {{.name = "--status",
                                 .value = "STATUS",
                                 .help = "pending, answered, expired, canceled",
                                 .choices = {"pending", "answered", "expired", "canceled"}}},
                    .topic = "inquiry"}),
      show_command("inquiry show", "Show a question and its answer", kInquiryRoute, "ID"),
      {.path = "inquiry answer",
       .help = "Answer a question, once; its workflow goes on",
       .arguments =
           {{"ID", "Of the inquiry"},
            {.name = "VALUES", .help = "key=value, or key:=JSON", .optional = true, .many = true}},
       .options = {{"--response", "JSON", "The whole answer"}},
       .remote = answer},
  };
}

}  // namespace millrace::cli

// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/json.h"
#include "cli/follow.h"
#include "cli/report.h"
#include "cli/stdout.h"
#include "cli/tables.h"
#include "cli/values.h"
#include "net/http.h"

namespace millrace::cli {
namespace {

const std::string kAliases = "/api/v1/aliases";

constexpr Column kAliasColumns[] = {
    {"REF", "ref"},
    {"ACTION", "action"},
    {"ENABLED", "enabled"},
    {"DESCRIPTION", "description"},
};

constexpr Column kHelpColumns[] = {
    {"SAY", "display"},
    {"PACK", "pack"},
    {"DESCRIPTION", "description"},
};

// Words that the shell has taken apart, with the quotes that it took away.
std::string command_of(const Context& context) {
  const auto& words = context.in.all("WORDS");
  if (words.size() == 1) return words.front();
  std::string command;
  for (const auto& word : words) {
    bool was_quoted = word.find(' ') != word.npos && word.find('"') == word.npos;
    if (!command.empty()) command += ' ';
    command += was_quoted ? fmt::format("\"{}\"", word) : word;
  }
  return command;
}

Result<int> show_match(Context& context) {
  Value body = Value::map({{"command", command_of(context)}});
  TRY(auto match, context.session.send({.path = kAliases + "/match", .body = std::move(body)}));
  if (!context.is_table()) {
    context.print_object(match);
    return kOk;
  }
  for (const Value& parameters : match["parameters"].as_list()) {
    context.print(fmt::format("{} runs {} with {}\n", match["alias"].string_or("ref", ""),
                              match["alias"].string_or("action", ""), to_json(parameters)));
  }
  return kOk;
}

// Waits for one execution, and prints what its alias says of it.
Result<int> tell_outcome(Context& context, const Value& started) {
  std::string id(started["execution"].string_or("id", ""));
  auto hush = [](std::string_view, std::string_view) {};
  auto status = follow_output(context.session, id, "both", AtDecision::Stop, hush);
  if (!status.ok()) return std::move(status).error().with_context("execution " + id);
  TRY(auto outcome, context.session.get(path_of("/api/v1/executions", id, "/message")));
  if (!context.is_table()) {
    context.print_object(outcome);
  } else if (outcome["enabled"].as_bool()) {
    std::string text(outcome.string_or("message", ""));
    if (!text.ends_with('\n')) text += '\n';
    context.print(text);
  }
  if (*status == "needs_decision") {
    tell(
        fmt::format("millrace: execution {} needs a decision\nhint: `millrace execution resolve "
                    "{}`\n",
                    id, id));
  }
  return exit_code_of_status(*status);
}

Result<int> say_command(Context& context) {
  if (context.in.has("--match")) return show_match(context);
  Value body = Value::map({{"command", command_of(context)}});
  if (context.in.has("--channel")) body.set("source_channel", context.in.get("--channel"));
  if (context.in.has("--user")) body.set("user", context.in.get("--user"));
  TRY(auto all, context.session.send(
                    {.path = kAliases + "/execute", .body = std::move(body), .takes_key = true}));
  if (context.in.has("--async") && !context.is_table()) {
    context.print_object(all);
    return kOk;
  }
  int code = kOk;
  for (const Value& started : all.as_list()) {
    // What is printed is what the chat would say; the rest is for whoever sits here.
    if (started["ack"].as_bool() && context.is_table()) {
      tell(fmt::format("{}\n", started.string_or("message", "")));
    }
    if (context.in.has("--async")) {
      context.print(fmt::format("{}\n", started["execution"].string_or("id", "")));
      continue;
    }
    TRY(int one, tell_outcome(context, started));
    if (code == kOk) code = one;
  }
  return code;
}

Result<int> help_aliases(Context& context) {
  std::string query;
  auto add = [&](std::string_view name, const std::string& value) {
    query += fmt::format("{}{}={}", query.empty() ? "?" : "&", name, net::percent_encode(value));
  };
  if (context.in.has("FILTER")) add("filter", context.in.get("FILTER"));
  if (context.in.has("--pack")) add("pack", context.in.get("--pack"));
  TRY(auto help, context.session.get(kAliases + "/help" + query));
  if (!context.is_table()) {
    context.print_object(help);
    return kOk;
  }
  context.print(context.style.rows(kHelpColumns, help["helpstrings"].as_list()));
  return kOk;
}

}  // namespace

CommandTable alias_commands() {
  return {
      {.path = "chat",
       .help = "Say a command as in a chat: its alias' action is run",
       .arguments = {{.name = "WORDS", .help = "deploy web to prod", .many = true}},
       .options = {{"--match", "", "Only tell what it means"},
                   {"--async", "", "Do not wait for its end"},
                   {"--user", "NAME", "Who says it; for the pack's templates"},
                   {"--channel", "NAME", "Where; for the pack's templates"}},
       .remote = say_command},
      list_command({.path = "alias list",
                    .help = "List aliases",
                    .route = kAliases,
                    .columns = kAliasColumns,
                    .filters = {{"--pack", "REF", "Only of this pack"}},
                    .topic = ""}),
      show_command("alias show", "Show an alias: its formats, what is said of it", kAliases, "REF"),
      {.path = "alias help",
       .help = "Tell what can be said",
       .arguments = {{.name = "FILTER", .help = "A text that it holds", .optional = true}},
       .options = {{"--pack", "REF", "Only of this pack"}},
       .remote = help_aliases},
  };
}

}  // namespace millrace::cli

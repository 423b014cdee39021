// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "expr/eval.h"
#include "expr/rows.h"
#include "expr/text_formats.h"

// What Orquesta adds to both languages: the context, the item, the tasks; and st2kv beside them.
namespace millrace::expr {
namespace {

Error expression_error(std::string message) {
  return eval_error("ExpressionEvaluationException: " + std::move(message));
}

Result<Item> ctx(Evaluator& eval, Args& args) {
  if (!args.given(0) || !python::truth(args[0])) {
    return Item::shallow_raw(eval.scope.ctx.is_map() ? eval.scope.ctx : Value::map());
  }
  if (!args[0].is_string()) return type_error("the name of a variable must be a string");
  const Value* found = eval.scope.ctx.find(args[0].str());
  if (found && !args[0].str().starts_with("__")) return Item(*found);
  return Error(
      ErrorKind::Invalid, kUndefined,
      fmt::format("VariableUndefinedError: The variable \"{}\" is undefined.", args[0].str()));
}

Result<Item> json(Evaluator& eval, Args& args) {
  if (is_python_dict(eval, args[0])) return args[0];
  if (!args[0].is_string()) return type_error("Given object is not typeof string.");
  return load_json(eval, args[0].str());
}

Result<Item> zip(Evaluator& eval, Args& args) {
  if (args.size() == 1) {
    if (args[0].is_null()) return eval.list({});
    return args[0];
  }
  const Item* pad = args.find_named("pad");
  std::vector<std::vector<Item>> columns;
  size_t longest = 0;
  for (const auto& arg : args.rest(0)) {
    columns.emplace_back();
    if (arg.is_null()) continue;
    TRY(columns.back(), eval.items_of(arg));
    longest = std::max(longest, columns.back().size());
  }
  std::vector<Item> rows;
  for (size_t i = 0; i < longest; ++i) {
    TRY(eval.meter.step(columns.size()));
    std::vector<Item> row;
    for (const auto& column : columns) {
      row.push_back(i < column.size() ? column[i] : pad ? *pad : Item());
    }
    TRY(Item tuple, eval.tuple(std::move(row)));
    rows.push_back(std::move(tuple));
  }
  return eval.list(std::move(rows));
}

Result<Item> item(Evaluator& eval, Args& args) {
  Item current;
  if (eval.scope.lookup) {
    TRY(current, eval.ask(eval.scope.lookup->item(), Item()));
  }
  if (!args.given(0) || !python::truth(args[0])) return current;
  if (!current.is_plain_map()) {
    return expression_error("Item is not type of collections.Mapping.");
  }
  const Value* found = args[0].is_string() ? current.value().find(args[0].str()) : nullptr;
  if (found) return Item(*found);
  TRY(std::string key, eval.str(args[0]));
  return expression_error(fmt::format("Item does not have key \"{}\".", key));
}

Result<std::optional<int64_t>> route_of(const Args& args, size_t i) {
  std::optional<int64_t> route;
  if (args.given(i) && !args[i].is_null()) {
    TRY(route, python::as_index(args[i], "a route"));
  }
  return route;
}

Result<Item> task_status(Evaluator& eval, Args& args) {
  if (!args[0].is_string()) return type_error("the id of a task must be a string");
  TRY(auto route, route_of(args, 1));
  // The reference's status of what has not run is the text "null".
  Item unset = eval.scope.mode == Mode::Orquesta ? Item("null") : Item();
  if (!eval.scope.lookup) return unset;
  return eval.ask(eval.scope.lookup->task_status(args[0].str(), route), unset);
}

Result<std::string> current_status(Evaluator& eval) {
  Item status;
  if (eval.scope.lookup) {
    TRY(status, eval.ask(eval.scope.lookup->current_status(), Item()));
  }
  if (status.is_string()) return std::string(status.str());
  return expression_error("The current task is not set in the context.");
}

Result<Item> succeeded(Evaluator& eval, Args&) {
  TRY(std::string status, current_status(eval));
  return Item(status == "succeeded");
}
Result<Item> failed(Evaluator& eval, Args&) {
  TRY(std::string status, current_status(eval));
  return Item(status == "failed");
}
Result<Item> timed_out(Evaluator& eval, Args&) {
  TRY(std::string status, current_status(eval));
  return Item(status == "timeout");
}
Result<Item> completed(Evaluator& eval, Args&) {
  TRY(std::string status, current_status(eval));
  for (std::string_view final : {"succeeded", "failed", "timeout", "abandoned", "canceled"}) {
    if (status == final) return Item(true);
  }
  return Item(false);
}

Result<Item> result(Evaluator& eval, Args&) {
  if (eval.scope.lookup) {
    Answer answer = eval.scope.lookup->result();
    if (!answer.is_absent()) return eval.ask(answer, Item());
  }
  return expression_error("The current task is not set in the context.");
}

Result<Item> task(Evaluator& eval, Args& args) {
  std::optional<std::string_view> id;
  if (args.given(0) && !args[0].is_null()) {
    if (!args[0].is_string()) return type_error("the id of a task must be a string");
    id = args[0].str();
  }
  TRY(auto route, route_of(args, 1));
  if (eval.scope.lookup) {
    Answer answer = eval.scope.lookup->task(id, route);
    if (!answer.is_absent()) return eval.ask(answer, Item());
  }
  return expression_error(
      fmt::format("Unable to find task execution for \"{}\".", id.value_or("")));
}

// In StackStorm's language a name without a scope is a key of who asks.
bool is_unscoped(const Evaluator& eval, std::string_view key) {
  std::string_view scope = key.substr(0, key.find('.'));
  bool is_named = scope.size() < key.size() &&
                  (scope == "system" || scope == "user" || scope == "pack" || scope == "action");
  return eval.scope.mode == Mode::Orquesta && !is_named;
}

Result<Item> st2kv(Evaluator& eval, Args& args) {
  if (!args[0].is_string()) return type_error("Given key is not typeof string.");
  const Item* decrypt = args.find_named("decrypt");
  if (decrypt && !decrypt->is_bool()) return type_error("Decrypt parameter is not typeof bool.");
  bool decrypts = decrypt && decrypt->value().as_bool();
  if (is_unscoped(eval, args[0].str())) {
    TRY(Answer own, eval.key("user." + std::string(args[0].str()), decrypts));
    if (!own.is_absent()) return eval.ask(own, Item());
  }
  TRY(Answer answer, eval.key(args[0].str(), decrypts));
  if (!answer.is_absent()) return eval.ask(answer, Item());
  if (const Item* otherwise = args.find_named("default")) return *otherwise;
  return expression_error(
      fmt::format("The key \"{}\" does not exist in the datastore.", args[0].str()));
}

constexpr Row kFunctions[] = {
    {"completed", "", completed},
    {"ctx", "key?", ctx},
    {"failed", "", failed},
    {"item", "key?", item},
    {"json", "s", json},
    {"result", "", result},
    {"st2kv", "key **", st2kv},
    {"succeeded", "", succeeded},
    {"task", "task_id? route?", task},
    {"task_status", "task_id route?", task_status},
    {"timed_out", "", timed_out},
    {"zip", "*args **", zip},
};

}  // namespace

std::span<const Row> orquesta_rows() { return kFunctions; }

}  // namespace millrace::expr

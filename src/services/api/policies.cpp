// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "engine/machine/catalog.h"
#include "engine/machine/policies.h"
#include "engine/transitions/commands.h"
#include "kernel/gauges.h"
#include "packs/policy.h"
#include "services/api/call.h"
#include "services/api/page.h"
#include "services/api/routes.h"
#include "services/api/shared.h"
#include "store/read.h"

namespace millrace::api {
namespace {

using auth::Permission;
using engine::PolicyEntry;
using engine::PolicyWrite;
using kernel::PolicyRow;

struct PolicyInput {
  std::string ref;
  std::string name;
  std::string pack;
  std::string description;
  std::string action;
  std::string of_pack;
  bool enabled = true;
  Value concurrency, rate, quota, retry;
  std::string policy_type, resource_ref;
  Value parameters, tags;

  static const Fields& fields() {
    using I = PolicyInput;
    static const Field lines[] = {
        field("ref", &I::ref, "pack.name; or `pack` and `name`."),
        field("name", &I::name, ""),
        field("pack", &I::pack, "With `name`."),
        field("description", &I::description, "").length(0, 10'000),
        field("action", &I::action, "The ref of the action that it is for; or `of_pack`."),
        field("of_pack", &I::of_pack, "The pack whose actions it is for, all together."),
        field("enabled", &I::enabled, ""),
        field("concurrency", &I::concurrency,
              "{limit, by: [parameters], then: queue, cancel_new or cancel_oldest}"),
        field("rate", &I::rate, "{limit, per: 1m, burst, by: [parameters], then: queue, refuse}"),
        field("quota", &I::quota, "{limit, per: hour or day, by: [parameters]}"),
        field("retry", &I::retry,
              "{on: [failed, timeout], count, delay: 5s, backoff, max_delay, jitter, steps}"),
        field("policy_type", &I::policy_type,
              "StackStorm's: action.concurrency, action.concurrency.attr, action.retry."),
        field("resource_ref", &I::resource_ref, "StackStorm's `action`."),
        field("parameters", &I::parameters, "Of a StackStorm policy."),
        field("tags", &I::tags, "Known and passed over."),
    };
    static const auto table = fields_of<I>("PolicyInput", "How much and how often.", lines);
    return table;
  }
};

struct PolicyView {
  std::string ref;
  std::string description;
  std::string action;
  std::string of_pack;
  bool enabled = true;
  Value concurrency, rate, quota, retry;
  std::string pack;
  bool changed = false;
  int64_t version = 0;
  Value counts;
  std::vector<std::string> warnings;

  static const Fields& fields() {
    using V = PolicyView;
    static const Field lines[] = {
        field("ref", &V::ref, ""),
        field("description", &V::description, ""),
        field("action", &V::action, "The action that it is for; empty: a pack."),
        field("of_pack", &V::of_pack, "The pack that it is for; empty: an action."),
        field("enabled", &V::enabled, ""),
        field("concurrency", &V::concurrency, ""),
        field("rate", &V::rate, ""),
        field("quota", &V::quota, ""),
        field("retry", &V::retry, ""),
        field("pack", &V::pack, "The pack whose file has it; empty: it was made here."),
        field("changed", &V::changed, "It stands in the place of what the pack's file says."),
        field("version", &V::version, "Of what was written here; the ETag. 0: the file's."),
        field("counts", &V::counts,
              "Of one: what it has counted, by kind and by values of parameters."),
        field("warnings", &V::warnings, "What others say against it, and which of them holds."),
    };
    static const auto table = fields_of<V>("Policy", "How much and how often.", lines);
    return table;
  }
};

struct PolicyQuery {
  int limit = 50;
  std::string cursor;
  std::string action;
  std::string pack;

  static const Fields& fields() {
    static const Field lines[] = {
        field("limit", &PolicyQuery::limit, "Entries per page.").range(1, 500),
        field("cursor", &PolicyQuery::cursor, "next_cursor of the page before."),
        field("action", &PolicyQuery::action, "Only those in force for this action."),
        field("pack", &PolicyQuery::pack, "Only those of this pack's files."),
    };
    static const auto table = fields_of<PolicyQuery>("PolicyQuery", "", lines);
    return table;
  }
};

PolicyView view_of(const engine::PolicyBook& book, const PolicyEntry& entry) {
  PolicyView view;
  const PolicySpec& spec = entry.spec;
  Value written = packs::policy_to_value(spec);
  view.ref = spec.ref;
  view.description = spec.description;
  view.action = spec.action;
  view.of_pack = spec.pack;
  view.enabled = spec.enabled;
  view.concurrency = written["concurrency"];
  view.rate = written["rate"];
  view.quota = written["quota"];
  view.retry = written["retry"];
  view.pack = entry.pack;
  view.changed = entry.row.id && !entry.pack.empty();
  view.version = entry.row.id ? entry.row.version : 0;
  view.warnings = contradictions(book, spec);
  return view;
}

Response list_policies(Call& call) {
  TRY(auto query, call.query<PolicyQuery>());
  auto catalog = call.api.engine.catalog(call.who.tenant);
  const auto& book = catalog->policies();
  std::vector<PolicyView> views;
  auto of_action = book.of(query.action);
  for (const auto& [ref, entry] : book.all()) {
    bool is_of_action =
        query.action.empty() || std::ranges::find(of_action, &entry) != of_action.end();
    if (is_of_action && (query.pack.empty() || entry.pack == query.pack)) {
      views.push_back(view_of(book, entry));
    }
  }
  return page_by_key("policies", std::move(views), query.limit, query.cursor,
                     [](const PolicyView& view) { return view.ref; });
}

// What it has counted; of many values of parameters the first.
Result<Value> counts_of(sql::Connection& db, TenantId tenant, const PolicySpec& spec) {
  constexpr int kMostShown = 50;
  constexpr int kMostHolders = 10;
  auto [from, to] = kernel::gauges_of(spec.ref);
  TRY(auto gauges, store::gauges_between(db, tenant, from, to, kMostShown));
  Value counts = Value::list();
  for (const auto& row : gauges) {
    std::string_view name = std::string_view(row.name).substr(from.size());
    Value count = Value::map();
    if (name.size() > 2) count.set("values", name.substr(2));
    switch (name.empty() ? ' ' : name.front()) {
      case kernel::kConcurrencyGauge: {
        count.set("of", "concurrency");
        count.set("at_work", row.held);
        Value holders = Value::list();
        TRY(auto places,
            store::first_places(db, tenant, row.name, kernel::PlaceState::Holds, kMostHolders));
        for (const auto& place : places) holders.push_back(place.execution.str());
        count.set("executions", std::move(holders));
        break;
      }
      case kernel::kRateGauge:
        count.set("of", "rate");
        count.set("full_again", to_rfc3339(row.full_at_us / 1000));
        break;
      case kernel::kQuotaGauge:
        count.set("of", "quota");
        count.set("used", row.used);
        count.set("since", to_rfc3339(row.window));
        break;
      default: continue;
    }
    count.set("waiting", row.waiting);
    counts.push_back(std::move(count));
  }
  return counts;
}

Response show_policy(Call& call, sql::Connection& db) {
  auto catalog = call.api.engine.catalog(call.who.tenant);
  const auto* entry = catalog->policies().find(call.param());
  if (!entry) return engine::no_policy(catalog->policies(), call.param());
  auto view = view_of(catalog->policies(), *entry);
  TRY(view.counts, counts_of(db, call.who.tenant, entry->spec));
  auto response = answer_one(view);
  response.header("ETag", fmt::format("\"{}\"", view.version));
  return response;
}

Error wrong(std::string_view ref, std::vector<Problem> problems) {
  return Error(ErrorKind::Invalid, "POL-0105",
               fmt::format("policy '{}': {}", ref, problems.front().message))
      .with_problems(std::move(problems));
}

Result<PolicySpec> read_input(const PolicyInput& input) {
  std::string ref = input.ref;
  if (ref.empty() && !input.pack.empty()) ref = fmt::format("{}.{}", input.pack, input.name);
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
  size_t dot = ref.find('.');
  bool is_ref = dot != std::string::npos && dot > 0 && dot + 1 < ref.size() && ref.size() <= 200 &&
                ref.find_first_not_of(kAllowed) == std::string::npos;
  if (!is_ref) {
    return wrong(ref, {{"/ref", fmt::format("expected pack.name of letters, digits, '_', '-' and "
                                            "'.', found '{}'",
                                            ref)}});
  }
  Value value = Value::map({{"enabled", input.enabled}, {"description", input.description}});
  auto set_text = [&](std::string_view key, const std::string& text) {
    if (!text.empty()) value.set(key, text);
  };
  set_text("action", input.action);
  set_text("of_pack", input.of_pack);
  set_text("policy_type", input.policy_type);
  set_text("resource_ref", input.resource_ref);
  auto set = [&](std::string_view key, const Value& given) {
    if (!given.is_null()) value.set(key, given);
  };
  set("concurrency", input.concurrency);
  set("rate", input.rate);
  set("quota", input.quota);
  set("retry", input.retry);
  set("parameters", input.parameters);
  std::vector<Problem> problems;
  PolicySpec spec = packs::read_policy_value(value, std::string_view(ref).substr(0, dot), problems);
  if (!problems.empty()) return wrong(ref, std::move(problems));
  spec.ref = std::move(ref);
  return spec;
}

Task<Response> write(Call& call, PolicyWrite write, int status = 200) {
  CO_TRY(write.if_version, call.if_match());
  std::string ref = write.spec.ref;
  auto command = [&](auto reply) {
    call.api.engine.submit(
        engine::command::write_policy(call.caller(), std::move(write), std::move(reply)));
  };
  CO_TRY(auto row, co_await ask<PolicyRow>(command));
  auto catalog = call.api.engine.catalog(call.who.tenant);
  const auto* entry = catalog->policies().find(ref);
  if (!entry) co_return engine::no_policy(catalog->policies(), ref);
  auto response = answer_one(view_of(catalog->policies(), *entry), status);
  response.header("ETag", fmt::format("\"{}\"", row.version));
  co_return response;
}

Task<Response> create_policy(Call& call) {
  CO_TRY(auto input, call.body<PolicyInput>());
  CO_TRY(auto spec, read_input(input));
  co_return co_await write(call, {.how = PolicyWrite::How::Create, .spec = std::move(spec)}, 201);
}

Task<Response> update_policy(Call& call) {
  CO_TRY(auto input, call.body<PolicyInput>());
  auto catalog = call.api.engine.catalog(call.who.tenant);
  if (!catalog->policies().find(call.param())) {
    co_return engine::no_policy(catalog->policies(), call.param());
  }
  input.ref = call.param();
  CO_TRY(auto spec, read_input(input));
  co_return co_await write(call, {.how = PolicyWrite::How::Write, .spec = std::move(spec)});
}

Task<Response> enable(Call& call, bool enabled) {
  PolicyWrite change{.how = PolicyWrite::How::Enable};
  change.spec.ref = call.param();
  change.spec.enabled = enabled;
  co_return co_await write(call, std::move(change));
}
Task<Response> enable_policy(Call& call) { co_return co_await enable(call, true); }
Task<Response> disable_policy(Call& call) { co_return co_await enable(call, false); }

Task<Response> delete_policy(Call& call) {
  PolicyWrite change{.how = PolicyWrite::How::Remove};
  change.spec.ref = call.param();
  CO_TRY(change.if_version, call.if_match());
  auto command = [&](auto reply) {
    call.api.engine.submit(
        engine::command::write_policy(call.caller(), std::move(change), std::move(reply)));
  };
  CO_TRY(co_await ask<PolicyRow>(command));
  net::HttpResponse response;
  response.status = 204;
  co_return response;
}

}  // namespace

std::vector<Route> policy_routes() {
  const auto* policy = &PolicyView::fields();
  auto change = [&](std::string_view name, std::string_view method, std::string_view pattern,
                    Handler handler, std::string_view summary) {
    return Route{.name = name,
                 .method = method,
                 .pattern = pattern,
                 .access = Permission::PoliciesWrite,
                 .handler = handler,
                 .summary = summary,
                 .answer = policy,
                 .takes_key = true,
                 .takes_revision = true};
  };
  auto with_body = [](Route route) {
    route.body_form = BodyForm::Json;
    route.body = &PolicyInput::fields();
    return route;
  };
  auto create = with_body(
      change("create_policy", "POST", "/api/v1/policies", create_policy, "Create a policy."));
  create.status = 201;
  create.takes_revision = false;
  auto remove = change("delete_policy", "DELETE", "/api/v1/policies/{ref}", delete_policy,
                       "Delete a policy; what a pack's file says is in force again.");
  remove.answer_form = AnswerForm::Empty;
  remove.answer = nullptr;
  remove.status = 204;
  return {
      {.name = "list_policies",
       .method = "GET",
       .pattern = "/api/v1/policies",
       .access = Permission::PoliciesRead,
       .handler = list_policies,
       .summary = "List policies by ref.",
       .query = &PolicyQuery::fields(),
       .answer_form = AnswerForm::List,
       .answer = policy},
      create,
      {.name = "show_policy",
       .method = "GET",
       .pattern = "/api/v1/policies/{ref}",
       .access = Permission::PoliciesRead,
       .handler = show_policy,
       .summary = "Show a policy and what it has counted.",
       .answer = policy},
      with_body(change("update_policy", "PUT", "/api/v1/policies/{ref}", update_policy,
                       "Replace a policy, or put one in the place of a pack's.")),
      change("enable_policy", "POST", "/api/v1/policies/{ref}/enable", enable_policy,
             "Enable a policy."),
      change("disable_policy", "POST", "/api/v1/policies/{ref}/disable", disable_policy,
             "Disable a policy."),
      remove,
  };
}

}  // namespace millrace::api

// SPDX-License-Identifier: Apache-2.0
// Timers as objects: what rules on timer triggers have made.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/text.h"
#include "engine/transitions/commands.h"
#include "engine/transitions/schedule.h"
#include "rules/schedule.h"
#include "services/api/call.h"
#include "services/api/page.h"
#include "services/api/routes.h"
#include "services/api/shared.h"
#include "services/api/timer_view.h"
#include "store/read.h"

namespace millrace::api {
namespace {

using auth::Permission;
using engine::TimerWish;

enum class TimerState : uint8_t { Running, Paused, Disabled, Over };
std::string_view to_string(TimerState state) {
  switch (state) {
    case TimerState::Running: return "running";
    case TimerState::Paused: return "paused";
    case TimerState::Disabled: return "disabled";
    case TimerState::Over: return "over";
  }
  return "unknown";
}

struct TimerView {
  std::string name;
  std::string trigger;
  Value parameters = Value::map();
  std::string schedule;
  TimerState state = TimerState::Running;
  std::vector<std::string> rules;
  Timestamp last;
  Timestamp next;
  std::optional<std::vector<std::string>> next_fires;

  static const Fields& fields() {
    using V = TimerView;
    static const Field lines[] = {
        field("name", &V::name, "A rule's ref names it as well."),
        field("trigger", &V::trigger, ""),
        field("parameters", &V::parameters, ""),
        field("schedule", &V::schedule, "When it fires, in words."),
        field("state", &V::state,
              "paused: what comes due makes no event, and is not made up for; disabled: none of "
              "its rules is enabled; over: it does not fire any more."),
        field("rules", &V::rules, "That have it: the same trigger and parameters, the same timer."),
        field("last", &V::last, "When it has fired last by itself."),
        field("next", &V::next, "When it fires next."),
        field("next_fires", &V::next_fires, "The next five; not in lists."),
    };
    static const auto table =
        fields_of<V>("Timer", "What fires at its times, for one rule or several.", lines);
    return table;
  }
};

struct FiredView {
  EventId event;

  static const Fields& fields() {
    static const Field lines[] = {field("event", &FiredView::event, "That the firing has made.")};
    static const auto table = fields_of<FiredView>("TimerFired", "", lines);
    return table;
  }
};

TimerView view_of_timer(const TimerUse& use, const engine::TenantCatalog& catalog,
                        const kernel::TimerRow* row, int64_t now_ms) {
  TimerView view{.name = timer_name(use.schedule),
                 .trigger = use.spec->trigger,
                 .parameters = use.spec->trigger_parameters,
                 .schedule = timer_words(*use.spec),
                 .rules = use.rules};
  if (row) view.last = {engine::last_firing(*row)};
  if (!use.is_enabled) {
    view.state = TimerState::Disabled;
  } else if (catalog.is_paused(use.schedule)) {
    view.state = TimerState::Paused;
  } else if (row) {
    view.next = {row->due};
  } else {
    view.state = TimerState::Over;
    // Its row has gone with its only firing.
    auto schedule = rules::parse_schedule(use.spec->trigger, use.spec->trigger_parameters);
    const auto* once = schedule.ok() ? std::get_if<rules::Once>(&schedule->when) : nullptr;
    if (once && once->at_ms <= now_ms) view.last = {once->at_ms};
  }
  return view;
}

Response list_timers(Call& call, sql::Connection& db) {
  TRY(auto query, call.query<PageQuery>());
  auto catalog = call.api.engine.catalog(call.who.tenant);
  TRY(auto rows, store::named_timers(db, call.who.tenant));
  std::map<std::string_view, const kernel::TimerRow*> by_name;
  for (const auto& row : rows) by_name.emplace(row.name, &row);
  std::vector<TimerView> views;
  for (const auto& use : timers_of(*catalog, call.who.tenant)) {
    auto found = by_name.find(use.schedule);
    views.push_back(view_of_timer(use, *catalog, found == by_name.end() ? nullptr : found->second,
                                  call.api.now_ms()));
  }
  return page_by_key("timers", std::move(views), query.limit, query.cursor,
                     [](const TimerView& view) { return view.name; });
}

// By its name, or by the ref of one of its rules.
Result<TimerUse> find_timer_use(const Call& call, const engine::TenantCatalog& catalog) {
  auto name = call.param();
  std::vector<std::string> names;
  for (auto& use : timers_of(catalog, call.who.tenant)) {
    bool is_it =
        timer_name(use.schedule) == name || std::ranges::find(use.rules, name) != use.rules.end();
    if (is_it) return std::move(use);
    names.push_back(timer_name(use.schedule));
    std::ranges::move(use.rules, std::back_inserter(names));
  }
  return Error(ErrorKind::NotFound, "RUL-0110",
               fmt::format("no timer '{}'{}", name, did_you_mean(name, names)));
}

Result<TimerView> look_at_timer(const Call& call, sql::Connection& db) {
  auto catalog = call.api.engine.catalog(call.who.tenant);
  TRY(auto use, find_timer_use(call, *catalog));
  TRY(auto rows, store::named_timer(db, call.who.tenant, use.schedule));
  const auto* row = rows.empty() ? nullptr : &rows.front();
  auto now = call.api.now_ms();
  auto view = view_of_timer(use, *catalog, row, now);
  view.next_fires.emplace();
  if (view.state == TimerState::Running) {
    view.next_fires = next_fires_of(*use.spec, now, row->due);
  }
  return view;
}

Response show_timer(Call& call, sql::Connection& db) {
  TRY(auto view, look_at_timer(call, db));
  return answer_one(view);
}

Task<Result<EventId>> operate(Call& call, TimerWish wish) {
  auto catalog = call.api.engine.catalog(call.who.tenant);
  CO_TRY(auto use, find_timer_use(call, *catalog));
  if (wish == TimerWish::Fire && !use.is_enabled) {
    co_return Error(ErrorKind::Conflict, "RUL-0113",
                    fmt::format("the timer would fire for nobody: of its rules none is enabled "
                                "({})",
                                fmt::join(use.rules, ", ")));
  }
  engine::TimerOperation operation{.schedule = std::move(use.schedule), .wish = wish};
  auto command = [&](auto reply) {
    call.api.engine.submit(
        engine::command::operate_timer(call.caller(), std::move(operation), std::move(reply)));
  };
  co_return co_await ask<EventId>(command);
}

Task<Response> fire_timer_now(Call& call) {
  CO_TRY(auto event, co_await operate(call, TimerWish::Fire));
  co_return answer_one(FiredView{event});
}

Task<Response> set_timer(Call& call, TimerWish wish) {
  CO_TRY(co_await operate(call, wish));
  TimerView view;
  CO_TRY(co_await call.api.readers.run([&call, &view](sql::Connection& db) -> Result<void> {
    TRY(view, look_at_timer(call, db));
    return {};
  }));
  co_return answer_one(view);
}

Task<Response> pause_timer(Call& call) { return set_timer(call, TimerWish::Pause); }
Task<Response> resume_timer(Call& call) { return set_timer(call, TimerWish::Resume); }

Route control_route(std::string_view name, std::string_view pattern, TaskHandler handler,
                    std::string_view summary, const Fields* answer) {
  return {.name = name,
          .method = "POST",
          .pattern = pattern,
          .access = Permission::TimersControl,
          .handler = handler,
          .summary = summary,
          .answer = answer,
          .takes_key = true};
}

}  // namespace

std::vector<Route> timer_routes() {
  const auto* timer = &TimerView::fields();
  return {
      {.name = "list_timers",
       .method = "GET",
       .pattern = "/api/v1/timers",
       .access = Permission::TimersRead,
       .handler = list_timers,
       .summary = "List timers: when each has fired last, and when it fires next.",
       .query = &PageQuery::fields(),
       .answer_form = AnswerForm::List,
       .answer = timer},
      {.name = "show_timer",
       .method = "GET",
       .pattern = "/api/v1/timers/{name}",
       .access = Permission::TimersRead,
       .handler = show_timer,
       .summary = "Show a timer, by its name or the ref of a rule, with its next five firings.",
       .answer = timer},
      control_route("fire_timer", "/api/v1/timers/{name}/fire", fire_timer_now,
                    "Fire a timer at once, beside its own times: one event for all its rules.",
                    &FiredView::fields()),
      control_route("pause_timer", "/api/v1/timers/{name}/pause", pause_timer,
                    "Pause a timer for all its rules, also over restarts and reloads.", timer),
      control_route("resume_timer", "/api/v1/timers/{name}/resume", resume_timer,
                    "Let a paused timer go on with its next time; what it missed is not made up "
                    "for.",
                    timer),
  };
}

}  // namespace millrace::api

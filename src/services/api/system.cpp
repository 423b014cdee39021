// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "model/labels.h"
#include "services/api/call.h"
#include "services/api/page.h"
#include "services/api/parse.h"
#include "services/api/routes.h"
#include "services/api/shared.h"
#include "store/read.h"

namespace millrace::api {
namespace {

using auth::Permission;

constexpr std::chrono::seconds kNoProgress{30};

struct HealthView {
  std::string status;
  std::vector<std::string> troubles;

  static const Fields& fields() {
    static const Field lines[] = {
        field("status", &HealthView::status,
              "ok; degraded: it serves, with troubles. Of /ready: starting, ready, draining."),
        field("troubles", &HealthView::troubles, "What is not well."),
    };
    static const auto table = fields_of<HealthView>("Health", "", lines);
    return table;
  }
};

struct InfoView {
  std::string name = "millrace";
  std::string version;
  std::string phase;
  bool read_only = false;
  int64_t waiting = 0;
  int64_t max_connections = 0;
  std::string grpc;

  static const Fields& fields() {
    static const Field lines[] = {
        field("name", &InfoView::name, ""),
        field("version", &InfoView::version, "Of the program."),
        field("phase", &InfoView::phase, "starting, ready, draining"),
        field("read_only", &InfoView::read_only, "The disk is full: writes are refused."),
        field("waiting", &InfoView::waiting, "Requests that wait for a commit."),
        field("max_connections", &InfoView::max_connections,
              "Clients at the same time: server.max_connections, or fewer when the system allows "
              "fewer open files."),
        field("grpc", &InfoView::grpc, "HOST:PORT for workers; empty: it takes none from outside."),
    };
    static const auto table = fields_of<InfoView>("Info", "The server.", lines);
    return table;
  }
};

struct WorkerView {
  WorkerId id;
  std::string name;
  std::string instance;
  int64_t slots = 0;
  std::vector<std::string> labels;
  std::optional<SessionId> session;
  bool is_agent = false;
  Timestamp updated;

  static const Fields& fields() {
    using V = WorkerView;
    static const Field lines[] = {
        field("id", &V::id, ""),
        field("name", &V::name, ""),
        field("instance", &V::instance, "Changes when it may have forgotten runs."),
        field("slots", &V::slots, "Runs at the same time."),
        field("labels", &V::labels, "What it offers to actions that ask for it (runs_on)."),
        field("session", &V::session, "None: it has left, or is lost."),
        field("agent", &V::is_agent, "It is another process: it renews its session."),
        field("updated", &V::updated, "When its last session was opened or lost."),
    };
    static const auto table = fields_of<V>("Worker", "Runs actions.", lines);
    return table;
  }
};

struct QueueView {
  ExecutionId execution;
  int64_t rank = 0;

  static const Fields& fields() {
    static const Field lines[] = {
        field("execution", &QueueView::execution, "Waits for a free slot."),
        field("rank", &QueueView::rank, "Smaller goes first.").unit("ms"),
    };
    static const auto table = fields_of<QueueView>("QueueEntry", "", lines);
    return table;
  }
};

struct QuarantineView {
  std::string id;
  std::string kind;
  std::string subject;
  std::string reason;
  Value body;
  Timestamp created;

  static const Fields& fields() {
    using V = QuarantineView;
    static const Field lines[] = {
        field("id", &V::id, ""),
        field("kind", &V::kind, "Of the message."),
        field("subject", &V::subject, "What it was about."),
        field("reason", &V::reason, "Why it could not be handled."),
        field("body", &V::body, ""),
        field("created", &V::created, ""),
    };
    static const auto table = fields_of<V>("Quarantined", "A message that was set aside.", lines);
    return table;
  }
};

struct LimitQuery {
  int limit = 50;

  static const Fields& fields() {
    static const Field lines[] = {
        field("limit", &LimitQuery::limit, "Entries at most.").range(1, 500),
    };
    static const auto table = fields_of<LimitQuery>("LimitQuery", "", lines);
    return table;
  }
};

std::string_view name_of(Phase phase) {
  switch (phase) {
    case Phase::Starting: return "starting";
    case Phase::Ready: return "ready";
    case Phase::Draining: return "draining";
  }
  return "unknown";
}

// A degraded server still serves: who watches it must not end it for that.
Response show_health(Call& call) {
  HealthView view{"ok", {}};
  if (const auto& troubles = call.api.options.troubles) view.troubles = troubles();
  if (!view.troubles.empty()) view.status = "degraded";
  return answer_one(view);
}

// Work that does not get on is a server that hangs. Judged from one look to the next: whoever asks
// does so every few seconds.
Response show_live(Call& call) {
  auto& seen = call.api.progress;
  auto now = std::chrono::steady_clock::now();
  int64_t steps = call.api.engine.stats().steps;
  if (steps != seen.steps || call.api.engine.waiting() == 0 || call.api.engine.read_only()) {
    seen = {steps, now};
  }
  bool hangs = now - seen.at > kNoProgress;
  return answer_one(HealthView{hangs ? "hangs" : "ok", {}}, hangs ? 503 : 200);
}

Response show_ready(Call& call) {
  auto phase = call.api.phase.load(std::memory_order_relaxed);
  return answer_one(HealthView{std::string(name_of(phase)), {}}, phase == Phase::Ready ? 200 : 503);
}

Response show_metrics(Call& call) {
  const auto& metrics = call.api.options.metrics;
  auto response = net::HttpResponse::text(200, metrics ? metrics() : std::string());
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  return response;
}

Response show_info(Call& call) {
  InfoView view;
  view.version = call.api.options.version;
  view.phase = name_of(call.api.phase.load(std::memory_order_relaxed));
  view.read_only = call.api.engine.read_only();
  view.waiting = call.api.engine.waiting();
  view.max_connections = call.api.options.max_connections;
  if (const auto& address = call.api.options.grpc_address) view.grpc = address();
  return answer_one(view);
}

// Not copied: they are large, and whoever asks may not read the answer.
Response show_openapi(Call& call) {
  auto response = net::HttpResponse::json(200, {});
  response.fixed = call.api.openapi_json;
  return response;
}

Response show_docs(Call& call) {
  auto response = net::HttpResponse::text(200, {});
  response.content_type = "text/html; charset=utf-8";
  response.fixed = call.api.docs_html;
  response.header("Content-Security-Policy",
                  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
                  "form-action 'none'; frame-ancestors 'none'");
  response.header("X-Content-Type-Options", "nosniff");
  return response;
}

// The machine's, seen from every tenant.
Response list_workers(Call& call, sql::Connection& db) {
  TRY(auto query, call.query<PageQuery>());
  TRY(auto rows, store::all_workers(db));
  std::vector<WorkerView> views;
  for (const auto& row : rows) {
    views.push_back({.id = row.id,
                     .name = row.name,
                     .instance = row.instance,
                     .slots = row.slots,
                     .labels = split_labels(row.labels),
                     .session = row.session ? std::optional(row.session) : std::nullopt,
                     .is_agent = row.ttl_ms > 0,
                     .updated = {row.updated}});
  }
  return page_by_key("workers", std::move(views), query.limit, query.cursor,
                     [](const WorkerView& view) { return view.name; });
}

Response list_queue(Call& call, sql::Connection& db) {
  TRY(auto query, call.query<LimitQuery>());
  TRY(auto rows, store::list_queue(db, call.who.tenant, query.limit));
  std::vector<QueueView> views;
  for (const auto& row : rows) views.push_back({row.execution, row.rank});
  return answer_list(views);
}

Response list_quarantine(Call& call, sql::Connection& db) {
  TRY(auto query, call.query<PageQuery>());
  TRY(auto page, open_page("quarantine", query.cursor, query.limit));
  TRY(auto rows, store::list_quarantine(db, call.who.tenant, page));
  auto next = cut_page("quarantine", rows, query.limit);
  std::vector<QuarantineView> views;
  for (const auto& row : rows) {
    views.push_back({std::to_string(row.id),
                     row.kind,
                     std::to_string(row.subject),
                     row.reason,
                     stored_json(row.body_json),
                     {row.created}});
  }
  return answer_list(views, next);
}

}  // namespace

std::vector<Route> system_routes() {
  return {
      {.name = "show_health",
       .method = "GET",
       .pattern = "/health",
       .access = Access::open(),
       .handler = show_health,
       .summary = "200 while the process lives.",
       .answer = &HealthView::fields()},
      {.name = "show_live",
       .method = "GET",
       .pattern = "/livez",
       .access = Access::open(),
       .handler = show_live,
       .summary = "503 when work has made no progress for 30 s: restart it.",
       .answer = &HealthView::fields()},
      {.name = "show_ready",
       .method = "GET",
       .pattern = "/ready",
       .access = Access::open(),
       .handler = show_ready,
       .summary = "200 when requests are taken; 503 while starting and draining.",
       .answer = &HealthView::fields()},
      {.name = "show_metrics",
       .method = "GET",
       .pattern = "/metrics",
       .access = Permission::SystemRead,
       .handler = show_metrics,
       .summary = "Metrics in the text format of Prometheus.",
       .answer_form = AnswerForm::Text},
      {.name = "show_info",
       .method = "GET",
       .pattern = "/info",
       .access = Access::any_token(),
       .handler = show_info,
       .summary = "Version and state of the server.",
       .answer = &InfoView::fields()},
      {.name = "show_openapi",
       .method = "GET",
       .pattern = "/api/v1/openapi.json",
       .access = Access::any_token(),
       .handler = show_openapi,
       .summary = "This document.",
       .answer_form = AnswerForm::Text},
      // Open: it says nothing that the sources do not, and a browser sends no token.
      {.name = "show_docs",
       .method = "GET",
       .pattern = "/api/docs",
       .access = Access::open(),
       .handler = show_docs,
       .summary = "This page.",
       .answer_form = AnswerForm::Text},
      {.name = "list_workers",
       .method = "GET",
       .pattern = "/api/v1/workers",
       .access = Permission::SystemRead,
       .handler = list_workers,
       .summary = "List workers by name.",
       .query = &PageQuery::fields(),
       .answer_form = AnswerForm::List,
       .answer = &WorkerView::fields()},
      {.name = "list_queue",
       .method = "GET",
       .pattern = "/api/v1/queues",
       .access = Permission::SystemRead,
       .handler = list_queue,
       .summary = "The executions that go next.",
       .query = &LimitQuery::fields(),
       .answer_form = AnswerForm::List,
       .answer = &QueueView::fields()},
      {.name = "list_quarantine",
       .method = "GET",
       .pattern = "/api/v1/quarantine",
       .access = Permission::SystemRead,
       .handler = list_quarantine,
       .summary = "Messages that could not be handled, newest first.",
       .query = &PageQuery::fields(),
       .answer_form = AnswerForm::List,
       .answer = &QuarantineView::fields()},
  };
}

}  // namespace millrace::api

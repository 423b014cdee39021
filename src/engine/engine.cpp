// SPDX-License-Identifier: Apache-2.0
#include "engine/engine.h"

#include <fmt/format.h>

#include <future>

#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "engine/board.h"
#include "engine/outlet.h"
#include "engine/transitions/catalogue.h"
#include "engine/transitions/enforce_event.h"
#include "engine/transitions/executions.h"
#include "engine/transitions/keys.h"
#include "engine/transitions/timers.h"
#include "engine/transitions/workflows.h"
#include "store/migrate.h"

namespace millrace::engine {

using namespace kernel;

Engine::Engine(sql::Store& store, Options options, Outside outside)
    : store_(store),
      options_(options),
      outside_(std::move(outside)),
      board_(std::make_unique<Board>()),
      listeners_(std::make_unique<Listeners>()),
      outlet_(std::make_unique<Outlet>(outside_.equip)) {}

Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::start(sql::Store& store,
                                              std::vector<std::shared_ptr<const Pack>> packs,
                                              std::vector<std::shared_ptr<const Pack>> retired,
                                              Options options, Outside outside) {
  auto engine = std::unique_ptr<Engine>(new Engine(store, options, std::move(outside)));
  int64_t epoch = 0;
  {
    TRY(auto writer, store.open_writer());
    TRY(store::migrate(*writer));
    TRY(epoch, store::claim_shards(*writer, engine->outside_.owner, ShardSet::all()));
  }
  auto catalog = Catalog().with_packs(packs);
  for (auto& pack : retired) catalog = catalog->with_retired(std::move(pack));
  TRY(auto reader, store.open_reader());
  TRY(engine->load_rules(*reader, catalog));
  TRY(auto webhooks, store::webhooks_of_all_tenants(*reader));
  for (auto& webhook : webhooks) catalog = catalog->with_webhook(std::move(webhook));
  engine->catalog_ = catalog;
  TRY(engine->executor_, Executor::start(store, epoch, catalog, *engine->outlet_, options.executor,
                                         engine->callbacks()));
  // The releases are in the store, and the packs' rules follow their files, before anybody asks.
  std::promise<Result<int>> loaded;
  engine->load_packs(std::move(packs),
                     [&](Result<int> done) { loaded.set_value(std::move(done)); });
  TRY(loaded.get_future().get());
  return engine;
}

Result<void> Engine::load_rules(sql::Connection& reader, std::shared_ptr<const Catalog>& catalog) {
  TRY(auto rows, store::rules_of_all_tenants(reader));
  std::vector<std::shared_ptr<const RuleEntry>> entries;
  expr::Engine expressions;
  for (auto& row : rows) {
    auto entry = std::make_shared<RuleEntry>();
    TRY(Value stored, parse_json(row.spec_json));
    TRY(entry->spec, rule_from_value(stored));
    auto compiled = rules::compile(entry->spec, row.id, row.revision, expressions);
    if (!compiled.ok()) {
      // Written by another version: out of force, but not lost, and said.
      log_error("rule.not_compiled", {{"rule", row.ref}, {"error", compiled.error().describe()}});
      continue;
    }
    entry->compiled = std::move(*compiled);
    entry->row = std::move(row);
    entries.push_back(std::move(entry));
  }
  catalog = catalog->with_rules(entries);
  return {};
}

Executor::Callbacks Engine::callbacks() {
  return {
      .now_ms = outside_.now_ms,
      .fatal = outside_.fatal,
      .fire_timer = [](Of<TimerId> timer) { return std::make_unique<FireTimer>(timer); },
      .dispatch = [] { return std::make_unique<DispatchQueue>(); },
      .sweep = [this] { return std::make_unique<Sweep>(options_.retention, outside_.now_ms()); },
      .message = [](const MessageRow& row) { return make_message(row); },
      .quarantine =
          [](Transition& refused, const std::string& reason) {
            log_error(
                "message.quarantined",
                {{"kind", refused.name()}, {"subject", refused.subject()}, {"reason", reason}});
            return std::make_unique<BuryMessage>(refused, reason);
          },
      .ended =
          [this](const ExecutionRow& row) {
            board_->ended(row);
            listeners_->ended(row.id);
          },
      .watch = [this](int64_t number, ExecutionId id,
                      Reply<ExecutionRow> ended) { board_->watch(number, id, std::move(ended)); },
      .committed = [this] { listeners_->changed(); },
      .catalog_changed =
          [this](std::shared_ptr<const Catalog> next) {
            std::lock_guard lock(catalog_mutex_);
            catalog_ = std::move(next);
          },
      .open_key = outside_.open_key,
      .decided = outside_.decided};
}

// Commands

void Engine::ingest(Caller caller, NewEvent event, Reply<Ingested> reply) {
  executor_->submit(std::make_unique<IngestEvent>(std::move(caller), std::move(event),
                                                  options_.retention.dedupe, std::move(reply)));
}

void Engine::replay(Caller caller, EventId event, Reply<Ingested> reply) {
  executor_->submit(std::make_unique<ReplayEvent>(std::move(caller), event, std::move(reply)));
}

void Engine::run(Caller caller, NewExecution request, Reply<ExecutionRow> reply) {
  executor_->submit(
      std::make_unique<StartExecution>(std::move(caller), std::move(request), std::move(reply)));
}

void Engine::watch(int64_t number, ExecutionId id, Reply<ExecutionRow> ended) {
  board_->watch(number, id, std::move(ended));
}

void Engine::forget_watch(int64_t number) { board_->forget(number); }

void Engine::cancel(Caller caller, ExecutionId id, Reply<ExecutionRow> reply) {
  executor_->submit(std::make_unique<CancelExecution>(std::move(caller), id, std::move(reply)));
}

void Engine::resolve(Caller caller, ExecutionId id, Resolution resolution,
                     Reply<ExecutionRow> reply) {
  executor_->submit(std::make_unique<ResolveExecution>(std::move(caller), id, std::move(resolution),
                                                       std::move(reply)));
}

void Engine::pause(Caller caller, ExecutionId id, Reply<ExecutionRow> reply) {
  executor_->submit(std::make_unique<PauseExecution>(
      std::move(caller), id, PauseExecution::Wish::Pause, std::move(reply)));
}

void Engine::resume(Caller caller, ExecutionId id, Reply<ExecutionRow> reply) {
  executor_->submit(std::make_unique<PauseExecution>(
      std::move(caller), id, PauseExecution::Wish::Resume, std::move(reply)));
}

void Engine::rerun(Caller caller, ExecutionId id, Rerun request, Reply<ExecutionRow> reply) {
  executor_->submit(std::make_unique<RerunExecution>(std::move(caller), id, std::move(request),
                                                     std::move(reply)));
}

void Engine::answer(Caller caller, InquiryId id, Answer answer, Reply<InquiryRow> reply) {
  executor_->submit(
      std::make_unique<AnswerInquiry>(std::move(caller), id, std::move(answer), std::move(reply)));
}

void Engine::write_rule(Caller caller, RuleWrite write, Reply<RuleRow> reply) {
  executor_->submit(
      std::make_unique<WriteRule>(std::move(caller), std::move(write), std::move(reply)));
}

void Engine::delete_rule(Caller caller, std::string ref, std::optional<int64_t> if_revision,
                         Reply<RuleRow> reply) {
  executor_->submit(std::make_unique<DeleteRule>(std::move(caller), std::move(ref), if_revision,
                                                 std::move(reply)));
}

void Engine::write_webhook(Caller caller, WebhookWrite write, Reply<WebhookRow> reply) {
  executor_->submit(
      std::make_unique<WriteWebhook>(std::move(caller), std::move(write), false, std::move(reply)));
}

void Engine::delete_webhook(Caller caller, std::string name, Reply<WebhookRow> reply) {
  WebhookWrite write;
  write.name = std::move(name);
  executor_->submit(
      std::make_unique<WriteWebhook>(std::move(caller), std::move(write), true, std::move(reply)));
}

void Engine::write_key(Caller caller, KeyWrite write, Reply<KeyRow> reply) {
  executor_->submit(
      std::make_unique<WriteKey>(std::move(caller), std::move(write), std::move(reply)));
}

void Engine::write_token(Caller caller, TokenWrite write, Reply<TokenRow> reply) {
  executor_->submit(
      std::make_unique<WriteToken>(std::move(caller), std::move(write), std::move(reply)));
}

void Engine::delete_token(Caller caller, TokenId id, Reply<TokenId> reply) {
  executor_->submit(std::make_unique<DeleteToken>(std::move(caller), id, std::move(reply)));
}

void Engine::load_packs(std::vector<std::shared_ptr<const Pack>> packs, Reply<int> reply) {
  executor_->submit_internal(std::make_unique<LoadPacks>(std::move(packs), std::move(reply)));
}

void Engine::stop_granting() { executor_->submit_internal(std::make_unique<StopGranting>()); }

void Engine::drain() { executor_->drain(); }

// Reads

std::shared_ptr<const Catalog> Engine::catalog() const {
  std::lock_guard lock(catalog_mutex_);
  return catalog_;
}

// Loads the keys that the rule reads one after the other; encrypted ones stay closed.
Result<RuleVerdict> Engine::test_rule(const RuleSpec& spec, const EventRow& event) const {
  KeyRows keys;
  for (;;) {
    auto verdict = test_rule(spec, event, keys);
    auto key = verdict.ok() ? std::nullopt : key_of_need(expr::needed_key(verdict.error()));
    if (!key) return verdict;
    TRY(auto db, reader());
    TRY(auto row, store::find_key(*db, *key));
    keys.emplace(std::move(*key), std::move(row));
  }
}

Result<RuleVerdict> Engine::test_rule(const RuleSpec& spec, const EventRow& event,
                                      const KeyRows& keys) const {
  auto current = catalog();
  expr::Engine expressions;
  TRY(auto compiled, rules::compile(spec, RuleId{1}, 1, expressions));
  OpenKey closed;
  KeyLookup lookup(keys, closed, outside_.now_ms(),
                   {.tenant = event.tenant, .user = std::string(kRuleUser)});
  TRY(Value payload, parse_json(event.payload_json));
  Value trigger_parameters;
  if (!event.trigger_parameters_json.empty()) {
    TRY(trigger_parameters, parse_json(event.trigger_parameters_json));
  }
  rules::EventScope scope = current->event_scope(outside_.now_ms());
  scope.lookup = &lookup;
  scope.event = rules::event_value(event.id, event.trigger, event.created, std::move(payload),
                                   std::move(trigger_parameters));
  TRY(auto explained, rules::explain(*compiled, scope, expressions));
  RuleVerdict verdict;
  verdict.spec = spec;
  verdict.matched = explained.matches;
  verdict.criteria = Value::list();
  for (const auto& one : explained.verdicts) verdict.criteria.push_back(rules::to_value(one));
  if (verdict.matched) {
    auto rendered = rules::render_parameters(*compiled, scope, expressions);
    if (rendered.ok()) {
      verdict.parameters = std::move(*rendered);
    } else if (!expr::needed_key(rendered.error()).empty()) {
      return rendered.error();
    } else {
      verdict.error = rendered.error().describe();
    }
  }
  return verdict;
}

Result<RuleVerdict> Engine::why(sql::Connection& reader, TenantId tenant, std::string_view rule_ref,
                                EventId event_id) const {
  TRY(auto event, store::find_event(reader, tenant, event_id));
  if (!event) {
    return Error(ErrorKind::NotFound, "EVT-0002", fmt::format("no event {}", event_id.value));
  }
  // Another rule may have had the name then; when none had it, the newest says that it came later.
  std::string ref(rule_ref);
  TRY(auto rule, store::find_rule_at(reader, tenant, ref, event->created));
  if (!rule) {
    TRY(rule, store::find_rule(reader, tenant, ref));
  }
  if (!rule) {
    return Error(ErrorKind::NotFound, "RUL-0101", fmt::format("no rule '{}'", rule_ref));
  }
  TRY(auto revisions, store::rule_revisions(reader, tenant, rule->id));
  const RuleRow* then = nullptr;  // newest first: the first that is not younger than the event
  for (const auto& revision : revisions) {
    if (revision.updated > event->created) continue;
    then = &revision;
    break;
  }
  if (!then || then->deleted) {
    RuleVerdict verdict;
    TRY(Value newest, parse_json(revisions.front().spec_json));
    TRY(verdict.spec, rule_from_value(newest));
    verdict.revision = then ? then->revision : 0;
    verdict.reason = then ? "the rule was deleted when the event came"
                          : "the rule did not exist yet when the event came";
    verdict.criteria = Value::list();
    return verdict;
  }
  TRY(Value stored, parse_json(then->spec_json));
  TRY(auto spec, rule_from_value(stored));
  TRY(auto verdict, test_rule(spec, *event));
  verdict.revision = then->revision;
  return verdict;
}

int64_t Engine::on_change(std::function<void()> changed) {
  return listeners_->on_change(std::move(changed));
}
int64_t Engine::on_output(ExecutionId id, std::function<void(const OutputChunk&)> chunk) {
  return listeners_->on_output(id, std::move(chunk));
}
void Engine::forget(int64_t subscription) { listeners_->forget(subscription); }

// WorkSource

void Engine::open(WorkerHello hello, WorkReceiver& receiver,
                  std::function<void(Result<Session>)> opened) {
  log_info("worker.opens", {{"worker", hello.name},
                            {"slots", hello.slots},
                            {"adopted", static_cast<int64_t>(hello.adopted.size())}});
  executor_->submit_internal(std::make_unique<OpenWorker>(
      std::move(hello), [this, &receiver, opened = std::move(opened)](Result<Session> session) {
        if (session.ok()) outlet_->attach(*session, receiver);
        opened(std::move(session));
      }));
}

void Engine::renew(SessionId session, std::function<void(Result<void>)> renewed) {
  if (outlet_->is_open(session)) return renewed({});
  renewed(Error(ErrorKind::NotFound, "ENG-0004",
                fmt::format("session {} is over: open another one", session.value)));
}

void Engine::close(SessionId session) { outlet_->detach(session); }

void Engine::output(SessionId session, OutputChunk chunk) {
  if (outlet_->is_open(session)) listeners_->output(chunk);
}

void Engine::preparing(SessionId session, const RunKey& key, std::string what) {
  if (!outlet_->is_open(session)) return;
  executor_->submit_internal(std::make_unique<PrepareRun>(key, std::move(what)));
}

void Engine::prepared(SessionId session, const RunKey& key, std::function<void(bool)> go) {
  if (!outlet_->is_open(session)) return go(false);
  executor_->submit_internal(std::make_unique<StartPrepared>(key, std::move(go)));
}

void Engine::finished(SessionId session, Completion completion, std::function<void()> done) {
  if (!outlet_->is_open(session)) return;
  // A format other than text is parsed from the whole of stdout, wherever it lies.
  std::string whole;
  if (!completion.out.blob.empty()) {
    auto text = read_file(outside_.output_folder + "/" + completion.out.blob, 16 << 20);
    if (text.ok()) whole = std::move(*text);
  }
  executor_->submit_internal(
      std::make_unique<FinishRun>(std::move(completion), std::move(whole), std::move(done)));
}

}  // namespace millrace::engine

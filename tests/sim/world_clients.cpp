// SPDX-License-Identifier: Apache-2.0
// Clients: they ask, believe what they are told, ask again with the same key, and give up.
#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "engine/machine/transition.h"
#include "packs.h"
#include "world.h"

namespace millrace::sim {

using namespace kernel;
using namespace engine;

namespace {

bool is_open(const Known& known) { return !is_final(known.row.status); }

}  // namespace

Caller World::caller(size_t number) const {
  Caller caller{.tenant = kDefaultTenant, .identity = "somebody"};
  if (requests_[number].keyed) {
    caller.idempotency_key = fmt::format("key-{}", number);
    caller.request_hash = requests_[number].what;
  }
  return caller;
}

void World::ask(std::string what, bool keyed, std::function<Message(size_t)> make,
                ExecutionId about) {
  requests_.push_back(
      {.what = std::move(what), .make = std::move(make), .keyed = keyed, .about = about});
  send(requests_.size() - 1);
}

// To the owner of what it is about; else to anybody.
void World::send(size_t number) {
  Request& request = requests_[number];
  if (request.about) return send_to(owner_of(request.about), number);
  Dice dice(number * 64 + static_cast<size_t>(request.sent++));
  send_to(some_place(dice), number);
}

void World::send_to(Place& at, size_t number) {
  if (!at.server) return;
  Request& request = requests_[number];
  tell_trace(fmt::format("request {} to {}: {}", number, at.number, request.what));
  ++request.open[at.number];
  sending_to_ = at.number;
  offer(at, request.make(number));
}

void World::send_again(Dice dice) {
  std::vector<size_t> may;
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (requests_[i].keyed) may.push_back(i);
  }
  if (!may.empty()) send(dice.pick(may));
}

// Whoever asks is answered once for each time that it has asked.
template <typename T>
Reply<T> World::answer(size_t number, std::function<void(const T&)> take) {
  auto calls = std::make_shared<int>(0);
  size_t place = sending_to_;
  int64_t life = places_[place].server->life;
  return [this, number, calls, place, life, take = std::move(take)](Result<T> result) {
    if (++*calls > 1) violate("K1", fmt::format("request {} is answered twice", number));
    Request& request = requests_[number];
    const auto& server = places_[place].server;
    if (server && server->life == life) --request.open[place];  // else nobody listens any more
    if (trace_) {
      tell_trace(
          fmt::format("answer {}: {}", number, result.ok() ? "ok" : result.error().message()));
    }
    if (!result.ok()) return;
    request.answered = true;
    if (take) take(*result);
  };
}

ExecutionId World::pick_execution(Dice& dice, const std::function<bool(const Known&)>& may) const {
  std::vector<ExecutionId> fits;
  std::vector<ExecutionId> all;
  for (const auto& [id, known] : ledger_.executions()) {
    all.emplace_back(id);
    if (may(known)) fits.emplace_back(id);
  }
  if (all.empty()) return {};
  return fits.empty() || dice.one_in(8) ? dice.pick(all) : dice.pick(fits);
}

// A workflow of which something waits, for its delay or for a slot; else one that is at work.
ExecutionId World::pick_to_pause(Dice& dice) const {
  std::set<int64_t> at_work;
  std::set<int64_t> with_waiting;
  for (const auto& [id, known] : ledger_.executions()) {
    if (!known.row.parent || !is_open(known)) continue;
    at_work.insert(known.row.parent.value);
    bool waits = known.row.status == ExecutionStatus::Delayed || known.queued;
    if (waits) with_waiting.insert(known.row.parent.value);
  }
  const auto& from = with_waiting.empty() || dice.one_in(3) ? at_work : with_waiting;
  return pick_execution(dice, [&](const Known& known) {
    return is_open(known) && from.contains(known.row.id.value);
  });
}

void World::client(const Op& op, Dice dice) {
  switch (op.kind) {
    case OpKind::Run: return run_something(dice);
    case OpKind::WriteRule: return write_rule(dice);
    case OpKind::Retry: return send_again(dice);
    case OpKind::Ingest: {
      std::string branch = dice.one_in(3) ? "other" : "main";
      auto id = std::to_string(dice.below(12));
      return ask("event " + id, true, [this, branch, id](size_t number) {
        NewEvent event{.trigger = "ci.push", .source = "git", .source_id = id};
        event.payload = Value::map({{"branch", branch}});
        event.payload_json = to_json(event.payload);
        return command::ingest({.tenant = kDefaultTenant, .identity = "git"}, std::move(event),
                               answer<Ingested>(number, [this, number](auto& got) {
                                 int64_t& made = requests_[number].made;
                                 if (made != 0 && made != got.event.value) {
                                   violate("K4",
                                           fmt::format("request {}: one event is two", number));
                                 }
                                 made = got.event.value;
                               }));
      });
    }
    case OpKind::Replay: {
      if (ledger_.events().empty()) return;
      EventId event{dice.pick(ledger_.events())};
      return ask("replay", true, [this, event](size_t number) {
        return command::replay(caller(number), {.event = event},
                               answer<Ingested>(number, [this, number](auto& got) {
                                 requests_[number].made = got.event.value;
                               }));
      });
    }
    case OpKind::DeleteRule: {
      auto ref = fmt::format("ci.rule{}", dice.below(3));
      return ask("delete rule", false, [this, ref](size_t number) {
        return command::delete_rule(caller(number), ref, std::nullopt,
                                    answer<RuleRow>(number, nullptr));
      });
    }
    case OpKind::Webhook: {
      auto name = fmt::format("hook{}", dice.below(2));
      if (dice.one_in(3)) {
        return ask("delete webhook", false, [this, name](size_t number) {
          return command::delete_webhook(caller(number), name, answer<WebhookRow>(number, nullptr));
        });
      }
      return ask("write webhook", true, [this, name](size_t number) {
        return command::write_webhook(caller(number),
                                      {.name = name, .scheme = "token", .trigger = "ci.push"},
                                      answer<WebhookRow>(number, nullptr));
      });
    }
    case OpKind::WriteKey: {
      auto name = fmt::format("k{}", dice.below(2));
      int64_t version = key_versions_[name] + 1;
      bool remove = dice.one_in(6);
      return ask("write key", true, [this, name, version, remove](size_t number) {
        KeyWrite write{.key = {kDefaultTenant, "system", name},
                       .value_json = "1",
                       .version = version,
                       .remove = remove};
        return command::write_key(caller(number), write,
                                  answer<KeyRow>(number, [this, name](const KeyRow& row) {
                                    int64_t& known = key_versions_[name];
                                    known = row.deleted ? 0 : row.version;
                                  }));
      });
    }
    case OpKind::Token: {
      if (!tokens_.empty() && dice.one_in(2)) {
        TokenId id{dice.pick(tokens_)};
        return ask("delete token", false, [this, id](size_t number) {
          return command::delete_token(caller(number), id, answer<TokenId>(number, nullptr));
        });
      }
      auto hash = fmt::format("{:x}", dice.next());  // of a secret: nobody asks for it again
      return ask("write token", false, [this, hash](size_t number) {
        return command::write_token(
            caller(number), {.hash = hash, .identity = "robot", .permissions = "*"},
            answer<TokenRow>(number,
                             [this](const TokenRow& row) { tokens_.push_back(row.id.value); }));
      });
    }
    case OpKind::Reload: {
      release_ = static_cast<int>(dice.below(kReleases));
      // What a disk may lose is what nothing shows any more.
      lost_releases_.clear();
      if (dice.one_in(2)) lost_releases_.insert(static_cast<int>(dice.below(kReleases)));
      return ask("reload", false, [this](size_t number) {
        return command::load_packs({.tenant = kDefaultTenant}, pack_set(false),
                                   answer<int>(number, nullptr));
      });
    }
    case OpKind::Uninstall: {
      bool force = dice.one_in(2);
      return ask("uninstall", true, [this, force](size_t number) {
        return command::uninstall_pack(caller(number), {.ref = "ci", .force = force},
                                       answer<Uninstalled>(number, nullptr));
      });
    }
    default: return operate(op.kind, dice);
  }
}

void World::run_something(Dice dice) {
  static const auto urn = [] {
    std::vector<size_t> numbers;
    for (size_t i = 0; i < startables().size(); ++i) {
      numbers.insert(numbers.end(), static_cast<size_t>(startables()[i].weight), i);
    }
    return numbers;
  }();
  size_t number = dice.pick(urn);
  // Five hundred steps in each turn: now and then.
  if (startables()[number].action == "ci.endless" && !dice.one_in(40)) number = 0;
  const auto& what = startables()[number];
  auto priority = static_cast<Priority>(dice.below(4));
  bool keyed = !dice.one_in(5);
  bool watched = dice.one_in(3);
  ask("run " + what.action, keyed, [this, &what, priority, watched](size_t number) {
    NewExecution request{
        .action = what.action, .parameters = what.parameters, .priority = priority};
    if (watched) request.ended = [](const Result<ExecutionRow>&) {};
    return command::run(
        caller(number), std::move(request),
        answer<ExecutionRow>(number, [this, number](const ExecutionRow& row) {
          int64_t& made = requests_[number].made;
          if (made != 0 && made != row.id.value && requests_[number].keyed) {
            violate("K4", fmt::format("request {}: one key has made two executions", number));
          }
          made = row.id.value;
          if (!ledger_.find(row.id)) {
            violate("K1", fmt::format("request {} is answered before it is durable", number));
          }
        }));
  });
}

void World::write_rule(Dice dice) {
  RuleSpec spec;
  spec.ref = fmt::format("ci.rule{}", dice.below(3));
  spec.trigger = "ci.push";
  spec.criteria = Value::map();
  if (dice.one_in(2)) {
    spec.criteria =
        Value::map({{"trigger.branch", Value::map({{"type", "equals"}, {"pattern", "main"}})}});
  }
  static const std::vector<std::string> kActions = {"ci.build", "ci.check",       "ci.sequence",
                                                    "ci.fork",  "core.noop",      "ci.saga",
                                                    "ci.tells", "ci.orquesta_ask"};
  spec.action = dice.pick(kActions);
  if (spec.action == "ci.tells")
    spec.criteria =
        Value::map({{"trigger.branch", Value::map({{"type", "equals"}, {"pattern", "started"}})}});
  spec.action_parameters = Value::map();
  spec.trigger_parameters = Value::map();
  if (dice.one_in(5)) {
    spec.ref += "_timer";
    spec.trigger = "core.intervaltimer";
    spec.trigger_parameters = Value::map({{"unit", "seconds"}, {"interval", 20}});
    spec.criteria = Value::map();
  }
  bool create = dice.one_in(2);
  ask("write rule " + spec.ref, true, [this, spec, create](size_t number) {
    return command::write_rule(caller(number), {.spec = spec, .create = create},
                               answer<RuleRow>(number, nullptr));
  });
}

void World::operate(OpKind kind, Dice dice) {
  auto take = [](const ExecutionRow&) {};
  auto waits = [](ExecutionStatus status) {
    return [status](const Known& known) { return known.row.status == status; };
  };
  if (kind == OpKind::Answer) {
    if (ledger_.inquiries().empty()) return;
    std::vector<int64_t> open(ledger_.inquiries().begin(), ledger_.inquiries().end());
    InquiryId id{dice.pick(open)};
    return ask(
        fmt::format("answer {}", id.value), false,
        [this, id](size_t number) {
          return command::answer({.tenant = kDefaultTenant, .identity = "ada"}, id,
                                 {.response = Value::map({{"ok", true}}), .is_admin = true},
                                 answer<InquiryRow>(number, nullptr));
        },
        ExecutionId{id.value});
  }
  ExecutionId id;
  switch (kind) {
    case OpKind::Cancel: id = pick_execution(dice, is_open); break;
    case OpKind::Resolve: id = pick_execution(dice, waits(ExecutionStatus::NeedsDecision)); break;
    case OpKind::Resume: id = pick_execution(dice, waits(ExecutionStatus::Paused)); break;
    case OpKind::Rerun:
      id = pick_execution(dice, [](const Known& known) { return !is_open(known); });
      break;
    default: id = pick_to_pause(dice); break;
  }
  if (!id) return;
  auto how = static_cast<Resolution::Kind>(dice.below(4));
  ask(
      fmt::format("{} {}", to_string(kind), id.value), kind == OpKind::Rerun,
      [this, kind, id, how, take](size_t number) {
        auto reply = answer<ExecutionRow>(number, take);
        switch (kind) {
          case OpKind::Cancel: return command::cancel(caller(number), id, reply);
          case OpKind::Pause: return command::pause(caller(number), id, reply);
          case OpKind::Resume: return command::resume(caller(number), id, reply);
          case OpKind::Rerun:
            return command::rerun(caller(number), id, {},
                                  answer<ExecutionRow>(number, [this, number](auto& row) {
                                    requests_[number].made = row.id.value;
                                  }));
          default: break;
        }
        if (how == Resolution::Kind::Retry) ++allowed_again_[id.value];
        return command::resolve(caller(number), id, {.kind = how, .result = Value::map()}, reply);
      },
      id);
}

// At the end, when nothing is under way: who was told something was told the truth.
void World::check_answers() {
  for (size_t i = 0; i < requests_.size(); ++i) {
    const auto& request = requests_[i];
    bool is_open = std::ranges::any_of(request.open, [](auto& each) { return each.second > 0; });
    if (is_open) {
      violate("K1", fmt::format("request {} ({}) was never answered", i, request.what));
    }
    if (!request.answered || request.made == 0 || forgets_) continue;
    bool is_event = request.what.starts_with("event") || request.what == "replay";
    const auto& events = ledger_.events();
    bool there = is_event ? std::ranges::find(events, request.made) != events.end()
                          : ledger_.find(ExecutionId{request.made}) != nullptr;
    if (!there) {
      violate("K1", fmt::format("request {} ({}) was answered with {}, which is not there", i,
                                request.what, request.made));
    }
  }
}

}  // namespace millrace::sim

// SPDX-License-Identifier: Apache-2.0
#include "app/sensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <random>
#include <set>

#include "app/sensor_events.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "base/time.h"
#include "engine/machine/pack_config.h"
#include "engine/transitions/commands.h"
#include "kernel/event_source.h"
#include "packs/config.h"
#include "store/read.h"
#include "store/servers.h"

namespace millrace::app {
namespace fs = std::filesystem;
namespace {

int64_t steady_ms() {
  auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

// Who lives is told by no change of rows.
constexpr int64_t kLookForOthersMs = 2'000;

std::string lease_of(const sensor::SensorKey& key) {
  return fmt::format("sensor:{}:{}", key.tenant.value, key.ref);
}

Error not_prepared(std::string_view why) {
  return Error(ErrorKind::Unavailable, "APP-0045", std::string(why));
}

// What the schema says is secret: its texts, to be hidden in the log.
void gather_secrets(const Value& config, const Value& masked, std::vector<std::string>& out) {
  if (config.is_string() && masked.is_string()) {
    if (config != masked) out.emplace_back(config.as_string());
  } else if (config.is_map() && masked.is_map()) {
    for (const auto& entry : config.as_map()) {
      gather_secrets(entry.value, masked[entry.name()], out);
    }
  } else if (config.is_list() && masked.is_list() && config.size() == masked.size()) {
    for (size_t i = 0; i < config.size(); ++i) {
      gather_secrets(config.as_list()[i], masked.as_list()[i], out);
    }
  }
}

// Those of a run, but for the processor's time: a sensor goes on for ever.
std::vector<sensor::Limit> limits_of(worker::RunLimits limits, int64_t run_files) {
  limits.cpu_s = 0;
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  if (run_files > 0)
    files.rlim_cur = std::min<rlim_t>(static_cast<rlim_t>(run_files), files.rlim_max);
  std::vector<sensor::Limit> out;
  for (const auto& one : worker::resource_limits(limits, files)) {
    out.push_back({one.resource, one.value.rlim_cur, one.value.rlim_max});
  }
  return out;
}

bool is_traceparent(std::string_view text) {
  return text.size() == 55 && text.starts_with("00-") && text[35] == '-' && text[52] == '-';
}

}  // namespace

SensorHost::SensorHost(Given given)
    : given_(std::move(given)), session_(hex_encode(auth::random_bytes(given_.random, 8))) {
  sensor::Sensors::Limits limits;
  limits.events = {
      .limit = given_.events_per_second, .per_ms = 1000, .burst = given_.events_per_second * 5};
  limits.grace_ms = given_.stop_grace_ms;
  if (given_.has_others) limits.look_ms = kLookForOthersMs;
  sensors_ = std::make_unique<sensor::Sensors>(
      limits,
      sensor::Sensors::Outside{
          .now_ms = unix_ms,
          .mono_ms = steady_ms,
          .chance =
              [generator = std::make_shared<std::mt19937>(std::random_device()())] {
                return std::uniform_real_distribution<>(0, 1)(*generator);
              },
          .wanted = [this] { return wanted(); },
          .prepare = [this](const auto& key, auto ready) { prepare(key, ready); },
          .ended = [this](const auto& key) { ended(key); },
          .dispatch = [this](const auto& key, int64_t start, const auto& event,
                             auto done) { dispatch(key, start, event, done); },
          .process = [this](const auto& change) { tell_sensor_process(given_.engine, change); }});
}

SensorHost::~SensorHost() {
  if (subscription_ != 0) given_.engine.forget(subscription_);
}

Result<void> SensorHost::start() {
  if (!given_.runs) return {};
  TRY(sensors_->start());
  subscription_ = given_.engine.on_change([this] { sensors_->look(); });
  return {};
}

void SensorHost::begin_stop(int64_t grace_ms) { sensors_->begin_stop(grace_ms); }

void SensorHost::stop() {
  if (subscription_ != 0) given_.engine.forget(std::exchange(subscription_, 0));
  sensors_->stop();
}

// What is to run.

std::optional<std::vector<sensor::Wanted>> SensorHost::wanted() {
  look_at_catalogue();
  auto switches = look_at_switches();
  if (!switches.ok()) {
    log_warn("sensor.store_not_read", {{"error", switches.error().message()}});
    reader_.reset();
    return std::nullopt;
  }
  auto servers = given_.engine.servers();
  std::vector<sensor::Wanted> out;
  std::map<sensor::SensorKey, KnownPtr> known;
  size_t without_runtime = 0;
  for (SensorSpec spec : specs_) {
    switches->apply(spec);
    without_runtime += spec.sensor.enabled && !spec.runtime ? 1 : 0;
    const auto* runner = runner_of(servers, spec.key);
    if (!spec.can_run() || !runner || !runner->is_self) continue;
    auto seen = look_at(std::move(spec));
    if (!seen.ok()) {
      log_warn("sensor.store_not_read", {{"error", seen.error().message()}});
      reader_.reset();
      return std::nullopt;
    }
    const Known& now = **seen;
    sensor::Wanted one{.key = now.spec.key, .revision = {}, .triggers = {}};
    one.revision = fmt::format("{} {} {} {}", now.spec.pack->digest, now.spec.sensor.entry_point,
                               auth::token_hash(to_json(now.config)), now.fault);
    for (const auto& [ref, instance] : now.spec.instances) {
      one.triggers.emplace(ref, trigger_object(ref, instance));
    }
    known.emplace(one.key, *std::move(seen));
    out.push_back(std::move(one));
  }
  without_runtime_ = without_runtime;
  std::lock_guard lock(mutex_);
  known_ = std::move(known);
  switches_ = *std::move(switches);
  return out;
}

// All rules are looked at: once for each catalogue, however often something else changes.
void SensorHost::look_at_catalogue() {
  auto catalogs = given_.engine.catalogs();
  if (catalogs == catalogs_) return;
  specs_.clear();
  for (TenantId tenant : tenants_of(*catalogs)) {
    std::ranges::move(sensors_of(*catalogs, tenant), std::back_inserter(specs_));
  }
  catalogs_ = std::move(catalogs);
}

Result<SensorHost::Switches> SensorHost::look_at_switches() {
  constexpr int kMost = 10'000;
  Switches switches;
  if (specs_.empty()) return switches;
  if (!reader_) {
    TRY(reader_, given_.engine.reader());
  }
  std::set<TenantId> tenants;
  for (const auto& spec : specs_) tenants.insert(spec.key.tenant);
  for (TenantId tenant : tenants) {
    auto any = engine::sensor_switch(tenant, "");
    TRY(auto rows, store::list_keys(*reader_, any, any.scope, kMost));
    for (const auto& row : rows) {
      if (!row.deleted) switches.by_key[{tenant, row.key.name}] = row.value_json == "true";
    }
  }
  return switches;
}

void SensorHost::Switches::apply(SensorSpec& spec) const {
  if (auto at = by_key.find(spec.key); at != by_key.end()) spec.sensor.enabled = at->second;
}

// Errors: of the store. A configuration that comes to nothing is the sensor's fault.
Result<SensorHost::KnownPtr> SensorHost::look_at(SensorSpec spec) {
  auto config = config_of(spec);
  if (!config.ok() && config.error().kind() == ErrorKind::Unavailable) return config.error();
  auto known = std::make_shared<Known>();
  known->spec = std::move(spec);
  if (config.ok()) {
    known->config = *std::move(config);
  } else {
    known->fault = config.error().message();
  }
  return KnownPtr(std::move(known));
}

SensorHost::Switches SensorHost::switches() const {
  std::lock_guard lock(mutex_);
  return switches_;
}

SensorHost::KnownPtr SensorHost::known(const sensor::SensorKey& key) const {
  std::lock_guard lock(mutex_);
  auto at = known_.find(key);
  return at == known_.end() ? nullptr : at->second;
}

// As a run of its pack has it. What it reads of keys is loaded as it is asked for.
Result<Value> SensorHost::config_of(const SensorSpec& spec) {
  if (!reader_) {
    TRY(reader_, given_.engine.reader());
  }
  engine::KeyRows rows;
  for (int round = 0;; ++round) {
    engine::KeyLookup keys(
        rows, given_.open_key, given_.engine.now_ms(),
        {.tenant = spec.key.tenant, .user = {}, .pack = spec.pack->ref, .action = spec.key.ref});
    auto config = engine::pack_config(*spec.pack, keys, expressions_);
    if (config.ok() || round == engine::kMostRounds) return config;
    auto needs = expr::needed_keys(config.error());
    if (needs.empty()) return config;
    for (const Problem& need : needs) {
      auto key = engine::key_of_need(need.path);
      if (!key) continue;
      TRY(auto row, store::find_key(*reader_, *key));
      rows.emplace(std::move(*key), std::move(row));
    }
  }
}

// A start.

kernel::WorkOrder SensorHost::order_of(const SensorSpec& spec) const {
  kernel::WorkOrder order;
  order.tenant = spec.key.tenant;
  order.action = spec.key.ref;
  order.pack = spec.pack->ref;
  order.release = spec.pack->digest;
  order.entry_point = spec.sensor.entry_point;
  order.runner = Runner::Script;
  order.sdk = spec.sensor.sdk;
  order.identity = "sensor:" + spec.key.ref;
  order.runtime = *spec.runtime;
  order.parameters = Value::map();
  return order;
}

void SensorHost::prepare(const sensor::SensorKey& key,
                         const std::function<void(Result<sensor::Prepared>)>& ready) {
  auto now = known(key);
  if (!now) return ready(not_prepared("it is not to run here any more"));
  if (!now->fault.empty()) return ready(not_prepared(now->fault));
  if (auto lease = take_lease(key); !lease.ok()) return ready(lease.error());
  auto order = order_of(now->spec);
  std::optional<worker::Preparation> first;
  if (given_.worker.prepare) {
    std::lock_guard lock(staged_mutex_);
    first = given_.worker.prepare(order);
  }
  if (!first) return ready(plan(key));
  first->begin([this, key, ready](Result<void> done) {
    if (!done.ok()) return ready(done.error());
    ready(plan(key));
  });
}

Result<void> SensorHost::take_lease(const sensor::SensorKey& key) {
  if (!given_.has_others) return {};
  std::vector<int64_t> living;
  std::optional<kernel::ServerRow> self;
  for (const auto& server : given_.engine.servers()) {
    if (server.lives) living.push_back(server.row.epoch);
    if (server.is_self) self = server.row;
  }
  if (!self) return not_prepared("this server is not known to the store yet");
  auto take = [&]() -> Result<bool> {
    if (!writer_) {
      TRY(writer_, given_.store.open_writer());
    }
    TRY(auto epoch, store::take_lease(*writer_, lease_of(key), *self, living));
    return epoch.has_value();
  };
  auto taken = take();
  if (!taken.ok()) {
    writer_.reset();
    return taken.error();
  }
  if (*taken) return {};
  constexpr int64_t kLeasePauseMs = 1'000;
  return not_prepared("another server runs it, or has run it and does not say that it has ended")
      .with_retry_after(kLeasePauseMs);
}

void SensorHost::ended(const sensor::SensorKey& key) {
  forget_token(key);
  if (!given_.has_others || !writer_) return;
  for (const auto& server : given_.engine.servers()) {
    if (!server.is_self) continue;
    auto given = store::give_lease(*writer_, lease_of(key), server.row);
    if (given.ok()) continue;
    // It is free once this server is gone, or taken again when it starts here.
    log_warn("sensor.lease_not_given", {{"sensor", key.ref}, {"error", given.error().message()}});
    writer_.reset();
    return;
  }
}

Result<std::string> SensorHost::own_folder(const sensor::SensorKey& key) const {
  auto folder = fmt::format("{}/run/sensors/{}.{}", fs::absolute(given_.data).string(),
                            key.tenant.value, key.ref);
  std::error_code ec;
  fs::remove_all(folder, ec);
  fs::create_directories(folder, ec);
  if (ec) return not_prepared(fmt::format("cannot make its folder '{}': {}", folder, ec.message()));
  ::chmod(folder.c_str(), 0700);
  return folder;
}

Result<sensor::Prepared> SensorHost::plan(const sensor::SensorKey& key) {
  auto now = known(key);
  if (!now) return not_prepared("it is not to run here any more");
  const SensorSpec& spec = now->spec;
  auto order = order_of(spec);
  order.sdk = Sdk::None;  // the plan is that of a program; the SDK's takes its place
  std::string file;
  auto of_sensors = [&](const auto& pack, const auto& digest,
                        const std::string& path) -> Result<std::string> {
    constexpr std::string_view kActions = "actions/";
    std::lock_guard lock(staged_mutex_);
    TRY(file, given_.worker.release_file(pack, digest, "sensors/" + path.substr(kActions.size())));
    return file;
  };
  auto defaults = given_.worker.run;
  auto with_sdk = order;
  with_sdk.sdk = spec.sensor.sdk;
  if (defaults.environment) {
    defaults.environment = [&, environment = defaults.environment](const auto&) {
      return environment(with_sdk);
    };
  }
  TRY(std::string folder, own_folder(key));
  Secret token = make_token(spec);
  order.env = {{"MILLRACE_SENSOR", key.ref},
               {"MILLRACE_PACK", order.pack},
               {"MILLRACE_API_URL", given_.api_url()},
               {"MILLRACE_API_TOKEN", token.reveal()},
               {"MILLRACE_RESULT_FD", std::to_string(sensor::kLinesFd)},
               {"TMPDIR", folder}};
  if (spec.sensor.sdk == Sdk::None) {
    order.env.emplace_back("ATTUNE_SENSOR_REF", key.ref);
    order.env.emplace_back("ATTUNE_API_URL", given_.api_url());
    order.env.emplace_back("ATTUNE_API_TOKEN", token.reveal());
  }
  TRY(auto launch, worker::plan_launch(order, defaults, of_sensors));
  sensor::Prepared prepared;
  prepared.launch = {std::move(launch.argv), std::move(launch.env), folder,
                     limits_of(launch.limits, given_.worker.spawner.run_files)};
  prepared.says_ready = spec.sensor.sdk != Sdk::None;
  if (prepared.says_ready) {
    TRY(std::string sdk, given_.worker.run.sdk(spec.sensor.sdk));
    auto& argv = prepared.launch.argv;
    argv.pop_back();
    if (spec.sensor.sdk == Sdk::Python) {
      argv.push_back(sdk + "/millrace/sensor_runtime.py");
    } else {
      argv.push_back(sdk);
      argv.emplace_back("--sensor");
    }
  }
  std::string below = "/sensors/" + order.entry_point;
  prepared.start = Value::map({{"action", key.ref},
                               {"sensor", key.ref},
                               {"pack", order.pack},
                               {"pack_path", file.substr(0, file.size() - below.size())},
                               {"entry_point", order.entry_point},
                               {"class_name", spec.sensor.class_name},
                               {"config", now->config.is_map() ? now->config : Value::map()}});
  if (spec.sensor.poll_interval_s > 0) {
    prepared.start.set("poll_interval", spec.sensor.poll_interval_s);
  }
  prepared.secrets.push_back(token.reveal());
  gather_secrets(now->config, packs::masked_config(spec.pack->config_schema, now->config),
                 prepared.secrets);
  return prepared;
}

// Its own token: dead with its process, known to this server alone, in memory.
Secret SensorHost::make_token(const SensorSpec& spec) {
  Secret token = auth::make_token(given_.random);
  std::string words = fmt::format(
      "events:send,triggers:read,rules:read,actions:read,keys:read,keys:write,keys:decrypt,{}{}",
      auth::kPackPrefix, spec.pack->ref);
  for (const auto& type : spec.sensor.triggers) {
    words += fmt::format(",{}{}", auth::kTriggerPrefix, type);
  }
  forget_token(spec.key);
  std::lock_guard lock(mutex_);
  TokenId id{--last_token_};  // those of rows are above 0
  given_.tokens.put(
      {id, spec.key.tenant, auth::token_hash(token.reveal()), "sensor:" + spec.key.ref, words, 0});
  live_tokens_[spec.key] = id;
  return token;
}

void SensorHost::forget_token(const sensor::SensorKey& key) {
  std::lock_guard lock(mutex_);
  auto at = live_tokens_.find(key);
  if (at == live_tokens_.end()) return;
  given_.tokens.remove(at->second);
  live_tokens_.erase(at);
}

// Its events.

void SensorHost::dispatch(const sensor::SensorKey& key, int64_t start,
                          const sensor::Dispatch& event,
                          const std::function<void(Result<void>)>& done) {
  auto now = known(key);
  if (!now) {  // while it ends
    auto spec = find_sensor(*given_.engine.catalogs(), key);
    if (!spec) return done(Error(ErrorKind::NotFound, "SEN-0004", "the sensor has left"));
    now = std::make_shared<const Known>(Known{.spec = *std::move(spec)});
  }
  engine::NewEvent out;
  const auto& instances = now->spec.instances;
  const auto& types = now->spec.sensor.triggers;
  if (auto at = instances.find(event.trigger); at != instances.end()) {
    out.trigger = at->second.type;
    if (at->second.parameters.size() > 0) out.trigger_parameters = at->second.parameters;
  } else if (std::ranges::find(types, event.trigger) != types.end()) {
    out.trigger = event.trigger;
  } else {
    return done(Error(ErrorKind::Forbidden, "SEN-0003",
                      fmt::format("trigger '{}' is none of sensor '{}': expected one of {}",
                                  event.trigger, key.ref, fmt::join(types, ", "))));
  }
  out.source = kernel::own_source(kernel::SourceKind::Sensor, key.ref);
  // What is sent again because nobody knows what came of it is stored once.
  out.source_id = event.id.empty() ? fmt::format("{}.{}.{}", session_, start, event.seq) : event.id;
  bool has_number = event.seq > 0 || !event.id.empty();
  if (!has_number) out.source_id.clear();
  out.payload = event.payload.is_null() ? Value::map() : event.payload;
  out.payload_json = to_json(out.payload);
  out.sender = engine::Sender::Hook;
  engine::Caller caller{.tenant = key.tenant, .identity = "sensor:" + key.ref};
  caller.trace = event.trace_tag;
  if (!is_traceparent(caller.trace)) {
    auto random = hex_encode(auth::random_bytes(given_.random, 24));
    caller.trace = "00-" + random.substr(0, 32) + "-" + random.substr(32) + "-01";
  }
  given_.engine.submit(engine::command::ingest(
      std::move(caller), std::move(out), [done](Result<engine::Ingested> stored) {
        done(stored.ok() ? Result<void>() : Result<void>(stored.error()));
      }));
}

// What people see.

api::SensorInfo SensorHost::info_of(const SensorSpec& spec,
                                    const std::vector<engine::ServerView>& servers) const {
  const Sensor& sensor = spec.sensor;
  api::SensorInfo info{.ref = sensor.ref,
                       .pack = spec.pack->ref,
                       .description = sensor.description,
                       .runtime = sensor.runtime,
                       .entry_point = sensor.entry_point,
                       .triggers = sensor.triggers,
                       .poll_interval_s = sensor.poll_interval_s,
                       .enabled = sensor.enabled};
  for (const auto& [ref, instance] : spec.instances) info.listens.push_back(ref);
  const auto* runner = runner_of(servers, spec.key);
  if (!sensor.enabled) {
    info.state = "disabled";
  } else if (!spec.runtime) {
    info.state = "no_runtime";
  } else if (!runner) {
    info.state = "no_server";
  } else {
    info.server = runner->row.name;
    info.node = runner->row.node;
    info.state = runner->is_self ? "preparing" : "elsewhere";
  }
  // While it moves it may still end here.
  auto status = sensors_->status(spec.key);
  if (!status) return info;
  info.is_here = true;
  info.state = to_string(status->state);
  info.since_ms = status->since_ms;
  if (status->state == sensor::State::BackingOff) info.next_start_ms = status->next_start_ms;
  info.pid = status->pid;
  info.starts = status->starts;
  info.events = status->events;
  info.refused = status->refused;
  info.held_up = status->held_up;
  info.last_event_ms = status->last_event_ms;
  info.last_sign_ms = status->last_sign_ms;
  info.last_error = status->last_error;
  return info;
}

api::SensorDesk SensorHost::desk() {
  return {
      .list =
          [this](TenantId tenant) {
            auto catalogs = given_.engine.catalogs();
            auto servers = given_.engine.servers();
            std::vector<api::SensorInfo> out;
            auto said = switches();
            for (auto& spec : sensors_of(*catalogs, tenant)) {
              said.apply(spec);
              out.push_back(info_of(spec, servers));
            }
            return out;
          },
      .find = [this](TenantId tenant, const std::string& ref) -> std::optional<api::SensorInfo> {
        auto spec = find_sensor(*given_.engine.catalogs(), {tenant, ref});
        if (!spec) return std::nullopt;
        switches().apply(*spec);
        return info_of(*spec, given_.engine.servers());
      },
      .restart = [this](TenantId tenant,
                        const std::string& ref) { return sensors_->restart({tenant, ref}); },
      .log =
          [this](TenantId tenant, const std::string& ref, size_t most, int64_t after) {
            std::vector<api::SensorLine> out;
            auto lines = sensors_->log({tenant, ref}, most, after);
            if (!lines) return out;
            for (auto& line : *lines) {
              out.push_back({line.number, line.time_ms, std::string(to_string(line.stream)),
                             std::move(line.text)});
            }
            return out;
          },
  };
}

std::vector<std::string> SensorHost::troubles() const {
  std::vector<std::string> out;
  auto tell = [&out](int64_t count, std::string_view what) {
    if (count > 0)
      out.push_back(fmt::format("{} sensors {}: see millrace sensor list", count, what));
  };
  tell(static_cast<int64_t>(without_runtime_.load()), "have no runtime");
  tell(counts().down, "do not stay up");
  return out;
}

}  // namespace millrace::app

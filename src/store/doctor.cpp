// SPDX-License-Identifier: Apache-2.0
#include "store/doctor.h"

#include <fmt/format.h>

#include <optional>

#include "kernel/rows.h"
#include "store/doctor_checks.h"
#include "store/migrate.h"
#include "store/row_reader.h"
#include "store/tables.h"

namespace millrace::store {
namespace {

class Examination {
 public:
  Examination(sql::Connection& db, const ExamineOptions& options) : db_(db), options_(options) {}

  Result<void> check_store() {
    TRY(int64_t version, schema_version(db_));
    if (version != newest_schema_version()) {
      note("store", "",
           fmt::format("has schema {}, this binary knows {}: {}", version, newest_schema_version(),
                       version == 0                        ? "no server has used it yet"
                       : version > newest_schema_version() ? "use the Millrace that wrote it"
                                                           : "start the server once, it migrates"));
      readable_ = false;
      return {};
    }
    TRY(int64_t shards, query_int(db_, "SELECT count(*) FROM shard WHERE shard >= 0 AND shard < $1",
                                  kernel::kShards));
    TRY(int64_t all_shards, query_int(db_, "SELECT count(*) FROM shard"));
    if (shards != kernel::kShards || all_shards != kernel::kShards) {
      note("store", "",
           fmt::format("has {} shards, expected {}: start the server, it claims them", all_shards,
                       kernel::kShards));
    }
    TRY(int64_t two_owners,
        query_int(db_,
                  "SELECT count(*) FROM shard AS a JOIN shard AS b ON a.epoch = b.epoch AND "
                  "a.owner < b.owner AND a.owner >= 0"));
    if (two_owners > 0) {
      note("K6", "shards", "one epoch was given to two servers: each may commit for the other's");
    }
    if (!options_.check_bytes) return {};
    TRY(auto damage, db_.check_integrity());
    for (const auto& line : damage) {
      note("store", "", "the file is damaged: " + line + ": restore a backup");
    }
    return {};
  }

  Result<void> run(const Check& check) {
    if (check.bound != Bound::None && options_.now_ms == 0) return {};
    TRY(auto* query, db_.prepare(query_of(check)));
    ResetAtExit reset(*query);
    if (check.bound != Bound::None) query->bind(bound(check.bound));
    for (int found = 0;; ++found) {
      TRY(bool more, query->step());
      if (!more) return {};
      if (found == kMostFindings) {
        findings_.back().message += "; there are more like it";
        return {};
      }
      note(check.promise, fmt::format("{} {}", check.entity, query->column_int(0)),
           std::string(check.message), check.severity);
    }
  }

  // K4: the value of an event's key is the id of the event. Ids in text: no query can join them.
  Result<void> check_event_keys() {
    if (options_.now_ms == 0) return {};
    TRY(auto* keys, db_.prepare("SELECT key, value, tenant FROM dedupe /*every tenant: doctor*/ "
                                "WHERE scope LIKE 'event:%' OR scope LIKE 'body:%' UNION ALL "
                                "SELECT key, value, tenant FROM dedupe_recent"));
    ResetAtExit reset(*keys);
    int found = 0;
    for (bool more = true; more && found < kMostFindings;) {
      constexpr size_t kAtOnce = 500;
      std::vector<EventKey> some;
      while (some.size() < kAtOnce) {
        TRY(more, keys->step());
        if (!more) break;
        auto id = parse_id(keys->column_bytes(1), "value");
        if (id.ok() && *id < bound(Bound::EventRetention)) continue;
        some.push_back({std::string(keys->column_bytes(0)), std::string(keys->column_bytes(1)),
                        TenantId{keys->column_int(2)},
                        id.ok() ? std::optional(EventId{*id}) : std::nullopt});
      }
      TRY(found, check_event_keys(some, found));
    }
    return {};
  }

  // Rows of one root share the shard that its id hashes to.
  Result<void> check_shards() {
    TRY(auto* open, db_.prepare("SELECT id, tenant, root, shard FROM execution "
                                "/*every tenant: doctor*/ WHERE status < $1"));
    ResetAtExit reset(*open);
    open->bind(kFirstFinal);
    for (int found = 0; found < kMostFindings;) {
      TRY(bool more, open->step());
      if (!more) return {};
      int expected = kernel::shard_of(TenantId{open->column_int(1)}, open->column_int(2));
      if (open->column_int(3) == expected) continue;
      ++found;
      note("K6", fmt::format("execution {}", open->column_int(0)),
           fmt::format("stored in shard {}, belongs to {}", open->column_int(3), expected));
    }
    return {};
  }

  bool readable() const { return readable_; }
  std::vector<Finding> take() { return std::move(findings_); }

 private:
  struct EventKey {
    std::string key;
    std::string value;
    TenantId tenant;
    std::optional<EventId> event;  // none: the value is no id
  };
  // How many were found so far, with those of these.
  Result<int> check_event_keys(const std::vector<EventKey>& keys, int found) {
    constexpr std::string_view kIsThere = "SELECT 1 FROM event WHERE id = $1 AND tenant = $2";
    std::vector<Of<EventId>> events;
    for (const auto& key : keys) {
      if (key.event) events.push_back({key.tenant, *key.event});
    }
    TRY(read_ahead(db_, kIsThere, std::span<const Of<EventId>>(events),
                   [](sql::Batch& batch, Of<EventId> of) { batch.add(of.id, of.tenant); }));
    for (const auto& key : keys) {
      bool there = false;
      if (key.event) {
        TRY(int64_t one, query_int(db_, kIsThere, *key.event, key.tenant));
        there = one == 1;
      }
      if (there) continue;
      if (found == kMostFindings) return found;
      ++found;
      note("K4", fmt::format("key '{}'", key.key),
           fmt::format("stands for event '{}', which does not exist and is too young to have "
                       "expired: a repeated delivery is answered with it, but it was not taken in",
                       key.value));
    }
    return found;
  }

  int64_t bound(Bound bound) const {
    switch (bound) {
      case Bound::EventRetention: return first_id_at(options_.now_ms - options_.event_retention_ms);
      case Bound::ExecutionRetention:
        return first_id_at(options_.now_ms - options_.execution_retention_ms);
      case Bound::Now: return options_.now_ms;
      case Bound::None: break;
    }
    return 0;
  }
  void note(std::string_view promise, std::string entity, std::string message,
            Severity severity = Severity::Broken) {
    findings_.push_back({std::string(promise), severity, std::move(entity), std::move(message)});
  }

  sql::Connection& db_;
  const ExamineOptions& options_;
  std::vector<Finding> findings_;
  bool readable_ = true;
};

}  // namespace

std::string_view to_string(Severity severity) {
  return severity == Severity::Broken ? "broken" : "warning";
}

Result<std::vector<Finding>> examine(sql::Connection& reader, const ExamineOptions& options) {
  Examination examination(reader, options);
  auto all = [&]() -> Result<void> {
    TRY(examination.check_store());
    if (!examination.readable()) return {};
    for (const Check& check : checks()) TRY(examination.run(check));
    TRY(examination.check_event_keys());
    return examination.check_shards();
  };
  // One snapshot: a server may be writing.
  TRY(reader.run("BEGIN"));
  auto done = all();
  auto ended = reader.run("ROLLBACK");
  if (!done.ok()) return std::move(done).error();
  if (!ended.ok()) return std::move(ended).error();
  return examination.take();
}

}  // namespace millrace::store

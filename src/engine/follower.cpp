// SPDX-License-Identifier: Apache-2.0
#include "engine/follower.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "async/thread.h"
#include "base/log.h"
#include "engine/transitions/schedule.h"
#include "engine/transitions/stored_catalog.h"
#include "store/read.h"

namespace millrace::engine {

using namespace kernel;

namespace {

constexpr int kEntriesAtOnce = 1000;
constexpr size_t kMostUnread = 64;          // beyond that it is the store
constexpr std::chrono::seconds kSweep{60};  // a hint may be lost
constexpr std::chrono::seconds kAfterFailure{1};

// Numbers follow each other, whoever wrote them, and the newest entry stays.
Error missed(int64_t after, int64_t next) {
  return Error(ErrorKind::Unavailable, FeedReader::kMissed,
               fmt::format("the change feed was not followed for as long as it is kept "
                           "(retention.changes_days): of the entries behind {} the first that is "
                           "left is {}",
                           after, next));
}

}  // namespace

Result<std::unique_ptr<Follower>> Follower::start(sql::Store& store, int64_t after,
                                                  FeedReader::Outside outside,
                                                  std::function<void(const Error&)> fatal) {
  TRY(auto reader, store.open_reader());
  std::unique_ptr<Follower> made(
      new Follower(FeedReader(std::move(reader), after, std::move(outside)), std::move(fatal)));
  TRY(made->thread_, async::start_thread("follow", [raw = made.get()] { raw->run(); }));
  return made;
}

Follower::~Follower() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Follower::look() {
  std::lock_guard lock(mutex_);
  look_ = true;
  wake_.notify_one();
}

void Follower::run() {
  for (;;) {
    auto more = feed_.read();
    if (!more.ok() && more.error().code() == FeedReader::kMissed) return fatal_(more.error());
    if (!more.ok()) log_warn("feed.not_followed", {{"error", more.error().message()}});
    if (more.ok() && *more) continue;
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, more.ok() ? kSweep : kAfterFailure, [&] { return stopping_ || look_; });
    if (stopping_) return;
    look_ = false;
  }
}

Result<bool> FeedReader::read() {
  std::erase_if(unread_, [&](const auto& entry) { return take_execution(entry).ok(); });
  for (;;) {
    size_t passed_over = unread_.size();
    auto read = read_on();
    if (read.ok() || unread_.size() == passed_over) return read;
  }
}

// The entries and the rows that they tell of are of one moment: a catalogue is then what the store
// has at its version.
Result<bool> FeedReader::read_on() {
  TRY(store::begin_snapshot(*reader_));
  auto found = [&]() -> Result<bool> {
    TRY(auto entries, store::all_changes_after(*reader_, after_, kEntriesAtOnce));
    if (entries.empty()) return false;
    if (entries.front().seq != after_ + 1) return missed(after_, entries.front().seq);
    TRY(take(entries));
    after_ = entries.back().seq;
    return entries.size() == static_cast<size_t>(kEntriesAtOnce);
  }();
  auto ended = store::end_snapshot(*reader_);
  if (found.ok() && !ended.ok()) return std::move(ended).error();
  return found;
}

Result<void> FeedReader::take(const std::vector<ChangeRow>& entries) {
  std::map<TenantId, Found> catalogs;
  bool packs = false;
  std::vector<RunGiven> given;  // told once, behind all that may fail and be read again
  for (const auto& entry : entries) {
    switch (entry.type) {
      case EntityType::Execution: TRY(take_or_pass_over(entry)); break;
      case EntityType::Rule: catalogs[entry.tenant].rules.insert(entry.detail); break;
      case EntityType::Webhook:
        catalogs[entry.tenant].webhooks.insert(WebhookId{entry.entity});
        break;
      case EntityType::Timer: catalogs[entry.tenant].timers = true; break;
      case EntityType::Policy:
        catalogs[entry.tenant].policies.insert(kernel::PolicyId{entry.entity});
        break;
      case EntityType::Token: {
        TRY(auto row, store::find_token(*reader_, entry.tenant, TokenId{entry.entity}));
        outside_.token(entry.tenant, TokenId{entry.entity}, row ? &*row : nullptr);
        break;
      }
      case EntityType::Pack:
        packs = true;
        catalogs[entry.tenant].packs = true;
        break;
      case EntityType::Worker:
        if (auto use = parse_permit_use(entry.detail)) {
          given.push_back({entry.tenant, WorkerId{entry.entity}, *use});
        }
        break;
      case EntityType::Event:
      case EntityType::Enforcement:
      case EntityType::Inquiry:
      case EntityType::Operation:
      case EntityType::Key: break;
    }
  }
  for (const auto& [tenant, found] : catalogs) {
    TRY(auto news, news_of(tenant, found));
    news.after = std::exchange(told_[tenant], news.version);
    outside_.catalog(std::move(news));
  }
  for (const auto& run : given) outside_.given(run);
  if (packs) outside_.packs();
  outside_.changed();
  return {};
}

// After an error the snapshot may be lost, and is read anew without the culprit.
Result<void> FeedReader::take_or_pass_over(const ChangeRow& entry) {
  bool is_passed_over = std::ranges::any_of(unread_, [&](const auto& unread) {
    return unread.tenant == entry.tenant && unread.entity == entry.entity;
  });
  if (is_passed_over) return {};
  auto taken = take_execution(entry);
  if (taken.ok()) return {};
  const Error& why = taken.error();
  bool is_store = why.code() == sql::kDamaged || why.code() == sql::kAway;
  if (is_store || unread_.size() >= kMostUnread) return taken;
  log_warn("feed.row_not_read", {{"execution", entry.entity}, {"error", why.message()}});
  unread_.push_back(entry);
  return taken;
}

Result<void> FeedReader::take_execution(const ChangeRow& entry) const {
  Of<ExecutionId> of{entry.tenant, ExecutionId{entry.entity}};
  auto status = parse_execution_status(entry.detail);
  bool is_canceled = status == ExecutionStatus::Canceling;
  if (!status || (!is_canceled && !(is_final(*status) && outside_.is_awaited(of)))) return {};
  TRY(auto row, store::find_execution(*reader_, of.tenant, of.id));
  if (!row) return {};
  if (is_final(row->status)) outside_.ended(*row);
  if (row->status == ExecutionStatus::Canceling && row->worker) outside_.canceling(*row);
  return {};
}

Result<CatalogNews> FeedReader::news_of(TenantId tenant, const Found& found) {
  CatalogNews news{.tenant = tenant};
  TRY(auto catalog, store::catalog_of(*reader_, tenant));
  news.version = catalog.version;
  news.paused = paused_timers(catalog.paused_json);
  std::vector<RuleRow> rows;
  for (const auto& ref : found.rules) {
    TRY(auto row, store::find_rule(*reader_, tenant, ref));
    if (row) rows.push_back(std::move(*row));
  }
  TRY(news.rules, compiled_rules(std::move(rows), outside_.in_hand));
  for (WebhookId id : found.webhooks) {
    TRY(auto row, store::find_webhook(*reader_, tenant, id));
    if (row) news.webhooks.push_back(std::move(*row));
  }
  for (PolicyId id : found.policies) {
    TRY(auto row, store::find_policy(*reader_, tenant, id));
    if (row) news.policies.push_back(std::move(*row));
  }
  if (found.packs) {
    TRY(auto current, store::current_releases(*reader_));
    news.newest_release = current.newest;
  }
  return news;
}

}  // namespace millrace::engine

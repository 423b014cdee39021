// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "async/deadline.h"
#include "async/wakeup.h"
#include "base/json.h"
#include "base/text.h"
#include "net/sse.h"
#include "services/api/admission.h"
#include "services/api/call.h"
#include "services/api/routes.h"
#include "services/api/shared.h"
#include "services/api/sse.h"
#include "store/read.h"

namespace millrace::api {
namespace {

using kernel::ChangeRow;
using kernel::EntityType;

constexpr int kRowsPerRead = 500;

struct StreamQuery {
  std::vector<std::string> topics;
  std::optional<int64_t> from;

  static const Fields& fields() {
    static const Field lines[] = {
        field("topics", &StreamQuery::topics,
              "TYPE or TYPE:ID, comma-separated: event, enforcement, execution, rule, webhook, "
              "pack, token, worker, inquiry, key, operation. None: all.")
            .length(0, 50),
        field("from", &StreamQuery::from, "Begin after this sequence number; default: now."),
    };
    static const auto table = fields_of<StreamQuery>("StreamQuery", "", lines);
    return table;
  }
};

struct Topic {
  EntityType type;
  int64_t entity = 0;  // 0: all of the type
};

Result<Topic> parse_topic(std::string_view text) {
  auto colon = text.find(':');
  auto name = text.substr(0, colon);
  auto type =
      kernel::parse_entity_type(name.ends_with('s') ? name.substr(0, name.size() - 1) : name);
  if (!type) {
    std::vector<std::string_view> names;
    for (int i = 0; i <= static_cast<int>(EntityType::Timer); ++i) {
      names.push_back(kernel::to_string(static_cast<EntityType>(i)));
    }
    return Error(ErrorKind::Invalid, "API-0034",
                 fmt::format("unknown topic '{}'{}", text, did_you_mean(name, names)))
        .with_problem("?topics", "expected entity types such as execution");
  }
  Topic topic{*type};
  if (colon != std::string_view::npos) {
    TRY(topic.entity, parse_id(text.substr(colon + 1), "topic"));
  }
  return topic;
}

struct ChangeRequest {
  Credential credential;
  TenantId tenant;
  std::vector<Topic> topics;
  std::optional<int64_t> after;  // none: from now on

  bool wants(const ChangeRow& row) const {
    if (topics.empty()) return true;
    for (const auto& topic : topics) {
      if (topic.type == row.type && (topic.entity == 0 || topic.entity == row.entity)) return true;
    }
    return false;
  }
};

void append_change(std::string& events, const ChangeRow& row) {
  auto type = kernel::to_string(row.type);
  std::string data = fmt::format(
      R"({{"sequence":{},"notification_type":"{}.{}","entity_type":"{}","entity_id":"{}",)",
      row.seq, type, kernel::to_string(row.op), type, row.entity);
  data += R"("payload":{"detail":)";
  append_json_string(data, row.detail);
  data += R"(},"timestamp":")" + to_rfc3339(row.at) + R"("})";
  net::append_sse_event(events, std::to_string(row.seq), "notification", data);
}

// Follows the change feed for one client. The feed itself is the queue: a slow client is behind
// in it and costs no memory.
class ChangeFollower {
 public:
  ChangeFollower(Shared& shared, ChangeRequest request, net::BodyWriter& out, async::Executor loop)
      : shared_(shared), request_(std::move(request)), out_(out), wakeup_(std::move(loop)) {
    auto wakeup = wakeup_;
    subscription_ = shared_.engine.on_change([wakeup] { wakeup.notify(); });
    stream_ = shared_.streams.add(wakeup_);
  }
  ~ChangeFollower() {
    shared_.engine.forget(subscription_);
    shared_.streams.forget(stream_);
  }
  ChangeFollower(const ChangeFollower&) = delete;

  Task<Result<void>> run() {
    CO_TRY(co_await begin());
    const async::Duration keep_alive(shared_.options.keep_alive_ms);
    for (;;) {
      CO_TRY(co_await request_.credential.check(shared_));
      CO_TRY(bool more, co_await send_changes());
      if (more) continue;
      auto limit = request_.credential.lasts(shared_, keep_alive);
      bool woken = co_await wakeup_.wait_for(limit);
      if (!woken) CO_TRY(co_await out_.write(kKeepAlive));
      // Commits come by the thousand: what gathers in the pause is one read and one write.
      if (woken) co_await async::sleep_for(async::Duration(shared_.options.stream_pause_ms));
    }
  }

 private:
  // The welcome tells where the feed stands, a gap what is not there any more.
  Task<Result<void>> begin() {
    store::FeedEnds ends;
    CO_TRY(co_await shared_.readers.run([&ends](sql::Connection& db) -> Result<void> {
      TRY(ends, store::feed_ends(db));
      return {};
    }));
    std::string events;
    constexpr int64_t kLast = INT64_MAX - 1;  // the next one is a number too
    after_ = std::min(request_.after.value_or(ends.newest), kLast);
    bool expired = after_ + 1 < ends.oldest;
    if (expired || after_ > ends.newest) {
      append_gap(events, ends);
      after_ = expired ? ends.oldest - 1 : ends.newest;
    }
    net::append_sse_event(events, std::to_string(after_), "welcome",
                          fmt::format(R"({{"sequence":{}}})", after_));
    co_return co_await out_.write(events);
  }

  void append_gap(std::string& events, const store::FeedEnds& ends) const {
    net::append_sse_event(events, {}, "gap",
                          fmt::format(R"({{"from":{},"oldest":{},"newest":{}}})", after_ + 1,
                                      ends.oldest, ends.newest));
  }

  // True when there may be more.
  Task<Result<bool>> send_changes() {
    std::vector<ChangeRow> rows;
    store::FeedEnds before;
    store::FeedEnds ends;
    CO_TRY(co_await shared_.readers.run([&](sql::Connection& db) -> Result<void> {
      TRY(before, store::feed_ends(db));
      TRY(rows, store::changes_after(db, request_.tenant, after_, kRowsPerRead));
      TRY(ends, store::feed_ends(db));
      return {};
    }));
    std::string events;
    // Retention has overtaken it: what went before these rows were read was not sent.
    int64_t next = rows.empty() ? before.newest + 1 : rows.front().seq;
    int64_t oldest = std::min(ends.oldest, next);
    if (after_ + 1 < oldest) {
      append_gap(events, ends);
      after_ = oldest - 1;
    }
    for (const auto& row : rows) {
      if (request_.wants(row)) append_change(events, row);
      after_ = row.seq;
    }
    if (!events.empty()) CO_TRY(co_await out_.write(events));
    bool more = rows.size() == kRowsPerRead;
    // The changes of other tenants are not waited for, and not missed.
    if (!more) after_ = std::max(after_, before.newest);
    co_return more;
  }

  Shared& shared_;
  ChangeRequest request_;
  net::BodyWriter& out_;
  async::Wakeup wakeup_;
  int64_t subscription_ = 0;
  int64_t stream_ = 0;
  int64_t after_ = 0;
};

Task<void> follow_changes(Shared& shared, ChangeRequest request, net::BodyWriter& out) {
  ChangeFollower follower(shared, std::move(request), out, co_await async::this_executor());
  // It ends when the client is gone, who resumes by id when it comes back, or has no right any
  // more.
  auto end = co_await follower.run();
  if (end.ok() || !is_denied(end.error())) co_return;
  if (auto told = co_await out.write(error_event(end.error())); !told.ok()) co_return;
}

Response open_stream(Call& call) {
  TRY(auto query, call.query<StreamQuery>());
  ChangeRequest request{Credential(call), call.who.tenant, {}, query.from};
  for (const auto& text : query.topics) {
    TRY(auto topic, parse_topic(text));
    request.topics.push_back(topic);
  }
  if (auto last = call.http.headers.find("last-event-id"); !last.empty()) {
    int64_t sequence = 0;
    auto [end, error] = std::from_chars(last.data(), last.data() + last.size(), sequence);
    if (error != std::errc() || end != last.data() + last.size() || sequence < 0) {
      return Error(
          ErrorKind::Invalid, "API-0035",
          fmt::format("Last-Event-ID: expected a sequence number, found '{}'", last.substr(0, 64)));
    }
    request.after = sequence;
  }
  Shared* shared = &call.api;
  return event_stream(call, [shared, request](net::BodyWriter& out) {
    return follow_changes(*shared, request, out);
  });
}

}  // namespace

std::vector<Route> stream_routes() {
  return {{.name = "open_stream",
           .method = "GET",
           .pattern = "/api/v1/stream",
           .access = auth::Permission::StreamRead,
           .handler = open_stream,
           .summary = "Changes live, as server-sent events; resumes by Last-Event-ID.",
           .query = &StreamQuery::fields(),
           .answer_form = AnswerForm::Stream}};
}

}  // namespace millrace::api

// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "services/api/call.h"
#include "services/api/execution_watch.h"
#include "services/api/live_output.h"
#include "services/api/output_follower.h"
#include "services/api/output_store.h"
#include "services/api/parse.h"
#include "services/api/routes.h"
#include "services/api/sse.h"

namespace millrace::api {
namespace {

enum class Streams : uint8_t { Stdout, Stderr, Both };
std::string_view to_string(Streams streams) {
  switch (streams) {
    case Streams::Stdout: return "stdout";
    case Streams::Stderr: return "stderr";
    case Streams::Both: return "both";
  }
  return "unknown";
}

struct OutputQuery {
  Streams stream = Streams::Stdout;
  int64_t from = 0;
  int64_t limit = 256 << 10;
  int attempt = 0;
  bool follow = false;

  static const Fields& fields() {
    static const Field lines[] = {
        field("stream", &OutputQuery::stream, "`both` only with follow."),
        field("from", &OutputQuery::from, "Offset of the first byte.").at_least(0).unit("bytes"),
        field("limit", &OutputQuery::limit, "Most bytes of one answer.")
            .range(1, 4 << 20)
            .unit("bytes"),
        field("attempt", &OutputQuery::attempt, "0: the newest.").at_least(0),
        field("follow", &OutputQuery::follow,
              "Server-sent events until the execution is final; resumes by Last-Event-ID."),
    };
    static const auto table = fields_of<OutputQuery>("OutputQuery", "", lines);
    return table;
  }
};

// Only the schema: the answer is written by hand, because the bytes are large.
struct OutputView {
  ExecutionId execution;
  std::string stream;
  int64_t from = 0;
  int64_t next = 0;
  std::string encoding;
  std::string data;
  int64_t size = 0;
  int64_t dropped = 0;
  bool complete = false;

  static const Fields& fields() {
    using V = OutputView;
    static const Field lines[] = {
        field("execution", &V::execution, ""),
        field("stream", &V::stream, "stdout or stderr"),
        field("from", &V::from, "Offset of the first byte of `data`.").unit("bytes"),
        field("next", &V::next, "Offset to go on from.").unit("bytes"),
        field("encoding", &V::encoding, "utf-8, or base64 when the bytes are no UTF-8."),
        field("data", &V::data, ""),
        field("size", &V::size, "Stored bytes of the whole stream.").unit("bytes"),
        field("dropped", &V::dropped, "Bytes beyond the cap, not stored.").unit("bytes"),
        field("complete", &V::complete, "The run has ended: no more will come."),
    };
    static const auto table = fields_of<V>("Output", "A piece of an execution's output.", lines);
    return table;
  }
};

Response follow(Call& call, const OutputQuery& query, ExecutionId id) {
  FollowRequest request{
      Credential(call), call.who.tenant, id, {}, {query.attempt, {query.from, query.from}}};
  request.wanted = {query.stream != Streams::Stderr, query.stream != Streams::Stdout};
  if (auto last = call.http.headers.find("last-event-id"); !last.empty()) {
    TRY(request.position, OutputPosition::parse(last));
  }
  Shared* shared = &call.api;
  return event_stream(call, [shared, request](net::BodyWriter& out) {
    return follow_output(*shared, request, out);
  });
}

// What a run under way has printed, as far as its server has it in memory. Bytes before it come
// with the end of the run.
OutputSlice live_slice(const std::vector<kernel::OutputChunk>& kept, const OutputQuery& query,
                       kernel::Stream stream) {
  OutputSlice slice;
  for (const auto& chunk : kept) {
    int64_t next = query.from + static_cast<int64_t>(slice.bytes.size());
    int64_t end = chunk.offset + static_cast<int64_t>(chunk.bytes.size());
    if (chunk.stream != stream) continue;
    slice.size = std::max(slice.size, end);
    if (chunk.offset > next || end <= next) continue;
    slice.bytes += chunk.bytes.substr(static_cast<size_t>(next - chunk.offset));
  }
  auto limit = static_cast<size_t>(query.limit);
  if (slice.bytes.size() > limit) slice.bytes.resize(limit);
  return slice;
}

Response output_piece(Call& call, sql::Connection& db, const OutputQuery& query,
                      const kernel::ExecutionRow& row) {
  auto stream = query.stream == Streams::Stderr ? kernel::Stream::Stderr : kernel::Stream::Stdout;
  TRY(auto slice, read_output(db, *call.api.options.blobs, row.tenant, row.id, query.attempt,
                              stream, query.from, query.limit));
  if (!slice.durable) slice = live_slice(kept_output(call.api, db, row), query, stream);
  std::string_view bytes = slice.bytes;
  if (!slice.durable || query.from + static_cast<int64_t>(bytes.size()) < slice.size) {
    auto whole = whole_characters(bytes);
    if (!whole.empty()) bytes = whole;
  }
  std::string body = fmt::format(R"({{"data":{{"execution":"{}","stream":"{}",)", row.id.value,
                                 to_string(query.stream));
  append_output_members(body, query.from, bytes);
  body += fmt::format(R"(,"size":{},"dropped":{},"complete":{}}}}})", slice.size, slice.dropped,
                      slice.durable);
  return net::HttpResponse::json(200, std::move(body));
}

Task<Response> show_output(Call& call) {
  CO_TRY(auto id, call.id<ExecutionId>());
  CO_TRY(auto query, call.query<OutputQuery>());
  CO_TRY(auto row, co_await read_execution(call.api, call.who.tenant, id));
  if (query.follow) co_return follow(call, query, id);
  if (query.stream == Streams::Both) {
    co_return Error(ErrorKind::Invalid, "API-0033", "stream=both goes only with follow=true")
        .with_problem("?stream", "expected stdout or stderr without follow");
  }
  net::HttpResponse response;
  CO_TRY(co_await call.api.readers.run([&](sql::Connection& db) -> Result<void> {
    TRY(response, output_piece(call, db, query, row));
    return {};
  }));
  co_return response;
}

}  // namespace

std::vector<Route> output_routes() {
  return {{.name = "show_execution_output",
           .method = "GET",
           .pattern = "/api/v1/executions/{id}/output",
           .access = auth::Permission::ExecutionsRead,
           .handler = show_output,
           .summary = "A piece of stdout or stderr by byte offset; with follow, live.",
           .query = &OutputQuery::fields(),
           .answer = &OutputView::fields()}};
}

}  // namespace millrace::api

// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/run_elsewhere.h"

#include "engine/transitions/start.h"
#include "kernel/work_codec.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// A body is one frame (base/wire.h):
//   completion, u8 unheard, stdout, stderr   each stream: u8 1, text | u8 0, u8 kind, text, text
void put_stream(FrameWriter& w, const Result<std::string>& stream) {
  if (stream.ok()) {
    w.u8(1).text(*stream);
    return;
  }
  const Error& why = stream.error();
  w.u8(0).u8(static_cast<uint8_t>(why.kind())).text(why.code()).text(why.message());
}

Result<std::string> get_stream(FrameReader& r) {
  if (r.u8() == 1) return std::string(r.text());
  auto kind = static_cast<ErrorKind>(std::min(r.u8(), static_cast<uint8_t>(ErrorKind::Internal)));
  std::string code(r.text());
  return Error(kind, code, std::string(r.text()));
}

bool try_encode(const RunEnded& ended, std::string& body) {
  body.clear();
  FrameWriter w(body);
  put(w, ended.completion);
  w.u8(ended.unheard ? 1 : 0);
  put_stream(w, ended.stored.out);
  put_stream(w, ended.stored.err);
  return w.end();
}

std::string encode(RunEnded ended) {
  std::string body;
  if (try_encode(ended, body)) return body;
  Error too_large(ErrorKind::TooLarge, "EXE-0023",
                  "it was too large to be handed from one server to another");
  ended.stored = {too_large, too_large};
  ended.completion.output = Value();
  ended.completion.output_error = too_large.message();
  bool fits = try_encode(ended, body);
  ASSERT_MSG(fits, "what is left is the inline part of two streams");
  return body;
}

}  // namespace

bool is_elsewhere(const Context& ctx, const ExecutionRow& row) {
  return !ctx.shards().has(shard_of(row.tenant, row.root.value));
}

void send_end(Context& ctx, const ExecutionRow& row, const RunEnded& ended) {
  send(ctx, row, MessageKind::FinishRun, row.id);
  ctx.changes.messages.back().body_json = encode(ended);
}

void send_loss(Context& ctx, const ExecutionRow& row, bool unheard, std::string_view why) {
  RunEnded lost{.completion = {.tenant = row.tenant, .key = row.key(), .end = RunEnd::Lost}};
  lost.completion.message = why;
  lost.unheard = unheard;
  send_end(ctx, row, lost);
}

Result<RunEnded> read_end(std::string_view body) {
  FrameBuffer buffer;
  buffer.append(body);
  TRY(auto frame, buffer.next());
  if (frame) {
    FrameReader r(*frame);
    RunEnded ended{.completion = get_completion(r)};
    ended.unheard = r.u8() != 0;
    ended.stored.out = get_stream(r);
    ended.stored.err = get_stream(r);
    if (r.complete()) return ended;
  }
  return Error(ErrorKind::Internal, "ENG-0010", "the stored end of a run cannot be read");
}

}  // namespace millrace::engine

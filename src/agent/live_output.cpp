// SPDX-License-Identifier: Apache-2.0
#include "agent/live_output.h"

#include <algorithm>

namespace millrace::agent {

void LiveOutput::send(const Streams::key_type& of, Stream& stream, std::string bytes) {
  auto size = static_cast<int64_t>(bytes.size());
  send_({.key = of.first,
         .stream = of.second,
         .offset = stream.sent,
         .bytes = std::move(bytes),
         .lost_before = std::exchange(stream.lost, false)});
  stream.sent += size;
}

void LiveOutput::catch_up(const Streams::key_type& of, Stream& stream) {
  while (stream.sent < stream.end && has_room(stream)) {
    auto count = std::min(stream.end - stream.sent, kPieceBytes);
    auto bytes =
        spool_.read(kernel::output_ref(stream.tenant, of.first, of.second), stream.sent, count);
    if (!bytes.ok() || bytes->empty()) {  // may fail: it is live output, and its end brings all
      stream.sent = stream.taken = stream.end;
      stream.lost = true;
      return;
    }
    send(of, stream, std::move(*bytes));
  }
}

void LiveOutput::came(kernel::OutputChunk chunk) {
  auto [at, is_new] = streams_.try_emplace({chunk.key, chunk.stream});
  Stream& stream = at->second;
  auto size = static_cast<int64_t>(chunk.bytes.size());
  if (is_new) {
    // Of a run that was adopted: the server asks for what lies before, if it has not had that.
    stream = {.tenant = chunk.tenant, .sent = chunk.offset, .taken = chunk.offset};
  }
  bool is_next = chunk.offset <= stream.sent && stream.sent >= stream.end;
  stream.end = std::max(stream.end, chunk.offset + size);
  if (stream.end <= stream.sent) return;
  if (!is_next || !has_room(stream)) {
    catch_up(at->first, stream);
    // Skipped: this piece is here.
    if (!stream.lost || stream.end != chunk.offset + size) return;
    stream.sent = stream.taken = chunk.offset;
  }
  chunk.bytes.erase(0, static_cast<size_t>(stream.sent - chunk.offset));
  send(at->first, stream, std::move(chunk.bytes));
}

void LiveOutput::taken(const OutputTaken& taken) {
  auto at = streams_.find({taken.key, taken.stream});
  if (at == streams_.end()) return;
  Stream& stream = at->second;
  stream.taken = std::clamp(taken.offset, stream.taken, stream.sent);
  catch_up(at->first, stream);
}

void LiveOutput::wanted(const OutputWanted& wanted) {
  auto at = streams_.find({wanted.key, wanted.stream});
  if (at == streams_.end() || wanted.offset < 0 || wanted.offset >= at->second.sent) return;
  Stream& stream = at->second;
  stream.sent = stream.taken = wanted.offset;
  catch_up(at->first, stream);
}

void LiveOutput::forget(const kernel::RunKey& key) {
  for (auto stream : {kernel::Stream::Stdout, kernel::Stream::Stderr}) {
    streams_.erase({key, stream});
  }
}

}  // namespace millrace::agent

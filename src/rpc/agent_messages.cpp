// SPDX-License-Identifier: Apache-2.0
#include "rpc/agent_messages.h"

#include <fmt/format.h>
#include <millrace/agent/v1/agent.pb.h>

#include <algorithm>
#include <optional>

#include "base/wire.h"
#include "kernel/work_codec.h"

namespace millrace::rpc {
namespace {

using namespace agent;

Error unreadable(std::string_view what) {
  return Error(ErrorKind::Invalid, "RPC-0013",
               fmt::format("a message of an agent's session cannot be read: {}", what));
}

void put(v1::RunKey& to, const kernel::RunKey& key, TenantId tenant = {}) {
  to.set_execution(key.execution.value);
  to.set_attempt(key.attempt);
  to.set_epoch(key.epoch);
  to.set_tenant(tenant.value);
}

kernel::RunKey key_of(const v1::RunKey& key) {
  return {ExecutionId(key.execution()), key.attempt(), key.epoch()};
}

Of<kernel::RunKey> run_of(const v1::RunKey& key) { return {TenantId(key.tenant()), key_of(key)}; }

v1::Stream to_proto(kernel::Stream stream) {
  return stream == kernel::Stream::Stderr ? v1::STREAM_STDERR : v1::STREAM_STDOUT;
}

kernel::Stream stream_of(v1::Stream stream) {
  return stream == v1::STREAM_STDERR ? kernel::Stream::Stderr : kernel::Stream::Stdout;
}

// As a frame without its length. Empty: it is larger than any frame.
template <typename Message>
std::string frame_of(const Message& message) {
  std::string frame;
  FrameWriter w(frame);
  kernel::put(w, message);
  return w.end() ? frame.substr(sizeof(uint32_t)) : std::string();
}

// Each kind of message into its field, and back. One overload for each, so that a new one does not
// compile until it is sent.
void put(v1::FromAgent& to, const Hello& hello) {
  const auto& [name, slots, runtimes, instance, adopted, elsewhere, labels, opening] = hello.worker;
  auto& out = *to.mutable_hello();
  out.set_name(name);
  out.set_instance(instance);
  out.set_slots(slots);
  for (const auto& label : labels) out.add_labels(label);
  for (const auto& runtime : runtimes) out.add_runtimes(runtime);
  for (const auto& run : adopted) put(*out.add_adopted(), run);
  out.set_opening(opening);
}

void put(v1::FromAgent& to, const Renew& renew) { to.mutable_renew()->set_seq(renew.seq); }

void put(v1::FromAgent& to, const Preparing& preparing) {
  put(*to.mutable_preparing()->mutable_key(), preparing.key);
  to.mutable_preparing()->set_what(preparing.what);
}

void put(v1::FromAgent& to, const Prepared& prepared) {
  put(*to.mutable_prepared()->mutable_key(), prepared.key);
}

void put(v1::FromAgent& to, const Output& output) {
  auto& out = *to.mutable_output();
  put(*out.mutable_key(), output.key);
  out.set_stream(to_proto(output.stream));
  out.set_offset(output.offset);
  out.set_data(output.bytes);
  out.set_lost_before(output.lost_before);
}

void put(v1::FromAgent& to, const Blob& blob) {
  auto& out = *to.mutable_blob();
  put(*out.mutable_key(), blob.key);
  out.set_part(blob.part);
  out.set_offset(blob.offset);
  out.set_data(blob.bytes);
  out.set_size(blob.size);
}

void put(v1::FromAgent& to, const Finished& finished) {
  to.mutable_finished()->set_completion(frame_of(finished.completion));
}

void put(v1::FromAgent& to, const WantRelease& want) {
  auto& out = *to.mutable_want_release();
  out.set_pack(want.pack);
  out.set_digest(want.digest);
  out.set_offset(want.offset);
}

void put(v1::FromAgent& to, const Draining&) { to.mutable_draining(); }
void put(v1::FromAgent& to, const Leave&) { to.mutable_leave(); }

void put(v1::ToAgent& to, const Welcome& welcome) {
  const auto& [id, worker, ttl_ms, renew_ms, fence_ms, since_ms, adopted] = welcome.session;
  auto& out = *to.mutable_welcome();
  out.set_session(id.value);
  out.set_worker(worker.value);
  out.set_ttl_ms(ttl_ms);
  out.set_renew_ms(renew_ms);
  out.set_fence_ms(fence_ms);
  for (const auto& run : adopted) {
    auto& one = *out.add_adopted();
    put(*one.mutable_run(), run.key, run.tenant);
    one.set_output_format(static_cast<uint32_t>(run.output_format));
    one.mutable_secrets()->Assign(run.secrets.begin(), run.secrets.end());
  }
}

void put(v1::ToAgent& to, const Refused& refused) {
  auto& out = *to.mutable_refused();
  out.set_kind(std::string(to_string(refused.kind)));
  out.set_code(refused.code);
  out.set_message(refused.message);
}

void put(v1::ToAgent& to, const Renewed& renewed) { to.mutable_renewed()->set_seq(renewed.seq); }
void put(v1::ToAgent& to, const Over&) { to.mutable_over(); }

void put(v1::ToAgent& to, const Grant& grant) {
  to.mutable_grant()->set_order(frame_of(grant.order));
}

void put(v1::ToAgent& to, const Cancel& cancel) {
  put(*to.mutable_cancel()->mutable_key(), cancel.run.id, cancel.run.tenant);
  to.mutable_cancel()->set_reason(cancel.reason);
}

void put(v1::ToAgent& to, const Go& go) {
  put(*to.mutable_go()->mutable_key(), go.key);
  to.mutable_go()->set_begin(go.go);
}

void put(v1::ToAgent& to, const OutputTaken& taken) {
  auto& out = *to.mutable_output_taken();
  put(*out.mutable_key(), taken.key);
  out.set_stream(to_proto(taken.stream));
  out.set_offset(taken.offset);
}

void put(v1::ToAgent& to, const OutputWanted& wanted) {
  auto& out = *to.mutable_output_wanted();
  put(*out.mutable_key(), wanted.key);
  out.set_stream(to_proto(wanted.stream));
  out.set_offset(wanted.offset);
}

void put(v1::ToAgent& to, const BlobTaken& taken) {
  auto& out = *to.mutable_blob_taken();
  put(*out.mutable_key(), taken.key);
  out.set_part(taken.part);
  out.set_offset(taken.offset);
}

void put(v1::ToAgent& to, const Acknowledged& acknowledged) {
  put(*to.mutable_acknowledged()->mutable_key(), acknowledged.key);
}

void put(v1::ToAgent& to, const ReleasePiece& piece) {
  auto& out = *to.mutable_release_piece();
  out.set_pack(piece.pack);
  out.set_digest(piece.digest);
  out.set_offset(piece.offset);
  out.set_size(piece.size);
  out.set_data(piece.bytes);
  out.set_error(piece.error);
}

void put(v1::ToAgent& to, const Drain& drain) {
  to.mutable_drain()->set_deadline_ms(drain.deadline_ms);
}

Hello hello_of(const v1::Hello& in) {
  Hello hello;
  hello.worker.name = in.name();
  hello.worker.instance = in.instance();
  hello.worker.slots = in.slots();
  hello.worker.labels.assign(in.labels().begin(), in.labels().end());
  hello.worker.runtimes.assign(in.runtimes().begin(), in.runtimes().end());
  for (const auto& run : in.adopted()) hello.worker.adopted.push_back(key_of(run));
  hello.worker.opening = in.opening();
  return hello;
}

Welcome welcome_of(const v1::Welcome& in) {
  Welcome welcome{{.id = SessionId(in.session()),
                   .worker = WorkerId(in.worker()),
                   .ttl_ms = in.ttl_ms(),
                   .renew_ms = in.renew_ms(),
                   .fence_ms = in.fence_ms()}};
  for (const auto& one : in.adopted()) {
    auto format = std::min(one.output_format(), static_cast<uint32_t>(OutputFormat::Jsonl));
    welcome.session.adopted.push_back({.tenant = TenantId(one.run().tenant()),
                                       .key = key_of(one.run()),
                                       .output_format = static_cast<OutputFormat>(format),
                                       .secrets = {one.secrets().begin(), one.secrets().end()}});
  }
  return welcome;
}

// A kind that it does not know is one that may be tried again.
ErrorKind kind_of(std::string_view name) {
  for (auto kind : {ErrorKind::Invalid, ErrorKind::Unauthorized, ErrorKind::Forbidden,
                    ErrorKind::NotFound, ErrorKind::Conflict, ErrorKind::Internal}) {
    if (to_string(kind) == name) return kind;
  }
  return ErrorKind::Unavailable;
}

}  // namespace

v1::FromAgent to_proto(const FromAgent& message) {
  v1::FromAgent to;
  std::visit([&](const auto& one) { put(to, one); }, message);
  return to;
}

v1::ToAgent to_proto(const ToAgent& message) {
  v1::ToAgent to;
  std::visit([&](const auto& one) { put(to, one); }, message);
  return to;
}

Result<FromAgent> from_proto(const v1::FromAgent& in) {
  switch (in.message_case()) {
    case v1::FromAgent::kHello: return FromAgent(hello_of(in.hello()));
    case v1::FromAgent::kRenew: return FromAgent(Renew{in.renew().seq()});
    case v1::FromAgent::kPreparing:
      return FromAgent(Preparing{key_of(in.preparing().key()), in.preparing().what()});
    case v1::FromAgent::kPrepared: return FromAgent(Prepared{key_of(in.prepared().key())});
    case v1::FromAgent::kOutput:
      return FromAgent(Output{key_of(in.output().key()), stream_of(in.output().stream()),
                              in.output().offset(), in.output().data(), in.output().lost_before()});
    case v1::FromAgent::kBlob:
      return FromAgent(Blob{key_of(in.blob().key()), in.blob().part(), in.blob().offset(),
                            in.blob().data(), in.blob().size()});
    case v1::FromAgent::kFinished: {
      FrameReader r(in.finished().completion());
      Finished finished{kernel::get_completion(r)};
      if (!r.complete()) return unreadable("the end of a run");
      return FromAgent(std::move(finished));
    }
    case v1::FromAgent::kWantRelease:
      return FromAgent(WantRelease{in.want_release().pack(), in.want_release().digest(),
                                   in.want_release().offset()});
    case v1::FromAgent::kDraining: return FromAgent(Draining{});
    case v1::FromAgent::kLeave: return FromAgent(Leave{});
    case v1::FromAgent::MESSAGE_NOT_SET: break;
  }
  return unreadable("its kind is unknown");
}

Result<ToAgent> from_proto(const v1::ToAgent& in) {
  switch (in.message_case()) {
    case v1::ToAgent::kWelcome: return ToAgent(welcome_of(in.welcome()));
    case v1::ToAgent::kRefused:
      return ToAgent(
          Refused{kind_of(in.refused().kind()), in.refused().code(), in.refused().message()});
    case v1::ToAgent::kRenewed: return ToAgent(Renewed{in.renewed().seq()});
    case v1::ToAgent::kOver: return ToAgent(Over{});
    case v1::ToAgent::kGrant: {
      FrameReader r(in.grant().order());
      Grant grant{kernel::get_order(r)};
      if (!r.complete()) return unreadable("an order");
      return ToAgent(std::move(grant));
    }
    case v1::ToAgent::kCancel:
      return ToAgent(Cancel{run_of(in.cancel().key()), in.cancel().reason()});
    case v1::ToAgent::kGo: return ToAgent(Go{key_of(in.go().key()), in.go().begin()});
    case v1::ToAgent::kOutputTaken:
      return ToAgent(OutputTaken{key_of(in.output_taken().key()),
                                 stream_of(in.output_taken().stream()),
                                 in.output_taken().offset()});
    case v1::ToAgent::kOutputWanted:
      return ToAgent(OutputWanted{key_of(in.output_wanted().key()),
                                  stream_of(in.output_wanted().stream()),
                                  in.output_wanted().offset()});
    case v1::ToAgent::kBlobTaken:
      return ToAgent(BlobTaken{key_of(in.blob_taken().key()), in.blob_taken().part(),
                               in.blob_taken().offset()});
    case v1::ToAgent::kAcknowledged: return ToAgent(Acknowledged{key_of(in.acknowledged().key())});
    case v1::ToAgent::kReleasePiece: {
      const auto& piece = in.release_piece();
      return ToAgent(ReleasePiece{piece.pack(), piece.digest(), piece.offset(), piece.size(),
                                  piece.data(), piece.error()});
    }
    case v1::ToAgent::kDrain: return ToAgent(Drain{in.drain().deadline_ms()});
    case v1::ToAgent::MESSAGE_NOT_SET: break;
  }
  return unreadable("its kind is unknown");
}

}  // namespace millrace::rpc

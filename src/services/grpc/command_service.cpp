// SPDX-License-Identifier: Apache-2.0
#include "services/grpc/command_service.h"

#include <fmt/format.h>
#include <millrace/internal/v1/command.pb.h>

#include <algorithm>
#include <atomic>
#include <future>

namespace millrace::rpc {
namespace {

using internal::v1::FollowOutputRequest;
using internal::v1::GetBlobReply;
using internal::v1::GetBlobRequest;
using internal::v1::GetReleaseReply;
using internal::v1::GetReleaseRequest;
using internal::v1::LendSlotsReply;
using internal::v1::LendSlotsRequest;
using internal::v1::OutputPiece;
using internal::v1::SubmitReply;
using internal::v1::SubmitRequest;
using internal::v1::TakeSlotBackReply;
using internal::v1::TakeSlotBackRequest;

constexpr char kSubmit[] = "millrace.internal.v1.CommandService/Submit";
constexpr char kGetBlob[] = "millrace.internal.v1.CommandService/GetBlob";
constexpr char kGetRelease[] = "millrace.internal.v1.CommandService/GetRelease";
constexpr char kFollowOutput[] = "millrace.internal.v1.CommandService/FollowOutput";
constexpr char kLendSlots[] = "millrace.internal.v1.CommandService/LendSlots";
constexpr char kTakeSlotBack[] = "millrace.internal.v1.CommandService/TakeSlotBack";
// Of a call that waits at the other end, beyond that.
constexpr std::chrono::milliseconds kOnTheWay{5'000};

template <typename Message>
void put_headers(const HeaderLines& headers, Message& message) {
  for (const auto& [name, value] : headers) {
    auto& line = *message.add_headers();
    line.set_name(name);
    line.set_value(value);
  }
}

template <typename Message>
HeaderLines headers_of(const Message& message) {
  HeaderLines headers;
  for (const auto& line : message.headers()) headers.emplace_back(line.name(), line.value());
  return headers;
}

void put_principal(const auth::Principal& who, internal::v1::Principal& out) {
  out.set_tenant(who.tenant.value);
  out.set_identity(who.identity);
  for (int i = 0; i < auth::kPermissions; ++i) {
    auto permission = static_cast<auth::Permission>(i);
    if (who.permissions.allow(permission)) {
      out.add_permissions(std::string(auth::to_string(permission)));
    }
  }
  for (const auto& role : who.roles) out.add_roles(role);
  out.set_execution(who.execution.value);
  out.set_expires_ms(who.expires);
  out.set_token(who.token.value);
}

auth::Principal principal_of(const internal::v1::Principal& in) {
  auth::Principal who;
  who.tenant = TenantId{in.tenant()};
  who.identity = in.identity();
  for (const auto& word : in.permissions()) {
    // may fail: of a newer version; what is not known grants nothing
    if (auto known = auth::Permissions::parse(word); known.ok()) who.permissions.add(*known);
  }
  who.roles.assign(in.roles().begin(), in.roles().end());
  who.execution = ExecutionId{in.execution()};
  who.expires = in.expires_ms();
  who.token = TokenId{in.token()};
  return who;
}

Forwarded forwarded_of(SubmitRequest& request, const Caller& caller) {
  Forwarded forwarded{.method = request.method(),
                      .target = request.target(),
                      .headers = headers_of(request),
                      .body = std::move(*request.mutable_body()),
                      .who = principal_of(request.principal()),
                      .address = request.peer(),
                      .hops = request.hops(),
                      .request_id = caller.request_id,
                      .trace = caller.trace};
  forwarded.left = std::chrono::duration_cast<std::chrono::milliseconds>(
      caller.deadline - std::chrono::system_clock::now());
  return forwarded;
}

SubmitReply reply_of(ForwardedAnswer answer) {
  SubmitReply reply;
  reply.set_status(answer.status);
  reply.set_content_type(answer.content_type);
  put_headers(answer.headers, reply);
  *reply.mutable_body() = std::move(answer.body);
  return reply;
}

Result<GetBlobReply> piece_of(const CommandHandlers& handlers, const GetBlobRequest& request) {
  // The room of blobs is that of the key ring, too.
  if (kernel::execution_of(request.ref()).id.value == 0) {
    return Error(ErrorKind::Invalid, "BLB-0002",
                 fmt::format("blob reference '{}': expected output or an artifact of an execution",
                             request.ref().substr(0, 200)));
  }
  GetBlobReply reply;
  auto& blobs = *handlers.blobs;
  TRY(int64_t size, blobs.size(request.ref()));
  reply.set_size(static_cast<uint64_t>(size));
  int64_t count = std::min<int64_t>(request.length(), kBlobPiece);
  if (count == 0 || std::cmp_greater_equal(request.offset(), size)) return reply;
  TRY(*reply.mutable_data(),
      blobs.read(request.ref(), static_cast<int64_t>(request.offset()), count));
  return reply;
}

Result<GetReleaseReply> release_piece_of(const CommandHandlers& handlers,
                                         const GetReleaseRequest& request) {
  TRY(auto piece, handlers.read_release({.pack = request.pack(),
                                         .digest = request.digest(),
                                         .offset = static_cast<int64_t>(request.offset())}));
  GetReleaseReply reply;
  reply.set_size(static_cast<uint64_t>(piece.size));
  *reply.mutable_data() = std::move(piece.bytes);
  return reply;
}

// Called under the lock of all live output: takes the piece, or lets it go.
OnOutput into(const Stream<FollowOutputRequest, OutputPiece>& stream) {
  auto on_its_way = std::make_shared<std::atomic<int64_t>>(0);
  return [stream, on_its_way](const kernel::OutputChunk& chunk) {
    auto size = static_cast<int64_t>(chunk.bytes.size());
    if (on_its_way->fetch_add(size) + size > kOutputOnItsWay) {
      on_its_way->fetch_sub(size);
      return;
    }
    OutputPiece piece;
    piece.set_attempt(chunk.key.attempt);
    piece.set_epoch(chunk.key.epoch);
    piece.set_is_stderr(chunk.stream == kernel::Stream::Stderr);
    piece.set_offset(chunk.offset);
    piece.set_data(chunk.bytes);
    stream.write(piece, [on_its_way, size](bool) { on_its_way->fetch_sub(size); });
  };
}

kernel::PermitAsk ask_of(const LendSlotsRequest& request) {
  kernel::PermitAsk ask{.asker = request.asker(), .lacks = {}, .wait_ms = request.wait_ms()};
  for (const auto& lack : request.lacks()) ask.lacks.push_back({lack.needs(), lack.is_offered()});
  return ask;
}

void lend_slots(const CommandHandlers& handlers, const LendSlotsRequest& request,
                const Answer<LendSlotsReply>& answer) {
  handlers.lend(ask_of(request), [answer](Result<std::vector<kernel::Permit>> permits) {
    if (!permits.ok()) return answer(permits.error());
    LendSlotsReply reply;
    for (const auto& permit : *permits) {
      auto& each = *reply.add_permits();
      each.set_home(permit.home);
      each.set_number(permit.number);
      each.set_worker(permit.worker.value);
      each.set_needs(permit.needs);
    }
    answer(std::move(reply));
  });
}

void serve_output(const std::shared_ptr<const CommandHandlers>& handlers,
                  const Stream<FollowOutputRequest, OutputPiece>& stream) {
  stream.read([handlers, stream](std::optional<FollowOutputRequest> request) {
    if (!request) return stream.finish({});
    Of<ExecutionId> execution{TenantId{request->tenant()}, ExecutionId{request->execution()}};
    int64_t number = handlers->on_output(execution, into(stream));
    stream.on_end([handlers, number] { handlers->forget_output(number); });
    stream.on_drain(
        [stream] { stream.finish(Error(ErrorKind::Unavailable, "API-0010", "the server stops")); });
    if (request->kept_only()) stream.finish({});
  });
}

// Its bytes are run_blocking's.
template <typename Request, typename Reply>
Method read_files(std::string name, std::shared_ptr<const CommandHandlers> handlers,
                  std::function<Result<Reply>(const CommandHandlers&, const Request&)> read) {
  auto handle = [handlers = std::move(handlers), read = std::move(read)](
                    const Request& request, const Answer<Reply>& answer) {
    handlers->run_blocking([handlers, read, request, answer](const Result<void>& may) {
      answer(may.ok() ? read(*handlers, request) : Result<Reply>(may.error()));
    });
  };
  return unary<Request, Reply>(std::move(name), Access::service(), std::move(handle));
}

}  // namespace

std::vector<Method> command_service(CommandHandlers given) {
  auto handlers = std::make_shared<const CommandHandlers>(std::move(given));
  auto submit = [handlers](SubmitRequest request, const Answer<SubmitReply>& answer) {
    handlers->submit(forwarded_of(request, answer.caller()),
                     [answer](Result<ForwardedAnswer> outcome) {
                       if (!outcome.ok()) return answer(outcome.error());
                       answer(reply_of(*std::move(outcome)));
                     });
  };
  return {
      unary<SubmitRequest, SubmitReply>(kSubmit, Access::service(), std::move(submit)),
      read_files<GetBlobRequest, GetBlobReply>(kGetBlob, handlers, piece_of),
      read_files<GetReleaseRequest, GetReleaseReply>(kGetRelease, handlers, release_piece_of),
      stream<FollowOutputRequest, OutputPiece>(
          kFollowOutput, Access::service(),
          [handlers](const auto& stream) { serve_output(handlers, stream); }),
      unary<LendSlotsRequest, LendSlotsReply>(kLendSlots, Access::service(),
                                              [handlers](const auto& request, const auto& answer) {
                                                lend_slots(*handlers, request, answer);
                                              }),
      unary<TakeSlotBackRequest, TakeSlotBackReply>(
          kTakeSlotBack, Access::service(), [handlers](const auto& request, const auto& answer) {
            handlers->take_back(request.number());
            answer(TakeSlotBackReply());
          })};
}

CallOptions RemoteServer::options(std::chrono::milliseconds limit) const {
  CallOptions options;
  if (token_) options.bearer = token_();
  options.timeout = limit;
  return options;
}

void RemoteServer::submit(const Forwarded& request,
                          std::function<void(Result<ForwardedAnswer>)> got) const {
  SubmitRequest message;
  message.set_method(request.method);
  message.set_target(request.target);
  put_headers(request.headers, message);
  message.set_body(request.body);
  put_principal(request.who, *message.mutable_principal());
  message.set_peer(request.address);
  message.set_hops(request.hops);
  auto with = options(request.left);
  with.request_id = request.request_id;
  with.trace = request.trace;
  channel_.call<SubmitReply>(kSubmit, message, with, [got = std::move(got)](auto reply) {
    if (!reply.ok()) return got(reply.error());
    ForwardedAnswer answer{.status = reply->status(),
                           .content_type = reply->content_type(),
                           .headers = headers_of(*reply),
                           .body = std::move(*reply->mutable_body())};
    got(std::move(answer));
  });
}

Result<RemoteServer::Piece> RemoteServer::read_blob(const std::string& ref, int64_t from,
                                                    int64_t count,
                                                    std::chrono::milliseconds limit) const {
  GetBlobRequest message;
  message.set_ref(ref);
  message.set_offset(static_cast<uint64_t>(from));
  message.set_length(static_cast<uint32_t>(std::min(count, kBlobPiece)));
  std::promise<Result<GetBlobReply>> answered;
  channel_.call<GetBlobReply>(kGetBlob, message, options(limit), [&](Result<GetBlobReply> reply) {
    answered.set_value(std::move(reply));
  });
  TRY(auto reply, answered.get_future().get());
  bool fits = std::cmp_less_equal(reply.data().size(), count) &&
              std::cmp_less_equal(static_cast<uint64_t>(from) + reply.data().size(), reply.size());
  if (!fits && !reply.data().empty()) {
    return Error(ErrorKind::Internal, "RPC-0012",
                 fmt::format("blob '{}': asked for {} bytes at {} of {}, got {}", ref, count, from,
                             reply.size(), reply.data().size()));
  }
  return Piece{static_cast<int64_t>(reply.size()), std::move(*reply.mutable_data())};
}

void RemoteServer::read_release(const agent::WantRelease& want, std::chrono::milliseconds limit,
                                std::function<void(Result<agent::ReleasePiece>)> got) const {
  GetReleaseRequest message;
  message.set_pack(want.pack);
  message.set_digest(want.digest);
  message.set_offset(static_cast<uint64_t>(want.offset));
  channel_.call<GetReleaseReply>(
      kGetRelease, message, options(limit),
      [want, got = std::move(got)](Result<GetReleaseReply> reply) {
        if (!reply.ok()) return got(reply.error());
        got(agent::ReleasePiece{.pack = want.pack,
                                .digest = want.digest,
                                .offset = want.offset,
                                .size = static_cast<int64_t>(reply->size()),
                                .bytes = std::move(*reply->mutable_data()),
                                .error = {}});
      });
}

void RemoteServer::ask_slots(const kernel::PermitAsk& ask, OnPermits got) const {
  LendSlotsRequest message;
  message.set_asker(ask.asker);
  message.set_wait_ms(ask.wait_ms);
  for (const auto& lack : ask.lacks) {
    auto& each = *message.add_lacks();
    each.set_needs(lack.needs);
    each.set_is_offered(lack.is_offered);
  }
  auto with = options(std::chrono::milliseconds(ask.wait_ms) + kOnTheWay);
  channel_.call<LendSlotsReply>(kLendSlots, message, with, [got = std::move(got)](auto reply) {
    if (!reply.ok()) return got(reply.error());
    std::vector<kernel::Permit> permits;
    for (const auto& each : reply->permits()) {
      permits.push_back({each.home(), each.number(), WorkerId{each.worker()}, each.needs()});
    }
    got(std::move(permits));
  });
}

void RemoteServer::give_slot_back(int64_t number) const {
  TakeSlotBackRequest message;
  message.set_number(number);
  channel_.call<TakeSlotBackReply>(kTakeSlotBack, message, options(kOnTheWay), [](const auto&) {});
}

std::shared_ptr<void> RemoteServer::follow_output(Of<ExecutionId> execution, bool kept_only,
                                                  Output output) const {
  FollowOutputRequest message;
  message.set_tenant(execution.tenant.value);
  message.set_execution(execution.id.value);
  message.set_kept_only(kept_only);
  auto got = [execution, on_output = std::move(output.on_output)](const grpc::ByteBuffer& bytes) {
    OutputPiece piece;
    // may fail: it is a hint, and what is durable comes from the store
    if (auto read = from_bytes(bytes, piece); !read.ok()) return;
    on_output({.tenant = execution.tenant,
               .key = {execution.id, piece.attempt(), piece.epoch()},
               .stream = piece.is_stderr() ? kernel::Stream::Stderr : kernel::Stream::Stdout,
               .offset = piece.offset(),
               .bytes = std::move(*piece.mutable_data())});
  };
  auto over = [over = std::move(output.over)](const Result<void>&) { over(); };
  return channel_.follow(kFollowOutput, message, options(std::chrono::milliseconds(0)),
                         {.got = std::move(got), .over = std::move(over)});
}

}  // namespace millrace::rpc

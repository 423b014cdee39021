// SPDX-License-Identifier: Apache-2.0
#include "services/grpc/command_service.h"

#include <fmt/format.h>
#include <millrace/internal/v1/command.pb.h>

#include <algorithm>
#include <future>

namespace millrace::rpc {
namespace {

using internal::v1::GetBlobReply;
using internal::v1::GetBlobRequest;
using internal::v1::SubmitReply;
using internal::v1::SubmitRequest;

constexpr char kSubmit[] = "millrace.internal.v1.CommandService/Submit";
constexpr char kGetBlob[] = "millrace.internal.v1.CommandService/GetBlob";

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

Result<GetBlobReply> piece_of(kernel::Blobs& blobs, const GetBlobRequest& request) {
  // The room of blobs is that of the key ring, too.
  if (kernel::execution_of(request.ref()).id.value == 0) {
    return Error(ErrorKind::Invalid, "BLB-0002",
                 fmt::format("blob reference '{}': expected output or an artifact of an execution",
                             request.ref().substr(0, 200)));
  }
  GetBlobReply reply;
  TRY(int64_t size, blobs.size(request.ref()));
  reply.set_size(static_cast<uint64_t>(size));
  int64_t count = std::min<int64_t>(request.length(), kBlobPiece);
  if (count == 0 || std::cmp_greater_equal(request.offset(), size)) return reply;
  TRY(*reply.mutable_data(),
      blobs.read(request.ref(), static_cast<int64_t>(request.offset()), count));
  return reply;
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
  auto get_blob = [handlers](const GetBlobRequest& request, const Answer<GetBlobReply>& answer) {
    handlers->run_blocking(
        [handlers, request, answer] { answer(piece_of(*handlers->blobs, request)); });
  };
  return {unary<SubmitRequest, SubmitReply>(kSubmit, Access::service(), std::move(submit)),
          unary<GetBlobRequest, GetBlobReply>(kGetBlob, Access::service(), std::move(get_blob))};
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

}  // namespace millrace::rpc

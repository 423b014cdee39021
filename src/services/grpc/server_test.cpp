// SPDX-License-Identifier: Apache-2.0
#include "services/grpc/server.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <grpc/health/v1/health.pb.h>
#include <grpc/reflection/v1alpha/reflection.pb.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <millrace/agent/v1/agent.pb.h>
#include <millrace/internal/v1/command.pb.h>
#include <millrace/v1/error.pb.h>
#include <millrace/v1/system.pb.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <latch>

#include "base/test_support.h"
#include "rpc/status.h"
#include "services/grpc/method_table.h"
#include "services/grpc/system_service.h"
#include "services/grpc/test_support.h"

namespace millrace::rpc {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using v1::InfoReply;
using v1::InfoRequest;

constexpr char kInfo[] = "millrace.v1.SystemService/Info";
constexpr char kCheck[] = "grpc.health.v1.Health/Check";

std::vector<Method> info_service() {
  return system_service({.version = "1.2.3", .node = "node-1", .roles = {"api", "executor"}});
}

Method info_with(Access access, std::function<void(InfoRequest, Answer<InfoReply>)> handler) {
  return unary<InfoRequest, InfoReply>(kInfo, access, std::move(handler));
}

void answer_ok(const InfoRequest&, const Answer<InfoReply>& answer) { answer(InfoReply()); }

// A stream as a client has it; ends itself.
class ClientStream final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  ClientStream(const Channel& channel, const std::string& method, const std::string& bearer = {})
      : stub_(channel.raw()) {
    if (!bearer.empty()) context_.AddMetadata("authorization", "Bearer " + bearer);
    stub_.PrepareBidiStreamingCall(&context_, '/' + method, {}, this);
    StartCall();
    StartRead(&incoming_);
  }
  ~ClientStream() override {
    context_.TryCancel();
    end();
  }
  ClientStream(const ClientStream&) = delete;

  void send(const google::protobuf::MessageLite& message) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !writing_; });
    outgoing_ = to_bytes(message);
    writing_ = true;
    StartWrite(&outgoing_);
  }
  void send_last() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !writing_; });
    StartWritesDone();
  }
  template <typename Message>
  std::optional<Message> next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !messages_.empty() || status_; });
    if (messages_.empty()) return std::nullopt;
    Message message;
    EXPECT_TRUE(from_bytes(messages_.front(), message).ok());
    messages_.pop_front();
    return message;
  }
  void cancel() { context_.TryCancel(); }
  grpc::Status end() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return status_.has_value(); });
    return *status_;
  }

 private:
  void OnReadDone(bool ok) override {
    std::scoped_lock lock(mutex_);
    if (!ok) return;
    messages_.push_back(incoming_);
    incoming_.Clear();
    StartRead(&incoming_);
    changed_.notify_all();
  }
  void OnWriteDone(bool) override {
    std::scoped_lock lock(mutex_);
    writing_ = false;
    changed_.notify_all();
  }
  void OnDone(const grpc::Status& status) override {
    std::scoped_lock lock(mutex_);
    status_ = status;
    changed_.notify_all();
  }

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::ByteBuffer incoming_;
  grpc::ByteBuffer outgoing_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool writing_ = false;
  std::deque<grpc::ByteBuffer> messages_;
  std::optional<grpc::Status> status_;
};

TEST(GrpcServer, AnswersWhoMay) {
  ServerRig rig;
  rig.allow("mr_reader", "system:read");
  ASSERT_TRUE(rig.start(info_service()).ok());
  auto info = ask<InfoReply>(rig.channel(), kInfo, InfoRequest(), as("mr_reader"));
  ASSERT_TRUE(info.ok()) << info.error().describe();
  EXPECT_EQ(info->version(), "1.2.3");
  EXPECT_EQ(info->node(), "node-1");
  EXPECT_EQ(info->roles_size(), 2);
}

struct Refusal {
  const char* why;
  const char* token;
  ErrorKind kind;
  const char* code;
};

TEST(GrpcServer, RefusesWhoMayNotAndSaysWhy) {
  ServerRig rig;
  rig.allow("mr_writer", "rules:write");
  rig.allow("mr_old", "*", kTestNow);
  ASSERT_TRUE(rig.start(info_service()).ok());
  auto service = rig.peers.make({auth::Peer::Kind::Service, "api", "n1"}, kTestNow + 1).reveal();
  auto over = rig.peers.make({auth::Peer::Kind::Service, "api", "n1"}, kTestNow).reveal();
  for (const auto& [why, token, kind, code] :
       {Refusal{"no token", "", ErrorKind::Unauthorized, "RPC-0004"},
        {"unknown", "mr_unknown", ErrorKind::Unauthorized, "AUT-0002"},
        {"expired", "mr_old", ErrorKind::Unauthorized, "AUT-0003"},
        {"another permission", "mr_writer", ErrorKind::Forbidden, "RPC-0005"},
        {"a run's token", "mrx.1.2.3.4.5", ErrorKind::Unauthorized, "AUT-0002"},
        {"a server, which has no permissions", service.c_str(), ErrorKind::Forbidden, "RPC-0005"},
        {"a peer's token that has expired", over.c_str(), ErrorKind::Unauthorized, "AUT-0017"}}) {
    auto info = ask<InfoReply>(rig.channel(), kInfo, InfoRequest(), as(token));
    ASSERT_FALSE(info.ok()) << why;
    EXPECT_EQ(info.error().kind(), kind) << why;
    EXPECT_EQ(info.error().code(), code) << why;
  }
}

TEST(GrpcServer, AMethodOfServersTakesNoUserAndNoWorker) {
  ServerRig rig;
  rig.allow("mr_admin", "*");
  ASSERT_TRUE(rig.start({info_with(Access::service(), answer_ok)}).ok());
  auto of = [&](auth::Peer::Kind kind) {
    return rig.peers
        .make({kind, "api", kind == auth::Peer::Kind::Service ? "n1" : ""}, kTestNow + 1)
        .reveal();
  };
  auto called_with = [&](const std::string& token) {
    auto info = ask<InfoReply>(rig.channel(), kInfo, InfoRequest(), as(token));
    return info.ok() ? std::string("taken") : info.error().code();
  };
  EXPECT_EQ(called_with("mr_admin"), "RPC-0005");
  EXPECT_EQ(called_with(of(auth::Peer::Kind::Worker)), "RPC-0005");
  EXPECT_EQ(called_with(""), "RPC-0004");
  EXPECT_EQ(called_with(of(auth::Peer::Kind::Service)), "taken");
}

TEST(GrpcServer, AMethodThatSaysNotWhoMayCallItStopsTheStart) {
  ServerRig rig;
  auto started = rig.start({info_with(Access(), answer_ok)});
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().code(), "RPC-0001");
  ASSERT_EQ(started.error().problems().size(), 1u);
  EXPECT_EQ(started.error().problems()[0].path, kInfo);
  EXPECT_EQ(started.error().problems()[0].message, "says not who may call it");
}

TEST(GrpcServer, ATableThatIsNotTheProtosStopsTheStart) {
  auto faults = [](std::vector<Method> methods) {
    auto table = MethodTable::create(std::move(methods));
    return table.ok() ? std::string() : table.error().problems()[0].message;
  };
  auto open = Access::open();
  EXPECT_EQ(faults({unary<InfoRequest, InfoReply>("millrace.v1.NoService/Info", open, answer_ok)}),
            "no service of api/proto has that name");
  EXPECT_EQ(
      faults({unary<InfoRequest, InfoReply>("millrace.v1.SystemService/No", open, answer_ok)}),
      "its service has no such method");
  EXPECT_EQ(faults({stream<InfoRequest, InfoReply>(kInfo, open, [](const auto&) {})}),
            "expected the handler of its kind: unary or stream");
  EXPECT_EQ(faults({info_with(open, answer_ok), info_with(open, answer_ok)}), "stands twice");
  EXPECT_EQ(faults({unary<HealthCheckRequest, HealthCheckResponse>(
                kCheck, open, [](const auto&, const auto&) {})}),
            "has no handler");
}

TEST(GrpcServer, AnUnknownMethodIsUnimplemented) {
  ServerRig rig;
  ASSERT_TRUE(rig.start(info_service()).ok());
  auto reply = ask<InfoReply>(rig.channel(), "millrace.v1.SystemService/Nothing", InfoRequest());
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().code(), "RPC-0008");
  EXPECT_EQ(code_of(reply.error()), grpc::StatusCode::UNIMPLEMENTED);
}

TEST(GrpcServer, AnErrorComesWholeWithTheRequestsId) {
  ServerRig rig;
  ASSERT_TRUE(rig.start({info_with(Access::open(),
                                   [](const auto&, const auto& answer) {
                                     answer(Error(ErrorKind::Stale, "EXE-0001", "moved on")
                                                .with_problem("/a", "b"));
                                   })})
                  .ok());
  grpc::GenericStub stub(rig.channel().raw());
  grpc::ClientContext context;
  context.AddMetadata("x-request-id", "mine.1");
  auto request = to_bytes(InfoRequest());
  grpc::ByteBuffer reply;
  std::promise<grpc::Status> done;
  stub.UnaryCall(&context, std::string("/") + kInfo, {}, &request, &reply,
                 [&](const grpc::Status& status) { done.set_value(status); });
  auto status = done.get_future().get();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(status.error_message(), "EXE-0001: moved on");
  auto trailer = context.GetServerTrailingMetadata().find("millrace-error-bin");
  ASSERT_NE(trailer, context.GetServerTrailingMetadata().end());
  v1::Error detail;
  ASSERT_TRUE(
      detail.ParseFromArray(trailer->second.data(), static_cast<int>(trailer->second.size())));
  EXPECT_EQ(detail.kind(), "CONFLICT");
  EXPECT_EQ(detail.request_id(), "mine.1");
  EXPECT_EQ(detail.problems(0).path(), "/a");
}

TEST(GrpcServer, IdsThatAreNoneAreMadeAnew) {
  ServerRig rig;
  std::vector<std::pair<std::string, std::string>> seen;
  ASSERT_TRUE(rig.start({info_with(Access::open(),
                                   [&](const auto&, const auto& answer) {
                                     seen.emplace_back(answer.caller().request_id,
                                                       answer.caller().trace);
                                     answer(InfoReply());
                                   })})
                  .ok());
  const std::string trace = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
  auto channel = rig.channel();
  CallOptions good{.request_id = "id-1", .trace = trace};
  ASSERT_TRUE(ask<InfoReply>(channel, kInfo, InfoRequest(), good).ok());
  CallOptions bad{.request_id = "two words", .trace = "00-0-0-01"};
  ASSERT_TRUE(ask<InfoReply>(channel, kInfo, InfoRequest(), bad).ok());
  EXPECT_EQ(seen[0], std::pair(std::string("id-1"), trace));
  EXPECT_EQ(seen[1].first.size(), 24u);
  EXPECT_EQ(seen[1].second.size(), trace.size());
  EXPECT_NE(seen[1].second, trace);
}

TEST(GrpcServer, ACallThatIsNeverAnsweredEndsAtItsDeadline) {
  ServerRig rig;
  std::vector<Answer<InfoReply>> kept;
  std::promise<std::string> seen;
  auto options = ServerRig::options();
  options.deadline = std::chrono::milliseconds(50);
  options.observe = [&](const CallObservation& one) {
    seen.set_value(std::string(one.service) + '/' + std::string(one.method) + ' ' +
                   std::string(one.code));
  };
  auto keep = [&](const InfoRequest&, const Answer<InfoReply>& answer) { kept.push_back(answer); };
  ASSERT_TRUE(rig.start({info_with(Access::open(), keep)}, std::move(options)).ok());
  CallOptions patient;
  patient.timeout = std::chrono::milliseconds(0);
  auto reply = ask<InfoReply>(rig.channel(), kInfo, InfoRequest(), patient);
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().code(), "RPC-0007");
  EXPECT_EQ(seen.get_future().get(), "millrace.v1.SystemService/Info DEADLINE_EXCEEDED");
  ASSERT_EQ(kept.size(), 1u);
  kept[0](InfoReply());  // too late, and heard by nobody
}

TEST(GrpcServer, ACallEndsAtItsClientsDeadline) {
  ServerRig rig;
  std::vector<Answer<InfoReply>> kept;
  auto keep = [&](const InfoRequest&, const Answer<InfoReply>& answer) { kept.push_back(answer); };
  ASSERT_TRUE(rig.start({info_with(Access::open(), keep)}).ok());
  CallOptions brief;
  brief.timeout = std::chrono::milliseconds(50);
  auto reply = ask<InfoReply>(rig.channel(), kInfo, InfoRequest(), brief);
  EXPECT_EQ(reply.error().kind(), ErrorKind::Timeout);
  rig.server.reset();  // the last call is over: it does not wait for the answer
}

TEST(GrpcServer, AMessageAboveTheLimitIsRefused) {
  ServerRig rig;
  ASSERT_TRUE(rig.start(info_service()).ok());
  HealthCheckRequest request;
  request.set_service(repeated("x", 5 << 20));
  auto reply = ask<HealthCheckResponse>(rig.channel(), kCheck, request);
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(code_of(reply.error()), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST(GrpcServer, AMessageThatIsNoneIsInvalid) {
  ServerRig rig;
  ASSERT_TRUE(rig.start(info_service()).ok());
  v1::Error error;
  error.set_code("\xff\xfe");  // no UTF-8: it may not stand in a string
  auto reply = ask<HealthCheckResponse>(rig.channel(), kCheck, error);
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().code(), "RPC-0003");
}

TEST(GrpcServer, WhoCallsTooOftenIsToldWhenToComeBack) {
  ServerRig rig;
  auto options = ServerRig::options();
  options.rate = {.limit = 1, .per_ms = 1000, .burst = 2};
  rig.allow("mr_reader", "system:read");
  ASSERT_TRUE(rig.start(info_service(), std::move(options)).ok());
  auto channel = rig.channel();
  EXPECT_TRUE(ask<InfoReply>(channel, kInfo, InfoRequest(), as("mr_reader")).ok());
  EXPECT_TRUE(ask<InfoReply>(channel, kInfo, InfoRequest(), as("mr_reader")).ok());
  auto third = ask<InfoReply>(channel, kInfo, InfoRequest(), as("mr_reader"));
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error().kind(), ErrorKind::Busy);
  EXPECT_EQ(third.error().retry_after_ms(), 1000);
  // Another client has its own.
  EXPECT_TRUE(ask<HealthCheckResponse>(channel, kCheck, HealthCheckRequest()).ok());
}

TEST(GrpcServer, MoreCallsAtOnceThanItTakesAreRefused) {
  ServerRig rig;
  std::mutex mutex;
  std::vector<Answer<InfoReply>> kept;
  std::latch both(2);
  auto options = ServerRig::options();
  options.max_calls = 2;
  auto keep = [&](const InfoRequest&, const Answer<InfoReply>& answer) {
    std::scoped_lock lock(mutex);
    kept.push_back(answer);
    both.count_down();
  };
  ASSERT_TRUE(rig.start({info_with(Access::open(), keep)}, std::move(options)).ok());
  // Over connections of their own: one alone would hold the third back.
  auto first = rig.channel();
  auto second = rig.channel();
  std::latch answered(2);
  auto done = [&](Result<InfoReply> reply) {
    EXPECT_TRUE(reply.ok());
    answered.count_down();
  };
  first.call<InfoReply>(kInfo, InfoRequest(), {}, done);
  first.call<InfoReply>(kInfo, InfoRequest(), {}, done);
  both.wait();
  auto third = ask<HealthCheckResponse>(second, kCheck, HealthCheckRequest());
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error().code(), "RPC-0006");
  for (auto& answer : kept) answer(InfoReply());
  answered.wait();
}

TEST(GrpcHealth, TellsOfTheServerAndItsServices) {
  ServerRig rig;
  ASSERT_TRUE(rig.start(info_service()).ok());
  auto channel = rig.channel();
  auto status_of = [&](const std::string& service) {
    HealthCheckRequest request;
    request.set_service(service);
    auto reply = ask<HealthCheckResponse>(channel, kCheck, request);
    return reply.ok() ? static_cast<int>(reply->status()) : -1;
  };
  EXPECT_EQ(status_of(""), HealthCheckResponse::NOT_SERVING);
  rig.server->set_serving(true);
  EXPECT_EQ(status_of(""), HealthCheckResponse::SERVING);
  EXPECT_EQ(status_of("millrace.v1.SystemService"), HealthCheckResponse::SERVING);
  EXPECT_EQ(status_of("no.such.Service"), -1);
}

TEST(GrpcHealth, AWatchFollowsUntilTheServerStops) {
  ServerRig rig;
  ASSERT_TRUE(rig.start(info_service()).ok());
  ClientStream watch(rig.channel(), "grpc.health.v1.Health/Watch");
  watch.send(HealthCheckRequest());
  EXPECT_EQ(watch.next<HealthCheckResponse>()->status(), HealthCheckResponse::NOT_SERVING);
  rig.server->set_serving(true);
  EXPECT_EQ(watch.next<HealthCheckResponse>()->status(), HealthCheckResponse::SERVING);
  rig.server->stop(std::chrono::seconds(60));
  EXPECT_EQ(watch.next<HealthCheckResponse>()->status(), HealthCheckResponse::NOT_SERVING);
  EXPECT_FALSE(watch.next<HealthCheckResponse>().has_value());
  EXPECT_TRUE(watch.end().ok());
}

TEST(GrpcServer, ADrainEndsWhatIsUnderWayAndTakesNothingNew) {
  ServerRig rig;
  std::promise<Answer<InfoReply>> taken;
  auto keep = [&](const InfoRequest&, const Answer<InfoReply>& answer) { taken.set_value(answer); };
  ASSERT_TRUE(rig.start({info_with(Access::open(), keep)}).ok());
  auto channel = rig.channel();
  std::promise<Result<InfoReply>> answered;
  channel.call<InfoReply>(kInfo, InfoRequest(), {},
                          [&](Result<InfoReply> reply) { answered.set_value(std::move(reply)); });
  auto answer = taken.get_future().get();
  std::thread stopping([&] { rig.server->stop(std::chrono::seconds(60)); });
  // The port is closed first.
  auto is_refused = [&] {
    return !ask<HealthCheckResponse>(rig.channel(), kCheck, HealthCheckRequest()).ok();
  };
  while (!is_refused()) std::this_thread::yield();
  answer(InfoReply());
  EXPECT_TRUE(answered.get_future().get().ok());
  stopping.join();
}

TEST(GrpcServer, AStopCutsOffWhoIsNotDoneInTime) {
  ServerRig rig;
  std::latch taken(1);
  std::vector<Answer<InfoReply>> kept;
  auto keep = [&](const InfoRequest&, const Answer<InfoReply>& answer) {
    kept.push_back(answer);
    taken.count_down();
  };
  ASSERT_TRUE(rig.start({info_with(Access::open(), keep)}).ok());
  auto channel = rig.channel();
  std::promise<Result<InfoReply>> answered;
  channel.call<InfoReply>(kInfo, InfoRequest(), {},
                          [&](Result<InfoReply> reply) { answered.set_value(std::move(reply)); });
  taken.wait();
  rig.server->stop(std::chrono::milliseconds(20));
  EXPECT_FALSE(answered.get_future().get().ok());
}

// A stream of both ways.

using agent::v1::FromAgent;
using agent::v1::ToAgent;
constexpr char kSession[] = "millrace.agent.v1.Agent/Session";
using Session = Stream<FromAgent, ToAgent>;

void echo(const Session& session) {
  session.read([session](const std::optional<FromAgent>& message) {
    if (!message) return session.finish({});
    ToAgent back;
    back.mutable_renewed()->set_seq(message->renew().seq());
    session.write(back, [session](bool written) {
      if (written) echo(session);
    });
  });
}

TEST(GrpcStream, MessagesGoBothWaysInOrder) {
  ServerRig rig;
  ASSERT_TRUE(rig.start({stream<FromAgent, ToAgent>(kSession, Access::worker(), echo)}).ok());
  auto token = rig.peers.make({auth::Peer::Kind::Worker, "w1", ""}, kTestNow + 1).reveal();
  ClientStream session(rig.channel(), kSession, token);
  for (int i = 1; i <= 50; ++i) {
    FromAgent message;
    message.mutable_renew()->set_seq(i);
    session.send(message);
    EXPECT_EQ(session.next<ToAgent>()->renewed().seq(), i);
  }
  session.send_last();
  EXPECT_TRUE(session.end().ok());
}

TEST(GrpcStream, IsToldOnceThatItsClientHasLeft) {
  ServerRig rig;
  std::promise<void> ended;
  std::promise<Session> opened;
  auto handler = [&](const Session& session) {
    session.on_end([&] { ended.set_value(); });
    ToAgent hello;
    hello.mutable_renewed()->set_seq(1);
    session.write(hello);
    opened.set_value(session);
  };
  ASSERT_TRUE(rig.start({stream<FromAgent, ToAgent>(kSession, Access::open(), handler)}).ok());
  {
    ClientStream client(rig.channel(), kSession);
    EXPECT_TRUE(client.next<ToAgent>().has_value());
    client.cancel();
  }
  ended.get_future().get();
  auto session = opened.get_future().get();
  std::promise<bool> written;
  session.write(ToAgent(), [&](bool ok) { written.set_value(ok); });
  EXPECT_FALSE(written.get_future().get());
  bool read_ended = false;
  session.read([&](const auto& message) { read_ended = !message; });
  EXPECT_TRUE(read_ended);
  bool told = false;
  session.on_end([&] { told = true; });
  EXPECT_TRUE(told);
}

TEST(GrpcStream, WhatWasWrittenArrivesBeforeTheEnd) {
  ServerRig rig;
  auto handler = [](const Session& session) {
    for (int i = 0; i < 100; ++i) {
      ToAgent message;
      message.mutable_renewed()->set_seq(i);
      session.write(message);
    }
    session.finish(Error(ErrorKind::Conflict, "WRK-0001", "another one has the name"));
  };
  ASSERT_TRUE(rig.start({stream<FromAgent, ToAgent>(kSession, Access::open(), handler)}).ok());
  ClientStream client(rig.channel(), kSession);
  int count = 0;
  while (client.next<ToAgent>()) ++count;
  EXPECT_EQ(count, 100);
  EXPECT_EQ(client.end().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST(GrpcReflection, IsThereOnlyWhenAskedFor) {
  using grpc::reflection::v1alpha::ServerReflectionRequest;
  using grpc::reflection::v1alpha::ServerReflectionResponse;
  constexpr char kReflection[] = "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
  {
    ServerRig rig;
    ASSERT_TRUE(rig.start(info_service()).ok());
    ClientStream client(rig.channel(), kReflection);
    EXPECT_EQ(client.end().error_code(), grpc::StatusCode::UNIMPLEMENTED);
  }
  ServerRig rig;
  auto options = ServerRig::options();
  options.reflection = true;
  ASSERT_TRUE(rig.start(info_service(), std::move(options)).ok());
  ClientStream client(rig.channel(), kReflection);
  ServerReflectionRequest request;
  request.set_list_services("*");
  client.send(request);
  auto listed = client.next<ServerReflectionResponse>()->list_services_response();
  std::vector<std::string> names;
  for (const auto& service : listed.service()) names.push_back(service.name());
  EXPECT_TRUE(std::ranges::find(names, "millrace.v1.SystemService") != names.end());
  request.set_file_containing_symbol("millrace.v1.SystemService");
  client.send(request);
  auto files = client.next<ServerReflectionResponse>()->file_descriptor_response();
  ASSERT_EQ(files.file_descriptor_proto_size(), 1);
  google::protobuf::FileDescriptorProto file;
  ASSERT_TRUE(file.ParseFromString(files.file_descriptor_proto(0)));
  EXPECT_EQ(file.name(), "millrace/v1/system.proto");
  request.set_file_by_filename("no/such.proto");
  client.send(request);
  EXPECT_EQ(client.next<ServerReflectionResponse>()->error_response().error_code(), 5);
}

TEST(GrpcPeers, AreLocalByTheirAddress) {
  for (const auto* peer :
       {"ipv4:127.0.0.1:99", "ipv4:127.8.0.1:1", "ipv6:%5B::1%5D:80", "ipv6:[::1]:80", "unix:"}) {
    EXPECT_TRUE(is_local_peer(peer)) << peer;
  }
  for (const auto* peer :
       {"ipv4:10.0.0.1:99", "ipv4:1.127.0.0:1", "ipv6:%5B2001:db8::1%5D:80", ""}) {
    EXPECT_FALSE(is_local_peer(peer)) << peer;
  }
  EXPECT_EQ(address_of_peer("ipv6:%5B::1%5D:80"), "[::1]:80");
  EXPECT_EQ(address_of_peer("ipv4:127.0.0.1:99"), "127.0.0.1:99");
}

TEST(GrpcPeers, ATokenOfAPeerCountsOnThisMachineOnly) {
  ServerRig rig;
  auto token = rig.peers.make({auth::Peer::Kind::Worker, "w", ""}, kTestNow + 1);
  Caller caller;
  Presented from_afar{.bearer = token.reveal(), .uris = {}, .is_local = false};
  EXPECT_EQ(rig.authentication.identify(from_afar, caller).error().code(), "RPC-0004");
  Presented from_here{.bearer = token.reveal(), .uris = {}, .is_local = true};
  ASSERT_TRUE(rig.authentication.identify(from_here, caller).ok());
  EXPECT_EQ(caller.peer->name, "w");
  Caller certified;
  Presented with_certificate{.bearer = {}, .uris = {"spiffe://x/y", "millrace://worker/c"}};
  ASSERT_TRUE(rig.authentication.identify(with_certificate, certified).ok());
  EXPECT_EQ(certified.peer->name, "c");
}

}  // namespace
}  // namespace millrace::rpc

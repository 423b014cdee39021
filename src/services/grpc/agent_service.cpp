// SPDX-License-Identifier: Apache-2.0
#include "services/grpc/agent_service.h"

#include <millrace/agent/v1/agent.pb.h>

#include "rpc/agent_messages.h"

namespace millrace::rpc {
namespace {

using AgentStream = Stream<agent::v1::FromAgent, agent::v1::ToAgent>;

class StreamLink final : public agent::Link<agent::ToAgent> {
 public:
  explicit StreamLink(AgentStream stream) : stream_(std::move(stream)) {}
  void send(agent::ToAgent message) override { stream_.write(to_proto(message)); }
  void close(const Error& why) override { stream_.finish(why); }

 private:
  AgentStream stream_;
};

void read_on(const AgentStream& stream, agent::Sessions& sessions,
             agent::Sessions::ConnectionId connection) {
  stream.read([stream, &sessions, connection](std::optional<agent::v1::FromAgent> message) {
    if (!message) return stream.finish({});
    auto said = from_proto(*message);
    if (!said.ok()) return stream.finish(said.error());
    sessions.received(connection, *std::move(said));
    read_on(stream, sessions, connection);
  });
}

void open_session(AgentStream stream, agent::Sessions& sessions) {
  const Caller& caller = stream.caller();
  auto connection = sessions.connected(std::make_shared<StreamLink>(stream),
                                       {.worker = caller.peer->name, .address = caller.address});
  stream.on_end([&sessions, connection] { sessions.disconnected(connection); });
  read_on(stream, sessions, connection);
}

}  // namespace

std::vector<Method> agent_service(agent::Sessions& sessions) {
  return {stream<agent::v1::FromAgent, agent::v1::ToAgent>(
      "millrace.agent.v1.Agent/Session", Access::worker(),
      [&sessions](AgentStream stream) { open_session(std::move(stream), sessions); })};
}

}  // namespace millrace::rpc

// SPDX-License-Identifier: Apache-2.0
// The servers of the store.
#include <algorithm>

#include "base/text.h"
#include "engine/engine.h"
#include "services/api/call.h"
#include "services/api/routes.h"
#include "services/api/shared.h"

namespace millrace::api {
namespace {

struct ServerView {
  int64_t node = 0;
  std::string name;
  std::vector<std::string> roles;
  std::string version;
  std::string state;
  int64_t shards = 0;
  std::string url;
  std::string grpc;
  bool is_self = false;
  Timestamp since;
  Timestamp seen;

  static const Fields& fields() {
    using V = ServerView;
    static const Field lines[] = {
        field("node", &V::node, "Its number among the servers; part of the ids that it gives."),
        field("name", &V::name, ""),
        field("roles", &V::roles, "What it does: api, executor, worker, sensor, notifier."),
        field("version", &V::version, "Of the program."),
        field("state", &V::state, "live; draining: it stops; silent: it has not been heard of."),
        field("shards", &V::shards, "How many of the 64 it decides for."),
        field("url", &V::url, "Where clients reach it."),
        field("grpc", &V::grpc, "Where other servers and workers reach it."),
        field("is_self", &V::is_self, "The one that answers."),
        field("since", &V::since, "When it began."),
        field("seen", &V::seen, "When it said by its own clock that it lives."),
    };
    static const auto table = fields_of<V>("Server", "One server of the store.", lines);
    return table;
  }
};

std::string_view state_of(const engine::ServerView& server) {
  if (!server.lives) return "silent";
  return server.row.draining ? "draining" : "live";
}

ServerView view_of(const engine::ServerView& server) {
  ServerView view;
  view.node = server.row.node;
  view.name = server.row.name;
  for (auto word : split(server.row.roles, ',')) view.roles.emplace_back(word);
  view.version = server.row.version;
  view.state = state_of(server);
  view.shards = server.shards.size();
  view.url = server.row.http;
  view.grpc = server.row.internal;
  view.is_self = server.is_self;
  view.since = {server.row.since};
  view.seen = {server.row.seen};
  return view;
}

// The machine's, seen from every tenant.
Response list_servers(Call& call) {
  auto servers = call.api.engine.servers();
  std::ranges::sort(servers, {}, [](const auto& server) { return server.row.node; });
  std::vector<ServerView> views;
  for (const auto& server : servers) views.push_back(view_of(server));
  return answer_list(views);
}

}  // namespace

std::vector<Route> server_routes() {
  return {
      {.name = "list_servers",
       .method = "GET",
       .pattern = "/api/v1/servers",
       .access = auth::Permission::SystemRead,
       .handler = list_servers,
       .summary = "List the servers of the store: who they are and what each decides for.",
       .answer_form = AnswerForm::List,
       .answer = &ServerView::fields()},
  };
}

}  // namespace millrace::api

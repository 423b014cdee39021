// SPDX-License-Identifier: Apache-2.0
// Two tenants on one server, with equal names, event ids and idempotency keys: what one of them
// owns is not there for the other (K10).
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "api_fixture.h"
#include "services/api/options.h"
#include "services/api/routes.h"

namespace millrace::api {
namespace {

constexpr TenantId kSecondTenant{2};

std::string text_of(const Value& value, std::string_view name) {
  return std::string(value.string_or(name, ""));
}

// What one tenant owns.
struct Estate {
  TenantId tenant;
  Secret token;
  std::string name;  // stands in all that it says
  std::string event, enforcement, greeted, asking, token_id, operation;

  std::vector<std::string> ids() const {
    return {event, enforcement, greeted, asking, token_id, operation};
  }
};

// Of a pack that only one tenant has.
std::shared_ptr<const Pack> lone_pack() {
  auto pack = std::make_shared<Pack>();
  pack->ref = "lone";
  pack->version = "1.0.0";
  pack->digest = "l1";
  Action act;
  act.ref = "lone.act";
  act.runner = Runner::Builtin;
  act.runner_type = "noop";
  pack->actions.push_back(act);
  Trigger sign;
  sign.ref = "lone.sign";
  pack->triggers.push_back(sign);
  Alias say;
  say.ref = "lone.say";
  say.name = "say";
  say.action = "lone.act";
  pack->aliases.push_back(say);
  return pack;
}

class TenantsTest : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    load_packs(kDefaultTenant, {ci_pack(), lone_pack()});
    load_packs(kSecondTenant, {ci_pack()});
    first_ = settle(kDefaultTenant, "first");
    second_ = settle(kSecondTenant, "second");
    add_what_only_the_first_has();
  }

  Answer ask(const Estate& who, std::string_view method, const std::string& path,
             std::string body = {}, Lines more = {}) {
    more.emplace_back("Authorization", "Bearer " + who.token.reveal());
    if (!body.empty() && more.front().first != "Content-Type") {
      more.emplace_back("Content-Type", "application/json");
    }
    return send(method, path, std::move(body), std::move(more));
  }

  Answer send_event(const Estate& who) {
    return ask(who, "POST", "/api/v1/events", fmt::format(R"({{"n":"{}"}})", who.name),
               {{"Content-Type", "application/json"},
                {"ce-specversion", "1.0"},
                {"ce-id", "1"},
                {"ce-source", "s"},
                {"ce-type", "ci.push"}});
  }
  Answer greet(const Estate& who) {
    return ask(who, "POST", "/api/v1/executions?wait=10s", R"({"action":"ci.greet"})",
               {{"Content-Type", "application/json"}, {"Idempotency-Key", "k1"}});
  }

  Estate settle(TenantId tenant, const std::string& name) {
    Estate own{.tenant = tenant, .token = token("*", 0, tenant), .name = name};
    auto made = [](const Answer& answer) {
      EXPECT_LT(answer.status, 300) << answer.text;
      return text_of(answer.data(), "id");
    };
    made(ask(own, "POST", "/api/v1/rules",
             R"({"ref":"ci.on_push","trigger":{"ref":"ci.push"},"action":{"ref":"core.echo",)"
             R"("parameters":{"message":"{{ trigger.n }}"}}})"));
    made(ask(own, "POST", "/api/v1/webhook-endpoints", R"({"name":"ci","scheme":"token"})"));
    made(ask(own, "PUT", "/api/v1/keys/system/greeting", fmt::format(R"({{"value":"{}"}})", name)));
    own.token_id = made(
        ask(own, "POST", "/api/v1/tokens", R"({"identity":"bob","permissions":["rules:read"]})"));
    own.event = text_of(send_event(own).data(), "event");
    auto enforcements = ask(own, "GET", "/api/v1/enforcements?event=" + own.event).data();
    EXPECT_EQ(enforcements.size(), 1u);
    if (enforcements.size() == 1) own.enforcement = text_of(enforcements.as_list()[0], "id");
    own.operation = operation(tenant, name);
    own.greeted = made(greet(own));
    own.asking = made(ask(own, "POST", "/api/v1/executions", R"({"action":"core.ask"})"));
    return own;
  }

  void add_what_only_the_first_has() {
    auto rule = R"({"ref":"lone.rule","trigger":{"ref":"lone.sign"},"action":{"ref":"lone.act"}})";
    EXPECT_EQ(ask(first_, "POST", "/api/v1/rules", rule).status, 201);
    auto tick = R"({"ref":"lone.tick","trigger":{"ref":"core.intervaltimer","parameters":)"
                R"({"unit":"weeks","interval":1}},"action":{"ref":"core.noop"}})";
    EXPECT_EQ(ask(first_, "POST", "/api/v1/rules", tick).status, 201);
    EXPECT_EQ(
        ask(first_, "POST", "/api/v1/webhook-endpoints", R"({"name":"lone","scheme":"token"})")
            .status,
        201);
    EXPECT_EQ(ask(first_, "PUT", "/api/v1/keys/system/lone", R"({"value":"first"})").status, 200);
    auto policy = R"({"ref":"lone.policy","action":"lone.act","concurrency":{"limit":1}})";
    EXPECT_EQ(ask(first_, "POST", "/api/v1/policies", policy).status, 201);
  }

  // All that the routes give the first tenant to see.
  std::string all_that_the_first_sees() {
    std::string text;
    for (const auto& route : all_routes({})) {
      if (route.method != "GET" || route.answer_form == AnswerForm::Stream) continue;
      if (!route.pattern.starts_with("/api/v1/")) continue;
      for (const auto& path : paths_of(route)) {
        auto answer = ask(first_, "GET", path);
        if (answer.status == 200) text += path + '\n' + answer.text + '\n';
      }
    }
    return text;
  }

  // The paths of a route, with what the first tenant owns in the place of its braces.
  std::vector<std::string> paths_of(const Route& route) const {
    if (route.pattern.find('{') == std::string_view::npos) return {std::string(route.pattern)};
    const std::pair<std::string_view, std::string> owned[] = {
        {"/api/v1/executions/{id}", "/api/v1/executions/" + first_.greeted},
        {"/api/v1/executions/{id}", "/api/v1/executions/" + first_.asking},
        {"/api/v1/inquiries/{id}", "/api/v1/inquiries/" + first_.asking},
        {"/api/v1/events/{id}", "/api/v1/events/" + first_.event},
        {"/api/v1/enforcements/{id}", "/api/v1/enforcements/" + first_.enforcement},
        {"/api/v1/traces/{id}", "/api/v1/traces/" + first_.event},
        {"/api/v1/traces/{id}", "/api/v1/traces/" + first_.greeted},
        {"/api/v1/tokens/{id}", "/api/v1/tokens/" + first_.token_id},
        {"/api/v1/operations/{id}", "/api/v1/operations/" + first_.operation},
        {"/api/v1/rules/{ref}", "/api/v1/rules/lone.rule"},
        {"/api/v1/policies/{ref}", "/api/v1/policies/lone.policy"},
        {"/api/v1/packs/{ref}", "/api/v1/packs/lone"},
        {"/api/v1/actions/{ref}", "/api/v1/actions/lone.act"},
        {"/api/v1/triggers/{ref}", "/api/v1/triggers/lone.sign"},
        {"/api/v1/aliases/{ref}", "/api/v1/aliases/lone.say"},
        {"/api/v1/sensors/{ref}", "/api/v1/sensors/lone.eye"},
        {"/api/v1/keys/{scope}/{name}", "/api/v1/keys/system/lone"},
        {"/api/v1/webhook-endpoints/{name}", "/api/v1/webhook-endpoints/lone"},
        {"/api/v1/webhooks/{name}", "/api/v1/webhooks/lone"},
        {"/v1/webhooks/{name}", "/v1/webhooks/lone"},
        {"/api/v1/timers/{name}", "/api/v1/timers/lone.tick"},
        {"/api/v1/tenants/{tenant}/webhooks/{name}", "/api/v1/tenants/1/webhooks/lone"},
    };
    std::vector<std::string> paths;
    for (const auto& [pattern, path] : owned) {
      auto rest = route.pattern.substr(std::min(pattern.size(), route.pattern.size()));
      if (!route.pattern.starts_with(pattern) || !(rest.empty() || rest.front() == '/')) continue;
      paths.push_back(path + std::string(rest) + query_of(route));
    }
    EXPECT_FALSE(paths.empty() || paths.front().find('{') != std::string::npos)
        << route.pattern << ": no value of the first tenant for its braces, add one to `owned`";
    return paths;
  }
  std::string query_of(const Route& route) const {
    return route.name == "why_rule" ? "?event=" + first_.event : std::string();
  }

  // A body that the route takes, so that it is the row that is not found.
  static std::string body_of(const Route& route) {
    static const std::map<std::string_view, std::string> bodies = {
        {"update_rule", R"({"trigger":{"ref":"ci.push"},"action":{"ref":"core.noop"}})"},
        {"update_webhook_endpoint", R"({"scheme":"token"})"},
        {"update_policy", R"({"action":"ci.greet","concurrency":{"limit":2}})"},
        {"put_key", R"({"value":"another"})"},
        {"answer_inquiry", R"({"response":{"yes":true}})"},
        {"resolve_execution", R"({"decision":"abandon"})"},
        {"rerun_execution", "{}"},
        {"deliver_webhook", "{}"},
        {"install_pack", "{}"},
        {"put_pack_config", R"({"values":{}})"},
        {"deliver_tenant_webhook", "{}"},
        {"override_rule", R"({"set":{"enabled":false}})"},
        {"replay_event", "{}"},
        {"send_trigger_event", "{}"},
        {"deliver_stackstorm_webhook", "{}"},
    };
    auto found = bodies.find(route.name);
    EXPECT_TRUE(found != bodies.end() || route.body_form == BodyForm::None)
        << route.name << ": no body, add one to `bodies`";
    return found == bodies.end() ? std::string() : found->second;
  }

  // Routes with something to fill in: first those that read, last those that end something.
  static std::vector<Route> routes_below_something() {
    auto routes = all_routes({});
    std::erase_if(routes, [](const Route& route) {
      return route.pattern.find('{') == std::string_view::npos;
    });
    auto ends =
        std::ranges::partition(routes, [](const Route& route) { return route.method != "DELETE"; });
    std::ranges::partition(routes.begin(), ends.begin(),
                           [](const Route& route) { return route.method == "GET"; });
    return routes;
  }

  Estate first_;
  Estate second_;
};

TEST_F(TenantsTest, WhatOneTenantOwnsIsNotThereForTheOther) {
  auto before = all_that_the_first_sees();
  for (const auto& route : routes_below_something()) {
    if (route.name == "put_key") continue;  // makes one of its own: see below
    for (const auto& path : paths_of(route)) {
      auto answer = ask(second_, route.method, path, body_of(route));
      EXPECT_EQ(answer.status, 404) << route.method << ' ' << path << '\n' << answer.text;
      for (const auto& id : first_.ids()) {
        if (path.find(id) == std::string::npos) EXPECT_EQ(answer.text.find(id), std::string::npos);
      }
    }
  }
  auto made = ask(second_, "PUT", "/api/v1/keys/system/lone", R"({"value":"another"})");
  EXPECT_EQ(made.data()["version"], Value(1)) << made.text;
  EXPECT_EQ(all_that_the_first_sees(), before);
}

TEST_F(TenantsTest, ItsOwnerFindsAllOfIt) {
  for (const auto& route : routes_below_something()) {
    auto paths = paths_of(route);
    if (paths.empty()) continue;
    const auto& path = paths.front();
    auto answer = ask(first_, route.method, path, body_of(route));
    EXPECT_NE(answer.status, 404) << route.method << ' ' << path << '\n' << answer.text;
    EXPECT_LT(answer.status, 500) << route.method << ' ' << path << '\n' << answer.text;
  }
}

TEST_F(TenantsTest, ListsHaveOnlyWhatIsTheTenantsOwn) {
  for (const auto& route : all_routes({})) {
    bool lists = route.method == "GET" && route.pattern.find('{') == std::string_view::npos;
    if (!lists || route.answer_form == AnswerForm::Stream) continue;
    auto answer = ask(second_, "GET", std::string(route.pattern));
    EXPECT_EQ(answer.status, 200) << route.pattern;
    EXPECT_EQ(answer.text.find("\"lone"), std::string::npos) << route.pattern;
    for (const auto& id : first_.ids()) {
      EXPECT_EQ(answer.text.find(id), std::string::npos) << route.pattern << '\n' << answer.text;
    }
  }
}

TEST_F(TenantsTest, IdsOfAnotherTenantFindNothingInQueriesAndBodies) {
  auto size = [&](const std::string& path) { return ask(second_, "GET", path).data().size(); };
  EXPECT_EQ(size("/api/v1/executions?parent=" + first_.greeted), 0u);
  EXPECT_EQ(size("/api/v1/enforcements?event=" + first_.event), 0u);
  EXPECT_EQ(size("/api/v1/enforcements?rule=lone.rule"), 0u);
  EXPECT_EQ(ask(second_, "GET", "/api/v1/rules/ci.on_push/why?event=" + first_.event).status, 404);
  auto test = [&](const std::string& body) {
    return ask(second_, "POST", "/api/v1/rules/test", body).status;
  };
  EXPECT_EQ(test(R"({"ref":"ci.on_push","event":")" + first_.event + R"("})"), 404);
  EXPECT_EQ(test(R"({"ref":"lone.rule","payload":{}})"), 404);
  EXPECT_EQ(test(R"({"ref":"ci.on_push","event":")" + second_.event + R"("})"), 200);
  EXPECT_EQ(ask(second_, "POST", "/api/v1/executions", R"({"action":"lone.act"})").status, 404);
}

TEST_F(TenantsTest, EqualEventIdsAndIdempotencyKeysMeetOnlyWithinATenant) {
  for (const auto* who : {&first_, &second_}) {
    auto again = send_event(*who);
    EXPECT_EQ(again.data()["duplicate"], Value(true));
    EXPECT_EQ(text_of(again.data(), "event"), who->event);
    EXPECT_EQ(text_of(greet(*who).data(), "id"), who->greeted);
    auto match = ask(*who, "GET", "/api/v1/enforcements/" + who->enforcement).data();
    auto echoed = ask(*who, "GET", "/api/v1/executions/" + text_of(match, "execution")).data();
    EXPECT_EQ(echoed["parameters"]["message"], Value(who->name));
  }
}

TEST_F(TenantsTest, AnEqualNameIsEachTenantsOwn) {
  auto before = all_that_the_first_sees();
  auto rule_id = [&](const Estate& who) {
    return text_of(ask(who, "GET", "/api/v1/rules/ci.on_push").data(), "id");
  };
  EXPECT_EQ(ask(second_, "GET", "/api/v1/keys/system/greeting").data()["value"], Value("second"));
  EXPECT_NE(rule_id(second_), rule_id(first_));
  for (const auto& [method, path, body] : {
           std::tuple("POST", "/api/v1/rules/ci.on_push/disable", ""),
           std::tuple("PUT", "/api/v1/rules/ci.on_push",
                      R"({"trigger":{"ref":"ci.push"},"action":{"ref":"core.noop"}})"),
           std::tuple("DELETE", "/api/v1/rules/ci.on_push", ""),
           std::tuple("PUT", "/api/v1/webhook-endpoints/ci",
                      R"({"scheme":"github","secrets":["a secret of the second"]})"),
           std::tuple("DELETE", "/api/v1/webhook-endpoints/ci", ""),
           std::tuple("DELETE", "/api/v1/keys/system/greeting", ""),
           std::tuple("DELETE", "/api/v1/packs/ci", ""),
       }) {
    auto answer = ask(second_, method, path, body);
    EXPECT_LT(answer.status, 300) << method << ' ' << path << '\n' << answer.text;
  }
  EXPECT_EQ(all_that_the_first_sees(), before);
}

TEST_F(TenantsTest, AnEndpointsPathIsWhereItsDeliveriesGo) {
  for (const auto* who : {&first_, &second_}) {
    auto path = text_of(ask(*who, "GET", "/api/v1/webhook-endpoints/ci").data(), "path");
    auto delivered = ask(*who, "POST", path, fmt::format(R"({{"n":"{}"}})", who->name));
    ASSERT_EQ(delivered.status, 202) << path << '\n' << delivered.text;
    auto event = ask(*who, "GET", "/api/v1/events/" + text_of(delivered.data(), "event"));
    EXPECT_EQ(event.data()["payload"]["body"]["n"], Value(who->name)) << event.text;
  }
  EXPECT_EQ(ask(second_, "POST", "/api/v1/tenants/3/webhooks/ci", "{}").code(), "WHK-0101");
}

TEST_F(TenantsTest, AWorkerServesBoth) {
  open_worker();
  for (const auto* who : {&first_, &second_}) {
    EXPECT_EQ(ask(*who, "GET", "/api/v1/workers").data().size(), 1u);
    auto path =
        "/api/v1/executions/" +
        text_of(ask(*who, "POST", "/api/v1/executions", R"({"action":"ci.build"})").data(), "id");
    auto order = worker_.next();
    EXPECT_EQ(order.tenant, who->tenant);
    finish(order, "of " + who->name);
    EXPECT_EQ(ask(*who, "GET", path + "?wait=10s").data()["status"], Value("succeeded"));
    EXPECT_EQ(ask(*who, "GET", path + "/output").data()["data"], Value("of " + who->name));
  }
}

TEST_F(TenantsTest, TheStreamShowsTheTenantsOwnChanges) {
  auto text = stream(
      "/api/v1/stream?from=0",
      [&](const std::string& so_far) { return so_far.find(second_.asking) != std::string::npos; },
      bearer(second_.token));
  for (const auto& id : first_.ids()) EXPECT_EQ(text.find(id), std::string::npos) << text;
  EXPECT_NE(text.find(second_.event), std::string::npos);
}

TEST_F(TenantsTest, WhatAnExecutionHasStartedIsNotThereForAnotherTenant) {
  auto children = "/api/v1/executions/" + first_.greeted + "/children";
  EXPECT_EQ(ask(first_, "GET", children).data().size(), 1u);
  EXPECT_EQ(ask(second_, "GET", children).code(), "EXE-0010");
  EXPECT_EQ(ask(first_, "GET", "/api/v1/executions/1/children").code(), "EXE-0010");
}

TEST_F(TenantsTest, AWebhookOfAnotherTenantIsAnsweredLikeOneThatIsNotThere) {
  auto lone = ask(second_, "POST", "/api/v1/webhooks/lone", "{}");
  auto none = ask(second_, "POST", "/api/v1/webhooks/nobody", "{}");
  EXPECT_EQ(lone.status, 404) << lone.text;
  EXPECT_EQ(lone.code(), none.code());
  EXPECT_EQ(ask(first_, "POST", "/api/v1/webhooks/lone", "{}").status, 202);
}

}  // namespace
}  // namespace millrace::api

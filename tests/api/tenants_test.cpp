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
  std::string event, enforcement, greeted, asking, token_id;

  std::vector<std::string> ids() const { return {event, enforcement, greeted, asking, token_id}; }
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
    own.greeted = made(greet(own));
    own.asking = made(ask(own, "POST", "/api/v1/executions", R"({"action":"core.ask"})"));
    return own;
  }

  void add_what_only_the_first_has() {
    auto rule = R"({"ref":"lone.rule","trigger":{"ref":"lone.sign"},"action":{"ref":"lone.act"}})";
    EXPECT_EQ(ask(first_, "POST", "/api/v1/rules", rule).status, 201);
    EXPECT_EQ(ask(first_, "POST", "/api/v1/webhook-endpoints", R"({"name":"lone","scheme":"token"})")
                  .status,
              201);
    EXPECT_EQ(ask(first_, "PUT", "/api/v1/keys/system/lone", R"({"value":"first"})").status, 200);
  }

  Estate first_;
  Estate second_;
};

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

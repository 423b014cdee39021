// SPDX-License-Identifier: Apache-2.0
#include "auth/token.h"

#include <gtest/gtest.h>

namespace millrace::auth {
namespace {

// 1, 2, 3, ...
Random counting_random() {
  return [next = uint8_t{0}](std::span<uint8_t> out) mutable {
    for (auto& byte : out) byte = ++next;
  };
}

StoredToken stored(const Secret& token, int64_t id = 1) {
  return {TokenId{id}, kDefaultTenant, token_hash(token.reveal()), "ada", "rules:*,events:send", 0};
}

std::string code_of(const Result<Principal>& result) {
  return result.ok() ? "ok" : result.error().code();
}

TEST(Token, IsAPrefixAnd32RandomBytes) {
  auto token = make_token(counting_random());
  EXPECT_EQ(token.reveal(), "mr_0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20");
}

TEST(TokenCache, FindsWhoATokenBelongsTo) {
  TokenCache cache;
  auto token = make_token(counting_random());
  cache.put(stored(token));
  auto who = cache.find(token.reveal(), 0);
  ASSERT_TRUE(who.ok());
  EXPECT_EQ(who->identity, "ada");
  EXPECT_TRUE(who->permissions.allow(Permission::RulesWrite));
  EXPECT_TRUE(who->permissions.allow(Permission::EventsSend));
  EXPECT_FALSE(who->permissions.allow(Permission::EventsRead));
}

TEST(TokenCache, RefusesUnknownRevokedAndExpiredTokens) {
  TokenCache cache;
  auto token = make_token(counting_random());
  auto row = stored(token);
  row.expires = 1000;
  EXPECT_EQ(code_of(cache.find(token.reveal(), 0)), "AUT-0002");
  cache.put(row);
  EXPECT_EQ(code_of(cache.find(token.reveal(), 999)), "ok");
  EXPECT_EQ(code_of(cache.find(token.reveal(), 1000)), "AUT-0003");
  EXPECT_EQ(code_of(cache.find(token.reveal() + "0", 0)), "AUT-0002");
  EXPECT_EQ(code_of(cache.find("", 0)), "AUT-0002");
  cache.remove(row.id);
  EXPECT_EQ(code_of(cache.find(token.reveal(), 0)), "AUT-0002");
}

TEST(TokenCache, ANameOfALaterVersionGrantsNothing) {
  TokenCache cache;
  auto token = make_token(counting_random());
  auto row = stored(token);
  row.permissions = "moons:write,rules:read";
  cache.put(row);
  auto who = cache.find(token.reveal(), 0);
  ASSERT_TRUE(who.ok());
  EXPECT_EQ(who->permissions, *Permissions::parse("rules:read"));
}

TEST(Permissions, WildcardsCoverResourcesOrAll) {
  auto rules = *Permissions::parse(" rules:* ");
  EXPECT_TRUE(rules.allow(Permission::RulesRead));
  EXPECT_TRUE(rules.allow(Permission::RulesWrite));
  EXPECT_FALSE(rules.allow(Permission::ExecutionsRead));
  auto all = *Permissions::parse("*");
  EXPECT_EQ(all, Permissions::all());
  EXPECT_TRUE(all.allow(Permission::Admin));
  EXPECT_TRUE(all.cover(rules));
  EXPECT_FALSE(rules.cover(all));
  EXPECT_EQ(*Permissions::parse(""), Permissions());
}

TEST(Permissions, EveryNameMeansItself) {
  for (int i = 0; i < kPermissions; ++i) {
    auto permission = static_cast<Permission>(i);
    Permissions expected;
    expected.add(permission);
    auto parsed = Permissions::parse(to_string(permission));
    ASSERT_TRUE(parsed.ok()) << to_string(permission);
    EXPECT_EQ(*parsed, expected) << to_string(permission);
  }
}

TEST(Permissions, AllUnknownNamesAreToldWithTheNearest) {
  auto parsed = Permissions::parse("rules:raed,foo:*,events:read");
  ASSERT_FALSE(parsed.ok());
  ASSERT_EQ(parsed.error().problems().size(), 2u);
  EXPECT_EQ(parsed.error().problems()[0].message,
            "unknown permission 'rules:raed' (did you mean 'rules:read'?)");
  EXPECT_EQ(parsed.error().problems()[1].message, "unknown permission 'foo:*'");
}

TEST(RunTokens, NameTheRunTheyWereMadeFor) {
  RunTokens tokens({Secret("key")});
  RunClaim run{TenantId{3}, ExecutionId{42}, 2, 7};
  auto token = tokens.make(run);
  EXPECT_TRUE(token.reveal().starts_with("mrx.3.42.2.7."));
  EXPECT_TRUE(RunTokens::is_run_token(token.reveal()));
  auto claim = tokens.check(token.reveal());
  ASSERT_TRUE(claim.ok());
  EXPECT_EQ(*claim, run);
}

TEST(RunTokens, ARotatedKeyStillOpensOldTokens) {
  auto token = RunTokens({Secret("old")}).make({TenantId{1}, ExecutionId{1}, 1, 1});
  EXPECT_TRUE(RunTokens({Secret("new"), Secret("old")}).check(token.reveal()).ok());
  EXPECT_FALSE(RunTokens({Secret("new")}).check(token.reveal()).ok());
}

TEST(RunTokens, NoOtherRunCanBeClaimed) {
  RunTokens tokens({Secret("key")});
  auto token = tokens.make({TenantId{3}, ExecutionId{42}, 1, 7}).reveal();
  auto proof = token.substr(token.rfind('.'));
  for (const std::string& forged :
       {"mrx.4.42.1.7" + proof, "mrx.3.43.1.7" + proof, "mrx.3.42.2.7" + proof,
        "mrx.3.42.1.8" + proof, "mrx.42.1.7" + proof, token + "0",
        token.substr(0, token.size() - 1), std::string("mrx"), std::string("mrx....."),
        "mrx.3.-42.1.7" + proof}) {
    auto claim = tokens.check(forged);
    ASSERT_FALSE(claim.ok()) << forged;
    EXPECT_EQ(claim.error().code(), "AUT-0004") << forged;
  }
}

}  // namespace
}  // namespace millrace::auth

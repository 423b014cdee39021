// SPDX-License-Identifier: Apache-2.0
#include "packs/secrets.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace millrace::packs {
namespace {

Action action() {
  Action action{.ref = "x.y"};
  for (const char* name : {"token", "pin", "open"}) {
    Parameter parameter{.name = name};
    parameter.schema = Value::map();
    parameter.secret = std::string_view(name) != "open";
    action.parameters.push_back(parameter);
  }
  return action;
}

TEST(SecretScalars, AreHiddenWholeAndNothingElseIsTouched) {
  SecretScalars secrets(action(),
                        *parse_json(R"({"token": {"a": "s3cret"}, "pin": 1234, "open": "plain"})"));
  Value data = *parse_json(
      R"({"s3cret": ["s3cret", "a s3cret b", "1234"], "n": [1234, 1234.0, 51234], "o": "plain"})");
  EXPECT_EQ(
      to_json(secrets.hidden_in(data)),
      R"({"s3cret":["********","a s3cret b","1234"],"n":["********",1234.0,51234],"o":"plain"})");
  EXPECT_EQ(secrets.unmasked(), "");
}

TEST(SecretScalars, OfFewBytesAreNamed) {
  SecretScalars secrets(action(), *parse_json(R"({"token": "abc", "pin": [12, 3], "open": "x"})"));
  EXPECT_TRUE(secrets.empty());
  EXPECT_EQ(secrets.unmasked(), "'token', 'pin'");
  EXPECT_EQ(SecretScalars(action(), *parse_json(R"({"token": "", "pin": null})")).unmasked(), "");
}

TEST(Secrets, AreMaskedByTheActionsDeclaration) {
  Action action;
  action.parameters.resize(2);
  action.parameters[0].name = "password";
  action.parameters[0].secret = true;
  action.parameters[1].name = "host";
  auto parameters = Value::map({{"password", "hush"}, {"host", "a"}});
  EXPECT_EQ(to_json(mask_secrets(parameters, &action)), R"({"password":"********","host":"a"})");
  EXPECT_EQ(to_json(mask_secrets(Value::map({{"host", "a"}}), &action)), R"({"host":"a"})");
}

TEST(Secrets, AreAllHiddenWhenTheActionIsGone) {
  auto parameters = Value::map({{"password", "hush"}, {"host", "a"}});
  EXPECT_EQ(to_json(mask_secrets(parameters, nullptr)),
            R"({"password":"********","host":"********"})");
}

TEST(ShortSecret, IsFoundWhereItIsDeclared) {
  auto of = [](std::string_view schema, Value default_value = Value()) {
    Parameter parameter{.name = "pin"};
    parameter.schema = *parse_json(schema);
    if (!default_value.is_null()) parameter.default_value = default_value;
    parameter.secret = true;
    return short_secret(parameter);
  };
  EXPECT_EQ(of(R"({"type": "boolean"})"), "true or false");
  EXPECT_EQ(of(R"({"maxLength": 3})"), "at most 3 characters");
  EXPECT_EQ(of(R"({"enum": ["long enough", "no"]})"), "a value of 'enum'");
  EXPECT_EQ(of("{}", Value("abc")), "its default");
  EXPECT_EQ(of(R"({"type": "string"})", Value("")), "");
  EXPECT_EQ(of(R"({"type": "string", "minLength": 4})", Value("abcd")), "");
}

}  // namespace
}  // namespace millrace::packs

// SPDX-License-Identifier: Apache-2.0
#include "packs/config.h"

#include <gtest/gtest.h>

#include <map>

#include "base/json.h"
#include "packs/load.h"

namespace millrace::packs {
namespace {

Value of_json(std::string_view text) { return parse_json(text).value(); }

// As a pack has it: several accounts, each as `account` says.
constexpr std::string_view kSchema = R"(
url: {type: string, default: "http://example.org"}
token: {type: string, secret: true, required: true, default: "{{ st2kv.system.token }}"}
accounts:
  type: object
  patternProperties: {"^\\w+$": {$ref: "#/properties/account"}}
  additionalProperties: false
account:
  type: object
  properties:
    user: {type: string, required: true}
    password: {type: string, secret: true}
    port: {type: integer, default: 443}
  additionalProperties: false
limits:
  type: object
  properties: {most: {type: integer, default: 3}}
)";

Pack pack_with(std::string_view schema) {
  PackFiles files{{"pack.yaml", "ref: tea\nversion: 1.0.0\n"},
                  {"config.schema.yaml", std::string(schema)}};
  expr::Engine engine;
  auto report = check(files, engine);
  EXPECT_TRUE(report.errors.empty()) << report.errors.front().message;
  return std::move(report.pack);
}

const Value& schema() {
  static const Value schema = pack_with(kSchema).config_schema;
  return schema;
}

std::string told(const std::vector<Problem>& problems) {
  std::string out;
  for (const auto& one : problems) out += one.path + ": " + one.message + "\n";
  return out;
}

class Keys final : public expr::Lookup {
 public:
  std::map<std::string, Value, std::less<>> values;
  bool are_loaded = true;
  mutable std::vector<std::string> decrypted;
  expr::Answer kv(std::string_view key, bool decrypt) const override {
    if (!are_loaded) return expr::Answer::need(std::string(key));
    if (decrypt) decrypted.emplace_back(key);
    auto found = values.find(key);
    return found == values.end() ? expr::Answer::absent() : expr::Answer::of(found->second);
  }
};

TEST(Config, TakesTheUpperValueAndMapsEntryByEntry) {
  EXPECT_EQ(merged(of_json(R"({"a":1,"b":{"c":1,"d":2},"e":[1]})"),
                   of_json(R"({"a":2,"b":{"d":3},"e":[2],"f":null})")),
            of_json(R"({"a":2,"b":{"c":1,"d":3},"e":[2],"f":null})"));
}

TEST(Config, FillsInDefaultsAlsoInsideOfWhatPatternsDescribe) {
  EXPECT_EQ(with_defaults(schema(), of_json(R"({"accounts":{"dev":{"user":"u"}}})")),
            of_json(R"({"accounts":{"dev":{"user":"u","port":443}},"url":"http://example.org",
                     "token":"{{ st2kv.system.token }}","account":{"port":443},
                     "limits":{"most":3}})"));
}

TEST(Config, SaysWhatIsWrongAndNeverQuotesASecret) {
  auto said = told(config_problems(
      schema(), of_json(R"({"url":5,"accounts":{"dev":{"user":"u","password":12345,"x":1}}})")));
  EXPECT_EQ(said,
            "/url: expected string, found integer\n"
            "/accounts/dev/password: expected string, found integer\n"
            "/accounts/dev/x: unknown key 'x'\n");
}

TEST(Config, ATemplateMayComeToAnything) {
  Value config = of_json(R"({"limits":{"most":"{{ st2kv.system.most }}"},"token":"t"})");
  EXPECT_EQ(told(config_problems(schema(), config)), "");
}

TEST(Config, NamesWhatIsMissing) {
  auto missing =
      missing_config(schema(), of_json(R"({"accounts":{"dev":{}},"account":{"user":"x"}})"));
  EXPECT_EQ(missing, (std::vector<std::string>{"accounts.dev.user", "token"}));
  EXPECT_TRUE(missing_config(schema(), of_json(R"({"token":"{{ st2kv.system.t }}"})")).empty());
}

TEST(Config, NamesWhatTheSchemaHasNot) {
  EXPECT_EQ(told(unknown_config(schema(), of_json(R"({"ulr":1})"))),
            "/ulr: the schema of the configuration has no 'ulr' (did you mean 'url'?)\n");
}

TEST(Config, HidesSecretsWhereverTheyAre) {
  Value config = of_json(R"({"url":"u","token":"{{ st2kv.system.token }}",
                          "accounts":{"dev":{"user":"u","password":"p"}}})");
  Value masked = masked_config(schema(), config);
  EXPECT_EQ(masked["accounts"]["dev"], of_json(R"({"user":"u","password":"********"})"));
  EXPECT_EQ(masked["token"], config["token"]);  // says where it is
  EXPECT_EQ(unmasked_config(schema(), masked, config), config);
  EXPECT_EQ(secret_parts(schema(), config),
            of_json(R"({"token":"{{ st2kv.system.token }}","accounts":{"dev":{"password":"p"}}})"));
}

TEST(Config, RendersWhatReadsKeysAndSecretsInClear) {
  Keys keys;
  keys.values = {{"system.token", "t0k"}, {"system.port", 8443}};
  expr::Engine engine;
  Value config = of_json(R"({"token":"{{ st2kv.system.token }}","url":"{{ not_ours }}",
      "limits":{"most":"{{ st2kv.system.port }}"},
      "accounts":{"dev":{"user":"{{ st2kv.system.gone }}"}}})");
  ASSERT_TRUE(reads_keys(config));
  auto rendered = render_config(schema(), config, keys, engine);
  ASSERT_TRUE(rendered.ok()) << rendered.error().describe();
  EXPECT_EQ(*rendered, of_json(R"({"token":"t0k","url":"{{ not_ours }}","limits":{"most":8443},
                                "accounts":{"dev":{"user":null}}})"));
  EXPECT_EQ(keys.decrypted, std::vector<std::string>{"system.token"});
}

TEST(Config, TellsAllKeysThatItNeedsAtOnce) {
  Keys keys;
  keys.are_loaded = false;
  expr::Engine engine;
  auto rendered = render_config(
      schema(), of_json(R"({"token":"{{ st2kv.system.a }}","url":"{{ st2kv.system.b }}"})"), keys,
      engine);
  ASSERT_FALSE(rendered.ok());
  EXPECT_EQ(expr::needed_keys(rendered.error()).size(), 2U);
}

TEST(Config, ASchemaMayBeAWholeOneOfAnyDraft) {
  auto pack = pack_with(R"(
$schema: https://json-schema.org/draft/2020-12/schema
type: object
properties:
  host: {$ref: "#/$defs/name"}
patternProperties: {"^env_": {$ref: "#/$defs/name"}}
additionalProperties: false
required: [host]
$defs: {name: {type: string, minLength: 2}}
)");
  EXPECT_EQ(missing_config(pack.config_schema, Value::map()), std::vector<std::string>{"host"});
  EXPECT_EQ(
      told(config_problems(pack.config_schema, of_json(R"({"host":"a","env_x":"y","other":1})"))),
      "/host: expected at least 2 characters, found 1\n"
      "/env_x: expected at least 2 characters, found 1\n"
      "/other: unknown key 'other'\n");
}

TEST(Config, ASchemaThatNamesItselfIsWrittenOutSoFar) {
  auto pack = pack_with(R"(
tree: {$ref: "#/definitions/node"}
definitions:
  node:
    type: object
    properties:
      left: {$ref: "#/definitions/node"}
      right: {$ref: "#/definitions/node"}
)");
  EXPECT_EQ(told(config_problems(pack.config_schema, of_json(R"({"tree":{"left":{"right":1}}})"))),
            "/tree/left/right: expected object, found integer\n");
}

}  // namespace
}  // namespace millrace::packs

// SPDX-License-Identifier: Apache-2.0
#include "base/fields.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace millrace {
namespace {

enum class Color : uint8_t { Red = 0, Green = 1, Blue = 7 };
std::string_view to_string(Color color) {
  switch (color) {
    case Color::Red: return "red";
    case Color::Green: return "green";
    case Color::Blue: return "blue";
  }
  return "unknown";
}

struct Part {
  std::string name;
  int64_t count = 1;
  static const Fields& fields() {
    static const Field lines[] = {
        field("name", &Part::name, "Its name.").required().length(1, 5),
        field("count", &Part::count, "How many.").range(1, 10),
    };
    static const auto table = fields_of<Part>("Part", "A piece.", lines);
    return table;
  }
};

struct Thing {
  ExecutionId id;
  std::string ref;
  bool enabled = true;
  uint16_t port = 80;
  double ratio = 0.5;
  Color color = Color::Green;
  Timestamp created;
  Value parameters;
  Secret token;
  std::optional<int> limit;
  std::optional<Part> lid;
  std::vector<std::string> tags;
  std::vector<Part> parts;
  Part main{.name = "m"};

  static const Fields& fields() {
    static const Field lines[] = {
        field("id", &Thing::id, ""),
        field("ref", &Thing::ref, "pack.name").required(),
        field("enabled", &Thing::enabled, ""),
        field("port", &Thing::port, ""),
        field("ratio", &Thing::ratio, ""),
        field("color", &Thing::color, ""),
        field("created", &Thing::created, ""),
        field("parameters", &Thing::parameters, "").only(Value::Kind::Map),
        field("token", &Thing::token, ""),
        field("limit", &Thing::limit, "").unit("bytes"),
        field("lid", &Thing::lid, ""),
        field("tags", &Thing::tags, "").length(0, 3),
        field("parts", &Thing::parts, ""),
        field("main", &Thing::main, ""),
    };
    static const auto table = fields_of<Thing>("Thing", "A thing.", lines);
    return table;
  }
};

const char* const kFull =
    R"({"id":"42","ref":"a.b","enabled":false,"port":8080,"ratio":1.5,"color":"blue",)"
    R"("created":"2026-01-31T12:00:00.250Z","parameters":{"x":[1]},"token":"s3cret","limit":3,)"
    R"("lid":{"name":"l","count":2},"tags":["t1","t2"],"parts":[{"name":"p","count":10}],)"
    R"("main":{"name":"m","count":1}})";

std::vector<std::string> problems_of(std::string_view json, Scalars scalars = Scalars::Json) {
  auto value = parse_json(json);
  EXPECT_TRUE(value.ok());
  auto decoded = decode<Thing>(*value, scalars);
  std::vector<std::string> lines;
  if (decoded.ok()) return lines;
  for (const auto& p : decoded.error().problems()) lines.push_back(p.path + ": " + p.message);
  return lines;
}

TEST(Fields, EveryMemberTypeRoundTrips) {
  auto thing = decode<Thing>(*parse_json(kFull));
  ASSERT_TRUE(thing.ok()) << thing.error().describe();
  EXPECT_EQ(thing->id, ExecutionId{42});
  EXPECT_EQ(thing->color, Color::Blue);
  EXPECT_EQ(thing->token.reveal(), "s3cret");
  EXPECT_EQ(encode_json(*thing, Secrets::Reveal), kFull);
  EXPECT_EQ(to_json(encode(*thing, Secrets::Reveal)), kFull);
}

TEST(Fields, SecretsAreRedactedUnlessRevealed) {
  Thing thing;
  EXPECT_EQ(encode(thing)["token"], Value(""));
  thing.token = Secret("s3cret");
  EXPECT_EQ(encode(thing)["token"], Value("***"));
  EXPECT_EQ(encode_json(thing).find("s3cret"), std::string::npos);
  EXPECT_EQ(field_text(&thing, *Thing::fields().find("token")), "***");
}

TEST(Fields, AbsentFieldsKeepTheStructsDefaults) {
  auto thing = decode<Thing>(*parse_json(R"({"ref":"a.b","limit":null})"));
  ASSERT_TRUE(thing.ok()) << thing.error().describe();
  EXPECT_EQ(thing->port, 80);
  EXPECT_FALSE(thing->limit.has_value());
  Value encoded = encode(*thing);
  for (const char* absent : {"id", "created", "limit", "lid"}) {
    EXPECT_EQ(encoded.find(absent), nullptr) << absent;
  }
}

TEST(Fields, AllProblemsAreReportedWithTheirPaths) {
  EXPECT_EQ(problems_of(R"({"rfe":1,"port":70000,"color":"bleu","tags":["a",2],
                           "parts":[{"name":"ok"},{"name":"toolong","count":0}],
                           "parameters":[],"main":7,"id":"x1","created":"yesterday"})"),
            (std::vector<std::string>{
                "/rfe: unknown field (did you mean 'ref'?)",
                "/id: id: expected a decimal id, found 'x1'",
                "/ref: missing: expected string",
                "/port: expected at most 65535, found 70000",
                "/color: expected one of red, green, blue; found 'bleu' (did you mean 'blue'?)",
                "/created: expected a time like 2026-01-31T12:00:00Z (RFC 3339), found "
                "'yesterday'",
                "/parameters: expected object, found array",
                "/tags/1: expected string, found integer",
                "/parts/1/name: expected at most 5 characters, found 7",
                "/parts/1/count: expected at least 1, found 0",
                "/main: expected object, found integer",
            }));
  EXPECT_EQ(problems_of("[]"), (std::vector<std::string>{": expected object, found array"}));
  EXPECT_EQ(problems_of(R"({"ref":"r","tags":["1","2","3","4"]})"),
            (std::vector<std::string>{"/tags: expected at most 3 items, found 4"}));
}

TEST(Fields, TheMessageNamesTheFirstProblemAndCountsTheOthers) {
  auto thing = decode<Thing>(*parse_json(R"({"port":"x","limit":"y"})"));
  ASSERT_FALSE(thing.ok());
  EXPECT_EQ(thing.error().message(),
            "invalid Thing: '/ref': missing: expected string (and 2 more)");
}

TEST(Fields, LengthCountsCharactersNotBytes) {
  EXPECT_TRUE(problems_of(R"({"ref":"r","main":{"name":"äöüßé"}})").empty());
}

TEST(Fields, JsonScalarsAreStrictAndTextScalarsAreParsed) {
  const char* text = R"({"ref":"r","port":"81","enabled":"false","ratio":"2","limit":"7",
                         "tags":"a, b","parameters":"{\"k\":1}"})";
  EXPECT_EQ(problems_of(text).size(), 6U);
  auto thing = decode<Thing>(*parse_json(text), Scalars::Text);
  ASSERT_TRUE(thing.ok()) << thing.error().describe();
  EXPECT_EQ(thing->port, 81);
  EXPECT_FALSE(thing->enabled);
  EXPECT_EQ(thing->tags, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(thing->parameters["k"], Value(1));
  EXPECT_EQ(problems_of(R"({"ref":"r","ratio":"nan"})", Scalars::Text),
            (std::vector<std::string>{"/ratio: expected at least -inf, found nan"}));
}

TEST(Fields, SchemaTellsTypesLimitsDefaultsAndReferences) {
  Value components;
  add_schemas(components, Thing::fields());
  EXPECT_EQ(to_json(components["Part"]),
            R"({"type":"object","description":"A piece.","properties":{)"
            R"("name":{"type":"string","minLength":1,"maxLength":5,"description":"Its name."},)"
            R"("count":{"type":"integer","minimum":1,"maximum":10,"description":"How many.",)"
            R"("default":1}},"required":["name"],"additionalProperties":false})");
  const Value& thing = components["Thing"]["properties"];
  EXPECT_EQ(thing["color"]["enum"], Value(ValueList{"red", "green", "blue"}));
  EXPECT_EQ(thing["color"]["default"], Value("green"));
  EXPECT_EQ(thing["parts"]["items"]["$ref"], Value("#/components/schemas/Part"));
  EXPECT_EQ(thing["tags"]["maxItems"], Value(3));
  EXPECT_EQ(thing["limit"]["x-unit"], Value("bytes"));
  EXPECT_EQ(thing["token"]["writeOnly"], Value(true));
}

TEST(Fields, FieldTextIsForPeople) {
  Thing thing;
  thing.tags = {"x", "y"};
  auto text = [&](std::string_view name) {
    return field_text(&thing, *Thing::fields().find(name));
  };
  EXPECT_EQ(text("port"), "80");
  EXPECT_EQ(text("color"), "green");
  EXPECT_EQ(text("tags"), R"(["x","y"])");
  EXPECT_EQ(text("id"), "");
  EXPECT_EQ(text("limit"), "");
}

TEST(Time, Rfc3339RoundTripsAndAcceptsOffsets) {
  for (int64_t ms : {int64_t{0}, int64_t{-1}, int64_t{1'769'860'800'250}, int64_t{951'782'400'000},
                     int64_t{253'402'300'799'999}}) {
    auto parsed = parse_rfc3339(to_rfc3339(ms));
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(*parsed, ms);
  }
  EXPECT_EQ(*parse_rfc3339("1970-01-01T02:00:00.1239+02:00"), 123);
  for (const char* bad :
       {"", "2026-02-29T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00",
        "2026-01-01T00:00:00Zx", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00+99:00",
        // Found by text_fuzz: in UTC these are of years that cannot be written.
        "0000-01-01T00:00:00+00:01", "9999-12-31T23:59:60Z", "9999-12-31T23:59:59-00:01"}) {
    EXPECT_FALSE(parse_rfc3339(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace millrace

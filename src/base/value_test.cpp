// SPDX-License-Identifier: Apache-2.0
#include "base/value.h"

#include <gtest/gtest.h>

#include "base/ids.h"
#include "base/json.h"
#include "base/text.h"

namespace millrace {
namespace {

// Another number than the one that was sent is worse than none.
TEST(Json, ANumberThatCannotBeKeptIsRefusedWithItsPlace) {
  auto why = [](std::string_view text) { return parse_json(text).error().message(); };
  EXPECT_EQ(*parse_json("[9223372036854775807,-9223372036854775808,1.5e308,5e-324]"),
            Value(ValueList{Value(INT64_MAX), Value(INT64_MIN), Value(1.5e308), Value(5e-324)}));
  EXPECT_NE(why(R"({"id":13835058055282163713})")
                .find("line 1, column 27 (byte 26): expected a whole number from -2^63 to 2^63 - "
                      "1, found 13835058055282163713"),
            std::string::npos)
      << why(R"({"id":13835058055282163713})");
  EXPECT_NE(why("-9223372036854775809").find("found -9223372036854775809"), std::string::npos);
  EXPECT_NE(why(std::string(500, '9')).find("9...; as text"), std::string::npos);
  EXPECT_NE(why(R"([1,{"x":1e400}])").find("found 1e400"), std::string::npos);
  EXPECT_NE(why("-1.5E999").find("up to 1.79e308"), std::string::npos);
  EXPECT_NE(why("[-1e-400]").find("from 5e-324, found -1e-400"), std::string::npos);
  EXPECT_EQ(*parse_json("[0.0e-999,-0e5]"), Value(ValueList{0.0, -0.0}));
  EXPECT_EQ(*parse_json("18446744073709551616", {.rounds_numbers = true}), Value(0x1p64));
}

TEST(Json, AFractionDoesNotLetAWholeNumberBecomeAnotherOne) {
  auto why = [](std::string_view text) {
    auto value = parse_json(text);
    return value.ok() ? to_json(*value) : value.error().message();
  };
  for (const char* text :
       {"9007199254740993.0", "[90071992547409.93e2]", "-9007199254740993.00",
        "9.007199254740993E15", "123456789012345678.5", "1152921504606846977e0"}) {
    EXPECT_NE(why(text).find("expected a number that a double holds, found"), std::string::npos)
        << why(text);
  }
  for (auto [text, json] : {std::pair("9007199254740992.0", "9007199254740992.0"),
                            {"1e23", "1e+23"},
                            {"1.7976931348623157e308", "1.7976931348623157e+308"},
                            {"0.1000000000000000055511151231257827", "0.1"},
                            {"3.14159265358979323846", "3.141592653589793"},
                            {"1.8446744073709551616e19", "1.8446744073709552e+19"},
                            {"1.2089258196146292e24", "1.2089258196146292e+24"}}) {
    EXPECT_EQ(why(text), json);
  }
  EXPECT_EQ(to_json(*parse_json("9007199254740993.0", {.rounds_numbers = true})),
            "9007199254740992.0");
}

TEST(Json, KeepsTheSignOfZero) {
  EXPECT_EQ(to_json(*parse_json("[-0,-0.0,0,{\"a\":-0}]")), R"([-0.0,-0.0,0,{"a":-0.0}])");
}

TEST(Value, NumbersAreComparedExactly) {
  constexpr int64_t kWhole = 9007199254740993;
  EXPECT_NE(Value(kWhole), Value(9007199254740992.0));
  EXPECT_EQ(Value(kWhole - 1), Value(9007199254740992.0));
  EXPECT_NE(Value(INT64_MAX), Value(0x1p63));
  EXPECT_EQ(Value(INT64_MIN), Value(-0x1p63));
  auto order = [](Value a, Value b) { return compare_numbers(a, b); };
  EXPECT_TRUE(std::is_gt(order(kWhole, 9007199254740992.0)));
  EXPECT_TRUE(std::is_lt(order(9007199254740992.0, kWhole)));
  EXPECT_TRUE(std::is_lt(order(INT64_MAX, 0x1p63)));
  EXPECT_TRUE(std::is_gt(order(INT64_MIN, -0x1p64)));
  EXPECT_TRUE(std::is_lt(order(1, 1.5)));
  EXPECT_TRUE(std::is_gt(order(-1, -1.5)));
  EXPECT_TRUE(std::is_eq(order(0, -0.0)));
}

TEST(Json, TextThatIsNoTextIsRefusedWithItsReason) {
  auto why = [](std::string_view text) { return parse_json(text).error().message(); };
  EXPECT_EQ(why("[\"a\xff\"]"),
            "invalid JSON at line 1, column 4 (byte 3): expected UTF-8, found the byte 0xff at 3");
  EXPECT_EQ(
      why(R"(["\uD83Dx"])"),
      R"(invalid JSON at line 1, column 9 (byte 8): expected a character, found half of one: )"
      R"(\uD83D)");
  EXPECT_NE(why(R"("\udc00")").find("half of one"), std::string::npos);
  EXPECT_NE(why(R"("\ud800\u0041")").find("surrogate"), std::string::npos);
  for (auto [text, reason] : {
           std::pair("[1,]", "line 1, column 4 (byte 3): syntax error, found ']'"),
           {"{\n\"a\": 01}", "line 2, column 7 (byte 8): syntax error, found '1'"},
           {"{\"a\" 1}", "line 1, column 6 (byte 5): syntax error, found '1'"},
           {"[\"a\n\"]", "line 1, column 4 (byte 3): syntax error, found the byte 0x0a"},
           {"{a: 1}",
            "line 1, column 2 (byte 1): syntax error, found a word: only true, false and "
            "null stand without quotes, written so"},
           {"[1] 2",
            "line 1, column 5 (byte 4): expected the end after one JSON value, found more"},
           {"", "line 1, column 1 (byte 0): incomplete JSON"},
           {"[1", "line 1, column 3 (byte 2): incomplete JSON"},
       }) {
    EXPECT_EQ(why(text), std::string("invalid JSON at ") + reason);
  }
  // A whole character, and what only looks like an escape, are not to blame for what follows.
  for (const char* text : {"\"\\ud83d\\ude00\n\"", "\"\\\\ud800\n\""}) {
    EXPECT_EQ(why(text).find("half of one"), std::string::npos) << why(text);
  }
}

TEST(Value, CopyOnWriteLeavesTheOtherHolderAlone) {
  Value a = Value::map({{"x", 1}});
  Value b = a;
  b.set("x", 2);
  EXPECT_EQ(a["x"], Value(1));
  EXPECT_EQ(b["x"], Value(2));
}

TEST(Value, MapsKeepInsertionOrderAndFindAmongMany) {
  Value m;
  for (int i = 0; i < 200; ++i) m.set("k" + std::to_string(199 - i), i);
  m.mutable_map().erase("k150");
  EXPECT_EQ(m.size(), 199U);
  EXPECT_EQ(m.as_map().begin()->name(), "k199");
  for (int i = 0; i < 200; ++i) {
    const Value* found = m.find("k" + std::to_string(i));
    if (i == 150) {
      EXPECT_EQ(found, nullptr);
    } else {
      ASSERT_NE(found, nullptr);
      EXPECT_EQ(found->as_int(), 199 - i);
    }
  }
}

TEST(Value, EqualityIsJsons) {
  EXPECT_EQ(Value(1), Value(1.0));
  EXPECT_FALSE(Value(true) == Value(1));
  EXPECT_EQ(Value::map({{"a", 1}, {"b", 2}}), Value::map({{"b", 2}, {"a", 1}}));
}

TEST(Json, AKeyThatStandsTwiceIsRefusedWithItsPlace) {
  for (const char* text : {R"({"a":1,"a":2})", R"([{"b":{"a":1,"x":0,"a":1}}])", R"({"":0,"":1})",
                           R"({"a":1,"\u0061":2})"}) {
    auto read = parse_json(text);
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_NE(read.error().message().find("each key once"), std::string::npos)
        << read.error().message();
  }
  EXPECT_TRUE(parse_json(R"({"a":{"a":1},"A":2})").ok());
}

TEST(Json, RoundTripKeepsOrderKindsAndEscapes) {
  const char* text = R"({"b":1,"a":[1.5,2.0,null,true,"\u00e9\n\"\\"],"n":-9223372036854775808})";
  auto parsed = parse_json(text);
  ASSERT_TRUE(parsed.ok()) << parsed.error().describe();
  EXPECT_EQ(to_json(*parsed),
            "{\"b\":1,\"a\":[1.5,2.0,null,true,\"é\\n\\\"\\\\\"],\"n\":-9223372036854775808}");
}

TEST(Json, NumbersComeBackExactly) {
  for (double d : {110.00000000000001, 0.30000000000000004, 0.09999999999999981, 1e-7, -2.5e300,
                   5e-324, 1.7976931348623157e308}) {
    auto parsed = parse_json("[" + to_json(Value(d)) + "]");
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(parsed->as_list()[0].as_float(), d);
  }
}

TEST(Json, ALimitIsToldWithItsSize) {
  auto deep = parse_json("[[[[1]]]]", {.max_depth = 3});
  ASSERT_FALSE(deep.ok());
  EXPECT_NE(deep.error().message().find("expected at most 3 levels of objects and lists"),
            std::string::npos)
      << deep.error().message();
  auto key = parse_json("{\"" + std::string(70'000, 'k') + "\":1}");
  ASSERT_FALSE(key.ok());
  EXPECT_NE(key.error().message().find("expected a key of at most 65536 bytes"), std::string::npos)
      << key.error().message();
}

TEST(Json, ErrorsNameLineAndColumn) {
  auto parsed = parse_json("{\n  \"a\": 1,\n  \"b\": tru\n}");
  ASSERT_FALSE(parsed.ok());
  EXPECT_NE(parsed.error().message().find("line 3"), std::string::npos) << parsed.error().message();
  EXPECT_FALSE(parse_json("{} x").ok());
  EXPECT_FALSE(parse_json("").ok());
  EXPECT_FALSE(parse_json(std::string(100, '[')).ok());
  EXPECT_TRUE(parse_json("{} \n").ok());
}

TEST(Json, ARepeatedKeyIsNamed) {
  auto refusal = [](const std::string& text) { return parse_json(text).error().message(); };
  EXPECT_EQ(refusal(R"({"a":1,"b":{"c":1,"d":2,"d":3,"c":4},"a":2})"),
            "invalid JSON at line 1, column 36 (byte 35): expected each key once in an object, "
            "found \"d\" twice in the object that ends here");
  EXPECT_TRUE(refusal(R"([{"\u0061\n":1,"a\n":2}])").contains(R"(found "a\n" twice)"));
  std::string key(5000, 'k');
  std::string told = refusal("{\"" + key + "\":1,\"" + key + "\":1}");
  EXPECT_TRUE(told.contains("found \"kkk")) << told;
  EXPECT_LT(told.size(), 400U);
}

TEST(Json, BytesThatAreNotUtf8AreReplaced) {
  EXPECT_EQ(to_json(Value("a\xff"
                          "b")),
            "\"a\xEF\xBF\xBD"
            "b\"");
}

TEST(Text, NearestNameFindsTranspositions) {
  std::vector<std::string> names{"ci.build", "ci.test", "core.noop"};
  EXPECT_EQ(did_you_mean("ci.biuld", names), " (did you mean 'ci.build'?)");
  EXPECT_EQ(did_you_mean("zzz", names), "");
}

// Optimal string alignment as its definition has it.
size_t plain_distance(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return a.size() + b.size();
  auto rest = [](std::string_view text, size_t n) { return text.substr(n); };
  size_t d = plain_distance(rest(a, 1), rest(b, 1)) + (a[0] == b[0] ? 0 : 1);
  d = std::min({d, plain_distance(rest(a, 1), b) + 1, plain_distance(a, rest(b, 1)) + 1});
  bool swapped = a.size() > 1 && b.size() > 1 && a[0] == b[1] && a[1] == b[0];
  return swapped ? std::min(d, plain_distance(rest(a, 2), rest(b, 2)) + 1) : d;
}

TEST(Text, TheNearestNameIsTheFirstOfTheNearest) {
  std::vector<std::string> names;
  for (int n = 0; n < 80; ++n) {
    std::string name;
    for (int rest = n * 37 + 1; rest > 0; rest /= 3) name += "abc"[rest % 3];
    names.push_back(name.substr(0, 5));
  }
  for (const auto& name : names) {
    std::vector<std::string> others;
    std::string expected;
    size_t least = std::max<size_t>(2, name.size() / 3) + 1;
    for (const auto& other : names) {
      if (other == name || others.size() > 20) continue;
      others.push_back(other);
      size_t d = plain_distance(name, other);
      if (d >= least || d >= std::max(name.size(), other.size())) continue;
      least = d;
      expected = other;
    }
    ASSERT_EQ(nearest_name(name, others), expected) << name;
  }
  std::vector<std::string> with_itself{"b", "abcde", "abcdef"};
  EXPECT_EQ(nearest_name("abcde", with_itself), "abcde");
  std::string longest(64, 'x');
  EXPECT_EQ(nearest_name(longest, std::vector{longest + std::string(21, 'y')}).size(), 85U);
}

TEST(Text, Base64RoundTrips) {
  std::string out;
  for (std::string s : {"", "a", "ab", "abc", "abcd"}) {
    ASSERT_TRUE(base64_decode(base64_encode(s), out));
    EXPECT_EQ(out, s);
  }
  EXPECT_FALSE(base64_decode("a===", out));
  // Found by text_fuzz: bits that stand for no byte.
  EXPECT_TRUE(base64_decode("aGVsbGw=", out));
  EXPECT_FALSE(base64_decode("aGVsbGx=", out));
  EXPECT_TRUE(base64_decode("aA==", out));
  EXPECT_FALSE(base64_decode("aP==", out));
}

TEST(IdSource, NeverGoesBackwardsWhenTheClockDoes) {
  IdSource ids(3);
  int64_t before = ids.next(1800000000000);
  for (int i = 0; i < 10000; ++i) {
    int64_t id = ids.next(1700000000000 + i % 3);
    ASSERT_GT(id, before);
    before = id;
  }
  EXPECT_EQ(id_time_ms(first_id_at(1800000000000)), 1800000000000);
}

}  // namespace
}  // namespace millrace

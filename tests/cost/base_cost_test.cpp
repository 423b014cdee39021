// SPDX-License-Identifier: Apache-2.0
// JSON, YAML, JSON Schema, fields, texts.
#include <fmt/format.h>

#include <vector>

#include "base/json.h"
#include "base/json_schema.h"
#include "base/problems.h"
#include "base/text.h"
#include "base/yaml.h"
#include "growth.h"

namespace millrace {
namespace {

using cost::grows_no_faster;

// MurmurHash64A as libstdc++ has it (_Hash_bytes with the seed 0xc70f6907): what was attacked.
// Two blocks of eight bytes that lead from a state to the same state can be chosen freely, n pairs
// of them make 2^n keys of one hash.
class CollidingKeys {
 public:
  // `count` keys of one length whose std::hash is the same.
  static std::vector<std::string> make(size_t count) {
    size_t pairs = 1;
    while ((size_t{1} << pairs) < count) ++pairs;
    std::vector<std::pair<uint64_t, uint64_t>> blocks;
    uint64_t state = kSeed ^ (pairs * 16 * kMul);
    for (size_t i = 0; i < pairs; ++i) {
      // Two ways over two blocks: their states meet behind the second.
      uint64_t first[2], second[2], mids[2];
      uint64_t random = 0x9E3779B97F4A7C15ULL * (i + 1);
      uint64_t target = 0;
      for (int way = 0; way < 2; ++way) {
        do {
          random = random * 6364136223846793005ULL + 1442695040888963407ULL;
          first[way] = printable(random);
          mids[way] = step(state, first[way]);
          if (way == 0) {
            second[0] = printable(random * 31);
            target = step(mids[0], second[0]);
          } else {
            second[1] = unmixed((target * inverse(kMul)) ^ mids[1]);
          }
        } while (way == 1 && !is_ascii(second[1]));
      }
      blocks_of(blocks, first, second);
      state = target;
    }
    std::vector<std::string> keys;
    for (size_t k = 0; k < count; ++k) {
      std::string key;
      for (size_t i = 0; i < pairs; ++i) {
        size_t way = k >> i & 1;
        for (uint64_t block : {blocks[i * 2 + way].first, blocks[i * 2 + way].second}) {
          key.append(reinterpret_cast<const char*>(&block), 8);
        }
      }
      keys.push_back(std::move(key));
    }
    return keys;
  }

 private:
  static constexpr uint64_t kMul = (0xC6A4A793ULL << 32) + 0x5BD1E995ULL;
  static constexpr uint64_t kSeed = 0xC70F6907ULL;

  static void blocks_of(std::vector<std::pair<uint64_t, uint64_t>>& blocks, const uint64_t* first,
                        const uint64_t* second) {
    blocks.emplace_back(first[0], second[0]);
    blocks.emplace_back(first[1], second[1]);
  }
  static uint64_t shift_mix(uint64_t v) { return v ^ (v >> 47); }
  static uint64_t step(uint64_t hash, uint64_t data) {
    return (hash ^ (shift_mix(data * kMul) * kMul)) * kMul;
  }
  static uint64_t inverse(uint64_t odd) {
    uint64_t x = odd;
    for (int i = 0; i < 6; ++i) x *= 2 - odd * x;
    return x;
  }
  static uint64_t unmixed(uint64_t mixed) {
    return shift_mix(mixed * inverse(kMul)) * inverse(kMul);
  }
  // Eight bytes that JSON takes as they are.
  static uint64_t printable(uint64_t x) {
    return (x & 0x0F0F0F0F0F0F0F0FULL) | 0x6060606060606060ULL;
  }
  static bool is_ascii(uint64_t x) {
    for (int i = 0; i < 8; ++i) {
      auto c = static_cast<unsigned char>(x >> (8 * i));
      if (c < 0x20 || c > 0x7E || c == '"' || c == '\\') return false;
    }
    return true;
  }
};

TEST(JsonCost, KeysThatCollideWithoutASeed) {
  auto keys = CollidingKeys::make(8);
  for (const auto& key : keys) {
    ASSERT_EQ(std::hash<std::string>{}(key), std::hash<std::string>{}(keys[0])) << "not the attack";
  }
  auto all = CollidingKeys::make(8000);  // of one length
  grows_no_faster("colliding keys", 400, [&all](size_t n) {
    std::string text = "{";
    for (size_t i = 0; i < n; ++i) text += fmt::format("\"{}\":1,", all[i]);
    text.back() = '}';
    return [text] { EXPECT_TRUE(parse_json(text).ok()); };
  });
}

TEST(JsonCost, ShapesOfText) {
  auto repeated = [](std::string_view open, std::string_view item, std::string_view close) {
    return [=](size_t n) {
      std::string text(open);
      for (size_t i = 0; i < n; ++i) text += item;
      if (!item.empty() && item.ends_with(',')) text.pop_back();
      text += close;
      return [text] { (void)parse_json(text); };
    };
  };
  grows_no_faster("empty maps", 20'000, repeated("[", "{},", "]"));
  grows_no_faster("brackets", 100'000, repeated("", "[", ""));
  grows_no_faster("one key given often", 2'000, repeated("{", "\"a\":1,", "}"));
  grows_no_faster("escapes", 50'000, repeated("\"", "\\u0041", "\""));
  grows_no_faster("digits", 50'000, repeated("0.", "7", ""));
  grows_no_faster("a text without an end", 200'000, repeated("\"", "a", ""));
}

TEST(JsonCost, AtMostTenThousandKeysInAnObject) {
  std::string text = "[1,\n{";
  for (int i = 0; i <= 10'000; ++i) text += fmt::format("\"k{}\":1,", i);
  text.back() = '}';
  text += ']';
  auto refused = parse_json(text);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message().find("line 2"), std::string::npos)
      << refused.error().message();
  EXPECT_NE(refused.error().message().find("at most 10000 keys"), std::string::npos)
      << refused.error().message();
  EXPECT_TRUE(parse_json(text, kOwnJson).ok());
}

TEST(YamlCost, ShapesOfText) {
  auto lines = [](auto line) {
    return [line](size_t n) {
      std::string text;
      for (size_t i = 0; i < n; ++i) text += line(i);
      return [text] { (void)parse_yaml(text, "f"); };
    };
  };
  grows_no_faster("a key given often", 2000, lines([](size_t) { return "a: 1\n"; }));
  grows_no_faster("many keys", 2000, lines([](size_t i) { return fmt::format("k{}: 1\n", i); }));
  grows_no_faster("keys given twice", 1000,
                  lines([](size_t i) { return fmt::format("k{}: 1\nk{}: 1\n", i, i); }));
  grows_no_faster("bad tags", 2000, lines([](size_t) { return "- !!x 1\n"; }));
  grows_no_faster("anchors", 2000, lines([](size_t i) { return fmt::format("- &a{} 1\n", i); }));
  grows_no_faster("aliases", 2000,
                  lines([](size_t i) { return i == 0 ? "- &a [1, 2]\n" : "- *a\n"; }));
  grows_no_faster("merges", 500,
                  lines([](size_t i) { return i == 0 ? "- &a {b: 1}\n" : "- {<<: *a, c: 1}\n"; }));
  grows_no_faster("numbers", 2000, lines([](size_t) { return "- 1_2_3:4:5:6.7\n"; }));
  grows_no_faster("dashes", 5000, lines([](size_t) { return "-"; }));
  grows_no_faster("brackets", 5000, lines([](size_t) { return "["; }));
  grows_no_faster("flow items", 2000, [](size_t n) {
    std::string text = "[";
    for (size_t i = 0; i < n; ++i) text += "a: 1, ";
    text += "]";
    return [text] { (void)parse_yaml(text, "f"); };
  });
}

TEST(YamlCost, AHundredProblemsAreTold) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "- !!" + std::string(200, 'x') + " 1\n";
  auto refused = parse_yaml(text, "f", {.max_bytes = 64 << 20});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().problems().size(), 100U);
  for (const auto& problem : refused.error().problems()) EXPECT_LE(problem.message.size(), 1024U);
}

TEST(ProblemsCost, AnErrorNeverCarriesMore) {
  std::vector<Problem> many(5000, Problem{"/a", std::string(5000, 'x')});
  auto error = Error(ErrorKind::Invalid, "BAS-0004", "m").with_problems(std::move(many));
  EXPECT_EQ(error.problems().size(), 100U);
  EXPECT_LE(error.describe().size(), 100U * 1100U);
  EXPECT_EQ(shortened(std::string(1020, 'a') + "\u20ac\u20ac\u20ac"),
            std::string(1020, 'a') + "...");
}

TEST(SchemaCost, ShapesOfSchemaAndValue) {
  auto numbers = [](size_t n) {
    Value list = Value::list();
    for (size_t i = 0; i < n; ++i) list.push_back(Value(static_cast<int64_t>(i) << 20));
    return list;
  };
  auto checked = [](Value schema, Value value) {
    return [schema, value] { (void)validate_json(schema, value); };
  };
  grows_no_faster("uniqueItems", 4000, [&](size_t n) {
    return checked(Value::map({{"uniqueItems", true}}), numbers(n));
  });
  grows_no_faster("enum", 1000, [&](size_t n) {
    Value choices = numbers(n);
    return checked(Value::map({{"items", Value::map({{"enum", choices}})}}), choices);
  });
  grows_no_faster("a wrong enum", 1000, [&](size_t n) {
    Value items = Value::list();
    for (size_t i = 0; i < n; ++i) items.push_back(Value(fmt::format("wrong{}", i)));
    return checked(Value::map({{"items", Value::map({{"enum", numbers(n)}})}}), items);
  });
  grows_no_faster("patternProperties", 200, [&](size_t n) {
    Value patterns = Value::map();
    for (int i = 0; i < 30; ++i) patterns.set(fmt::format("^a{{{}}}$", i + 1), Value(true));
    Value names = Value::map();
    for (size_t i = 0; i < n; ++i) names.set(fmt::format("name{}", i), Value(1));
    return checked(Value::map({{"patternProperties", patterns}}), names);
  });
  grows_no_faster("unknown keys", 1000, [&](size_t n) {
    Value properties = Value::map();
    Value names = Value::map();
    for (size_t i = 0; i < n; ++i) {
      properties.set(fmt::format("property{}", i), Value(true));
      names.set(fmt::format("propertx{}", i), Value(1));
    }
    return checked(Value::map({{"properties", properties}, {"additionalProperties", false}}),
                   names);
  });
}

// Where the product of schema and value is the work, the budget ends it: a clear error, soon.
TEST(SchemaCost, AProductOfSchemaAndValueEndsWithItsBudget) {
  Value forms = Value::list();
  for (int i = 0; i < 5000; ++i) forms.push_back(Value::map({{"enum", ValueList{Value(-1 - i)}}}));
  Value list = Value::list();
  for (int i = 0; i < 20'000; ++i) list.push_back(Value(i));
  for (const char* keyword : {"anyOf", "oneOf"}) {
    double start = cost::cpu_seconds();
    auto problems = validate_json(Value::map({{"items", Value::map({{keyword, forms}})}}), list);
    EXPECT_LT(cost::cpu_seconds() - start, 5) << keyword;
    ASSERT_EQ(problems.size(), 1U) << keyword;
    EXPECT_NE(problems[0].message.find("more than"), std::string::npos) << problems[0].message;
  }
  uint64_t steps = 100;
  auto problems = validate_json(Value::map({{"uniqueItems", true}}), list, ShowValues::Yes, &steps);
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(steps, 0U);
}

TEST(SchemaCost, ManyProblemsOfManyChoicesAreShort) {
  Value choices = Value::list();
  for (int i = 0; i < 2000; ++i) choices.push_back(Value(fmt::format("choice number {}", i)));
  Value items = Value::list();
  for (int i = 0; i < 20'000; ++i) items.push_back(Value(fmt::format("wrong {}", i)));
  auto problems = validate_json(Value::map({{"items", Value::map({{"enum", choices}})}}), items);
  EXPECT_EQ(problems.size(), 100U);
  for (const auto& problem : problems) EXPECT_LE(problem.message.size(), 1024U);
}

TEST(SchemaCost, HostilePatternsEndWithTheBudget) {
  Value text(std::string(900'000, 'a'));
  double start = cost::cpu_seconds();
  auto problems = validate_json(Value::map({{"pattern", "(a?){1000}b"}}), text);
  EXPECT_LT(cost::cpu_seconds() - start, 5);
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_NE(problems[0].message.find("more than"), std::string::npos) << problems[0].message;
  // An honest one over as much is no matter.
  EXPECT_TRUE(validate_json(Value::map({{"pattern", "^a+$"}}), text).empty());
}

TEST(TextCost, FindingIsLinear) {
  grows_no_faster("find_in", 20'000, [](size_t n) {
    std::string text(n * 2, 'a');
    std::string part = std::string(n, 'a') + 'b' + std::string(n / 2, 'a');
    return [text, part] { EXPECT_EQ(find_in(text, part), std::string::npos); };
  });
  grows_no_faster("rfind_in", 20'000, [](size_t n) {
    std::string text(n * 2, 'a');
    std::string part = std::string(n / 2, 'a') + 'b' + std::string(n, 'a');
    return [text, part] { EXPECT_EQ(rfind_in(text, part), std::string::npos); };
  });
}

TEST(TextCost, FindingFindsWhatTheStandardLibraryFinds) {
  for (std::string_view text : {"", "a", "abab", "aabaabaa", "xx-yy-zz--"}) {
    for (std::string_view part : {"", "a", "ab", "ba", "aab", "baa", "-", "--", "yy-zz"}) {
      EXPECT_EQ(rfind_in(text, part), text.rfind(part)) << text << " / " << part;
      for (size_t from = 0; from <= text.size() + 1; ++from) {
        EXPECT_EQ(find_in(text, part, from), text.find(part, from)) << text << " / " << part;
      }
    }
  }
}

}  // namespace
}  // namespace millrace

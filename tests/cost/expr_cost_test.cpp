// SPDX-License-Identifier: Apache-2.0
// Templates: compiling them, evaluating them, finding what they read.
#include <fmt/format.h>

#include "base/json.h"
#include "base/problems.h"
#include "base/test_support.h"
#include "expr/expr.h"
#include "growth.h"

namespace millrace::expr {
namespace {

using cost::grows_no_faster;

// The error's code, or "" for a value. The text of variables is in ctx().
std::string code_of(std::string_view text, const Value& ctx, Mode mode = Mode::Native) {
  Engine engine;
  auto value = engine.evaluate(text, {.ctx = ctx, .mode = mode});
  return value.ok() ? "" : value.error().code();
}

// A template over texts of size n.
auto over(std::string_view text, Mode mode = Mode::Native) {
  return [=](size_t n) {
    Value ctx = Value::map({{"a", repeated("a", n)},
                            {"part", repeated("a", n / 2) + "b" + repeated("a", n / 4)},
                            {"open", repeated("<", n)},
                            {"comment", repeated("<!--", n / 4)},
                            {"words", repeated("ab ", n / 3)},
                            {"chars", repeated("\u00e9b", n / 3)}});
    return [=] { (void)code_of(text, ctx, mode); };
  };
}

TEST(ExprCost, FunctionsOverTexts) {
  for (std::string_view text :
       {"{{ ctx().a.find(ctx().part) }}", "{{ ctx().a.rfind(ctx().part) }}",
        "{{ ctx().a.count(ctx().part) }}", "{{ ctx().part in ctx().a }}",
        "{{ ctx().a.split(ctx().part) | length }}", "{{ ctx().a.rsplit(ctx().part, 9) | length }}",
        "{{ ctx().a.replace(ctx().part, 'x') | length }}", "{{ ctx().a.partition(ctx().part)[1] }}",
        "{{ ctx().a.rpartition(ctx().part)[1] }}", "<% ctx().a.indexOf(ctx().part) %>",
        "<% ctx().a.lastIndexOf(ctx().part) %>", "<% ctx().a.replace(ctx().part, x).len() %>"}) {
    grows_no_faster(std::string(text), 20'000, over(text));
  }
  for (std::string_view text :
       {"{{ ctx().open | striptags | length }}", "{{ ctx().comment | striptags | length }}",
        "{{ ctx().a.strip(ctx().chars + 'a') | length }}",
        "{{ ctx().a.strip(ctx().chars) | length }}", "{{ ctx().a | wordwrap(3) | length }}",
        "{{ ctx().words | wordwrap(9) | length }}", "{{ ctx().a[::-1] | length }}",
        "{{ ctx().a | title | length }}", "{{ ctx().a | urlencode | length }}",
        "{{ ctx().a | tojson | length }}", "{{ [ctx().a] | to_yaml_string | length }}",
        "{{ ctx().words | wordcount }}", "{{ ctx().words.split() | length }}",
        "{{ ctx().a | truncate(10) }}", "<% ctx().a.toUpper().len() %>"}) {
    grows_no_faster(std::string(text), 5000, over(text));
  }
}

TEST(ExprCost, FunctionsOverLists) {
  auto list = [](std::string_view text, int64_t factor) {
    return [=](size_t n) {
      Value items = Value::list();
      for (size_t i = 0; i < n; ++i) items.push_back(Value(static_cast<int64_t>(i) * factor));
      Value ctx = Value::map({{"items", items}});
      return [=] { (void)code_of(text, ctx); };
    };
  };
  // Multiples of a power of two fell into one slot of a table.
  for (std::string_view text :
       {"{{ ctx().items | unique | list | length }}", "<% ctx().items.distinct().len() %>",
        "<% ctx().items.toSet().len() %>", "<% ctx().items.groupBy($).len() %>",
        "<% ctx().items.toDict($).len() %>"}) {
    grows_no_faster(std::string(text), 1000, list(text, int64_t{1} << 40));
  }
  for (std::string_view text :
       {"{{ ctx().items | sort | length }}", "{{ ctx().items | join(',') | length }}",
        "{{ ctx().items | batch(7) | list | length }}",
        "<% ctx().items.orderBy($).toList().len() %>", "{{ ctx().items | tojson(2) | length }}"}) {
    grows_no_faster(std::string(text), 1000, list(text, 1));
  }
}

TEST(ExprCost, ShapesOfTemplates) {
  auto compiled = [](Mode mode, auto text_of) {
    return [=](size_t n) {
      std::string text = text_of(n);
      return [=] {
        Engine engine;
        (void)engine.compile(text, mode);
      };
    };
  };
  auto checked = [](Mode mode, auto text_of) {
    return [=](size_t n) {
      Value text(text_of(n));
      return [=] {
        Engine engine;
        (void)engine.check(text, mode);
        (void)engine.variables(text, mode);
      };
    };
  };
  auto numbered = [](std::string_view pattern) {
    return [=](size_t n) {
      std::string text;
      for (size_t i = 0; i < n; ++i) text += fmt::format(fmt::runtime(pattern), i);
      return text;
    };
  };
  auto plain = [](std::string_view what) { return [=](size_t n) { return repeated(what, n); }; };
  for (Mode mode : {Mode::Native, Mode::Orquesta}) {
    grows_no_faster("expressions in one line", 1000, compiled(mode, plain("<% 1 %>")));
    grows_no_faster("marks that open", 20'000, compiled(mode, plain("<%\n")));
    grows_no_faster("marks that open in one line", 20'000, compiled(mode, plain("<%")));
    grows_no_faster("variables", 500, compiled(mode, numbered("<% ctx().v{} %>")));
    grows_no_faster("variables in one expression", 500, compiled(mode, [](size_t n) {
                      return "<% " + repeated("ctx().a + ", n) + "1 %>";
                    }));
    grows_no_faster("calls that do not close", 5000,
                    compiled(mode, [](size_t n) { return "<% " + repeated("ctx(", n) + " %>"; }));
    grows_no_faster("Jinja", 1000, compiled(mode, numbered("{{{{ ctx().v{} }}}}")));
    grows_no_faster("Jinja that opens", 10'000, compiled(mode, plain("{{")));
    grows_no_faster("tags", 1000, compiled(mode, plain("{% if 1 %}{% endif %}")));
    grows_no_faster("nested tags", 1000, compiled(mode, plain("{% if 1 %}")));
    grows_no_faster("raw blocks", 1000, compiled(mode, plain("{% raw %}")));
    grows_no_faster("comments", 5000, compiled(mode, plain("{#")));
    grows_no_faster("braces", 20'000, compiled(mode, plain("{")));
    grows_no_faster("brackets", 5000,
                    compiled(mode, [](size_t n) { return "{{ " + repeated("[", n) + " }}"; }));
    grows_no_faster("a long text literal", 20'000,
                    compiled(mode, [](size_t n) { return "{{ '" + repeated("\\n", n) + "' }}"; }));
    grows_no_faster("checked variables", 500, checked(mode, numbered("<% ctx().v{} %>")));
    grows_no_faster("checked faults", 500, checked(mode, numbered("<% {} + %>")));
    grows_no_faster("checked calls that do not close", 5000,
                    checked(mode, [](size_t n) { return "<% " + repeated("ctx(", n) + " %>"; }));
  }
}

// Each name is looked for among all: that is counted.
TEST(ExprCost, NamesThatATemplateSetsAreCounted) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += fmt::format("{{% set v{} = 1 %}}", i);
  double start = cost::cpu_seconds();
  EXPECT_EQ(code_of(text, Value::map()), "EXP-0005");
  EXPECT_LT(cost::cpu_seconds() - start, 10);
}

// Whatever an argument gives a size is asked for before it is made.
TEST(ExprCost, OutputIsCountedBeforeItIsMade) {
  Value ctx = Value::map({{"big", repeated("x", 1 << 20)},
                          {"lines", repeated("\n", 100'000)},
                          {"many", repeated("a", 100'000)}});
  struct Case {
    std::string text;
    std::string_view code;
  };
  const Case cases[] = {
      {"{{ [1] | tojson(9000000000000000000) }}", "EXP-0002"},
      {"{{ [1] | tojson(2000000000) }}", "EXP-0002"},
      {"{{ [1] | tojson(65) }}", "EXP-0002"},
      {"{{ [1] | tojson(64) }}", ""},
      {"{{ [1] | tojson(-9000000000000000000) }}", ""},
      {"{{ [1] | to_json_string(9000000000000000000) }}", "EXP-0002"},
      {"{{ [1] | json_dump(9000000000000000000) }}", "EXP-0002"},
      {"<% to_json_string([1], 9000000000000000000) %>", "EXP-0002"},
      {"<% json_dump([1], 1000000000000) %>", "EXP-0002"},
      {"{{ range(90000) | list | to_json_string(0, false, [ctx().big, ':']) }}", "EXP-0007"},
      {"{{ ctx().lines | wordwrap(79, true, ctx().big) }}", "EXP-0007"},
      {"{{ ctx().lines | indent(10000, true, true) }}", "EXP-0007"},
      {"{{ ctx().many | replace('a', ctx().big) }}", "EXP-0007"},
      {"{{ ctx().many.replace('', ctx().big) }}", "EXP-0007"},
      {"{{ ctx().big.join(ctx().many) }}", "EXP-0007"},
      {"{{ ctx().many | join(ctx().big) }}", "EXP-0007"},
      {"<% ctx().many.toCharArray().join(ctx().big) %>", "EXP-0007"},
      {"{{ ctx().big | regex_replace('^(x+)$', '" + repeated("\\\\1", 5000) + "') }}", "EXP-0007"},
      {"{{ '%9000000000000d' % 1 }}", "EXP-0002"},
      {"{{ ctx().big * 9000000000000000000 }}", "EXP-0007"},
      {"{{ 'x'.center(9000000000000000000) }}", "EXP-0008"},
      {"{{ 'x'.ljust(9000000000000000000, '\u20ac') }}", "EXP-0008"},
  };
  for (const Case& c : cases) {
    double start = cost::cpu_seconds();
    EXPECT_EQ(code_of(c.text, ctx), c.code) << c.text.substr(0, 100);
    EXPECT_LT(cost::cpu_seconds() - start, 5) << c.text.substr(0, 100);
  }
  // One expression many times in a text: its value takes the place of each.
  std::string often = repeated("<% ctx().big %> ", 10'000);
  EXPECT_EQ(code_of(often, ctx, Mode::Orquesta), "EXP-0007");
  EXPECT_EQ(code_of(repeated("{{ ctx().big }} ", 10'000), ctx, Mode::Orquesta), "EXP-0007");
}

// Steps are work: what reads a long text often has spent them.
TEST(ExprCost, ALongTextReadOftenEndsWithItsSteps) {
  Value ctx = Value::map({{"big", repeated("x", 1 << 20)}, {"same", repeated("x", 1 << 20)}});
  for (std::string_view text :
       {"{% for i in range(900) %}{{ ctx().big | length }}{% endfor %}",
        "{% for i in range(900) %}{{ ctx().big.isdigit() }}{% endfor %}",
        "{% for i in range(900) %}{{ ctx().big == ctx().same }}{% endfor %}",
        "{% for i in range(900) %}{{ {ctx().big: 1} | length }}{% endfor %}",
        "{% for i in range(900) %}{{ ctx().big | wordcount }}{% endfor %}",
        "<% range(900).select(ctx().big.len()).sum() %>"}) {
    std::string code = code_of(text, ctx);
    EXPECT_TRUE(code == "EXP-0005" || code == "EXP-0008") << text << ": " << code;
  }
}

TEST(ExprCost, ARegularExpressionCostsTextTimesProgram) {
  Value ctx = Value::map({{"big", repeated("a", 900'000)}, {"ab", repeated("abaab", 20'000)}});
  for (std::string_view text :
       {"<% regex('(a?){1000}b').search(ctx().big) %>",
        "<% regex('(a?){1000}b').matches(ctx().big) %>", "<% ctx().big =~ '(a?){1000}b' %>",
        "<% ctx().big.matches('(a?){1000}b') %>", "<% regex('(a?){1000}b').split(ctx().big) %>",
        "{{ ctx().big | regex_search('(a?){1000}b') }}",
        "{{ ctx().big | regex_match('(a?){1000}b') }}",
        "{{ ctx().big | regex_replace('(a?){1000}b', 'x') }}",
        "{{ ctx().big | regex_substring('(a?){1000}b') }}",
        "<% regex('(a|b)*a(a|b){60}c|a').searchAll(ctx().ab) %>"}) {
    double start = cost::cpu_seconds();
    EXPECT_EQ(code_of(text, ctx), "EXP-0005") << text;
    EXPECT_LT(cost::cpu_seconds() - start, 8) << text;
  }
  // Honest ones over honest texts.
  Value log = Value::map({{"log", repeated("2026-01-31 host app[12]: user=alice did x\n", 1000)}});
  EXPECT_EQ(code_of("{{ ctx().log | regex_search('user=(\\\\w+) did y') }}", log), "");
  EXPECT_EQ(code_of("{{ ctx().log | regex_replace('user=\\\\w+', 'user=?') | length }}", log), "");
  EXPECT_EQ(code_of("<% regex('user=(\\w+)').searchAll(ctx().log).len() %>", log), "");
}

// Needs: what an evaluation lacks is told at once.
class Nothing final : public Lookup {
 public:
  Answer kv(std::string_view key, bool) const override {
    return Answer::need("key:" + std::string(key));
  }
};

TEST(ExprCost, AllKeysOfATemplateAreNeededAtOnce) {
  Nothing nothing;
  Engine engine;
  Scope scope{.lookup = &nothing};
  auto needs = [&](std::string_view text) {
    auto value = engine.evaluate(text, scope);
    return value.ok() ? size_t{0} : needed_keys(value.error()).size();
  };
  EXPECT_EQ(needs("{{ st2kv('a') }} {{ st2kv.system.b }} {{ st2kv('c') | from_json_string }}"), 3U);
  EXPECT_EQ(needs("{% for i in range(90) %}{{ st2kv('k' ~ i) }}{% endfor %}"), 90U);
  EXPECT_EQ(needs("{{ 1 }}"), 0U);
}

TEST(ExprCost, EvaluationsOfOneDecisionShareAnAllowance) {
  Engine engine;
  Allowance allowance{.of = 100'000};
  Scope scope{.allowance = &allowance};
  auto once = [&] { return engine.evaluate("{{ range(900) | list | length }}", scope); };
  EXPECT_TRUE(once().ok());
  EXPECT_LT(allowance.left, allowance.of);
  Result<Value> last = once();
  for (int i = 0; i < 500 && last.ok(); ++i) last = once();
  ASSERT_FALSE(last.ok());
  EXPECT_EQ(last.error().code(), "EXP-0005");
  EXPECT_NE(last.error().message().find("together"), std::string::npos) << last.error().message();
}

// RE2 parses each class of Unicode into hundreds of ranges before it looks at its memory.
TEST(ExprCost, RegexesArePaidForBeforeTheyAreCompiled) {
  auto spent = [](const std::string& pattern, std::string_view text, std::string_view code) {
    Engine engine;
    Allowance allowance;
    Scope scope{.ctx = Value::map({{"p", pattern}}), .allowance = &allowance};
    auto value = engine.evaluate(text, scope);
    EXPECT_EQ(value.ok() ? "" : value.error().code(), code) << pattern.substr(0, 20);
    return allowance.of - allowance.left;
  };
  constexpr std::string_view kSearch = "{{ 'x' | regex_search(ctx().p) }}";
  EXPECT_LT(spent(repeated("\\w", 5000), kSearch, "EXP-0002"), 10'000U);
  EXPECT_LT(spent(repeated("[\\s]", 2500), kSearch, "EXP-0002"), 10'000U);
  EXPECT_LT(spent(repeated("\\d", 6000), kSearch, "EXP-0002"), 10'000U);
  EXPECT_GE(spent(repeated("\\w|", 30) + "x", kSearch, ""), 60U * 4000);
  EXPECT_GE(spent("(?i)" + repeated("\\d|", 30) + "x", kSearch, ""), 30U * 8000);
  // Different ones in a loop: the evaluation ends soon.
  constexpr std::string_view kLoop =
      "{% for i in range(20) %}{{ 'x' | regex_search(ctx().p ~ i) }}{% endfor %}";
  EXPECT_EQ(spent(repeated("\\w", 30), kLoop, "EXP-0005"), 1'000'000U);
}

}  // namespace
}  // namespace millrace::expr

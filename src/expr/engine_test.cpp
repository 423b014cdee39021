// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "base/json.h"
#include "expr/expr.h"

namespace millrace::expr {
namespace {

Value json(std::string_view text) {
  auto parsed = parse_json(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return parsed.ok() ? *parsed : Value();
}

class Engines : public ::testing::Test {
 protected:
  std::string eval(std::string_view text, Mode mode = Mode::Native) {
    scope.mode = mode;
    auto result = engine.evaluate(text, scope);
    return result.ok() ? to_json(*result) : "error " + result.error().code();
  }
  std::string error_of(std::string_view text, Mode mode = Mode::Native) {
    scope.mode = mode;
    auto result = engine.evaluate(text, scope);
    return result.ok() ? "no error: " + to_json(*result) : result.error().message();
  }

  Engine engine;
  Scope scope{
      .ctx = json(R"({"n": 3, "trap": "<% ctx().secret %>", "jinja_trap": "{{ ctx().secret }}",
                      "secret": "s3", "d": {"items": [1], "a": 1}})"),
      .names = json(R"({"event": {"id": "7", "payload": {"ref": "main", "list": [1, 2]}},
                        "parameters": {"count": 2}})")};
};

TEST_F(Engines, NativeModeNeverEvaluatesData) {
  EXPECT_EQ(eval("<% ctx().trap %>"), R"("<% ctx().secret %>")");
  EXPECT_EQ(eval("x {{ ctx().jinja_trap }}"), R"("x {{ ctx().secret }}")");
}

TEST_F(Engines, OrquestaModeEvaluatesStringResultsAgain) {
  EXPECT_EQ(eval("<% ctx().trap %>", Mode::Orquesta), R"("s3")");
  EXPECT_EQ(eval("x {{ ctx().jinja_trap }}", Mode::Orquesta), R"("x s3")");
}

// The datastore of a server: whatever is asked for is there, and it is known who asked.
struct Keys : Lookup {
  Answer kv(std::string_view key, bool) const override {
    asked.emplace_back(key);
    if (key == "system.template") return Answer::of(Value("{{ st2kv('system.pw') }}"));
    return Answer::of(Value("Kanarie-77"));
  }
  mutable std::vector<std::string> asked;
};

// Every way on which text that came out of a value is evaluated, with every spelling that reads a
// key: it stays as it came, and nobody was asked.
TEST_F(Engines, TextThatCameOutOfAValueReadsNoKey) {
  const std::string yaql[] = {
      "<% st2kv('system.pw', decrypt => true) %>",    "<% st2kv('system.pw') %>",
      "<% [1].select(st2kv('system.pw')).first() %>", "<% st2kv('system.none', default => 1) %>",
      "<% coalesce(st2kv('system.pw'), 1) %>",        "a <% st2kv('system.pw') %> <% ctx().n %>",
  };
  const std::string jinja[] = {
      "{{ st2kv('system.pw', decrypt=true) }}",
      "{{ st2kv('system.pw') | default('x') }}",
      "{{ 'system.pw' | st2kv }}",
      "{{ ['system.pw'] | map('st2kv') }}",
      "{{ [['system.pw'] | map('st2kv')] }}",
      "{{ ['system.pw'] | map('st2kv') | first }}",
      "{{ ['system.pw'] | map('st2kv') | join(',') }}",
      "{% if true %}{{ st2kv('system.pw') }}{% endif %}",
      "{% set a = st2kv('system.pw') %}{{ a }}",
      "{% if true %}\n{{ st2kv('system.pw') }}\n{% endif %}",
      "a {{ st2kv('system.pw') }} {{ ctx().n }}",
  };
  Keys keys;
  scope.lookup = &keys;
  auto stays = [&](const std::string& text, const std::string& way, const std::string& expected) {
    EXPECT_EQ(eval(way, Mode::Orquesta), to_json(Value(expected))) << text << "\nby " << way;
    EXPECT_TRUE(keys.asked.empty()) << text << "\nby " << way;
    keys.asked.clear();
  };
  for (const auto& text : yaql) {
    scope.ctx.set("m", Value(text));
    scope.ctx.set("again", Value("<% ctx().m %>"));
    stays(text, "<% ctx().m %>", text);
    stays(text, "x <% ctx().m %> y", "x " + text + " y");
    stays(text, "<% ctx().again %>", text);
    stays(text, "<% '<' + ctx().m.substring(1) %>",
          text.starts_with('<') ? text : "<" + text.substr(1));
  }
  for (const auto& text : jinja) {
    scope.ctx.set("m", Value(text));
    scope.ctx.set("again", Value("{{ ctx().m }}"));
    stays(text, "{{ ctx().m }}", text);
    stays(text, "x {{ ctx().m }} y", "x " + text + " y");
    stays(text, "{{ ctx().again }}", text);
    stays(text, "{{ ctx().m[:1] ~ ctx().m[1:] }}", text);
    stays(text, "{% if true %}{{ ctx().m }}{% endif %}", text);
    stays(text, "{% raw %}r{% endraw %}{{ ctx().m }}", "r" + text);
  }
  scope.texts_are_data = true;
  for (const auto& text : yaql) stays(text, text, text);
  for (const auto& text : jinja) stays(text, text, text);
}

TEST_F(Engines, AKeyIsReadByTheTextOfTheAuthorOnly) {
  Keys keys;
  scope.lookup = &keys;
  EXPECT_EQ(eval("{{ st2kv('system.a') }}", Mode::Orquesta), R"("Kanarie-77")");
  EXPECT_EQ(eval("{% if true %}{{ st2kv('system.a') }}{% endif %}", Mode::Orquesta),
            R"("Kanarie-77")");
  EXPECT_EQ(eval("{% raw %}r{% endraw %}{{ st2kv('system.a') }}", Mode::Orquesta),
            R"("rKanarie-77")");
  EXPECT_EQ(eval("{{ ctx().jinja_trap }} {{ st2kv('system.a') }}", Mode::Orquesta),
            R"("s3 Kanarie-77")");
  EXPECT_EQ(eval("{{ st2kv('system.template') }}", Mode::Orquesta),
            R"("{{ st2kv('system.pw') }}")");
  EXPECT_EQ(eval("{{ st2kv('system.template') }}{{ ctx().none }}", Mode::Orquesta),
            "error EXP-0003");
}

TEST_F(Engines, NativeModeKnowsTheRootNamesOfTheScope) {
  EXPECT_EQ(eval("{{ event.payload.ref }}"), R"("main")");
  EXPECT_EQ(eval("ref={{ event.payload.ref }} n={{ parameters.count + 1 }}"), R"("ref=main n=3")");
  EXPECT_EQ(eval("{{ event.payload.list }}"), "[1,2]");
  EXPECT_EQ(eval("<% $event.payload.list.sum() %>"), "3");
  EXPECT_EQ(eval("{{ event.payload.ref }}", Mode::Orquesta), "error EXP-0003");
}

TEST_F(Engines, ATextThatIsOneExpressionKeepsItsType) {
  EXPECT_EQ(eval("{{ ctx().n }}"), "3");
  EXPECT_EQ(eval("{{ ctx().n }}\n"), "3");
  EXPECT_EQ(eval(" {{ ctx().n }}"), R"(" 3")");
  EXPECT_EQ(eval("<% ctx().n %>"), "3");
  EXPECT_EQ(eval("<% ctx().n %> "), R"("3 ")");
  EXPECT_EQ(eval("no expression"), R"("no expression")");
}

TEST_F(Engines, AnEntryGoesBeforeAMethodOfTheSameName) {
  EXPECT_EQ(eval("{{ ctx().d.items }}"), "[1]");
  EXPECT_EQ(eval("{{ ctx().d.items() | list | length }}"), "2");
}

TEST_F(Engines, NativeSyntaxErrorsAreFoundWhenCompiling) {
  auto unknown = engine.compile("{{ event.id | uper }}", Mode::Native);
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code(), "EXP-0001");
  EXPECT_NE(unknown.error().message().find("did you mean 'upper'?"), std::string::npos)
      << unknown.error().message();
  EXPECT_FALSE(engine.compile("{{ event.id", Mode::Native).ok());
  EXPECT_FALSE(engine.compile("<% lenn(1) %>", Mode::Native).ok());
  EXPECT_TRUE(engine.compile("{{ event.id", Mode::Orquesta).ok());
}

TEST_F(Engines, ErrorsSayWhereAndInTheWordsOfTheReference) {
  EXPECT_EQ(error_of("<% ctx().nope %>", Mode::Orquesta),
            "YaqlEvaluationException: Unable to resolve key 'nope' in expression "
            "'<% ctx().nope %>' from context.");
  EXPECT_EQ(error_of("{{ 1 / 0 }}", Mode::Orquesta),
            "JinjaEvaluationException: Unable to evaluate expression '{{ 1 / 0 }}'. "
            "ZeroDivisionError: division by zero");
  EXPECT_EQ(error_of("{{ event.nope.x }}"),
            "expression '{{ event.nope.x }}': UndefinedError: 'dict object' has no attribute "
            "'nope'");
}

// The parser keeps hundreds of bytes for each bracket of a line until the first is closed.
TEST_F(Engines, BracketsOfAYamlTextAreCountedBeforeItIsRead) {
  auto most_kib = [] {
    rusage use{};
    getrusage(RUSAGE_SELF, &use);
    return use.ru_maxrss;
  };
  scope.names = Value::map({{"text", Value(std::string(200'000, '['))}});
  auto before = most_kib();
  auto read = engine.evaluate("{{ text | from_yaml_string }}", scope);
  ASSERT_FALSE(read.ok());
  EXPECT_TRUE(read.error().message().contains("deeper than 60 levels")) << read.error().message();
  EXPECT_LT(most_kib() - before, 32 << 10);
}

// yaml-cpp makes empty documents of a comma, without end.
TEST_F(Engines, ATextOfManyYamlDocumentsEnds) {
  for (const char* text :
       {",", "a\n---\nb", "- a\n,", "? ,\n,", "...\n,", "--- ,", "[a]\n,", ",,"}) {
    scope.names = Value::map({{"text", Value(std::string(text))}});
    auto read = engine.evaluate("{{ text | from_yaml_string }}", scope);
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_TRUE(read.error().message().contains("Error: ")) << read.error().message();
  }
}

// What yaml-cpp keeps of a text is paid for before it is kept.
TEST_F(Engines, NodesOfAYamlTextCountAsMemory) {
  std::string text = "[";
  for (int i = 0; i < 100'000; ++i) text += "1,";
  scope.names = Value::map({{"text", Value(text + "1]")}});
  scope.budget.memory_bytes = 16 << 20;
  scope.budget.steps = 10'000'000;
  auto read = engine.evaluate("{{ text | from_yaml_string }}", scope);
  ASSERT_FALSE(read.ok());
  EXPECT_TRUE(read.error().message().contains("memory")) << read.error().message();
}

TEST_F(Engines, PrivateVariablesStayPrivate) {
  scope.ctx = json(R"({"__state": {"x": 1}, "a": 2})");
  EXPECT_EQ(eval("<% ctx() %>", Mode::Orquesta), R"({"a":2})");
  EXPECT_EQ(eval("<% ctx().__state %>", Mode::Orquesta), "error EXP-0001");
  EXPECT_EQ(eval("<% ctx('__state') %>", Mode::Orquesta), "error EXP-0003");
  EXPECT_EQ(eval("{{ ctx().__state }}", Mode::Orquesta), "error EXP-0003");
  EXPECT_EQ(eval("{{ ctx()['__state'] }}", Mode::Orquesta), "error EXP-0003");
}

TEST_F(Engines, RandomDependsOnTheSeedOnly) {
  scope.random_seed = 42;
  std::string first = eval("<% random(1, 1000000) %>");
  EXPECT_EQ(eval("<% random(1, 1000000) %>"), first);
  scope.random_seed = 43;
  EXPECT_NE(eval("<% random(1, 1000000) %>"), first);
}

TEST_F(Engines, RenderGoesThroughKeysAndValues) {
  scope.mode = Mode::Native;
  auto rendered = engine.render(
      json(R"({"k{{ ctx().n }}": ["<% ctx().n %>", 1, null, {"x": "{{ event.id }}"}]})"), scope);
  ASSERT_TRUE(rendered.ok()) << rendered.error().describe();
  EXPECT_EQ(to_json(*rendered), R"({"k3":[3,1,null,{"x":"7"}]})");
}

TEST_F(Engines, RenderSharesWhatHoldsNoExpression) {
  Value tree = json(R"({"a": [1, 2, {"b": "text"}]})");
  auto rendered = engine.render(tree, scope);
  ASSERT_TRUE(rendered.ok());
  EXPECT_TRUE(rendered->same_as(tree));
}

TEST_F(Engines, ConditionsUsePythonsTruth) {
  scope.mode = Mode::Native;
  EXPECT_TRUE(*engine.test(Value("<% ctx().n > 2 %>"), scope));
  EXPECT_FALSE(*engine.test(Value("{{ [] }}"), scope));
  EXPECT_TRUE(*engine.test(Value("{{ 'False' }}"), scope));
  EXPECT_FALSE(*engine.test(Value(), scope));
  EXPECT_FALSE(engine.test(Value("{{ event.nope }}"), scope).ok());
}

TEST_F(Engines, TemplatesOutliveTheEngineAndTheCacheIsBounded) {
  TemplatePtr kept;
  {
    Engine small(2000);
    kept = *small.compile("<% ctx().n + 1 %>", Mode::Native);
    for (int i = 0; i < 1000; ++i) {
      ASSERT_TRUE(small.compile("<% ctx().n + " + std::to_string(i) + " %>", Mode::Native).ok());
    }
    EXPECT_NE(small.compile("<% ctx().n + 1 %>", Mode::Native)->get(), kept.get());
  }
  auto again = engine.evaluate(*kept, scope);
  EXPECT_EQ(to_json(*again), "4");
  EXPECT_EQ(engine.compile("{{ 1 }}", Mode::Native)->get(),
            engine.compile("{{ 1 }}", Mode::Native)->get());
}

// Values from outside

class Outside : public Lookup {
 public:
  Answer kv(std::string_view key, bool decrypt) const override {
    if (key == "system.later") return Answer::need("kv:system.later");
    if (key == "system.a.b") return Answer::of(decrypt ? Value("open") : Value("sealed"));
    return Answer::absent();
  }
  Answer task(std::optional<std::string_view> id, std::optional<int64_t> route) const override {
    if (id && *id == "gone") return Answer::absent();
    return Answer::of(
        Value::map({{"task_id", id ? Value(*id) : Value("now")}, {"route", route.value_or(0)}}));
  }
  Answer task_status(std::string_view, std::optional<int64_t>) const override {
    return Answer::absent();
  }
  Answer current_status() const override { return Answer::of(Value("timeout")); }
  Answer result() const override { return Answer::of(Value::map({{"out", 5}})); }
  Answer item() const override { return Answer::of(Value::map({{"x", 1}})); }
};

TEST_F(Engines, QuestionsGoToTheLookup) {
  Outside outside;
  scope.lookup = &outside;
  EXPECT_EQ(eval("<% st2kv('system.a.b') %>"), R"("sealed")");
  EXPECT_EQ(eval("<% st2kv('system.a.b', decrypt => true) %>"), R"("open")");
  EXPECT_EQ(eval("{{ st2kv.system.a.b }}"), R"("sealed")");
  EXPECT_EQ(eval("{{ st2kv.system.a.b | decrypt_kv }}"), R"("open")");
  EXPECT_EQ(eval("{{ st2kv('none', default='d') }}"), R"("d")");
  EXPECT_EQ(eval("{{ st2kv('none') }}"), "error EXP-0002");
  EXPECT_EQ(eval("{{ st2kv.system.none }}"), "error EXP-0003");
  EXPECT_EQ(eval("{{ st2kv.system.none | default('d') }}"), R"("d")");
  EXPECT_EQ(eval("<% task(t1).task_id %>"), R"("t1")");
  EXPECT_EQ(eval("<% task(t1, 2).route %>"), "2");
  EXPECT_EQ(eval("<% task().task_id %>"), R"("now")");
  EXPECT_EQ(eval("<% task(gone) %>"), "error EXP-0002");
  EXPECT_EQ(eval("<% task_status(x) %>", Mode::Orquesta), R"("null")");
  EXPECT_EQ(eval("<% task_status(x) %>"), "null");
  EXPECT_EQ(eval("<% [succeeded(), failed(), completed(), timed_out()] %>"),
            "[false,false,true,true]");
  EXPECT_EQ(eval("<% result().out + item(x) %>"), "6");
}

TEST_F(Engines, AValueThatMustBeLoadedEndsTheEvaluationWithItsKey) {
  Outside outside;
  scope.lookup = &outside;
  auto result = engine.evaluate("a {{ st2kv.system.later }} b", scope);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(needed_key(result.error()), "kv:system.later");
  auto other = engine.evaluate("{{ 1 / 0 }}", scope);
  EXPECT_EQ(needed_key(other.error()), "");
}

// Budgets

TEST_F(Engines, EachCeilingHasItsOwnError) {
  scope.budget.steps = 10'000;
  EXPECT_EQ(eval("<% sequence().sum() %>"), "error EXP-0005");
  EXPECT_EQ(eval("{% for i in range(9999999) %}{% endfor %}"), "error EXP-0005");
  scope.budget = {.memory_bytes = 100'000};
  EXPECT_EQ(eval("<% 'x' * 1000000 %>"), "error EXP-0008");
  EXPECT_EQ(eval("{{ range(100000) | list | length }}"), "error EXP-0008");
  scope.budget = {.output_bytes = 1000};
  EXPECT_EQ(eval("{{ ('x' * 600) ~ ('y' * 600) }}"), "error EXP-0007");
  EXPECT_EQ(eval("<% ['x' * 600, 'y' * 600] %>"), "error EXP-0007");
  scope.budget = {.depth = 20};
  EXPECT_EQ(eval("<% 1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1 %>"), "error EXP-0006");
}

TEST_F(Engines, HostileTextsEndInErrors) {
  std::string parens = "<% " + std::string(5000, '(') + "1" + std::string(5000, ')') + " %>";
  EXPECT_EQ(eval(parens), "error EXP-0001");
  std::string chain = "{{ ctx()";
  for (int i = 0; i < 100'000; ++i) chain += ".a";
  EXPECT_EQ(eval(chain + " }}"), "error EXP-0001");
  std::string ifs;
  for (int i = 0; i < 5000; ++i) ifs += "{% if true %}";
  EXPECT_EQ(eval(ifs), "error EXP-0001");
  // A result that shares its parts 60 times over would be 2^60 long.
  EXPECT_EQ(eval("{% set ns = namespace(x=[1]) %}{% for i in range(60) %}"
                 "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}"),
            "error EXP-0005");
  EXPECT_EQ(eval("<% range(60).aggregate([$1, $1], [1]) %>"), "error EXP-0005");
  EXPECT_EQ(eval("<% range(100000).aggregate([$1], [1]) %>"), "error EXP-0006");
  EXPECT_EQ(eval("<% range(100000).aggregate($1.append($2), [1]) %>"), "error EXP-0006");
  EXPECT_EQ(eval("<% range(100000).aggregate(let($1), 1) %>"), "error EXP-0006");
  EXPECT_EQ(eval("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), "error EXP-0006");
  scope.ctx =
      json(R"({"loop": "<% ctx().loop %>", "twice": "{{ ctx().twice }}{{ ctx().twice }}"})");
  EXPECT_EQ(eval("<% ctx().loop %>", Mode::Orquesta), "error EXP-0006");
  EXPECT_EQ(eval("{{ ctx().twice }}", Mode::Orquesta), "error EXP-0006");
}

TEST_F(Engines, ResultsStayReadableAsJson) {
  scope.ctx = json(R"({"deep": [1]})");
  std::string nested = "ctx().deep";
  for (int i = 0; i < 40; ++i) nested = "[" + nested + "]";
  EXPECT_TRUE(parse_json(eval("<% " + nested + " %>")).ok());
  EXPECT_EQ(eval("<% range(100).aggregate([$1], [1]) %>"), "error EXP-0006");
}

TEST_F(Engines, MatchingIsLinearAndRefusesWhatIsNot) {
  scope.ctx = Value::map({{"s", std::string(30'000, 'a')}});
  EXPECT_EQ(eval("<% regex_match(ctx().s, '(a+)+b') %>"), "false");
  EXPECT_EQ(eval("<% regex_search(ctx().s, '(?=a)b') %>"), "error EXP-0010");
  EXPECT_EQ(eval("<% regex_search(ctx().s, '(a)\\\\1') %>"), "error EXP-0010");
}

TEST_F(Engines, IntegersBeyond64BitsAreExactOrAnError) {
  EXPECT_EQ(eval("<% str(9223372036854775807 + 1) %>"), R"("9223372036854775808")");
  EXPECT_EQ(eval("<% (9223372036854775807 + 1) - 1 %>"), "9223372036854775807");
  EXPECT_EQ(eval("<% 9223372036854775807 + 2 %>"), "error EXP-0009");
  EXPECT_EQ(eval("{{ 2 ** 200 }}"), "error EXP-0009");
}

TEST_F(Engines, ANumberThatJsonLacksIsAnErrorAndNotNull) {
  for (const char* text :
       {"{{ 1e308 * 10 }}", "{{ -1e308 * 10 }}", "{{ 'nan' | float }}", "{{ [1e308 * 10] }}",
        "{{ {'a': {'b': 'inf' | float}} }}", "{{ 'a: [.inf]' | from_yaml_string }}",
        "{{ '.nan' | from_yaml_string }}", "<% float('inf') %>", "<% dict(a => [float('-inf')]) %>",
        "<% [1].select(float('nan')) %>"}) {
    EXPECT_EQ(eval(text), "error EXP-0009") << text;
  }
  EXPECT_EQ(eval("x{{ 1e308 * 10 }}"), R"("xinf")");
  EXPECT_EQ(eval("{{ 1e308 * 10 > 5 }}"), "true");
}

TEST_F(Engines, KeysThatBecomeOneTextLoseNoValue) {
  EXPECT_EQ(eval("{{ {1: 'a', '1': 'b'} }}"), "error EXP-0002");
  EXPECT_EQ(eval("{{ {none: 'a', 'null': 'b'} }}"), "error EXP-0002");
  EXPECT_EQ(eval("<% dict(1 => a, '1' => b) %>"), "error EXP-0002");
  EXPECT_EQ(eval("{{ {1: 'a', 2: 'b'} }}"), R"({"1":"a","2":"b"})");
}

TEST_F(Engines, HalfOfACharacterIsNoText) {
  for (const char* text : {R"({{ '\ud800' }})", R"({{ '\udc00' ~ 'x' }})", R"({{ '\ud83dx' }})",
                           R"({{ '\ud83d\ud83d' }})", R"({{ '\ud83d\u00' }})",
                           R"({{ '\U0000d800' }})", R"(<% '\uD800' %>)", R"(<% '\udfff' %>)"}) {
    EXPECT_EQ(eval(text), "error EXP-0001") << text;
  }
  EXPECT_EQ(eval("{{ '%c' | format(55296) }}"), "error EXP-0002");
  EXPECT_EQ(eval("{{ '{:c}'.format(57343) }}"), "error EXP-0002");
  EXPECT_EQ(eval(R"({{ '\ud83d\ude00' }})"), "\"\xF0\x9F\x98\x80\"");
  EXPECT_EQ(eval(R"(<% '\uD83D\uDE00' %>)"), "\"\xF0\x9F\x98\x80\"");
}

TEST_F(Engines, ATemplateCannotChangeTheScope) {
  EXPECT_EQ(eval("{% set _ = ctx().d.update({'a': 2}) %}{{ ctx().d.a }}"), "error EXP-0010");
  EXPECT_EQ(eval("{% set c = ctx().d.copy() %}{% set _ = c.update({'a': 2}) %}{{ c.a }}"),
            R"("2")");
  EXPECT_EQ(to_json(scope.ctx["d"]["a"]), "1");
}

TEST(Allowance, WritingCostsByBytesAndEntries) {
  auto cost = [](const Value& value, uint64_t times = 1) {
    Allowance allowance;
    EXPECT_TRUE(allowance.take_writing(value, times));
    return allowance.of - allowance.left;
  };
  EXPECT_EQ(cost(Value(std::string(3200, 'x'))), 100U);
  EXPECT_EQ(cost(Value(std::string(3200, 'x')), 3), 300U);
  EXPECT_EQ(cost(Value(ValueList(800, Value(1)))), 101U);
  EXPECT_EQ(cost(Value::map({{"k", Value(std::string(3200, 'x'))}})), 101U);
  EXPECT_EQ(cost(Value(ValueList(100, Value(ValueList{1})))), 113U);
  Allowance little{.of = 50};
  EXPECT_FALSE(little.take_writing(Value(std::string(3200, 'x')), 1));
  EXPECT_EQ(little.left, 50U);
}

}  // namespace
}  // namespace millrace::expr

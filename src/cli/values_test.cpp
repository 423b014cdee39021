// SPDX-License-Identifier: Apache-2.0
#include "cli/values.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/files.h"
#include "base/json.h"
#include "cli/output.h"
#include "cli/target.h"
#include "cli/trace.h"

namespace millrace::cli {
namespace {

Value json(std::string_view text) { return *parse_json(text); }

std::string typed(std::string_view schema, std::string_view text) {
  auto value = typed_value("p", json(schema), text);
  return value.ok() ? to_json(*value) : "error: " + value.error().message();
}

// A folder that goes away with the test.
class TempFolder {
 public:
  TempFolder() {
    char name[] = "/tmp/millrace-cli-XXXXXX";
    path = mkdtemp(name);
  }
  ~TempFolder() { std::filesystem::remove_all(path); }
  std::string put(const std::string& name, std::string_view text) const {
    EXPECT_TRUE(replace_file(path + "/" + name, text).ok());
    return path + "/" + name;
  }
  std::string path;
};

TEST(TypedValue, FollowsTheSchema) {
  EXPECT_EQ(typed(R"({"type":"string"})", "12"), R"("12")");
  EXPECT_EQ(typed(R"({"type":"integer"})", "12"), "12");
  EXPECT_EQ(typed(R"({"type":"number"})", "1.5"), "1.5");
  EXPECT_EQ(typed(R"({"type":"boolean"})", "yes"), "true");
  EXPECT_EQ(typed(R"({"type":"boolean"})", "false"), "false");
  EXPECT_EQ(typed(R"({"type":"object"})", R"({"a":1})"), R"({"a":1})");
  EXPECT_EQ(typed(R"({"type":"array","items":{"type":"integer"}})", "1,2"), "[1,2]");
  EXPECT_EQ(typed(R"({"type":"array"})", R"(["a",2])"), R"(["a",2])");
  EXPECT_EQ(typed(R"({"type":["null","string"]})", "null"), "null");
  EXPECT_EQ(typed("{}", "hello"), R"("hello")");
  EXPECT_EQ(typed("{}", "7"), "7");
  EXPECT_EQ(typed(R"({"type":"integer"})", "x"),
            "error: parameter 'p': expected integer, found 'x'");
}

const char* const kAction = R"({"ref":"x.y","parameters":[
  {"name":"count","secret":false,"schema":{"type":"integer"}},
  {"name":"text","secret":false,"schema":{"type":"string"}},
  {"name":"key","secret":true,"schema":{"type":"string"}}]})";

std::string parameters(const std::vector<std::string>& words) {
  auto value = read_parameters(json(kAction), words);
  return value.ok() ? to_json(*value) : value.error().message();
}

TEST(Parameters, ComeFromWordsFilesAndJson) {
  TempFolder folder;
  auto file = folder.put("text", "from a file\n");
  EXPECT_EQ(parameters({"count=3", "text=@" + file}), R"({"count":3,"text":"from a file"})");
  EXPECT_EQ(parameters({"count:=4", "text=a=b"}), R"({"count":4,"text":"a=b"})");
}

TEST(Parameters, AreGivenOnce) {
  EXPECT_EQ(parameters({"count=3", "text=a", "count:=4"}),
            "parameter 'count' is given twice: expected it once");
}

TEST(Texts, ComeWithoutWhatAnEditorPutAroundThem) {
  TempFolder folder;
  auto read = [&](std::string_view bytes) {
    return read_line_text(folder.put("text", bytes)).value();
  };
  EXPECT_EQ(read("s3cret\n"), "s3cret");
  EXPECT_EQ(read("s3cret\r\n"), "s3cret");
  EXPECT_EQ(read("\xEF\xBB\xBFs3cret\r\n"), "s3cret");
  EXPECT_EQ(read(" a\r\n\n"), " a\r\n");
  EXPECT_EQ(read("a\r"), "a\r");
  EXPECT_EQ(read(""), "");
  auto document = read_document(folder.put("rule.json", "\xEF\xBB\xBF{\"a\":1}"));
  ASSERT_TRUE(document.ok()) << document.error().describe();
  EXPECT_EQ(to_json(*document), R"({"a":1})");
}

TEST(Durations, LoseNoPartOfASecond) {
  EXPECT_EQ(parse_seconds("--ttl", "90s").value(), 90);
  EXPECT_EQ(parse_seconds("--ttl", "2000ms").value(), 2);
  EXPECT_EQ(parse_seconds("--ttl", "1500ms").error().message(),
            "--ttl: expected whole seconds, found '1500ms'");
}

TEST(Parameters, NameTheNearestKey) {
  EXPECT_EQ(parameters({"cuont=3"}), "action 'x.y': no parameter 'cuont' (did you mean 'count'?)");
  EXPECT_EQ(parameters({"nothing"}), "expected key=value, key=@file or key:=json, found 'nothing'");
}

TEST(Parameters, RefuseASecretInTheCommandLine) {
  TempFolder folder;
  EXPECT_NE(parameters({"key=hunter2"}).find("is secret"), std::string::npos);
  EXPECT_NE(parameters({"key:=\"hunter2\""}).find("is secret"), std::string::npos);
  EXPECT_EQ(parameters({"key=@" + folder.put("key", "hunter2\n")}), R"({"key":"hunter2"})");
}

TEST(Duration, HasAUnit) {
  EXPECT_EQ(*parse_duration("--timeout", "500ms"), 500);
  EXPECT_EQ(*parse_duration("--timeout", "5m"), 300'000);
  EXPECT_FALSE(parse_duration("--timeout", "5").ok());
  EXPECT_FALSE(parse_duration("--timeout", "-5s").ok());
}

TEST(Document, IsJsonOrYamlByItsName) {
  TempFolder folder;
  EXPECT_EQ(to_json(*read_document(folder.put("r.yaml", "ref: a.b\nn: 1\n"))),
            R"({"ref":"a.b","n":1})");
  EXPECT_EQ(to_json(*read_document(folder.put("r.json", "{\"ref\": 1}"))), R"({"ref":1})");
  EXPECT_FALSE(read_document(folder.put("bad.json", "ref: a")).ok());
}

constexpr Column kColumns[] = {{"NAME", "name"},
                               {"REF", "trigger.ref"},
                               {"STATUS", "status", Look::Status},
                               {"TOOK", "ms", Look::DurationMs}};
const char* const kRow =
    R"([{"name":"ä","trigger":{"ref":"t"},"status":"failed","ms":1500},{"name":"long","ms":7}])";

TEST(Output, TableAlignsByCharacters) {
  EXPECT_EQ(Style{}.rows(kColumns, json(kRow).as_list()),
            "NAME  REF  STATUS  TOOK\n"
            "ä     t    failed  1.5 s\n"
            "long               7 ms\n");
}

TEST(Output, ColoursOnlyWhenAsked) {
  EXPECT_EQ(Style{}.rows(kColumns, json(kRow).as_list()).find('\033'), std::string::npos);
  auto coloured = Style{Format::Table, true}.rows(kColumns, json(kRow).as_list());
  EXPECT_NE(coloured.find("\033[31mfailed\033[0m"), std::string::npos);
}

TEST(Output, KeepsControlCharactersFromTheTerminal) {
  auto rows = json(R"([{"name":"a\u001b[2Jb"}])");
  EXPECT_EQ(Style{}.rows(kColumns, rows.as_list()).find('\033'), std::string::npos);
}

TEST(Output, OtherFormatsShowWholeRows) {
  auto rows = json(R"([{"a":1},{"b":[2]}])");
  EXPECT_EQ(Style{Format::JsonLines}.rows(kColumns, rows.as_list()), "{\"a\":1}\n{\"b\":[2]}\n");
  EXPECT_EQ(Style{Format::Yaml}.rows(kColumns, rows.as_list()), "- a: 1\n- b:\n    - 2\n");
  EXPECT_EQ(json(Style{Format::Json}.rows(kColumns, rows.as_list())), rows);
}

TEST(Output, AnObjectIsALinePerEntryWithWhatIsNestedBelow) {
  EXPECT_EQ(Style{}.object(json(R"({"id":"7","long_name":true,"none":null,"p":{"a":1}})")),
            "id:         7\nlong_name:  true\np:\n  a: 1\n");
}

TEST(Target, TakesTheFirstPlaceThatSaysWhere) {
  TempFolder folder;
  folder.put("url", "http://127.0.0.1:1/\n");
  folder.put("admin.token", "mr_a\n");
  std::map<std::string, std::string> set{{"MILLRACE_URL", "http://env:2"},
                                         {"MILLRACE_TOKEN", "mr_env"},
                                         {"XDG_CONFIG_HOME", folder.path}};
  auto env = [&set](const char* name) { return set[name]; };
  Invocation in;
  EXPECT_EQ(find_target(in, env)->url, "http://env:2");
  EXPECT_EQ(find_target(in, env)->token.reveal(), "mr_env");
  in.set("--data", {folder.path});
  EXPECT_EQ(find_target(in, env)->url, "http://127.0.0.1:1");
  EXPECT_EQ(find_target(in, env)->token.reveal(), "mr_a");
  in.set("--profile", {"work"});
  std::filesystem::create_directory(folder.path + "/millrace");
  folder.put("millrace/config.yaml", "profiles:\n  work: {url: 'http://work:3'}\n");
  EXPECT_EQ(find_target(in, env)->url, "http://work:3");
  in.set("--profile", {"wrok"});
  EXPECT_EQ(find_target(in, env).error().kind(), ErrorKind::NotFound);
}

TEST(Trace, ShowsRulesVerdictsAndExecutionsWithTimes) {
  auto trace = json(R"({"event":{"id":"1","trigger":"core.webhook","source":"github",
    "created":"2026-01-01T00:00:00.000Z"},"enforcements":[{"enforcement":{"rule_ref":"a.b",
    "rule_revision":2,"created":"2026-01-01T00:00:00.002Z","status":"created","verdicts":[
    {"criterion":"trigger.x","operator":"equals","holds":true,"expected":"m","found":"m"}]},
    "started":{"execution":{"id":"3","action":"p.q","status":"succeeded","attempt":2,
    "duration_ms":1500,"started":"2026-01-01T00:00:00.010Z"},"children":[]}}]})");
  auto miss = json(R"([{"rule":"c.d","revision":1,"matched":false,"criteria":[
    {"criterion":"trigger.x","operator":"equals","holds":false,"expected":"n","found":"m"}]}])");
  EXPECT_EQ(trace_text(trace, miss.as_list(), false),
            "2026-01-01T00:00:00.000Z  event 1  core.webhook  from github\n"
            "├─ rule a.b  revision 2  matched  +2 ms\n"
            "│  │  yes trigger.x equals \"m\"\n"
            "│  └─ execution 3  p.q  succeeded after 1.5 s  2 attempts  +10 ms\n"
            "└─ rule c.d  revision 1  did not match\n"
            "      no  trigger.x equals \"n\", found \"m\"\n");
}

// JSON would carry U+FFFD instead.
TEST(Texts, BytesThatAreNoTextAreNotSent) {
  auto why = [](Value body) {
    auto checked = check_texts(body);
    if (checked.ok()) return std::string("ok");
    return std::string(checked.error().code()) + " " + checked.error().message();
  };
  std::string bytes("\xff\xfe", 2);
  EXPECT_EQ(why(json(R"({"a":["\u00e9",{"b":1}],"c":null})")), "ok");
  EXPECT_EQ(why(Value::map({{"parameters", Value::map({{"t", bytes}})}})),
            "CLI-0006 /parameters/t: expected text in UTF-8, found other bytes: nothing was sent; "
            "pass them as base64");
  EXPECT_EQ(why(Value(ValueList{Value(1), Value(bytes)})).substr(0, 12), "CLI-0006 /1:");
  EXPECT_EQ(why(Value(bytes)).substr(0, 19), "CLI-0006 the value:");
}

}  // namespace
}  // namespace millrace::cli

// SPDX-License-Identifier: Apache-2.0
#include "packs/load.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "packs/folder.h"
#include "rules/check.h"

namespace millrace::packs {
namespace {

std::string lines(const std::vector<Problem>& problems) {
  std::string out;
  for (const Problem& p : problems) out += p.path + ": " + p.message + "\n";
  return out;
}

// As `millrace pack check` does it: rules may name what the core pack has.
Report check_with_core(const PackFiles& files) {
  expr::Engine engine;
  auto core_files = read_pack_folder(MILLRACE_SOURCE_DIR "/packs/core");
  EXPECT_TRUE(core_files);
  Report core = check(*core_files, engine);
  return check(files, engine, [&](const RuleSpec& rule, const Pack& pack) {
    rules::Catalog names;
    names.add(core.pack);
    names.add(pack);
    return rules::check_rule(rule, names, engine);
  });
}

const PackFiles kSmallest = {{"pack.yaml", "ref: ci\nversion: 1.10\n"}};

PackFiles with(PackFiles more) {
  more.insert(kSmallest.begin(), kSmallest.end());
  return more;
}

Action only_action(std::string yaml, PackFiles more = {}) {
  more["actions/a.yaml"] = std::move(yaml);
  expr::Engine engine;
  Report report = check(with(std::move(more)), engine);
  EXPECT_EQ(lines(report.errors), "");
  return report.pack.actions.empty() ? Action{} : report.pack.actions[0];
}

TEST(Check, FindsNothingWrongWithThePacksThatShip) {
  for (const char* folder : {"/packs/core", "/packs/examples/demo"}) {
    auto files = read_pack_folder(std::string(MILLRACE_SOURCE_DIR) + folder);
    ASSERT_TRUE(files) << files.error().describe();
    Report report = check_with_core(*files);
    EXPECT_EQ(lines(report.errors), "") << folder;
    // Core has actions of StackStorm's that no runner is there for.
    std::erase_if(report.warnings, [](const Problem& warning) {
      return warning.message.ends_with("the action loads, and fails when it is run");
    });
    EXPECT_EQ(lines(report.warnings), "") << folder;
    EXPECT_FALSE(report.pack.actions.empty());
    EXPECT_EQ(report.pack.digest.size(), 64u);
  }
}

TEST(Check, ReportsAllMistakesOfABadPackWithTheirLines) {
  PackFiles files = {
      {"pack.yaml", "ref: ci\nversion: 1.0.0\nauhtor: me\n"},
      {"actions/build.yaml",
       "name: build\n"
       "runner_type: pyhton\n"
       "parameters:\n"
       "  depth:\n"
       "    type: integr\n"
       "  branch: {type: integer, default: x}\n"},
      {"actions/test.yaml",
       "name: test\n"
       "runner_type: shell\n"
       "entry_point: tset.sh\n"
       "effect_class: pur\n"},
      {"actions/test.sh", "true\n"},
      {"actions/again.yaml", "name: test\nrunner_type: noop\n"},
      {"actions/broken.yaml", "name: [1, 2\n"},
      {"triggers/built.yaml",
       "name: built\n"
       "payload_schema:\n"
       "  type: object\n"
       "  properties:\n"
       "    id: {type: uuid}\n"},
      {"rules/on_push.yaml",
       "name: on_push\n"
       "trigger: {type: core.webook}\n"
       "criteria:\n"
       "  trigger.body.ref: {type: equalz, pattern: main}\n"
       "  trigger.body.tag:\n"
       "    type: regex\n"
       "    pattern: '('\n"
       "action:\n"
       "  ref: ci.biuld\n"
       "  parameters:\n"
       "    branch: '{{ trigger.body.ref | }}'\n"},
      {"rules/nightly.yaml",
       "name: nightly\n"
       "trigger:\n"
       "  type: core.crontimer\n"
       "  parameters: {expression: 0 25 * * *}\n"
       "action: {ref: core.noop}\n"},
  };
  Report report = check_with_core(files);
  std::string found = lines(report.errors) + lines(report.warnings);
  for (const char* expected : {
           "pack.yaml:3: pack: unknown key 'auhtor' (did you mean 'author'?)\n",
           "actions/build.yaml:2: action 'ci.build': unknown runner type 'pyhton' (did you mean "
           "'python'?)\n",
           "actions/build.yaml:5: action 'ci.build': parameter 'depth': type: expected a type "
           "(string, integer, number, boolean, array, object, null), found \"integr\" (did you "
           "mean 'integer'?)\n",
           "actions/build.yaml:6: action 'ci.build': parameter 'branch': 'default': expected "
           "integer, found string \"x\"\n",
           "actions/test.yaml:3: action 'ci.test': 'entry_point': the pack has no file "
           "actions/tset.sh (did you mean 'test.sh'?)\n",
           "actions/test.yaml:4: action 'ci.test': 'effect_class': expected one of at_most_once, "
           "idempotent, keyed, pure, found 'pur' (did you mean 'pure'?)\n",
           "actions/test.yaml:1: action 'ci.test': is defined twice (first in "
           "actions/again.yaml:1)\n",
           "actions/broken.yaml:",
           "triggers/built.yaml:5: trigger 'ci.built': payload_schema: properties/id/type: "
           "expected a type",
           "rules/on_push.yaml:2: rule 'ci.on_push': unknown trigger 'core.webook' (did you mean "
           "'core.webhook'?); the rule is left out until it is there\n",
           "rules/on_push.yaml:4: rule 'ci.on_push': criterion 'trigger.body.ref': unknown "
           "operator 'equalz' (did you mean 'equals'?)\n",
           "rules/on_push.yaml:7: rule 'ci.on_push': criterion 'trigger.body.tag': bad regular "
           "expression '('",
           "rules/on_push.yaml:9: rule 'ci.on_push': unknown action 'ci.biuld'\n",
           "rules/on_push.yaml:11: rule 'ci.on_push': parameter 'branch': ",
           "rules/nightly.yaml:4: rule 'ci.nightly': trigger parameter 'expression': hour '25': "
           "expected 0 to 23\n",
       }) {
    EXPECT_NE(found.find(expected), std::string::npos) << expected << "\nis not in\n" << found;
  }
  EXPECT_EQ(report.errors.size(), 11u) << found;
  EXPECT_EQ(report.warnings.size(), 4u) << found;
}

TEST(Load, GivesAllOrNothing) {
  expr::Engine engine;
  auto pack = load(kSmallest, "/packs/ci", engine);
  ASSERT_TRUE(pack);
  EXPECT_EQ(pack->version, "1.10");
  EXPECT_EQ(pack->folder, "/packs/ci");
  auto bad = load(with({{"actions/a.yaml", "name: a"}}), "/packs/ci", engine);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code(), "PCK-0002");
  EXPECT_EQ(bad.error().problems().size(), 1u);
  EXPECT_FALSE(load({}, "/packs/ci", engine));
}

TEST(Load, ReadsStackStormsSpelling) {
  PackFiles files = {
      {"pack.yaml",
       "---\nname: github\ndescription: d\nkeywords: [git]\nversion: 0.5.0\nauthor: st2\n"
       "email: a@b.c\npython_versions: ['3']\n"},
      {"config.schema.yaml",
       "token: {type: string, secret: true, required: true, default: '{{system.t}}'}\n"
       "sensor:\n  type: object\n  properties:\n    count: {type: integer, required: true}\n"},
      {"actions/run.yaml",
       "name: run\nrunner_type: local-shell-cmd\nentry_point: ''\nenabled: yes\n"
       "parameters:\n"
       "  cmd: {immutable: true, default: 'echo {{host}}'}\n"
       "  host: {type: string, required: true, position: 0}\n"
       "  sudo: {immutable: true}\n"
       "  timeout: {default: 20}\n"},
      {"actions/get.yaml",
       "name: get\nrunner_type: python-script\nentry_point: get.py\n"
       "parameters:\n  id: {type: integer}\n"
       "output_schema: {name: {type: string, required: true}}\n"},
      {"actions/get.py", ""},
      {"actions/flow.yaml",
       "name: flow\nrunner_type: orquesta\nentry_point: workflows/flow.yaml\n"},
      {"actions/workflows/flow.yaml", "version: 1.0\ntasks: {}\n"},
      {"actions/win.yaml",
       "name: win\nrunner_type: winrm-cmd\nparameters: {cmd: {type: string}}\n"},
      {"sensors/repo.yaml",
       "class_name: Repo\nentry_point: repo.py\npoll_interval: 30\ntrigger_types:\n"
       "  - name: repository_event\n    description: d\n    payload_schema:\n"
       "      type: object\n      properties: {id: {type: string}}\n"},
      {"sensors/repo.py", ""},
      {"rules/r.yaml",
       "name: r\npack: github\nenabled: false\n"
       "trigger: {type: github.repository_event, parameters: {}}\n"
       "criteria: {trigger.type: {type: eq, pattern: PushEvent}}\n"
       "action: {ref: github.get, parameters: {id: '{{trigger.id}}'}}\n"},
      {"aliases/a.yaml", "name: a\npack: github\naction_ref: github.get\nformats: [get]\n"},
      {"policies/p.yaml",
       "name: p\npolicy_type: action.concurrency\nresource_ref: github.get\nparameters: "
       "{threshold: 2}\n"},
  };
  Report report = check_with_core(files);
  EXPECT_EQ(lines(report.errors), "");
  const Action* run = report.pack.find_action("github.run");
  ASSERT_TRUE(run);
  EXPECT_EQ(run->runner, Runner::Shell);
  EXPECT_EQ(run->timeout_ms, 20'000);
  EXPECT_TRUE(run->parameters[0].immutable);
  EXPECT_EQ(run->parameters[1].position, 0);
  EXPECT_TRUE(run->parameters[2].of_runner);
  EXPECT_EQ(run->parameters[2].schema["type"], Value("boolean"));
  const Action* get = report.pack.find_action("github.get");
  ASSERT_TRUE(get);
  EXPECT_EQ(get->sdk, Sdk::Python);
  EXPECT_EQ(get->runtime, "python");
  EXPECT_FALSE(get->permissions.empty()) << "StackStorm's actions reach the datastore";
  EXPECT_EQ(to_json(get->output_schema),
            R"({"type":"object","properties":{"name":{"type":"string","required":true}}})");
  EXPECT_EQ(report.pack.find_action("github.flow")->runner, Runner::Workflow);
  ASSERT_EQ(report.pack.aliases.size(), 1u);
  EXPECT_EQ(report.pack.aliases[0].ref, "github.a");
  EXPECT_EQ(report.pack.aliases[0].action, "github.get");
  EXPECT_EQ(report.pack.find_action("github.win")->runner, Runner::Unsupported);
  EXPECT_TRUE(report.pack.find_trigger("github.repository_event"));
  ASSERT_EQ(report.pack.sensors.size(), 1u);
  const Sensor& sensor = report.pack.sensors[0];
  EXPECT_EQ(sensor.ref, "github.Repo");
  EXPECT_EQ(sensor.class_name, "Repo");
  EXPECT_EQ(sensor.sdk, Sdk::Python);
  EXPECT_EQ(sensor.poll_interval_s, 30);
  EXPECT_EQ(sensor.triggers, std::vector<std::string>{"github.repository_event"});
  EXPECT_FALSE(report.pack.rules[0].enabled);
  EXPECT_EQ(to_json(report.pack.config), R"({"token":"{{system.t}}"})");
}

TEST(Load, ReadsAttunesSpelling) {
  PackFiles files = {
      {"pack.yaml",
       "ref: tools\nlabel: Tools\ndescription: d\nversion: 1.0.3\nsystem: true\n"
       "conf_schema:\n  limit: {type: integer, default: 5, minimum: 1}\n"
       "config: {limit: 7}\nmeta: {category: x}\ntags: [a]\nruntime_deps: [shell]\n"},
      {"runtimes/ruby.yaml",
       "ref: tools.ruby\npack_ref: tools\nname: Ruby\naliases: [rb]\nexecution_config:\n"
       "  interpreter: {binary: ruby, args: ['-W'], file_extension: .rb}\n"
       "  env_vars: {RUBYLIB: {operation: prepend, value: lib, separator: ':'}}\n"},
      {"triggers/alert.yaml",
       "ref: tools.alert\nlabel: Alert\ntype: system\nparameters: {}\n"
       "output:\n  severity: {type: string, required: true}\n  type: {type: string}\n"},
      {"actions/call.yaml",
       "ref: tools.call\nlabel: Call\ndescription: d\nenabled: true\nrunner_type: shell\n"
       "entry_point: call.sh\nparameter_delivery: stdin\nparameter_format: dotenv\n"
       "output_format: jsonl\ntags: [x]\n"
       "param_schema:\n  type: object\n  properties:\n    url: {type: string}\n"
       "    token: {type: string, secret: true}\n  required: [url]\n"},
      {"actions/call.sh", ""},
      {"actions/rb.yaml", "ref: tools.rb\nlabel: R\nrunner_type: ruby\nentry_point: r.rb\n"},
      {"actions/r.rb", ""},
      {"actions/flow.yaml", "ref: tools.flow\nlabel: F\nworkflow_file: workflows/f.yaml\n"},
      {"actions/workflows/f.yaml", "tasks: []\n"},
      {"rules/r.yaml",
       "ref: tools.r\nlabel: R\ntrigger_ref: tools.alert\naction_ref: tools.call\n"
       "conditions: {trigger.severity: {type: eq, pattern: high}}\n"
       "action_params: {url: 'http://x', tokn: 1}\n"},
  };
  Report report = check_with_core(files);
  EXPECT_EQ(lines(report.errors),
            "rules/r.yaml:6: rule 'tools.r': parameter 'tokn': tools.call has no parameter 'tokn' "
            "(did you mean 'token'?)\n");
  const Action* call = report.pack.find_action("tools.call");
  ASSERT_TRUE(call);
  EXPECT_EQ(call->runner, Runner::Script);
  EXPECT_EQ(call->parameter_format, ParameterFormat::Dotenv);
  EXPECT_EQ(call->output_format, OutputFormat::Jsonl);
  EXPECT_TRUE(call->parameters[0].required);
  EXPECT_TRUE(call->parameters[1].secret);
  EXPECT_EQ(report.pack.find_action("tools.rb")->runtime, "tools.ruby");
  EXPECT_EQ(report.pack.find_action("tools.flow")->runner, Runner::Workflow);
  EXPECT_EQ(report.pack.runtimes[0].interpreter, (std::vector<std::string>{"ruby", "-W"}));
  EXPECT_EQ(report.pack.config["limit"], Value(7));
}

TEST(Load, TellsWhatHasNoEffectWithoutRefusingIt) {
  expr::Engine engine;
  Report report = check(with({{"actions/a.yaml",
                               "name: a\nrunner_type: noop\nworker_selector: {zone: a}\n"
                               "parameters:\n  k: {type: string, key_ref: true}\n"}}),
                        engine);
  EXPECT_EQ(lines(report.errors), "");
  EXPECT_EQ(lines(report.warnings),
            "actions/a.yaml:3: action 'ci.a': 'worker_selector' is not supported yet and has no "
            "effect\n"
            "actions/a.yaml:5: action 'ci.a': parameter 'k': 'key_ref' is not supported yet and "
            "has no effect\n");
}

TEST(Load, ReadsTheLabelsThatAnActionNeeds) {
  auto action = only_action(
      "ref: ci.a\nrunner_type: shell\nparameters: {cmd: {type: string}}\n"
      "runs_on: [gpu, os=linux]\n");
  EXPECT_EQ(action.runs_on, (std::vector<std::string>{"gpu", "os=linux"}));
  expr::Engine engine;
  Report report = check(with({{"actions/a.yaml",
                               "ref: ci.a\nrunner_type: shell\nparameters: {cmd: {type: string}}\n"
                               "runs_on: [\"os = linux\", \"a,b\"]\n"}}),
                        engine);
  EXPECT_EQ(lines(report.errors),
            "actions/a.yaml:4: action 'ci.a': label 'a,b': expected 1 to 64 letters, digits and "
            "._-/=:\n"
            "actions/a.yaml:4: action 'ci.a': label 'os = linux': expected 1 to 64 letters, digits "
            "and ._-/=:\n");
}

TEST(Load, RunsACommandWhenAShellActionHasNoFile) {
  Action action = only_action("name: a\nrunner_type: shell\nparameters: {cmd: {type: string}}\n");
  EXPECT_EQ(action.runner, Runner::Shell);
}

TEST(Load, TellsWhatAFileShouldHoldThatHoldsNoMap) {
  expr::Engine engine;
  const std::pair<std::string, std::string> kinds[] = {
      {"actions/a", "an action"},  {"triggers/a", "a trigger"}, {"sensors/a", "a sensor"},
      {"rules/a", "a rule"},       {"policies/a", "a policy"},  {"aliases/a", "an alias"},
      {"runtimes/a", "a runtime"}, {"pack", "a pack"},          {"config.schema", "a schema"},
  };
  for (const auto& [path, what] : kinds) {
    for (auto [text, found] : {std::pair("", "an empty document"),
                               {"null", "an empty document"},
                               {"[1]", "[1]"},
                               {"text", "\"text\""}}) {
      PackFiles files = kSmallest;
      files[path + ".yaml"] = text;
      bool may_be_empty = path == "config.schema" && found == std::string("an empty document");
      EXPECT_EQ(lines(check(files, engine).errors),
                may_be_empty
                    ? ""
                    : path + ".yaml:1: expected " + what + ", a map, found " + found + "\n");
    }
  }
}

TEST(Check, AWrongFileCostsThatFile) {
  expr::Engine engine;
  Report report = check(with({{"actions/good.yaml", "name: good\nrunner_type: noop\n"},
                              {"actions/bad.yaml", "name: bad\nrunner_type: nop\n"},
                              {"actions/broken.yaml", "name: [1\n"},
                              {"triggers/bad.yaml", "name: bad\nparameters: {a: {type: strin}}\n"},
                              {"triggers/good.yaml", "name: good\n"},
                              {"runtimes/bad.yaml", "name: bad\ninterpreter: {args: 3}\n"}}),
                        engine);
  EXPECT_TRUE(report.is_usable);
  ASSERT_EQ(report.pack.actions.size(), 1u);
  EXPECT_EQ(report.pack.actions[0].ref, "ci.good");
  ASSERT_EQ(report.pack.triggers.size(), 1u);
  EXPECT_EQ(report.pack.triggers[0].ref, "ci.good");
  EXPECT_TRUE(report.pack.runtimes.empty());
  EXPECT_EQ(report.pack.faults.size(), report.errors.size());
  EXPECT_EQ(report.errors.size(), 4u) << lines(report.errors);
  EXPECT_FALSE(check({{"pack.yaml", "name: A Name\n"}}, engine).is_usable);
}

// Each was found in a pack that is in use elsewhere.
TEST(Check, IsLenientWhereStackStormIs) {
  expr::Engine engine;
  Report report = check(
      {{"pack.yaml", "name: Git Hub\nversion: 1.0.0\nmade_up: true\n"},
       {"config.schema.yaml",
        "accounts:\n  type: object\n  patternProperties:\n    '^\\w+$': {$ref: "
        "'#/properties/one'}\n"
        "one: {type: object, properties: {name: {type: string, roles: [a]}}}\n"},
       {"actions/flag.yaml",
        "name: flag\nrunner_type: python-script\nentry_point: gone.py\n"
        "parameters: {on: {type: boolean, default: 0}, text: {default: '{{ x'}}\n"},
       {"actions/tags.yaml",
        "name: tags\nrunner_type: noop\nparameters:\n"
        "  properties: {type: object, description: a parameter}\n  name: {type: string}\n"},
       {"actions/cmd.yaml", "name: cmd\nrunner_type: local-shell-cmd\nentry_point: ''\n"},
       {"sensors/a.yaml",
        "class_name: A\nentry_point: gone.py\ntrigger_types: [{name: t, payload_info: [x]}]\n"},
       {"sensors/b.yaml",
        "class_name: B\nentry_point: gone.py\n"
        "trigger_types: [{name: t, description: second}]\n"},
       {"rules/r.yaml", "name: r\ntrigger: {type: linux.changed}\naction: {ref: core.sendmail}\n"}},
      engine,
      [&](const RuleSpec& rule, const Pack& pack) {
        rules::Catalog names;
        names.add(pack);
        return rules::check_rule(rule, names, engine);
      },
      "github");
  EXPECT_EQ(lines(report.errors), "");
  EXPECT_EQ(report.pack.ref, "github");
  EXPECT_EQ(report.pack.actions.size(), 3u);
  const Action* tags = report.pack.find_action("github.tags");
  ASSERT_TRUE(tags);
  EXPECT_EQ(tags->parameters.size(), 2u);
  ASSERT_EQ(report.pack.triggers.size(), 1u);
  EXPECT_EQ(report.pack.triggers[0].description, "second");
  EXPECT_TRUE(report.pack.rules.empty());
  EXPECT_EQ(
      to_json(report.pack.config_schema["properties"]["accounts"]["patternProperties"]),
      R"({"^\\w+$":{"type":"object","properties":{"name":{"type":"string","roles":["a"]}}}})");
  EXPECT_EQ(lines(report.warnings),
            "actions/flag.yaml:3: action 'github.flag': 'entry_point': the pack has no file "
            "actions/gone.py\n"
            "actions/flag.yaml:4: action 'github.flag': parameter 'text': 'default': template "
            "'{{ x': unexpected end of template, expected '}}'\n"
            "config.schema.yaml:4: configuration: parameter 'accounts': "
            "patternProperties/^\\w+$/properties/name/roles: unknown keyword 'roles'\n"
            "config.schema.yaml:5: configuration: parameter 'one': properties/name/roles: "
            "unknown keyword 'roles'\n"
            "pack.yaml:3: pack: unknown key 'made_up'\n"
            "rules/r.yaml:2: rule 'github.r': unknown trigger 'linux.changed'; the rule is left "
            "out until it is there\n"
            "rules/r.yaml:3: rule 'github.r': unknown action 'core.sendmail'; the rule is left "
            "out until it is there\n"
            "sensors/a.yaml:2: sensor 'A': 'entry_point': the pack has no file sensors/gone.py\n"
            "sensors/a.yaml:3: trigger 'github.t': unknown key 'payload_info'\n"
            "sensors/b.yaml:2: sensor 'B': 'entry_point': the pack has no file sensors/gone.py\n"
            "sensors/b.yaml:3: trigger 'github.t': is defined twice (first in sensors/a.yaml:3); "
            "this one counts\n");
}

TEST(Load, ASensorIsAClassOrAProgram) {
  expr::Engine engine;
  Report report = check(
      {{"pack.yaml", "name: tea\nversion: 1.0.0\n"},
       {"triggers/boiled.yaml", "name: boiled\n"},
       {"sensors/a.yaml", "class_name: kettle\nentry_point: a.js\ntrigger_types: [boiled]\n"},
       {"sensors/b.yaml", "ref: tea.pot\nrunner_type: Python\nentry_point: b.py\nenabled: false\n"},
       {"sensors/c.yaml", "name: cup\nentry_point: c.sh\ntrigger_types: [other.full]\n"},
       {"sensors/d.yaml", "name: spoon\nentry_point: d\n"},
       {"sensors/e.yaml", "name: sugar\nentry_point: e\nrunner_type: cobol\n"},
       {"sensors/f.yaml", "name: cup\nentry_point: d\n"},
       {"sensors/g.yaml", "name: broken\n"},
       {"sensors/h.yaml", "class_name: Milk\nentry_point: b.py\nrunner_type: mine\n"},
       {"runtimes/mine.yaml", "name: mine\ninterpreter: [/opt/python]\n"},
       {"sensors/a.js", ""},
       {"sensors/b.py", ""},
       {"sensors/c.sh", ""},
       {"sensors/d", ""},
       {"sensors/e", ""}},
      engine);
  EXPECT_EQ(lines(report.errors), "sensors/g.yaml:1: sensor 'broken': expected 'entry_point'\n");
  EXPECT_EQ(lines(report.warnings),
            "sensors/e.yaml:3: sensor 'sugar': no runtime 'cobol': the sensor is not run\n"
            "sensors/f.yaml:1: sensor 'cup': is defined twice (first in sensors/c.yaml:1); this "
            "one counts\n");
  std::string found;
  for (const Sensor& one : report.pack.sensors) {
    found += fmt::format("{} {} sdk={} {} {}\n", one.ref, one.runtime, static_cast<int>(one.sdk),
                         one.enabled, fmt::join(one.triggers, ","));
  }
  EXPECT_EQ(found,
            "tea.kettle node sdk=2 true tea.boiled\ntea.pot python sdk=0 false \n"
            "tea.spoon native sdk=0 true \ntea.sugar  sdk=0 true \ntea.cup native sdk=0 true \n"
            "tea.Milk tea.mine sdk=1 true \n");
}

TEST(Check, WhatPointsAtItselfIsWrittenOutSoFar) {
  expr::Engine engine;
  Report report = check(with({{"config.schema.yaml",
                               "a: {properties: {x: {$ref: '#/properties/a'}, "
                               "y: {$ref: '#/properties/a'}}}\n"}}),
                        engine);
  EXPECT_TRUE(report.errors.empty());
  EXPECT_LT(to_json(report.pack.config_schema).size(), 500'000U);
}

TEST(Load, RefusesPathsThatLeadOutOfThePack) {
  expr::Engine engine;
  Report report = check(
      with({{"actions/a.yaml", "name: a\nrunner_type: python\nentry_point: ../../etc/passwd\n"}}),
      engine);
  EXPECT_EQ(lines(report.errors),
            "actions/a.yaml:3: action 'ci.a': 'entry_point': expected a path inside of actions/, "
            "found '../../etc/passwd'\n");
}

TEST(Load, NeverQuotesTheDefaultOfASecret) {
  expr::Engine engine;
  Report report = check(with({{"actions/a.yaml",
                               "name: a\nrunner_type: noop\nparameters:\n"
                               "  k: {type: string, maxLength: 3, secret: true, default: "
                               "hunter2}\n"}}),
                        engine);
  EXPECT_FALSE(report.warnings.empty());
  EXPECT_EQ(lines(report.warnings).find("hunter2"), std::string::npos);
}

TEST(Digest, DependsOnEveryPathAndByte) {
  std::string first = digest_of({{"a", "1"}, {"b", "2"}});
  EXPECT_EQ(first, digest_of({{"b", "2"}, {"a", "1"}}));
  EXPECT_NE(first, digest_of({{"a", "12"}, {"b", ""}}));
  EXPECT_NE(first, digest_of({{"a", "1"}, {"c", "2"}}));
  EXPECT_NE(digest_of({{"ab", "c"}}), digest_of({{"a", "bc"}}));
  EXPECT_EQ(digest_of({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Aliases, AreReadAsStackStormHasThem) {
  PackFiles files = {
      {"pack.yaml", "ref: ops\nversion: 1.0.0\n"},
      {"aliases/a.yaml",
       "name: deploy\naction_ref: core.echo\nformats:\n  - 'ship {{ what }}'\n"
       "  - display: deploy <what>\n    representation: ['deploy {{what}}', 'put {{what}}']\n"
       "ack: {enabled: false, append_url: false, format: 'hold', extra: {slack: {color: red}}}\n"
       "result: {format: '{{ execution.status }}'}\nimmutable_parameters: {to: x}\n"
       "extra: {icon: y}\n"},
  };
  Report report = check_with_core(files);
  EXPECT_EQ(lines(report.errors), "");
  EXPECT_EQ(lines(report.warnings), "");
  ASSERT_EQ(report.pack.aliases.size(), 1u);
  const Alias& alias = report.pack.aliases[0];
  ASSERT_EQ(alias.forms.size(), 2u);
  EXPECT_EQ(alias.forms[0].display, "ship {{ what }}");
  EXPECT_EQ(alias.forms[1].display, "deploy <what>");
  EXPECT_EQ(alias.forms[1].representations.size(), 2u);
  EXPECT_EQ(alias.forms[1].formats.size(), 2u);
  EXPECT_FALSE(alias.ack.enabled || alias.ack.append_url);
  EXPECT_EQ(to_json(alias.ack.extra), R"({"slack":{"color":"red"}})");
  EXPECT_EQ(alias.result.format, "{{ execution.status }}");
  EXPECT_TRUE(alias.result.enabled && alias.enabled);
}

TEST(Aliases, WhatIsWrongCostsItsFileAndNamesItsLine) {
  PackFiles files = {
      {"pack.yaml", "ref: ops\nversion: 1.0.0\n"},
      {"aliases/a.yaml", "name: a\naction_ref: core.echo\nformats:\n  - x\n  - 'y (?=z)'\n"},
      {"aliases/b.yaml", "name: b\naction_ref: core.echo\nformats: []\n"},
      {"aliases/c.yaml", "name: c\nformats: [x]\n"},
      {"aliases/d.yaml", "name: d\naction_ref: core.echo\nformats:\n  - '{{ a b }}'\n"},
      {"aliases/e.yaml", "name: e\naction_ref: ops.gone\nformats: [x]\nresult: {format: '{{'}\n"},
  };
  Report report = check_with_core(files);
  EXPECT_EQ(lines(report.errors),
            "aliases/a.yaml:5: alias 'ops.a': 'formats': 'y (?=z)': look-ahead and look-behind are "
            "not supported in regular expressions: they run in linear time\n"
            "aliases/b.yaml:3: alias 'ops.b': expected 'formats', a list\n"
            "aliases/c.yaml:1: alias 'ops.c': expected 'action_ref'\n"
            "aliases/d.yaml:4: alias 'ops.d': 'formats': expected '{{ name }}' or '{{ "
            "name=default }}', found \"{{ a b }}\"\n");
  EXPECT_EQ(report.pack.aliases.size(), 1u);
  EXPECT_NE(
      lines(report.warnings).find("e.yaml:2: alias 'ops.e': the pack has no action 'ops.gone'"),
      std::string::npos)
      << lines(report.warnings);
  EXPECT_NE(lines(report.warnings).find("e.yaml:4: alias 'ops.e': 'result.format': "),
            std::string::npos)
      << lines(report.warnings);
}

TEST(Policies, WhatIsNotThereOrSecretIsAWarning) {
  PackFiles files = {
      {"pack.yaml", "ref: ops\nname: ops\nversion: 1.0.0\n"},
      {"actions/x.yaml",
       "name: x\nrunner_type: local-shell-cmd\nparameters:\n  token: {type: string, secret: "
       "true}\n"},
      {"policies/a.yaml", "name: a\naction: gone\nconcurrency: {limit: 1}\n"},
      {"policies/b.yaml", "name: b\nof_pack: ops\nconcurrency: {limit: 1, by: [token]}\n"},
  };
  Report report = check_with_core(files);
  EXPECT_EQ(lines(report.errors), "");
  EXPECT_EQ(report.pack.policies.size(), 2u);
  std::string found = lines(report.warnings);
  EXPECT_NE(found.find("policy 'ops.a': unknown action 'ops.gone'"), std::string::npos) << found;
  EXPECT_NE(found.find("parameter 'token' of action 'ops.x' is secret"), std::string::npos)
      << found;
}

}  // namespace
}  // namespace millrace::packs

// SPDX-License-Identifier: Apache-2.0
// Lists that a pack or a request brings: each is held against another one by name.
#include <fmt/format.h>

#include "base/json.h"
#include "base/yaml.h"
#include "conductor/inspect.h"
#include "engine/machine/catalog.h"
#include "growth.h"
#include "packs/load.h"
#include "packs/parameters.h"
#include "rules/check.h"
#include "rules/index.h"

namespace millrace {
namespace {

using cost::grows_no_faster;

RuleSpec rule_number(size_t i) {
  RuleSpec spec{.ref = fmt::format("a.r{}", i), .trigger = "core.webhook", .action = "core.noop"};
  spec.criteria = Value::map();
  return spec;
}

std::vector<rules::RulePtr> compiled(size_t n, auto change) {
  expr::Engine engine;
  std::vector<rules::RulePtr> list;
  for (size_t i = 0; i < n; ++i) {
    RuleSpec spec = rule_number(i);
    change(spec, i);
    auto made = rules::compile(std::move(spec), RuleId(static_cast<int64_t>(i + 1)), 1, engine);
    EXPECT_TRUE(made.ok()) << made.error().describe();
    list.push_back(*made);
  }
  return list;
}

TEST(ListsCost, RulesThatChangeAtOnce) {
  auto own_trigger = [](RuleSpec& spec, size_t i) { spec.trigger = fmt::format("a.t{}", i); };
  grows_no_faster("rules on a trigger each", 500, [=](size_t n) {
    auto list = compiled(n, own_trigger);
    rules::RuleIndex index(list);
    return [=] { EXPECT_EQ(index.with(list).size(), list.size()); };
  });
  grows_no_faster("rules on a path each", 2000, [=](size_t n) {
    auto list = compiled(n, [](RuleSpec& spec, size_t i) {
      spec.criteria.set(fmt::format("trigger.key{}", i),
                        Value::map({{"type", "equals"}, {"pattern", "x"}}));
    });
    return [=] { EXPECT_EQ(rules::RuleIndex(list).size(), list.size()); };
  });
  for (bool is_timer : {false, true}) {
    grows_no_faster("rules that leave", 500, [=](size_t n) {
      std::vector<std::shared_ptr<const engine::RuleEntry>> entries, gone;
      for (const auto& rule : compiled(n, own_trigger)) {
        auto entry = std::make_shared<engine::RuleEntry>();
        entry->row = {.tenant = kDefaultTenant, .ref = rule->spec().ref};
        entry->spec = rule->spec();
        if (is_timer) entry->schedule = "schedule:" + rule->spec().trigger;
        entry->compiled = rule;
        auto left = std::make_shared<engine::RuleEntry>(*entry);
        left->row.deleted = true;
        entries.push_back(std::move(entry));
        gone.push_back(std::move(left));
      }
      auto with_them = engine::Catalog().with_rules(entries);
      return [=] { EXPECT_TRUE(with_them->with_rules(gone)->of(kDefaultTenant).rules().empty()); };
    });
  }
}

auto inspected(std::string_view head, expr::Mode mode, auto line) {
  return [=](size_t n) {
    std::string text(head);
    for (size_t i = 0; i < n; ++i) text += line(i);
    auto document = parse_yaml(text, "w.yaml");
    EXPECT_TRUE(document.ok()) << document.error().describe();
    return [document = std::move(document).value(), mode] {
      expr::Engine engine;
      (void)conductor::inspect(document, engine, {.default_mode = mode});
    };
  };
}

TEST(ListsCost, TasksOfAWorkflow) {
  grows_no_faster("a chain", 1000, inspected("chain:\n", expr::Mode::Native, [](size_t i) {
                    return fmt::format("  - name: t{}\n    ref: core.noop\n    on-success: t{}\n",
                                       i, i + 1);
                  }));
  grows_no_faster(
      "a chain that leads nowhere", 500, inspected("chain:\n", expr::Mode::Native, [](size_t i) {
        return fmt::format("  - name: task{}\n    ref: core.noop\n    on-success: tusk{}\n", i, i);
      }));
  grows_no_faster(
      "tasks that undo", 500,
      inspected("version: 1.0\nlanguage: native\ntasks:\n", expr::Mode::Native, [](size_t i) {
        return fmt::format(
            "  t{0}:\n    action: core.noop\n    compensate: u{0}\n"
            "  u{0}:\n    action: core.noop\n",
            i);
      }));
}

Action action_with(size_t n) {
  Action action{.ref = "a.b"};
  for (size_t i = 0; i < n; ++i) {
    action.parameters.push_back({.name = fmt::format("p{}", i), .schema = Value::map()});
  }
  return action;
}

TEST(ListsCost, ParametersOfAnAction) {
  Value (*given)(size_t) = [](size_t n) {
    Value map = Value::map();
    for (size_t i = 0; i < n; ++i) map.set(fmt::format("p{}", i), 1);
    return map;
  };
  grows_no_faster("given to a call", 1000, [=](size_t n) {
    return [action = action_with(n), values = given(n)] {
      expr::Engine engine;
      EXPECT_TRUE(packs::check_parameters(action, values, {}, engine).ok());
    };
  });
  grows_no_faster("given by a rule", 1000, [=](size_t n) {
    Pack pack;
    pack.actions = {action_with(n)};
    pack.triggers.push_back({.ref = "core.webhook"});
    RuleSpec rule = rule_number(1);
    rule.action = "a.b";
    rule.action_parameters = given(n);
    return [=] {
      expr::Engine engine;
      rules::Catalog names;
      names.add(pack);
      EXPECT_TRUE(rules::check_rule(rule, names, engine).empty());
    };
  });
  grows_no_faster("required by name", 1000, [](size_t n) {
    std::string text = "ref: a.b\nrunner_type: noop\nparameters:\n  type: object\n  properties:\n";
    for (size_t i = 0; i < n; ++i) text += fmt::format("    p{}: {{type: string}}\n", i);
    text += "  required:\n";
    for (size_t i = 0; i < n; ++i) text += fmt::format("    - p{}\n", i);
    packs::PackFiles files{{"pack.yaml", "ref: a\nname: a\nversion: 1.0.0\n"},
                           {"actions/b.yaml", text}};
    return [=] {
      expr::Engine engine;
      auto report = packs::check(files, engine);
      EXPECT_TRUE(report.errors.empty()) << report.errors.front().message;
    };
  });
}

// Each reads the one behind it: by rounds over all of them each round renders one.
TEST(ListsCost, DefaultsThatReadEachOther) {
  grows_no_faster("defaults", 100, [](size_t n) {
    Action action = action_with(n + 1);
    for (size_t i = 0; i < n; ++i) {
      action.parameters[i].default_value = Value(fmt::format("{{{{ p{} }}}}", i + 1));
    }
    action.parameters[n].default_value = Value(1);
    return [action] {
      expr::Engine engine;
      auto values = packs::check_parameters(action, Value(), {}, engine);
      ASSERT_TRUE(values.ok()) << values.error().describe();
      EXPECT_EQ((*values)["p0"], Value(1));
    };
  });
}

}  // namespace
}  // namespace millrace

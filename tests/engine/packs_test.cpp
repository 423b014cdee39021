// SPDX-License-Identifier: Apache-2.0
// Packs that come, change, stay away, come back and are uninstalled: what becomes of their rules.
#include <algorithm>

#include "harness.h"
#include "rules/schedule.h"

namespace millrace::engine {
namespace {

RuleSpec rule(const std::string& ref, const std::string& trigger, const std::string& action) {
  RuleSpec spec;
  spec.ref = ref;
  spec.trigger = trigger;
  spec.action = action;
  spec.trigger_parameters = Value::map();
  spec.action_parameters = Value::map();
  return spec;
}

RuleSpec every_hour(const std::string& ref) {
  auto spec = rule(ref, "core.intervaltimer", "ci.build");
  spec.trigger_parameters = Value::map({{"unit", "hours"}, {"interval", 1}});
  return spec;
}

// The pack `ci` with these rules; its digest tells one set of them from another.
std::shared_ptr<const Pack> ci_with(std::vector<RuleSpec> rules, std::string digest = "d1") {
  auto pack = std::make_shared<Pack>(*test_pack());
  pack->source = "/srv/packs/ci";
  pack->digest = std::move(digest);
  pack->rules = std::move(rules);
  return pack;
}

class Packs : public EngineTest {
 protected:
  std::vector<std::shared_ptr<const Pack>> packs() override { return packs_; }

  void restart_with(std::vector<std::shared_ptr<const Pack>> packs) {
    engine_.reset();
    packs_ = std::move(packs);
    tick(1000);
    start();
  }
  void load(std::vector<std::shared_ptr<const Pack>> packs) {
    tick(1000);
    auto loaded = await<int>([&](Reply<int> reply) {
      engine_->submit(command::load_packs({.tenant = kDefaultTenant}, pack_set(packs), reply));
    });
    ASSERT_TRUE(loaded.ok()) << loaded.error().describe();
  }
  const RuleEntry* find(const std::string& ref) {
    catalog_ = engine_->catalog(kDefaultTenant);
    return catalog_->find_rule(ref);
  }
  void switch_rule(const std::string& ref, bool enabled) {
    RuleSpec spec = find(ref)->spec;
    spec.enabled = enabled;
    tick(1000);
    auto written = await<RuleRow>([&](Reply<RuleRow> reply) {
      engine_->submit(command::write_rule({.tenant = kDefaultTenant, .identity = "operator"},
                                          {spec, std::nullopt, false}, reply));
    });
    ASSERT_TRUE(written.ok()) << written.error().describe();
  }
  Result<Uninstalled> uninstall(const std::string& ref, bool force = false) {
    tick(1000);
    return await<Uninstalled>([&](Reply<Uninstalled> reply) {
      engine_->submit(command::uninstall_pack({.tenant = kDefaultTenant, .identity = "operator"},
                                              {ref, force}, std::move(reply)));
    });
  }
  store::CurrentReleases releases() {
    auto reader = store_->open_reader();
    auto releases = store::current_releases(**reader);
    EXPECT_TRUE(releases.ok());
    return releases.ok() ? *releases : store::CurrentReleases();
  }
  std::vector<PackReleaseRow> current() { return releases().rows; }
  int64_t newest() { return releases().newest; }
  std::vector<TimerRow> schedules() {
    auto reader = store_->open_reader();
    auto rows = store::named_timers(**reader, kDefaultTenant);
    EXPECT_TRUE(rows.ok());
    return rows.ok() ? *rows : std::vector<TimerRow>();
  }

  std::vector<std::shared_ptr<const Pack>> packs_{
      core_pack(), ci_with({rule("ci.hook", "ci.push", "ci.build")})};
  std::shared_ptr<const TenantCatalog> catalog_;
};

TEST_F(Packs, AStartWithoutAPackLeavesItsRulesAsTheyAre) {
  auto id = find("ci.hook")->row.id;
  switch_rule("ci.hook", false);
  restart_with({core_pack()});
  const auto* kept = find("ci.hook");
  ASSERT_NE(kept, nullptr) << "one start without the pack has deleted its rule";
  EXPECT_EQ(kept->row.id, id);
  EXPECT_FALSE(kept->spec.enabled);
  restart_with({core_pack(), ci_with({rule("ci.hook", "ci.push", "ci.build")})});
  const auto* back = find("ci.hook");
  ASSERT_NE(back, nullptr);
  EXPECT_EQ(back->row.id, id);
  EXPECT_EQ(back->row.revision, 2) << "nothing has changed in the file";
  EXPECT_FALSE(back->spec.enabled) << "the operator has disabled it";
}

TEST_F(Packs, AReloadWithoutAPackLeavesItsRulesAsTheyAre) {
  load({core_pack()});
  ASSERT_NE(find("ci.hook"), nullptr);
  EXPECT_TRUE(find("ci.hook")->spec.enabled);
}

TEST_F(Packs, ARuleThatVanishesFromItsFileEnds) {
  load({core_pack(), ci_with({}, "d2")});
  EXPECT_EQ(find("ci.hook"), nullptr);
  restart_with({core_pack(), ci_with({}, "d2")});
  EXPECT_EQ(find("ci.hook"), nullptr);
}

TEST_F(Packs, WhatAnOperatorSaysOfARuleHoldsWhenItVanishesAndComesBack) {
  auto id = find("ci.hook")->row.id;
  switch_rule("ci.hook", false);
  load({core_pack(), ci_with({}, "d2")});
  load({core_pack(), ci_with({rule("ci.hook", "ci.push", "ci.check")}, "d3")});
  ASSERT_NE(find("ci.hook"), nullptr);
  EXPECT_EQ(find("ci.hook")->row.id, id);
  EXPECT_FALSE(find("ci.hook")->spec.enabled) << "a reload has enabled what was disabled";
  EXPECT_EQ(find("ci.hook")->spec.action, "ci.check");

  load({core_pack(), ci_with({}, "d4")});
  restart_with({core_pack(), ci_with({}, "d4")});
  restart_with({core_pack(), ci_with({rule("ci.hook", "ci.push", "ci.build")}, "d5")});
  ASSERT_NE(find("ci.hook"), nullptr);
  EXPECT_EQ(find("ci.hook")->row.id, id);
  EXPECT_FALSE(find("ci.hook")->spec.enabled) << "a start has enabled what was disabled";
}

TEST_F(Packs, WhatAnOperatorWritesOfARuleOutlivesEveryReload) {
  RuleSpec spec = find("ci.hook")->spec;
  spec.action = "ci.check";
  ASSERT_TRUE(await<RuleRow>([&](Reply<RuleRow> reply) {
                engine_->submit(
                    command::write_rule({.tenant = kDefaultTenant, .identity = "operator"},
                                        {spec, std::nullopt, false}, reply));
              }).ok());
  load({core_pack(), ci_with({rule("ci.hook", "ci.push", "ci.shell")}, "d2")});
  EXPECT_EQ(find("ci.hook")->spec.action, "ci.check");
  switch_rule("ci.hook", false);
  restart_with(packs_);
  EXPECT_EQ(find("ci.hook")->spec.action, "ci.check");
}

TEST_F(Packs, ARuleOfAPackIsDisabledAndNotDeleted) {
  auto gone = await<RuleRow>([&](Reply<RuleRow> reply) {
    engine_->submit(command::delete_rule({.tenant = kDefaultTenant, .identity = "operator"},
                                         "ci.hook", std::nullopt, reply));
  });
  ASSERT_FALSE(gone.ok());
  EXPECT_EQ(gone.error().code(), "RUL-0112");
  EXPECT_NE(gone.error().message().find("'rule disable ci.hook'"), std::string::npos)
      << gone.error().message();
  EXPECT_NE(find("ci.hook"), nullptr);
  switch_rule("ci.hook", false);
  load(packs_);
  EXPECT_FALSE(find("ci.hook")->spec.enabled);
}

// A reload has read the packs, and takes its time.
TEST_F(Packs, WhatIsUninstalledDuringAReloadDoesNotComeBackWithIt) {
  auto read = pack_set(packs_);
  read.before = engine_->catalog(kDefaultTenant);
  ASSERT_TRUE(uninstall("ci").ok());
  auto loaded = await<int>([&](Reply<int> reply) {
    engine_->submit(command::load_packs({.tenant = kDefaultTenant}, std::move(read), reply));
  });
  ASSERT_TRUE(loaded.ok()) << loaded.error().describe();
  EXPECT_EQ(find("ci.hook"), nullptr);
  EXPECT_TRUE(std::ranges::none_of(current(), [](const auto& row) {
    return row.pack == "ci" && row.state == PackState::Installed;
  }));
  load(packs_);  // its folder is there: the next one brings it back
  EXPECT_NE(find("ci.hook"), nullptr);
}

// News of other servers: the packs that the store had, which are on their way while others come.
TEST_F(Packs, WhatWasReadBeforeWhatIsInForceDoesNotTakeItsPlace) {
  ASSERT_TRUE(uninstall("ci").ok());
  auto read = pack_set({core_pack()});
  read.shared = true;
  read.known = {core_pack()->digest};
  read.newest = newest();
  load(packs_);
  ASSERT_NE(engine_->catalog(kDefaultTenant)->find_action("ci.build"), nullptr);
  auto loads = [&](PackSet set) {
    auto loaded = await<int>([&](Reply<int> reply) {
      engine_->submit(command::load_packs({.tenant = kDefaultTenant}, std::move(set), reply));
    });
    ASSERT_TRUE(loaded.ok()) << loaded.error().describe();
  };
  loads(read);
  EXPECT_NE(engine_->catalog(kDefaultTenant)->find_action("ci.build"), nullptr);
  ASSERT_TRUE(uninstall("ci").ok());
  load(packs_);
  read.newest = newest();  // as if it had been uninstalled elsewhere since
  loads(read);
  EXPECT_EQ(engine_->catalog(kDefaultTenant)->find_action("ci.build"), nullptr);
}

TEST_F(Packs, WhyFindsTheRuleAsItStoodWhenTheEventCame) {
  auto made = make_rule();
  ASSERT_TRUE(made.ok());
  tick(1000);
  auto event = send("main", "1");
  ASSERT_TRUE(event.ok());
  tick(1000);
  auto gone = await<RuleRow>([&](Reply<RuleRow> reply) {
    engine_->submit(command::delete_rule(kTester, "ci.on_main", std::nullopt, std::move(reply)));
  });
  ASSERT_TRUE(gone.ok());
  tick(1000);
  auto between = send("main", "2");
  tick(1000);
  auto again = make_rule("ci.check");
  ASSERT_TRUE(again.ok());
  ASSERT_NE(again->id, made->id);
  auto reader = store_->open_reader();
  auto why = [&](EventId id) {
    return *engine::why(*engine_, **reader, kDefaultTenant, "ci.on_main", id);
  };
  EXPECT_TRUE(why(event->event).matched) << why(event->event).reason;
  EXPECT_EQ(why(event->event).spec.action, "ci.build");
  EXPECT_EQ(why(between->event).reason, "the rule was deleted when the event came");
}

TEST_F(Packs, UninstallEndsItsRulesAndTakesItsActionsOutOfTheCatalogue) {
  auto done = uninstall("ci");
  ASSERT_TRUE(done.ok()) << done.error().describe();
  EXPECT_EQ(done->rules, 1);
  EXPECT_EQ(done->digest, "d1");
  EXPECT_EQ(done->source, "/srv/packs/ci") << "its folder would bring it back";
  EXPECT_EQ(find("ci.hook"), nullptr);
  EXPECT_EQ(engine_->catalog(kDefaultTenant)->find_action("ci.build"), nullptr);
  EXPECT_EQ(run("ci.build").error().kind(), ErrorKind::NotFound);
  restart_with({core_pack()});
  EXPECT_EQ(find("ci.hook"), nullptr);
  ASSERT_EQ(current().size(), 1u);
  EXPECT_EQ(current()[0].pack, "core");
}

TEST_F(Packs, UninstallEndsTheSchedulesThatNobodyElseUses) {
  load({core_pack(), ci_with({every_hour("ci.nightly")}, "d2")});
  ASSERT_EQ(schedules().size(), 1u);
  ASSERT_TRUE(uninstall("ci").ok());
  EXPECT_TRUE(schedules().empty());

  auto ops = std::make_shared<Pack>(*test_pack());
  ops->ref = "ops";
  ops->digest = "o1";
  ops->actions.clear();
  ops->triggers.clear();
  ops->rules = {every_hour("ops.nightly")};
  ops->rules[0].action = "core.noop";
  load({core_pack(), ci_with({every_hour("ci.nightly")}, "d2"), ops});
  ASSERT_EQ(schedules().size(), 1u) << "one schedule for both";
  ASSERT_TRUE(uninstall("ci").ok());
  EXPECT_EQ(schedules().size(), 1u);
}

TEST_F(Packs, WhatRunsOfAPackThatIsUninstalledGoesOn) {
  auto started = run("ci.build");  // waits: there is no worker yet
  ASSERT_TRUE(started.ok());
  ASSERT_TRUE(uninstall("ci").ok());
  open_worker(1);
  auto order = worker_.next();
  EXPECT_EQ(order.key.execution, started->id);
  finish(order, 0);
  EXPECT_EQ(stored(started->id).status, ExecutionStatus::Succeeded);
}

TEST_F(Packs, APackThatOthersUseIsUninstalledOnlyByForce) {
  ASSERT_TRUE(make_rule().ok());
  auto refused = uninstall("ci");
  ASSERT_FALSE(refused.ok()) << "rule ci.on_main, which is nobody's, uses ci.build and ci.push";
  EXPECT_EQ(refused.error().code(), "PCK-0006");
  EXPECT_EQ(refused.error().problems().size(), 2u);
  EXPECT_NE(find("ci.hook"), nullptr);
  ASSERT_TRUE(uninstall("ci", true).ok());
  EXPECT_EQ(find("ci.hook"), nullptr);
  EXPECT_NE(find("ci.on_main"), nullptr) << "it is not the pack's";
}

TEST_F(Packs, RulesOfOthersMatchNothingUntilThePackIsBack) {
  ASSERT_TRUE(make_rule().ok());
  auto lacks = [&] {
    const auto* entry = find("ci.on_main");
    return catalog_->unresolved(*entry);
  };
  auto matches = [&](const std::string& key) {
    auto sent = send("main", key);
    auto reader = store_->open_reader();
    if (!sent.ok()) return -1L;
    auto enforced = *store::enforcements_of(**reader, kDefaultTenant, sent->event);
    return std::ranges::count(enforced, "ci.on_main", &EnforcementRow::rule_ref);
  };
  EXPECT_EQ(lacks(), "");
  EXPECT_EQ(matches("e1"), 1);
  ASSERT_TRUE(uninstall("ci", true).ok());
  EXPECT_EQ(lacks(), "action 'ci.build' is not there: it matches nothing until its pack is");
  switch_rule("ci.on_main", false);
  switch_rule("ci.on_main", true);
  EXPECT_NE(lacks(), "");
  restart_with({core_pack()});
  EXPECT_NE(lacks(), "");
  EXPECT_NE(matches("e2"), 1);
  load({core_pack(), ci_with({})});
  EXPECT_EQ(lacks(), "");
  EXPECT_EQ(matches("e3"), 1);
}

TEST_F(Packs, UnknownPacksAndTheCoreAreRefused) {
  EXPECT_EQ(uninstall("cj").error().code(), "PCK-0004");
  EXPECT_NE(uninstall("cj").error().message().find("did you mean 'ci'"), std::string::npos);
  EXPECT_EQ(uninstall("core").error().code(), "PCK-0005");
}

TEST_F(Packs, APackWhoseReleaseIsGoneCanBeUninstalled) {
  restart_with({core_pack()});
  ASSERT_NE(find("ci.hook"), nullptr);
  auto done = uninstall("ci");
  ASSERT_TRUE(done.ok()) << done.error().describe();
  EXPECT_EQ(done->rules, 1);
  EXPECT_TRUE(done->digest.empty());
  EXPECT_EQ(find("ci.hook"), nullptr);
  EXPECT_EQ(current().size(), 1u) << "it would be missed at every start";
}

TEST_F(Packs, TheStoreKnowsThePacksAndWhetherTheirSourceIsGone) {
  ASSERT_EQ(current().size(), 2u);
  auto away = std::make_shared<Pack>(*ci_with({}, "d2"));
  away->source_gone = true;
  load({core_pack(), away});
  auto rows = current();
  auto ci = std::ranges::find(rows, "ci", &PackReleaseRow::pack);
  ASSERT_NE(ci, rows.end());
  EXPECT_EQ(ci->digest, "d2");
  EXPECT_EQ(ci->state, PackState::SourceGone);
  load({core_pack(), ci_with({}, "d1")});  // the older release again
  rows = current();
  ci = std::ranges::find(rows, "ci", &PackReleaseRow::pack);
  ASSERT_NE(ci, rows.end());
  EXPECT_EQ(ci->digest, "d1");
  EXPECT_EQ(ci->state, PackState::Installed);
}

TEST_F(Packs, TheStoreKnowsWhereAPackWasInstalledFromAndByWhom) {
  auto installed = std::make_shared<Pack>(*ci_with({}, "d2"));
  installed->origin = {.kind = "archive", .from = "ci.tar.gz", .installer = "ann"};
  load({core_pack(), installed});
  auto rows = current();
  auto ci = std::ranges::find(rows, "ci", &PackReleaseRow::pack);
  ASSERT_NE(ci, rows.end());
  EXPECT_EQ(ci->state, PackState::Installed);
  auto origin = PackOrigin::of(ci->source_json, ci->installer);
  EXPECT_TRUE(origin.is_installed());
  EXPECT_EQ(origin.kind + " " + origin.from + " " + origin.installer, "archive ci.tar.gz ann");
  EXPECT_FALSE(PackOrigin::of("", "").is_installed());
  load({core_pack(), ci_with({}, "d1")});  // of a folder
  rows = current();
  EXPECT_EQ(std::ranges::find(rows, "ci", &PackReleaseRow::pack)->source_json, "");
}

TEST_F(Packs, TheLastLoadCountsAlsoWhenTheClockGoesBack) {
  tick(-3'600'000);
  load({core_pack(), ci_with({}, "d2")});
  auto digest = [&] {
    auto rows = current();
    auto ci = std::ranges::find(rows, "ci", &PackReleaseRow::pack);
    return ci == rows.end() ? "" : ci->digest;
  };
  EXPECT_EQ(digest(), "d2");
  tick(-3'600'000);
  ASSERT_TRUE(uninstall("ci").ok());
  EXPECT_EQ(digest(), "");
}

TEST_F(Packs, AnotherTenantCannotUninstallIt) {
  auto refused = await<Uninstalled>([&](Reply<Uninstalled> reply) {
    engine_->submit(
        command::uninstall_pack({.tenant = TenantId{2}}, {"ci", true}, std::move(reply)));
  });
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), "PCK-0004");
  EXPECT_NE(engine_->catalog(kDefaultTenant)->find_action("ci.build"), nullptr);
}

TEST_F(Packs, AnUninstallThatIsRepeatedWithItsKeyIsAnsweredAgain) {
  auto once = [&] {
    return await<Uninstalled>([&](Reply<Uninstalled> reply) {
      Caller caller{.tenant = kDefaultTenant,
                    .identity = "operator",
                    .idempotency_key = "k",
                    .request_hash = "h"};
      engine_->submit(command::uninstall_pack(caller, {"ci", false}, std::move(reply)));
    });
  };
  ASSERT_TRUE(once().ok());
  auto again = once();
  ASSERT_TRUE(again.ok()) << again.error().describe();
  EXPECT_EQ(again->rules, 1);
}

}  // namespace
}  // namespace millrace::engine

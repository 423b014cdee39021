// SPDX-License-Identifier: Apache-2.0
#include "app/pack_store.h"

#include <algorithm>

#include "app/test_support.h"

namespace millrace::app {
namespace {

class PackStoreTest : public DataFolder {
 protected:
  void SetUp() override { open_store(); }

  Result<Packs> load(std::vector<std::string> sources) {
    auto db = reader();
    return PackStore(data_, std::move(sources)).load(*db);
  }
  // Loads and remembers, as a server does.
  Packs loaded(std::vector<std::string> sources) {
    auto packs = load(std::move(sources));
    EXPECT_TRUE(packs.ok()) << packs.error().describe();
    if (!packs.ok()) return {};
    remember(*packs, ++now_);
    return *packs;
  }
  static std::shared_ptr<const Pack> find(const Packs& packs, const std::string& ref) {
    auto found = std::ranges::find(packs, ref, [](const auto& pack) { return pack->ref; });
    return found == packs.end() ? nullptr : *found;
  }

  void uninstall(const Pack& pack) {
    kernel::PackReleaseRow gone{kDefaultTenant,
                                pack.ref,
                                "1.0.0",
                                pack.digest,
                                ++now_,
                                kernel::PackState::Uninstalled,
                                now_};
    const auto* one = &gone;
    commit([&](sql::Connection& db) {
      return store::write_rows<&kernel::Changes::pack_releases>(db, {&one, 1});
    });
  }

  int64_t now_ = 1'800'000'000'000;
};

TEST_F(PackStoreTest, TheCorePackIsAlwaysThere) {
  auto packs = loaded({});
  ASSERT_EQ(packs.size(), 1u);
  EXPECT_EQ(packs[0]->ref, "core");
  EXPECT_NE(packs[0]->find_action("core.noop"), nullptr);
  EXPECT_FALSE(packs[0]->source_gone);
}

TEST_F(PackStoreTest, ASourceIsAPackOrAFolderOfPacks) {
  pack("all/tea", tea_pack());
  pack("all/nothing", {{"README", "no pack"}});
  EXPECT_NE(find(loaded({home_ + "/all"}), "tea"), nullptr);
  EXPECT_NE(find(loaded({home_ + "/all/tea"}), "tea"), nullptr);
  EXPECT_EQ(load({home_ + "/nowhere"}).error().code(), "APP-0001");
}

TEST_F(PackStoreTest, AReleaseIsStagedReadOnlyAndCanBeExecuted) {
  auto source = pack("tea", tea_pack());
  auto tea = find(loaded({source}), "tea");
  ASSERT_NE(tea, nullptr);
  EXPECT_EQ(tea->folder, data_ + "/packs/tea/" + tea->digest);
  EXPECT_EQ(tea->source, source);
  EXPECT_EQ(mode_of(tea->folder + "/actions/brew.sh"), 0555u);
  EXPECT_EQ(text_of(tea->folder + "/actions/brew.sh"), tea_pack()["actions/brew.sh"]);
  EXPECT_FALSE(std::filesystem::exists(tea->folder + ".new"));
}

TEST_F(PackStoreTest, AnEditIsAnotherReleaseAndLeavesTheFirstAlone) {
  auto source = pack("tea", tea_pack("green"));
  auto first = find(loaded({source}), "tea");
  pack("tea", tea_pack("black"));
  auto second = find(loaded({source}), "tea");
  EXPECT_NE(first->digest, second->digest);
  EXPECT_NE(text_of(first->folder + "/actions/brew.sh").find("green"), std::string::npos);
  pack("tea", tea_pack("green"));
  EXPECT_EQ(find(loaded({source}), "tea")->digest, first->digest) << "content names a release";
}

TEST_F(PackStoreTest, AMistakeCostsItsFileAndIsAmongTheFaults) {
  auto bad = pack("tea", tea_pack());
  write(bad + "/actions/boil.yaml", "name: boil\nrunner_type: sehll\n");
  auto tea = find(loaded({bad}), "tea");
  ASSERT_NE(tea, nullptr);
  EXPECT_NE(tea->find_action("tea.brew"), nullptr);
  EXPECT_EQ(tea->find_action("tea.boil"), nullptr);
  ASSERT_EQ(tea->faults.size(), 1u);
  EXPECT_EQ(tea->faults[0].path, "actions/boil.yaml:2");
  EXPECT_EQ(find(loaded({bad}), "tea")->digest, tea->digest);
}

TEST_F(PackStoreTest, WhatIsChangedForTheWorseLeavesTheReleaseThatWasWhole) {
  auto source = pack("tea", tea_pack("green"));
  auto whole = find(loaded({source}), "tea");
  auto brew = tea_pack()["actions/brew.yaml"];
  write(source + "/actions/brew.yaml", "name: brew\nrunner_type: sehll\n");
  auto kept = find(loaded({source}), "tea");
  ASSERT_NE(kept, nullptr);
  EXPECT_EQ(kept->digest, whole->digest);
  EXPECT_EQ(kept->source, source);
  EXPECT_FALSE(kept->source_gone);
  EXPECT_NE(kept->find_action("tea.brew"), nullptr);
  EXPECT_EQ(kept->faults.size(), 1u) << "those of the source";
  write(source + "/actions/brew.yaml", brew + "\n");
  auto mended = find(loaded({source}), "tea");
  EXPECT_NE(mended->digest, whole->digest);
  EXPECT_TRUE(mended->faults.empty());
}

TEST_F(PackStoreTest, WhatIsNoPackKeepsNobodyElseAway) {
  auto packs = loaded({pack("No Ref", {{"pack.yaml", "name: No Ref\nversion: 1.0.0\n"}}),
                       pack("one", tea_pack("green")), pack("two", tea_pack("black"))});
  EXPECT_EQ(packs.size(), 2u);
  EXPECT_EQ(find(packs, "tea")->source, home_ + "/one") << "the first of one name";
}

TEST_F(PackStoreTest, APackWithoutASourceComesFromItsLastRelease) {
  auto source = pack("tea", tea_pack("green"));
  loaded({source});
  pack("tea", tea_pack("black"));
  auto last = find(loaded({source}), "tea");
  auto kept = find(loaded({}), "tea");
  ASSERT_NE(kept, nullptr);
  EXPECT_TRUE(kept->source_gone);
  EXPECT_EQ(kept->digest, last->digest) << "not the older one";
  EXPECT_EQ(kept->folder, last->folder);
  EXPECT_NE(kept->find_action("tea.brew"), nullptr);
  EXPECT_FALSE(find(loaded({source}), "tea")->source_gone) << "it is back";
}

TEST_F(PackStoreTest, AnInstalledPackComesFromItsReleaseAndMissesNoFolder) {
  auto made = std::make_shared<Pack>(*find(loaded({pack("tea", tea_pack("green"))}), "tea"));
  made->origin = {.kind = "archive", .from = "tea.tar.gz", .installer = "ann"};
  remember({made}, ++now_);
  auto kept = find(loaded({}), "tea");
  ASSERT_NE(kept, nullptr);
  EXPECT_FALSE(kept->source_gone);
  EXPECT_EQ(kept->source, "");
  EXPECT_EQ(kept->origin.from + " by " + kept->origin.installer, "tea.tar.gz by ann");
  kept = find(loaded({pack("tea", tea_pack("black"))}), "tea");
  EXPECT_FALSE(kept->origin.is_installed()) << "a folder that holds it comes first";
}

TEST_F(PackStoreTest, AnUninstalledPackStaysAway) {
  auto tea = find(loaded({pack("tea", tea_pack())}), "tea");
  uninstall(*tea);
  EXPECT_EQ(find(loaded({}), "tea"), nullptr);
}

// Two servers whose folders differ would put each other's release out of force for ever.
TEST_F(PackStoreTest, OfSeveralServersOneThatIsNotAskedKeepsToWhatIsInForce) {
  using Why = PackStore::Why;
  auto source = pack("tea", tea_pack("green"));
  auto green = find(loaded({source}), "tea");
  pack("tea", tea_pack("black"));
  auto black = find(loaded({source}), "tea");
  pack("tea", tea_pack("green"));  // an old copy
  PackStore alone(data_, {source});
  PackStore one_of_several(data_, {source}, [](auto&, auto&) -> Result<void> { return {}; });
  auto loads = [&](PackStore& packs, Why why) {
    auto found = packs.load(*reader(), why);
    EXPECT_TRUE(found.ok()) << found.error().describe();
    auto tea = found.ok() ? find(*found, "tea") : nullptr;
    return tea ? tea->digest : "none";
  };
  EXPECT_EQ(loads(one_of_several, Why::Start), black->digest);
  EXPECT_EQ(loads(one_of_several, Why::News), black->digest);
  EXPECT_EQ(loads(one_of_several, Why::Asked), green->digest);
  EXPECT_EQ(loads(alone, Why::Start), green->digest);
  pack("tea", tea_pack("white"));  // never seen before
  EXPECT_EQ(loads(one_of_several, Why::News), black->digest);
  EXPECT_NE(loads(one_of_several, Why::Start), black->digest);
}

// Nor does it run what somebody has changed on its disk: others have it whole.
TEST_F(PackStoreTest, OfSeveralServersOneBringsWhatIsGoneOrChangedAtItsOwn) {
  auto tea = find(loaded({pack("tea", tea_pack())}), "tea");
  auto others = home_ + "/others";
  std::filesystem::copy(tea->folder, others, std::filesystem::copy_options::recursive);
  int brought = 0;
  PackStore one_of_several(data_, {}, [&](auto&, auto&) -> Result<void> {
    ++brought;
    std::filesystem::remove_all(tea->folder);
    std::filesystem::copy(others, tea->folder, std::filesystem::copy_options::recursive);
    return {};
  });
  auto is_loaded = [&] {
    auto found = one_of_several.load(*reader(), PackStore::Why::News);
    return found.ok() && find(*found, "tea") != nullptr;
  };
  EXPECT_TRUE(is_loaded());
  EXPECT_EQ(brought, 0);
  std::filesystem::remove(tea->folder + "/actions/brew.sh");
  EXPECT_TRUE(is_loaded());
  EXPECT_EQ(brought, 1);
  std::filesystem::remove_all(tea->folder);
  EXPECT_TRUE(is_loaded());
  EXPECT_EQ(brought, 2);
  PackStore alone(data_, {}, [](auto&, auto&) { return Error(ErrorKind::NotFound, "X", "none"); });
  std::filesystem::remove(tea->folder + "/actions/brew.sh");
  auto found = alone.load(*reader(), PackStore::Why::News);
  EXPECT_TRUE(found.ok() && !find(*found, "tea"));
}

// Else it would be one that the store has never seen, and be installed again.
TEST_F(PackStoreTest, AReleaseThatLeavesWhileItIsLoadedIsKnown) {
  auto tea = find(loaded({pack("tea", tea_pack())}), "tea");
  auto others = home_ + "/others";
  std::filesystem::copy(tea->folder, others, std::filesystem::copy_options::recursive);
  std::filesystem::remove_all(tea->folder);
  PackStore one_of_several(data_, {}, [&](auto&, auto&) -> Result<void> {
    uninstall(*tea);
    std::filesystem::copy(others, tea->folder, std::filesystem::copy_options::recursive);
    return {};
  });
  auto read = one_of_several.load_all(*store_, PackStore::Why::News);
  ASSERT_TRUE(read.ok()) << read.error().describe();
  ASSERT_NE(find(read->set.own, "tea"), nullptr);
  EXPECT_TRUE(read->set.known->contains(tea->digest));
  EXPECT_LT(read->set.newest, now_) << "it is older than what the store has now";
}

TEST_F(PackStoreTest, APackWhoseReleaseIsGoneTooCostsOnlyItself) {
  auto tea = find(loaded({pack("tea", tea_pack())}), "tea");
  std::filesystem::remove_all(tea->folder);
  auto packs = loaded({});
  EXPECT_EQ(find(packs, "tea"), nullptr);
  EXPECT_NE(find(packs, "core"), nullptr);
}

TEST_F(PackStoreTest, PinnedReleasesAreFoundOrNamed) {
  auto source = pack("tea", tea_pack("green"));
  auto old = find(loaded({source}), "tea");
  pack("tea", tea_pack("black"));
  auto current = loaded({source});
  add_execution(1, old->digest, ExecutionStatus::Requested);
  add_execution(2, old->digest, ExecutionStatus::Pending);
  add_execution(3, find(current, "tea")->digest, ExecutionStatus::Requested);
  auto db = reader();
  PackStore packs(data_, {});
  auto pinned = packs.load_pinned(*db, current);
  ASSERT_TRUE(pinned.ok()) << pinned.error().describe();
  ASSERT_EQ(pinned->found.size(), 1u) << "what is current need not be loaded again";
  EXPECT_EQ(pinned->found[0]->digest, old->digest);
  EXPECT_EQ(pinned->found[0]->folder, old->folder);
  EXPECT_TRUE(pinned->missing.empty());

  std::filesystem::rename(old->folder, home_ + "/away");
  pinned = packs.load_pinned(*db, current);
  ASSERT_TRUE(pinned.ok());
  EXPECT_TRUE(pinned->found.empty());
  ASSERT_EQ(pinned->missing.size(), 1u);
  EXPECT_EQ(pinned->missing[0].pack, "tea");
  EXPECT_EQ(pinned->missing[0].digest, old->digest);
  EXPECT_EQ(pinned->missing[0].executions, 2);
  EXPECT_NE(pinned->missing[0].why.find(old->folder), std::string::npos);
}

TEST_F(PackStoreTest, AFolderThatHoldsAnotherPackIsNoRelease) {
  auto tea = find(loaded({pack("tea", tea_pack())}), "tea");
  add_execution(1, tea->digest, ExecutionStatus::Requested);
  std::filesystem::remove_all(tea->folder);
  write(tea->folder + "/pack.yaml", "ref: coffee\nversion: 1.0.0\n");
  auto db = reader();
  auto pinned = PackStore(data_, {}).load_pinned(*db, {});
  ASSERT_TRUE(pinned.ok());
  ASSERT_EQ(pinned->missing.size(), 1u);
  EXPECT_NE(pinned->missing[0].why.find("was changed"), std::string::npos);
}

}  // namespace
}  // namespace millrace::app

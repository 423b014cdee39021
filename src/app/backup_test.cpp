// SPDX-License-Identifier: Apache-2.0
// Backup and restore on a data folder without a server. That a restored server goes on is told by
// tests/e2e/backup_test.py.
#include "app/backup.h"

#include "app/backup_set.h"
#include "app/restore.h"
#include "app/test_support.h"
#include "auth/key_ring.h"
#include "auth/token.h"
#include "base/json.h"
#include "store/read.h"
#include "store/servers.h"

namespace millrace::app {
namespace {

// Keeps the commands' stdout out of the test's.
template <typename Call>
std::pair<Result<int>, std::string> quietly(Call call) {
  testing::internal::CaptureStdout();
  auto done = call();
  return {std::move(done), testing::internal::GetCapturedStdout()};
}

const std::string kOutput = "output/1/07/7.1.1.out";

class BackupTest : public DataFolder {
 protected:
  void SetUp() override {
    open_store();
    auto db = reader();
    auto packs = PackStore(data_, {pack("tea", tea_pack())}).load(*db);
    ASSERT_TRUE(packs.ok()) << packs.error().describe();
    remember(*packs, 1'800'000'000'000);
    tea_ = packs->back()->digest;
    auto writer = store_->open_writer();
    ASSERT_TRUE(store::claim_shards(**writer, 0, kernel::ShardSet::all()).ok());
  }
  void add_output(int64_t id, const std::string& ref, const std::string& bytes) {
    add_execution(id, tea_, ExecutionStatus::Succeeded);
    kernel::OutputRow row{.execution = ExecutionId{id}, .tenant = kDefaultTenant};
    row.content.blob = ref;
    row.content.size = static_cast<int64_t>(bytes.size());
    const auto* one = &row;
    commit([&](sql::Connection& db) {
      return store::write_rows<&kernel::Changes::outputs>(db, {&one, 1});
    });
    write(data_ + "/" + ref, bytes);
  }

  Result<int> back_up(const std::string& target, std::string passphrase_file = {}) {
    BackupOptions options{{.data = data_}, target, std::move(passphrase_file)};
    auto [done, said] = quietly([&] { return backup(options); });
    said_ = said;
    return std::move(done);
  }
  Result<int> verify(const std::string& set) {
    auto [done, said] = quietly([&] { return backup_verify(set); });
    said_ = said;
    return std::move(done);
  }
  Result<int> bring_back(RestoreOptions options) {
    auto [done, said] = quietly([&] { return restore(options); });
    said_ = said;
    return std::move(done);
  }

  std::string set_ = home_ + "/set";
  std::string tea_;
  std::string said_;
};

TEST_F(BackupTest, ASetHoldsWhatRowsNameAndIsWhole) {
  add_output(7, kOutput, "long");
  write(data_ + "/output/1/08/8.1.1.out", "no row names it");
  write(data_ + "/packs/old/0123/pack.yaml", "no row names it either");
  auto done = back_up(set_);
  ASSERT_TRUE(done.ok()) << done.error().describe();
  auto manifest = read_manifest(set_);
  ASSERT_TRUE(manifest.ok()) << manifest.error().describe();
  EXPECT_TRUE(manifest->holds("millrace.db"));
  EXPECT_TRUE(manifest->holds("config.yaml"));
  EXPECT_TRUE(manifest->holds(kOutput));
  EXPECT_TRUE(manifest->holds("packs/tea/" + tea_ + "/actions/brew.sh"));
  EXPECT_FALSE(manifest->holds("output/1/08/8.1.1.out"));
  EXPECT_FALSE(manifest->holds("packs/old/0123/pack.yaml"));
  EXPECT_EQ(mode_of(set_), 0700u);
  EXPECT_EQ(mode_of(set_ + "/packs/tea/" + tea_ + "/actions/brew.sh"), 0600u);
  auto checked = verify(set_);
  ASSERT_TRUE(checked.ok()) << checked.error().describe();
  EXPECT_EQ(*checked, 0) << said_;
}

TEST_F(BackupTest, AnOutputFileThatIsMissingStopsTheBackupAndLeavesNothing) {
  add_output(7, kOutput, "long");
  std::filesystem::remove(data_ + "/" + kOutput);
  EXPECT_FALSE(back_up(set_).ok());
  EXPECT_FALSE(std::filesystem::exists(set_));
  EXPECT_FALSE(std::filesystem::exists(set_ + ".part"));
}

TEST_F(BackupTest, AnExistingTargetIsRefused) {
  std::filesystem::create_directory(set_);
  auto refused = back_up(set_);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), "APP-0023");
  EXPECT_TRUE(std::filesystem::is_empty(set_));
  std::filesystem::remove(set_);
  std::filesystem::create_symlink("/nowhere", set_);
  EXPECT_EQ(back_up(set_).error().code(), "APP-0023") << "a link that leads nowhere, too";
}

TEST_F(BackupTest, WithoutAStoreThereIsNothingToDo) {
  data_ = home_ + "/nowhere";
  EXPECT_EQ(back_up(set_).error().code(), "APP-0010");
  EXPECT_FALSE(std::filesystem::exists(set_ + ".part"));
}

TEST_F(BackupTest, WhatABackupThatDidNotEndHasLeftIsInNobodysWay) {
  write(set_ + ".part/millrace.db", "half");
  ASSERT_TRUE(back_up(set_).ok());
  EXPECT_EQ(*verify(set_), 0) << said_;
}

TEST_F(BackupTest, VerifyNamesWhatIsChangedMissingOrStrange) {
  ASSERT_TRUE(back_up(set_).ok());
  write(set_ + "/config.yaml", text_of(set_ + "/config.yaml") + "\n");
  EXPECT_EQ(*verify(set_), 1);
  EXPECT_NE(said_.find("config.yaml: expected"), std::string::npos) << said_;
  std::filesystem::remove(set_ + "/packs/tea/" + tea_ + "/pack.yaml");
  write(set_ + "/stranger", "");
  EXPECT_EQ(*verify(set_), 1);
  EXPECT_NE(said_.find("/pack.yaml: "), std::string::npos) << said_;
  EXPECT_NE(said_.find("stranger: the manifest does not name it"), std::string::npos) << said_;
}

TEST_F(BackupTest, VerifyMissesAReleaseThatOpenExecutionsNeed) {
  add_execution(1, "0123456789abcdef", ExecutionStatus::Requested);
  kernel::PackReleaseRow row{kDefaultTenant, "tea", "0.9.0", "0123456789abcdef", 1};
  const auto* one = &row;
  commit([&](sql::Connection& db) {
    return store::write_rows<&kernel::Changes::pack_releases>(db, {&one, 1});
  });
  ASSERT_TRUE(back_up(set_).ok());
  EXPECT_EQ(*verify(set_), 1);
  EXPECT_NE(said_.find("pack tea: release 0123456789ab"), std::string::npos) << said_;
  auto refused = bring_back({.set = set_, .data = home_ + "/new"});
  EXPECT_EQ(refused.error().code(), "APP-0027") << "nobody has said yes";
  EXPECT_NE(said_.find("release 0123456789ab of pack tea is not in the set"), std::string::npos);
}

TEST_F(BackupTest, AManifestIsReadWithCare) {
  EXPECT_EQ(read_manifest(home_).error().code(), "APP-0020");
  write(set_ + "/MANIFEST.json", "no JSON");
  EXPECT_EQ(read_manifest(set_).error().code(), "APP-0021");
  Manifest manifest{.version = "0.1.0", .schema = 1, .created = {1}};
  SetFile file{"/etc/passwd", 1, std::string(64, '0')};
  for (const char* path : {"/etc/passwd", "../keys.json", "a/../../b", ""}) {
    file.path = path;
    manifest.files = {file};
    write(set_ + "/MANIFEST.json", encode_json(manifest));
    EXPECT_EQ(read_manifest(set_).error().code(), "APP-0021") << path;
  }
  manifest.files = {};
  manifest.format = 2;
  write(set_ + "/MANIFEST.json", encode_json(manifest));
  EXPECT_EQ(read_manifest(set_).error().code(), "APP-0022");
  manifest.format = 1;
  manifest.schema = 1'000'000;
  write(set_ + "/MANIFEST.json", encode_json(manifest));
  EXPECT_EQ(bring_back({.set = set_, .data = home_ + "/new"}).error().code(), "APP-0022");
}

TEST_F(BackupTest, ARestoredFolderHasItsOwnTokenAndEpoch) {
  add_output(7, kOutput, "long");
  ASSERT_TRUE(back_up(set_).ok());
  std::string fresh = home_ + "/new";
  std::filesystem::create_directory(fresh);  // empty
  auto done = bring_back({.set = set_, .data = fresh});
  ASSERT_TRUE(done.ok()) << done.error().describe();
  EXPECT_EQ(*done, 0) << said_;
  EXPECT_EQ(text_of(fresh + "/" + kOutput), "long");
  EXPECT_EQ(mode_of(fresh + "/packs/tea/" + tea_ + "/actions/brew.sh"), 0555u);
  EXPECT_EQ(mode_of(fresh + "/admin.token"), 0600u);
  EXPECT_EQ(mode_of(fresh), 0700u);
  EXPECT_FALSE(std::filesystem::exists(fresh + "/keys.json"));
  EXPECT_FALSE(std::filesystem::exists(fresh + "/MANIFEST.json"));

  auto store = store_sqlite::open(fresh);
  ASSERT_TRUE(store.ok());
  auto writer = (*store)->open_writer();
  auto text = text_of(fresh + "/admin.token");
  auto tokens = (*writer)->prepare("SELECT hash, permissions FROM token");
  ASSERT_TRUE(tokens.ok());
  ASSERT_TRUE(*(*tokens)->step());
  EXPECT_EQ((*tokens)->column_bytes(0), auth::token_hash(text.substr(0, text.find('\n'))));
  EXPECT_EQ((*tokens)->column_bytes(1), "*");
  (*tokens)->reset();
  auto epoch = (*writer)->prepare("SELECT min(epoch) FROM shard");
  ASSERT_TRUE(*(*epoch)->step());
  EXPECT_EQ((*epoch)->column_int(0), 2) << "a server that is still about must not write to it";
  (*epoch)->reset();
}

TEST_F(BackupTest, ARestoreTouchesNoFolderThatHoldsSomething) {
  ASSERT_TRUE(back_up(set_).ok());
  auto refused = bring_back({.set = set_, .data = data_, .yes = true});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), "APP-0025");
  EXPECT_TRUE(std::filesystem::exists(data_ + "/millrace.db"));
}

TEST_F(BackupTest, ADamagedSetIsNotRestored) {
  ASSERT_TRUE(back_up(set_).ok());
  std::filesystem::remove(set_ + "/config.yaml");
  auto refused = bring_back({.set = set_, .data = home_ + "/new", .yes = true});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), "APP-0026");
  EXPECT_FALSE(std::filesystem::exists(home_ + "/new"));
  EXPECT_FALSE(std::filesystem::exists(home_ + "/new.part"));
}

TEST_F(BackupTest, WhatWasUnderWayIsSaidAndAskedFor) {
  add_execution(1, tea_, ExecutionStatus::Running);
  ASSERT_TRUE(back_up(set_).ok());
  auto refused = bring_back({.set = set_, .data = home_ + "/new"});
  EXPECT_EQ(refused.error().code(), "APP-0027");
  EXPECT_NE(said_.find("1 runs were under way: 0 will run again, 1 wait"), std::string::npos)
      << said_;
  EXPECT_FALSE(std::filesystem::exists(home_ + "/new"));
}

TEST_F(BackupTest, TheRingTravelsOnlySealed) {
  auto ring = auth::KeyRing::create(auth::system_random());
  ASSERT_TRUE(auth::write_key_file(data_ + "/keys.json", ring).ok());
  kernel::KeyRow row{.key = {kDefaultTenant, "system", "token"}, .encrypted = true, .version = 1};
  row.value_json =
      ring.seal({kDefaultTenant, "system", "token", 1}, "\"x\"", auth::system_random());
  const auto* one = &row;
  commit([&](sql::Connection& db) {
    return store::write_rows<&kernel::Changes::keys>(db, {&one, 1});
  });
  write(home_ + "/word", "correct horse\n");
  write(home_ + "/other", "battery\n");
  write(home_ + "/empty", "\n");

  ASSERT_TRUE(back_up(set_).ok());
  EXPECT_FALSE(std::filesystem::exists(set_ + "/keys.sealed"));
  EXPECT_EQ(bring_back({.set = set_, .data = home_ + "/new"}).error().code(), "APP-0027");
  EXPECT_NE(said_.find("cannot be opened without its keys.json: key token of system"),
            std::string::npos)
      << said_;
  EXPECT_EQ(bring_back({set_, home_ + "/new", home_ + "/word"}).error().code(), "APP-0028");

  std::string sealed = home_ + "/sealed";
  EXPECT_EQ(back_up(sealed, home_ + "/empty").error().code(), "APP-0024");
  EXPECT_FALSE(std::filesystem::exists(sealed));
  ASSERT_TRUE(back_up(sealed, home_ + "/word").ok());
  EXPECT_EQ(bring_back({sealed, home_ + "/new", home_ + "/other"}).error().code(), "AUT-0014");
  auto done = bring_back({sealed, home_ + "/new", home_ + "/word"});
  ASSERT_TRUE(done.ok()) << done.error().describe();
  EXPECT_EQ(text_of(home_ + "/new/keys.json"), text_of(data_ + "/keys.json"));
  EXPECT_EQ(mode_of(home_ + "/new/keys.json"), 0600u);
}

}  // namespace
}  // namespace millrace::app

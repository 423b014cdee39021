// SPDX-License-Identifier: Apache-2.0
// Files beside the store: what was acknowledged of them is there after a power cut, whole.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "adapters/blob_fs/blob_fs.h"
#include "app/backup.h"
#include "app/restore.h"
#include "app/staged_releases.h"
#include "app/test_support.h"
#include "auth/key_ring.h"
#include "base/files.h"
#include "base/in_hand.h"
#include "base/test_support.h"
#include "cuts.h"
#include "services/worker/recorder.h"
#include "store/servers.h"
#include "store/test_support.h"

namespace millrace::power {
namespace {

using store::testing::must;
using store::testing::TempFolder;

std::string text_at(const std::string& path) {
  auto text = read_file(path, 64 << 20);
  return text.ok() ? *text : "cannot be read: " + text.error().describe();
}

// A folder whose power is cut; what an acknowledgement stands for is judged on every image.
class FilesPowerCut : public ::testing::Test {
 protected:
  using Promise = std::function<std::string(const std::string& folder)>;

  FilesPowerCut() { start_recording(folder_.path()); }
  ~FilesPowerCut() override { stop_recording(); }

  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }
  // From now on: it is said to whoever asked.
  void acknowledge(Promise promise) {
    promises_.push_back(std::move(promise));
    mark(static_cast<int64_t>(promises_.size()) - 1);
  }
  std::string judge(const std::string& folder, std::span<const int64_t> marks) {
    if (always_) {
      if (std::string wrong = always_(folder); !wrong.empty()) return wrong;
    }
    for (int64_t each : marks) {
      std::string wrong = promises_[static_cast<size_t>(each)](folder);
      if (!wrong.empty()) return fmt::format("acknowledgement {}: {}", each, wrong);
    }
    return "";
  }
  Cuts cut(const DiskLog& log, bool keeps = true) {
    return cut_everywhere(log, {.keeps = keeps},
                          [this](const auto& folder, auto marks) { return judge(folder, marks); });
  }
  // Nothing is lost as it is; without the syncs of files, or of folders, it is.
  void expect_kept(int64_t least_images) {
    DiskLog log = stop_recording();
    auto cuts = cut(log);
    EXPECT_EQ(cuts.failure, "");
    EXPECT_GE(cuts.images, least_images);
    fmt::print("power cuts: {} images\n", cuts.images);
    std::set<uint64_t> folders{log.root};
    for (const auto& record : log.records) {
      if (record.kind == DiskRecord::Kind::Bind && record.is_folder) folders.insert(record.node);
    }
    for (bool of_folders : {false, true}) {
      DiskLog without = log;
      std::erase_if(without.records, [&](const auto& record) {
        return record.kind == DiskRecord::Kind::SyncAll ||
               (record.kind == DiskRecord::Kind::Sync &&
                folders.contains(record.node) == of_folders);
      });
      ASSERT_LT(without.records.size(), log.records.size());
      EXPECT_NE(cut(without, false).failure, "")
          << "without the syncs of " << (of_folders ? "folders" : "files");
    }
  }

  TempFolder folder_;
  std::vector<Promise> promises_;
  Promise always_;  // may be empty
};

// The key ring, the admin token and every other file that is replaced.
TEST_F(FilesPowerCut, AReplacedFileIsTheOldOrTheNewOne) {
  auto rings = std::make_shared<std::vector<std::string>>();
  auto is_since = [rings](const std::string& folder, size_t first) -> std::string {
    auto text = text_at(folder + "/keys.json");
    auto found = std::ranges::find(*rings, text);
    if (found == rings->end()) return "keys.json: " + text.substr(0, 100);
    return static_cast<size_t>(found - rings->begin()) >= first ? "" : "keys.json is an older one";
  };
  always_ = [=](const std::string& folder) {
    return std::filesystem::exists(folder + "/keys.json") ? is_since(folder, 0) : std::string();
  };
  auto ring = auth::KeyRing::create(auth::system_random());
  for (size_t i = 0; i < 24; ++i) {
    rings->push_back(ring.to_json());
    must(auth::write_key_file(path("keys.json"), ring));
    acknowledge([=](const std::string& folder) { return is_since(folder, i); });
    ring = ring.rotated(auth::system_random());
  }
  for (int i = 0; i < 24; ++i) {
    auto name = "token" + std::to_string(i);
    auto text = repeated(name, 1 + static_cast<size_t>(i) * 40);
    must(replace_file(path(name), text));
    acknowledge([=](const std::string& folder) {
      return text_at(folder + "/" + name) == text ? "" : name + " is not there as it was written";
    });
  }
  expect_kept(500);
}

TEST_F(FilesPowerCut, ABlobThatWasCommittedIsThere) {
  auto blobs = must(blob_fs::open(folder_.path()));
  for (int64_t i = 1; i <= 40; ++i) {
    kernel::RunKey key{ExecutionId{i * 37}, 1, 1};
    auto ref = kernel::output_ref(TenantId{1 + i % 3}, key, kernel::Stream::Stdout);
    auto bytes = repeated(fmt::format("line {}\n", i), static_cast<size_t>(i) * 29);
    auto writer = must(blobs->create(ref));
    size_t half = bytes.size() / 2;
    ASSERT_EQ(writer->append(std::string_view(bytes).substr(0, half)), half);
    ASSERT_EQ(writer->append(std::string_view(bytes).substr(half)), bytes.size() - half);
    if (i % 5 == 0) continue;  // given up
    must(writer->commit());
    acknowledge([=](const std::string& folder) -> std::string {
      auto there = must(blob_fs::open(folder));
      auto read = there->read(ref, 0, static_cast<int64_t>(bytes.size()) + 1);
      if (!read.ok()) return read.error().describe();
      return *read == bytes ? "" : ref + " is not what was written";
    });
  }
  expect_kept(500);
}

TEST_F(FilesPowerCut, OutputThatACompletionNamesIsThere) {
  auto blobs = must(blob_fs::open(folder_.path()));
  auto secrets = std::make_shared<const worker::SecretSet>(std::vector<std::string>{"s3cret-word"});
  for (int64_t i = 1; i <= 12; ++i) {
    kernel::RunKey key{ExecutionId{i}, 1, 1};
    auto ref = kernel::output_ref(kDefaultTenant, key, kernel::Stream::Stderr);
    worker::StreamRecorder recorder(secrets, *blobs, ref, i % 4 == 0 ? 100'000 : 1 << 20);
    std::string stored;
    for (int piece = 0; piece < 12; ++piece) {
      stored += recorder.append(
          repeated(fmt::format("{}: s3cret-word\n", piece), static_cast<size_t>(i) * 100));
    }
    auto output = recorder.finish();
    if (output.blob.empty()) continue;  // in the completion itself
    acknowledge([=](const std::string& folder) -> std::string {
      auto there = must(blob_fs::open(folder));
      auto read = there->read(output.blob, 0, output.size);
      if (!read.ok()) return read.error().describe();
      bool whole = static_cast<int64_t>(read->size()) == output.size && read->starts_with(stored);
      return whole ? "" : output.blob + " is not what was recorded";
    });
  }
  EXPECT_GT(promises_.size(), 5U);
  expect_kept(200);
}

// Packs that are staged and a backup: folders of many files.
class FoldersPowerCut : public app::DataFolder {
 protected:
  template <typename Call>
  static auto quietly(Call call) {
    testing::internal::CaptureStdout();
    auto done = call();
    testing::internal::GetCapturedStdout();
    return done;
  }
  Cuts cut(const DiskLog& log, const Judge& judge) { return cut_everywhere(log, {}, judge); }
};

TEST_F(FoldersPowerCut, AStagedReleaseIsThereWhole) {
  open_store();
  auto db = reader();
  TempFolder staged;
  start_recording(staged.path());
  std::vector<std::string> digests;
  for (int i = 0; i < 3; ++i) {
    auto source = pack("tea" + std::to_string(i), app::tea_pack("cup " + std::to_string(i)));
    auto packs = must(app::PackStore(staged.path(), {source}).load(*db));
    digests.push_back(packs.back()->digest);
    mark(i);
  }
  DiskLog log = stop_recording();
  auto judge = [&](const std::string& folder, std::span<const int64_t> marks) -> std::string {
    for (int64_t each : marks) {
      auto files = app::read_release(folder, "tea", digests[static_cast<size_t>(each)]);
      if (!files.ok()) return files.error().describe();
    }
    return "";
  };
  auto cuts = cut(log, judge);
  EXPECT_EQ(cuts.failure, "");
  EXPECT_GT(cuts.images, 50);
  std::erase_if(log.records, [](auto& each) { return each.kind == DiskRecord::Kind::SyncAll; });
  EXPECT_NE(cut_everywhere(log, {.keeps = false}, judge).failure, "");
}

TEST_F(FoldersPowerCut, ABackupThatHasItsNameIsWhole) {
  open_store();
  must(store::claim_shards(*must(store_->open_writer()), 0, kernel::ShardSet::all()));
  auto loaded = must(app::PackStore(data_, {pack("tea", app::tea_pack())}).load(*reader()));
  remember(loaded, 1'800'000'000'000);
  TempFolder place;
  start_recording(place.path());
  auto back_up = [&] {
    return app::backup({{.data = data_}, place.path() + "/set", /*passphrase_file=*/{}});
  };
  must(quietly(back_up));
  mark(0);
  DiskLog log = stop_recording();
  auto judge = [&](const std::string& folder, std::span<const int64_t> marks) -> std::string {
    std::string set = folder + "/set";
    if (!std::filesystem::exists(set)) return marks.empty() ? "" : "the backup is gone";
    auto verdict = quietly([&] { return app::backup_verify(set); });
    if (!verdict.ok()) return verdict.error().describe();
    return *verdict == 0 ? "" : "the backup is not whole";
  };
  auto cuts = cut(log, judge);
  EXPECT_EQ(cuts.failure, "");
  EXPECT_GT(cuts.images, 100);
  std::erase_if(log.records, [](auto& each) { return each.kind == DiskRecord::Kind::SyncAll; });
  EXPECT_NE(cut_everywhere(log, {.keeps = false}, judge).failure, "");
}

// A mapped file: of each 512 bytes the disk may have any state that they were ever in.
TEST(InHandPowerCut, IsBegunAnewWhateverIsLeft) {
  TempFolder folder;
  std::string path = folder.path() + "/in_hand";
  std::vector<std::string> states;
  {
    auto file = must(InHand::open(path, "1", "first start"));
    for (int64_t i = 1; i < 40; ++i) {
      std::vector<InHand::Item> items;
      for (int64_t n = 0; n < i * 7; ++n) items.push_back({"finish_run", i * 1000 + n});
      file->take(items);
      states.push_back(text_at(path));
    }
  }
  std::minstd_rand dice(7);
  for (int image = 0; image < 500; ++image) {
    std::string bytes = states[0];
    for (size_t at = 0; at < bytes.size(); at += 512) {
      const auto& state = states[dice() % states.size()];
      bytes.replace(at, 512, state, at, 512);
      if (dice() % 50 == 0) bytes.replace(at, 512, std::string(512, '\xff'), 0, bytes.size() - at);
    }
    if (image % 10 == 0) bytes.resize(dice() % bytes.size());
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    for (const auto& dead : InHand::dead_in(path)) EXPECT_GE(dead.ends, InHand::kMostEnds);
    auto file = must(InHand::open(path, "1", "second start"));
    EXPECT_TRUE(file->found().empty());
    EXPECT_FALSE(file->has_suspects());
  }
}

}  // namespace
}  // namespace millrace::power

// SPDX-License-Identifier: Apache-2.0
// For tests only: a data folder with a store, and pack folders beside it.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "adapters/store_sqlite/store_sqlite.h"
#include "app/pack_store.h"
#include "store/migrate.h"
#include "store/repository.h"

namespace millrace::app {

using Files = std::map<std::string, std::string>;

inline Files tea_pack(const std::string& said = "tea") {
  return {{"pack.yaml", "ref: tea\nversion: 1.0.0\n"},
          {"actions/brew.yaml", "name: brew\nrunner_type: shell\nentry_point: brew.sh\n"},
          {"actions/brew.sh", "#!/bin/sh\necho " + said + "\n"}};
}

class DataFolder : public testing::Test {
 protected:
  DataFolder() {
    char name[] = "/tmp/millrace-app-XXXXXX";
    home_ = mkdtemp(name);
    data_ = home_ + "/data";
    std::filesystem::create_directory(data_);
  }
  ~DataFolder() override {
    // Staged folders are ours; their files are read-only.
    std::filesystem::remove_all(home_);
  }

  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << text;
  }
  std::string text_of(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  mode_t mode_of(const std::string& path) {
    struct stat about{};
    EXPECT_EQ(lstat(path.c_str(), &about), 0) << path;
    return about.st_mode & 0777;
  }
  // A pack folder beside the data folder.
  std::string pack(const std::string& name, const Files& files) {
    std::string folder = home_ + "/" + name;
    for (const auto& [path, text] : files) write(folder + "/" + path, text);
    return folder;
  }

  void open_store() {
    auto opened = store_sqlite::open(data_);
    ASSERT_TRUE(opened.ok()) << opened.error().describe();
    store_ = std::move(*opened);
    auto writer = store_->open_writer();
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(store::migrate(**writer).ok());
  }
  std::unique_ptr<sql::Connection> reader() { return *store_->open_reader(); }
  // Runs `write` in a transaction of its own.
  template <typename Write>
  void commit(Write write) {
    auto writer = store_->open_writer();
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE((*writer)->run("BEGIN").ok());
    auto written = write(**writer);
    ASSERT_TRUE(written.ok()) << written.error().describe();
    ASSERT_TRUE((*writer)->run("COMMIT").ok());
  }
  // As if the server had loaded these packs at `now`.
  void remember(const Packs& packs, int64_t now) {
    for (const auto& pack : packs) {
      kernel::PackReleaseRow row{
          kDefaultTenant,
          pack->ref,
          pack->version,
          pack->digest,
          now,
          pack->source_gone ? kernel::PackState::SourceGone : kernel::PackState::Installed,
          now,
          pack->origin.source_json(),
          pack->origin.installer};
      const auto* one = &row;
      commit([&](sql::Connection& db) {
        return store::write_rows<&kernel::Changes::pack_releases>(db, {&one, 1});
      });
    }
  }
  // An open execution that is pinned to a release.
  void add_execution(int64_t id, const std::string& digest, ExecutionStatus status) {
    kernel::ExecutionRow row{.id = ExecutionId{id},
                             .tenant = kDefaultTenant,
                             .action = "tea.brew",
                             .release = digest,
                             .status = status,
                             .root = ExecutionId{id},
                             .parameters_json = "{}",
                             .env_json = "{}"};
    if (status == ExecutionStatus::Running) row.worker = WorkerId{1};
    if (is_final(status)) row.started = row.ended = 1;
    const auto* one = &row;
    commit([&](sql::Connection& db) {
      return store::write_rows<&kernel::Changes::new_executions>(db, {&one, 1});
    });
  }

  std::string home_;
  std::string data_;
  std::unique_ptr<sql::Store> store_;
};

}  // namespace millrace::app

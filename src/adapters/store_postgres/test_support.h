// SPDX-License-Identifier: Apache-2.0
// For tests only: one private PostgreSQL cluster per test process (tools/postgres.py), which ends
// with it.
#pragma once

#include <stdio.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>

#include "adapters/store_postgres/store_postgres.h"
#include "base/files.h"
#include "store/test_support.h"

namespace millrace::store::testing {

class PostgresCluster {
 public:
  static PostgresCluster& of_this_process() {
    static PostgresCluster cluster;
    return cluster;
  }
  const std::string& url() const { return url_; }
  const std::string& folder() const { return folder_.path(); }
  // The store of a folder: a schema of its name.
  Result<std::unique_ptr<sql::Store>> open(const std::string& folder) const {
    return store_postgres::open(
        {.url = url_, .schema = std::filesystem::path(folder).filename().string()});
  }

 private:
  PostgresCluster() {
    std::string command =
        "exec " MILLRACE_SOURCE_DIR "/tools/postgres.py " + folder_.path() + " >" + said_;
    program_ = ::popen(command.c_str(), "w");
    if (!program_) throw std::runtime_error("cannot start tools/postgres.py");
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(90);
    while (!std::filesystem::exists(said_) || std::filesystem::file_size(said_) == 0) {
      if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("no PostgreSQL");
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    url_ = must(read_file(said_, 4096));
    url_.pop_back();  // the end of its line
  }
  // The end of its input stops the server.
  ~PostgresCluster() { ::pclose(program_); }

  // Not in memory: there may be little of it.
  TempFolder folder_{std::filesystem::temp_directory_path()};
  std::string said_ = folder_.path() + "/url";
  FILE* program_ = nullptr;
  std::string url_;
};

}  // namespace millrace::store::testing

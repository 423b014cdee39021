// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdio.h>
#include <sys/types.h>

#include <string>

namespace millrace::bench {

// A private PostgreSQL in `folder` (tools/postgres.py) that syncs what it commits. It ends with
// this object.
class PostgresCluster {
 public:
  explicit PostgresCluster(const std::string& folder);
  ~PostgresCluster();
  PostgresCluster(const PostgresCluster&) = delete;
  PostgresCluster& operator=(const PostgresCluster&) = delete;

  const std::string& url() const { return url_; }
  // The same as a role that row level security holds for.
  std::string application_url() const;
  // Of all its processes so far.
  double cpu_seconds() const;

 private:
  FILE* program_ = nullptr;
  std::string url_;
  pid_t server_ = 0;
};

}  // namespace millrace::bench

// SPDX-License-Identifier: Apache-2.0
#include "postgres_cluster.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>

#include "base/files.h"
#include "base/text.h"
#include "process.h"

namespace millrace::bench {
namespace {

namespace fs = std::filesystem;

constexpr double kStartLimit = 90;  // s
constexpr useconds_t kLook = 20'000;
constexpr std::string_view kSettings =
    "fsync=on shared_buffers=256MB max_wal_size=2GB checkpoint_timeout=30min";

int64_t number_of(std::string_view digits) {
  int64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

// Of a process (proc(5)): its parent, and what its children that have ended used, in seconds.
struct Ancestry {
  pid_t parent = 0;
  double ended_children = 0;
};
Ancestry ancestry_of(const fs::path& process) {
  auto text = read_file((process / "stat").string(), 4096);
  if (!text.ok()) return {};
  auto fields = split(std::string_view(*text).substr(text->rfind(')') + 2), ' ');
  auto ticks = static_cast<double>(number_of(fields[13]) + number_of(fields[14]));
  return {static_cast<pid_t>(number_of(fields[1])),
          ticks / static_cast<double>(::sysconf(_SC_CLK_TCK))};
}

}  // namespace

PostgresCluster::PostgresCluster(const std::string& folder) {
  fs::create_directories(folder);
  // PostgreSQL runs as a user of its own where we are root.
  fs::permissions(fs::path(folder).parent_path(), fs::perms::others_exec | fs::perms::group_exec,
                  fs::perm_options::add);
  std::string said = folder + ".url";
  auto command = fmt::format("exec {}/tools/postgres.py {} {} >{}", MILLRACE_SOURCE_DIR, folder,
                             kSettings, said);
  program_ = ::popen(command.c_str(), "we");
  if (!program_) give_up("cannot start tools/postgres.py");
  double begin = wall_seconds();
  while (url_.empty() || url_.back() != '\n') {
    if (wall_seconds() - begin > kStartLimit) give_up("PostgreSQL has not started");
    ::usleep(kLook);
    if (auto text = read_file(said, 4096); text.ok()) url_ = *text;
  }
  url_.pop_back();
  auto pid = read_file(folder + "/data/postmaster.pid", 4096);
  if (!pid.ok()) give_up(pid.error().describe());
  server_ = static_cast<pid_t>(number_of(*pid));
}

// The end of its input stops the server.
PostgresCluster::~PostgresCluster() { ::pclose(program_); }

std::string PostgresCluster::application_url() const {
  constexpr std::string_view kOwner = "user=millrace";
  constexpr std::string_view kApplication = "user=application";
  auto* raw = PQconnectdb(url_.c_str());
  PQclear(PQexec(raw, "CREATE ROLE application LOGIN"));  // fails where it is there
  PQclear(PQexec(raw, "GRANT CREATE ON DATABASE postgres TO application"));
  PQfinish(raw);
  std::string url = url_;
  return url.replace(url.find(kOwner), kOwner.size(), kApplication);
}

double PostgresCluster::cpu_seconds() const {
  double sum = cpu_seconds_of(server_);
  for (const auto& entry : fs::directory_iterator("/proc")) {
    auto pid = static_cast<pid_t>(number_of(entry.path().filename().string()));
    if (pid == 0) continue;
    auto ancestry = ancestry_of(entry.path());
    if (pid == server_) sum += ancestry.ended_children;
    if (ancestry.parent == server_) sum += cpu_seconds_of(pid);
  }
  return sum;
}

}  // namespace millrace::bench

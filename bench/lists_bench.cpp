// SPDX-License-Identifier: Apache-2.0
// A page of a list, and the wait for an end, while many executions are in the store. The floor is
// the same with few. `--rows 10000000` takes some minutes and 6 GB before it measures.
#include <fmt/format.h>

#include "bare_rows.h"
#include "figure.h"
#include "test_server.h"

namespace millrace::bench {
namespace {

constexpr int64_t kFew = 1000;

int64_t first_number(BareSqlite& db, const char* query) {
  auto* statement = db.prepare(query);
  sqlite3_step(statement);
  int64_t number = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  return number;
}

// So many runs that have ended: a thousand, then copies of all that are there under later ids.
void leave_runs(const std::string& folder, int64_t count) {
  {
    BareRows(folder).history(kFew, "x");
  }
  BareSqlite db(folder + "/millrace.db");
  db.exec("PRAGMA synchronous=OFF; PRAGMA cache_size=-262144");
  std::string columns;
  auto* names = db.prepare("SELECT name FROM pragma_table_info('execution') WHERE name <> 'id'");
  while (sqlite3_step(names) == SQLITE_ROW) {
    columns += std::string(", ") + reinterpret_cast<const char*>(sqlite3_column_text(names, 0));
  }
  sqlite3_finalize(names);
  for (int64_t there = kFew; there < count;) {
    int64_t last = first_number(db, "SELECT max(id) FROM execution");
    int64_t more = std::min(there, count - there);
    db.exec(fmt::format("INSERT INTO execution (id{0}) SELECT id + {1}{0} FROM execution "
                        "ORDER BY id LIMIT {2}",
                        columns, last, more)
                .c_str());
    db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    there += more;
  }
  if (first_number(db, "SELECT count(*) FROM execution") != std::max(kFew, count)) {
    give_up("not all runs are in the store");
  }
}

class Lists {
 public:
  Lists(const Options& options, const std::string& name, int64_t rows)
      : folder_(options.folder + "/lists-" + name),
        server_((leave_runs(folder_ + "/data", rows), options.server), folder_) {}

  // The times of `count` requests, one after the other.
  void round(int64_t count, const std::string& method, const std::string& path,
             const std::string& body, const Expected& expected, std::vector<LoadSample>& samples) {
    HttpLoad load(server_.port(), 1);
    auto request = http_request(
        method, path, server_.authorization() + "Content-Type: application/json\r\n", body);
    samples.push_back(load.run(std::vector<std::string>(static_cast<size_t>(count), request),
                               expected, [&] { return server_.cpu_seconds(); }));
  }

 private:
  std::string folder_;
  TestServer server_;
};

}  // namespace

std::vector<Line> lists_figure(const Options& options) {
  int64_t rows = options.count(options.rows, 2 * kFew);
  Lists many(options, "many", rows);
  Lists few(options, "few", kFew);
  struct Asked {
    std::string name, method, path, body;
    Expected expected;
  };
  const Asked all[] = {
      {"a list page", "GET", "/api/v1/executions?limit=50", "", {200, "next_cursor"}},
      {"a page of one status",
       "GET",
       "/api/v1/executions?status=succeeded&limit=50",
       "",
       {200, "next_cursor"}},
      {"a page of an action that never ran",
       "GET",
       "/api/v1/executions?action=core.http&limit=50",
       "",
       {200, "next_cursor"}},
      {"a run and the wait for its end", "POST", "/api/v1/executions?wait=30s",
       R"({"action":"core.noop"})", kSucceeded},
  };
  std::vector<Line> lines;
  for (const auto& asked : all) {
    std::vector<LoadSample> of_many;
    std::vector<LoadSample> of_few;
    for (int i = 0; i < options.rounds(5); ++i) {
      int64_t count = options.count(200, 3);
      many.round(count, asked.method, asked.path, asked.body, asked.expected, of_many);
      few.round(count, asked.method, asked.path, asked.body, asked.expected, of_few);
    }
    auto name = fmt::format("{} beside {} executions", asked.name, rows);
    lines.push_back({.figure = name + ": CPU",
                     .unit = "us",
                     .ours = median(of_many, &LoadSample::cpu_us),
                     .floor = median(of_few, &LoadSample::cpu_us),
                     .aim = 1.3});
    lines.push_back({.figure = name + ": p50",
                     .unit = "us",
                     .ours = median(of_many, &LoadSample::p50_us),
                     .floor = median(of_few, &LoadSample::p50_us)});
  }
  return lines;
}

}  // namespace millrace::bench

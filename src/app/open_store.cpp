// SPDX-License-Identifier: Apache-2.0
#include "app/open_store.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>

#include "adapters/store_postgres/store_postgres.h"
#include "adapters/store_sqlite/store_sqlite.h"
#include "base/files.h"
#include "base/log.h"
#include "store/logged_store.h"

namespace millrace::app {
namespace {

constexpr std::string_view kCode = "APP-0033";
constexpr int64_t kDayLimitMs = 86'400'000;

Error wrong(std::string message) { return Error(ErrorKind::Invalid, kCode, std::move(message)); }

// A file that others can read holds no secret.
Result<void> check_is_private(const std::string& file) {
  struct stat info{};
  if (::stat(file.c_str(), &info) != 0 || (info.st_mode & 07) == 0) return {};
  return wrong(
      fmt::format("store.url_file: '{}' holds a password and has mode {:04o}, which others "
                  "may read: chmod 0600 it",
                  file, info.st_mode & 07777));
}

Result<std::string> read_url_file(const std::string& file) {
  constexpr size_t kMostBytes = 4096;
  auto text = read_file(file, kMostBytes);
  if (!text.ok()) return std::move(text).error().with_context("store.url_file");
  while (text->ends_with('\n') || text->ends_with('\r')) text->pop_back();
  if (!text->empty()) return text;
  return wrong(fmt::format("store.url_file: '{}' is empty, expected a postgres:// URL", file));
}

Result<store_postgres::Options> postgres_options(const StoreSection& section) {
  store_postgres::Options options{.url = section.url,
                                  .schema = section.schema,
                                  .start_wait_ms = section.start_wait_ms,
                                  .pool_max = static_cast<size_t>(section.pool_max),
                                  .pool_wait_ms = section.pool_wait_ms,
                                  .row_security = section.row_security};
  bool is_in_file = options.url.empty();
  if (is_in_file) {
    TRY(options.url, read_url_file(section.url_file));
  }
  auto url = store_postgres::look_at(options.url);
  if (!url.ok()) {
    return std::move(url).error().with_context(is_in_file ? "store.url_file" : "store.url");
  }
  // What stands in a flag, a variable or a configuration is read by more than those who may.
  if (url->has_password && !is_in_file) {
    return wrong(
        "store.url: holds a password, which everybody can read who sees this process or "
        "its configuration: put the URL into a file of mode 0600 and name that as "
        "store.url_file, or the password into ~/.pgpass");
  }
  if (url->has_password) TRY(check_is_private(section.url_file));
  return options;
}

}  // namespace

Result<void> make_data_folder(const std::string& data) {
  std::error_code ec;
  std::filesystem::create_directories(data, ec);
  if (!ec && ::chmod(data.c_str(), 0700) == 0) return {};
  return Error(ErrorKind::Unavailable, "APP-0004",
               fmt::format("data folder '{}': {}", data,
                           ec ? ec.message() : "not ours to protect (chmod failed)"));
}

Result<void> check_store_section(const StoreSection& section) {
  if (is_in_folder(section)) return {};
  if (!section.url.empty() && !section.url_file.empty()) {
    return wrong("store.url and store.url_file are both given, expected one of them");
  }
  constexpr size_t kMostOfAName = 63;  // PostgreSQL cuts off what is longer
  if (section.schema.empty() || section.schema.size() > kMostOfAName) {
    return wrong(fmt::format("store.schema: expected a name of 1 to {} bytes, found {}",
                             kMostOfAName, section.schema.size()));
  }
  TRY(postgres_options(section));
  return {};
}

Result<std::unique_ptr<sql::Store>> open_store(const StoreSection& section,
                                               const std::string& data) {
  if (is_in_folder(section)) return store_sqlite::open(data);
  TRY(auto options, postgres_options(section));
  TRY(auto url, store_postgres::look_at(options.url));
  if (url.is_remote && !url.checks_host) {
    log_warn("store.host_not_checked",
             {{"why", "its certificate is not: say sslmode=verify-full in the URL"}});
  }
  return store_postgres::open(std::move(options));
}

std::unique_ptr<sql::Store> with_statements_logged(std::unique_ptr<sql::Store> store,
                                                   const LogSection& section) {
  if (section.statements == LogStatements::Off) return store;
  bool all = section.statements == LogStatements::All;
  int64_t slow_us = section.slow_statement_ms * 1000;
  return store::logged(std::move(store), [all, slow_us](const store::StatementRun& run) {
    constexpr size_t kMostOfAText = 1000;  // a schema's script is longer
    if (!all && run.us < slow_us) return;
    log_info("store.statement", {{"text", run.text.substr(0, kMostOfAText)},
                                 {"rows", run.rows},
                                 {"us", run.us},
                                 {"failed", run.failed}});
  });
}

Result<std::unique_ptr<sql::Connection>> open_store_reader(const StoreSection& section,
                                                           const std::string& data) {
  if (is_in_folder(section)) {
    TRY(auto store, store_sqlite::open(data));  // what a crash left is taken in
    return store_sqlite::open_file_reader(data + "/millrace.db");
  }
  TRY(auto options, postgres_options(section));
  options.reader_limit_ms = kDayLimitMs;
  return store_postgres::open_reader(std::move(options));
}

Result<void> check_store_is_there(const StoreSection& section, const std::string& data) {
  if (!is_in_folder(section) || std::filesystem::exists(data + "/millrace.db")) return {};
  return Error(ErrorKind::NotFound, "APP-0010",
               fmt::format("no store in data folder '{}': give the folder of a server with "
                           "--data, or what says where its store is (--config, --set store.url)",
                           data));
}

}  // namespace millrace::app

// SPDX-License-Identifier: Apache-2.0
#include "app/store_copy.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "app/examination.h"
#include "app/open_store.h"
#include "app/server.h"
#include "base/files.h"
#include "base/time.h"
#include "cli/stdout.h"
#include "store/copy.h"
#include "store/migrate.h"
#include "store/servers.h"

namespace millrace::app {
namespace {

// One end of a copy: no server runs on it meanwhile.
struct End {
  StoreSection section;
  std::string data;  // of a store in a folder
  std::optional<FolderLock> lock;
  std::unique_ptr<sql::Store> store;
  std::unique_ptr<sql::Connection> writer;
};

Result<StoreSection> section_of(std::string_view side, const std::string& data,
                                const std::string& url_file, const std::string& schema) {
  if (data.empty() != url_file.empty()) {
    return StoreSection{.url = {}, .url_file = url_file, .schema = schema};
  }
  return Error(ErrorKind::Invalid, "APP-0035",
               fmt::format("store copy: expected --{0}-data or --{0}-url-file, found {1}", side,
                           data.empty() ? "neither" : "both"));
}

Result<End> open_end(StoreSection section, std::string data) {
  End end{.section = std::move(section),
          .data = std::move(data),
          .lock = {},
          .store = {},
          .writer = {}};
  if (!end.data.empty()) {
    TRY(end.lock, lock_folder(end.data));
  }
  TRY(end.store, open_store(end.section, end.data));
  TRY(end.writer, end.store->open_writer());
  return end;
}

Result<End> open_source(StoreSection section, std::string data) {
  if (!data.empty()) TRY(check_store_is_there(section, data));
  TRY(auto source, open_end(std::move(section), std::move(data)));
  TRY(int64_t version, store::schema_version(*source.writer));
  if (version != store::newest_schema_version()) {
    return Error(ErrorKind::Conflict, "APP-0035",
                 fmt::format("store copy: the source has schema {}, expected {}: start this "
                             "version's server on it once",
                             version, store::newest_schema_version()));
  }
  // Whoever still runs on it writes nothing from here on, and ends.
  TRY(store::fence(*source.writer));
  return source;
}

}  // namespace

Result<int> store_copy(const StoreCopyOptions& options) {
  TRY(auto from, section_of("from", options.from_data, options.from_url_file, options.schema));
  TRY(auto to, section_of("to", options.to_data, options.to_url_file, options.schema));
  if (is_in_folder(from) && is_in_folder(to) &&
      std::filesystem::weakly_canonical(options.from_data) ==
          std::filesystem::weakly_canonical(options.to_data)) {
    return Error(ErrorKind::Invalid, "APP-0035",
                 "store copy: --from-data and --to-data are the same folder");
  }
  // What the rows refer to must be there, too: keys, packs, output.
  if (!options.to_data.empty() && !std::filesystem::exists(DataPaths(options.to_data).keys)) {
    return Error(ErrorKind::NotFound, "APP-0035",
                 fmt::format("store copy: no keys.json in '{}': name the data folder that the "
                             "server has now",
                             options.to_data));
  }
  TRY(auto source, open_source(from, options.from_data));
  TRY(auto target, open_end(to, options.to_data));
  TRY(store::migrate(*target.writer, store::PartialCopy::GoesOn));
  TRY(auto reader, open_store_reader(source.section, source.data));
  int64_t rows = 0;
  TRY(store::copy_rows(*reader, *target.writer, [&](const store::CopiedTable& table) {
    if (table.rows > 0) cli::put("{}: {} rows\n", table.name, table.rows);
    rows += table.rows;
  }));
  // Who owns the shards is no row that is copied: the next server claims them.
  TRY(store::fence(*target.writer));
  const std::string& data = options.to_data.empty() ? options.from_data : options.to_data;
  TRY(auto copied, open_store_reader(target.section, target.data));
  bool is_broken = false;
  if (!data.empty()) {
    TRY(auto findings, examine(*copied, PackStore(data, {}), RetentionSection(), unix_ms()));
    is_broken = print_findings(findings);
  }
  cli::put("copied {} rows; start the server with {}\n", rows,
           options.to_data.empty() ? "--set store.url_file=" + options.to_url_file
                                   : "--data " + options.to_data + ", without store.url_file");
  if (!options.from_data.empty()) {
    cli::put("what else is in {} stays in use; its millrace.db does not: move it away\n",
             options.from_data);
  }
  return is_broken ? 1 : 0;
}

}  // namespace millrace::app

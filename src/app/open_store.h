// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "app/config.h"
#include "store/sql.h"

namespace millrace::app {

// Its owner's alone. Errors: Unavailable, APP-0004.
Result<void> make_data_folder(const std::string& data);
// Where a server's rows lie: in the data folder (SQLite), or in the PostgreSQL database that the
// configuration names. Errors: Invalid, APP-0033 (the configuration names it wrongly), else those
// of sql.h.
Result<std::unique_ptr<sql::Store>> open_store(const StoreSection& section,
                                               const std::string& data);
// What `log.statements` asks for: texts and times, never values.
std::unique_ptr<sql::Store> with_statements_logged(std::unique_ptr<sql::Store> store,
                                                   const LogSection& section);
// For whoever reads all of it: without a limit of time worth naming.
Result<std::unique_ptr<sql::Connection>> open_store_reader(const StoreSection& section,
                                                           const std::string& data);

// APP-0033, before anything is opened.
Result<void> check_store_section(const StoreSection& section);
// A SQLite store that is not there would be made: NotFound, APP-0010.
Result<void> check_store_is_there(const StoreSection& section, const std::string& data);

inline bool is_in_folder(const StoreSection& section) {
  return section.url.empty() && section.url_file.empty();
}

}  // namespace millrace::app

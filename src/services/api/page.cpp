// SPDX-License-Identifier: Apache-2.0
#include "services/api/page.h"

#include <fmt/format.h>

namespace millrace::api {

const Fields& PageQuery::fields() {
  static const Field lines[] = {
      field("limit", &PageQuery::limit, "Entries per page.").range(1, 500),
      field("cursor", &PageQuery::cursor, "next_cursor of the page before."),
  };
  static const auto table = fields_of<PageQuery>("PageQuery", "", lines);
  return table;
}

std::string sortable(int64_t id) { return fmt::format("{:020}", id); }

}  // namespace millrace::api

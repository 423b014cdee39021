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

std::string_view to_string(Sort sort) {
  switch (sort) {
    case Sort::NewestFirst: return "-created";
    case Sort::OldestFirst: return "created";
  }
  return "unknown";
}

std::string cursor_name(std::string_view list, Sort sort) {
  std::string name(list);
  return sort == Sort::NewestFirst ? name : name + " by created";
}

Result<store::Page> open_page(std::string_view list, const std::string& cursor, int limit,
                              Sort sort) {
  TRY(int64_t last, open_id_cursor(cursor_name(list, sort), cursor));
  auto order = sort == Sort::NewestFirst ? store::Order::NewestFirst : store::Order::OldestFirst;
  return store::Page{last, limit + 1, order};
}

std::string sortable(int64_t id) { return fmt::format("{:020}", id); }

}  // namespace millrace::api

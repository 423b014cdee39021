// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "services/api/call.h"
#include "store/read.h"

namespace millrace::api {

// What every list takes.
struct PageQuery {
  int limit = 50;
  std::string cursor;

  static const Fields& fields();
};

// Of lists by id, which go by the time of creation too.
enum class Sort : uint8_t { NewestFirst, OldestFirst };
std::string_view to_string(Sort sort);  // "-created", "created"

// What cursors of a list in this order are called.
std::string cursor_name(std::string_view list, Sort sort);

// Where a page of the store begins. A row more is asked for than `limit`, so that cut_page knows
// whether there are more. Errors: API-0002; a cursor belongs to its order.
Result<store::Page> open_page(std::string_view list, const std::string& cursor, int limit,
                              Sort sort = Sort::NewestFirst);

// An id as text that sorts as the number does.
std::string sortable(int64_t id);

// One page of what is in memory, in the order of a key: `key(view)` is a text, unique in the list.
template <typename View, typename Key>
Response page_by_key(std::string_view list, std::vector<View> views, int limit,
                     const std::string& cursor, Key key) {
  TRY(auto after, open_cursor(list, cursor));
  std::ranges::sort(views, {}, key);
  views.erase(views.begin(), std::ranges::upper_bound(views, after, {}, key));
  std::string next;
  if (views.size() > static_cast<size_t>(limit)) {
    views.resize(static_cast<size_t>(limit));
    next = make_cursor(list, key(views.back()));
  }
  return answer_list(views, next);
}

// Leaves `limit` of the rows of a page that open_page began; the cursor after them, or "".
template <typename Row>
std::string cut_page(std::string_view list, std::vector<Row>& rows, int limit,
                     Sort sort = Sort::NewestFirst) {
  if (rows.size() <= static_cast<size_t>(limit)) return {};
  rows.resize(static_cast<size_t>(limit));
  if constexpr (requires { rows.back().id.str(); }) {
    return make_cursor(cursor_name(list, sort), rows.back().id.str());
  } else {
    return make_cursor(cursor_name(list, sort), std::to_string(rows.back().id));
  }
}

}  // namespace millrace::api

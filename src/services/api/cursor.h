// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/ids.h"

namespace millrace::api {

// Where the next page of a list begins. Opaque to clients: what it holds may change. `list` names
// the list that it belongs to, so that a cursor of another one is refused.
std::string make_cursor(std::string_view list, std::string_view last);
// The last entry of the page before; "" for an empty cursor. Errors: Invalid, API-0002.
Result<std::string> open_cursor(std::string_view list, std::string_view cursor);

// The same for lists that go by id, newest first; 0 for an empty cursor.
Result<int64_t> open_id_cursor(std::string_view list, std::string_view cursor);

}  // namespace millrace::api

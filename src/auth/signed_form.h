// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace millrace::auth {

// The fields of a form (application/x-www-form-urlencoded), decoded, sorted by name and value, each
// pair once, one after the other without anything between them: what Twilio signs behind the URL.
// Nothing of a form with a broken percent escape, or with over 10,000 fields.
std::optional<std::string> sorted_form(std::string_view body);

}  // namespace millrace::auth

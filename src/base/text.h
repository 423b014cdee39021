// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

// The candidate nearest to `name` by Damerau-Levenshtein distance (optimal string alignment),
// or empty when none is near enough (more than a third of the name's length, at least 2).
std::string nearest_name(std::string_view name, std::span<const std::string_view> candidates);
std::string nearest_name(std::string_view name, std::span<const std::string> candidates);

// " (did you mean 'x'?)", or empty.
std::string did_you_mean(std::string_view name, std::span<const std::string_view> candidates);
std::string did_you_mean(std::string_view name, std::span<const std::string> candidates);

std::vector<std::string_view> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);
bool iequals_ascii(std::string_view a, std::string_view b);
std::string to_lower_ascii(std::string_view text);

std::string hex_encode(std::string_view bytes);
std::string base64_encode(std::string_view bytes);
// False when `text` is not base64 as base64_encode writes it (RFC 4648, padding required, no bits
// left over).
bool base64_decode(std::string_view text, std::string& out);

// Where `part` stands in `text` from byte `from` on; npos when it does not. Linear in both, which
// std::string::find is not: a text of a's makes it compare a long part of a's at each place.
size_t find_in(std::string_view text, std::string_view part, size_t from = 0);
size_t rfind_in(std::string_view text, std::string_view part);  // the last place

}  // namespace millrace

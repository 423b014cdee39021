// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "expr/functions.h"

// The parts of which the tables of functions are made, one for each source of that name.
namespace millrace::expr {

// In both languages:
std::span<const Row> orquesta_rows();  // the context and the tasks of a workflow
std::span<const Row> st2_rows();       // StackStorm's filters
std::span<const Row> version_rows();   // version_compare and its family, as semver 2.10 of Python
std::span<const Row> jinja_text_filters();
std::span<const Row> jinja_html_filters();
std::span<const Row> jinja_sequence_filters();
std::span<const Row> jinja_test_rows();
std::span<const Row> yaql_math_rows();
std::span<const Row> yaql_string_rows();
std::span<const Row> yaql_regex_rows();
std::span<const Row> yaql_collection_rows();
std::span<const Row> yaql_stream_rows();
std::span<const Row> yaql_query_rows();
std::span<const Row> yaql_ordering_rows();

}  // namespace millrace::expr

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "services/api/route.h"

namespace millrace::api {

// The route table for people: one static page, without scripts and without anything from outside.
std::string docs_page(const std::vector<Route>& routes);

}  // namespace millrace::api

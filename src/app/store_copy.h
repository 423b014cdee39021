// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace millrace::app {

// Of each pair one is given.
struct StoreCopyOptions {
  std::string from_data;
  std::string from_url_file;
  std::string to_data;
  std::string to_url_file;
  std::string schema = "millrace";  // in a PostgreSQL database
};

// `millrace store copy`: the rows of a stopped server into a new store, from a data folder to a
// PostgreSQL database or back. One that was cut off goes on. What else lies in the data folder
// stays there. Prints what it did; 1: doctor finds the copy broken. Errors: APP-0035 (the words),
// BAS-0009 (a server runs), those of copy.h.
Result<int> store_copy(const StoreCopyOptions& options);

}  // namespace millrace::app

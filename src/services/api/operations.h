// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernel/rows.h"
#include "net/http.h"

namespace millrace::api {

net::HttpResponse answer_operation(const kernel::OperationRow& row, int status);

}  // namespace millrace::api

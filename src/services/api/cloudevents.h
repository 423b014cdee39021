// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "engine/engine.h"
#include "engine/machine/catalog.h"
#include "engine/transitions/commands.h"
#include "net/http.h"

namespace millrace::api {

// Reads the CloudEvents 1.0 of a request (HTTP protocol binding 1.0.2): structured
// (application/cloudevents+json), a batch (application/cloudevents-batch+json), or binary (any
// other type, attributes in ce-* headers).
//
// Which trigger fires: the one that the extension attribute `trigger` names, or else the one that
// `type` names; its payload is `data`. An event that names none fires core.cloudevent, and its
// payload is the whole event. Data that is text but no JSON is a string, other bytes are
// {"base64": ...}.
//
// What only the server sends (EVT-0003) is a problem of `source`, `type` or `trigger`. Attributes
// in headers are UTF-8, percent-encoded, each once.
//
// Attributes have the forms of the specification; a null counts as one that is not there.
//
// Errors: Invalid, API-0050, one problem per missing or wrong attribute (of a batch: `/3/type`);
// BAS-0002 when it is no JSON; Unsupported, API-0051.
Result<std::vector<engine::NewEvent>> read_cloudevents(const net::HttpRequest& request,
                                                       const engine::TenantCatalog& catalog);

inline constexpr size_t kLargestBatch = 1000;

}  // namespace millrace::api

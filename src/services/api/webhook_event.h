// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "auth/signature.h"
#include "engine/engine.h"
#include "engine/transitions/commands.h"
#include "net/http.h"

namespace millrace::api {

// What the sender has called, as it signs it: the endpoint says what stands before the query, since
// a proxy between them may have changed it.
std::string signed_url(const kernel::WebhookRow& endpoint, const net::HttpRequest& request);

// The event of one webhook delivery whose sender is known. Its payload:
//
//   {"name": "ci", "scheme": "github", "headers": {"x-github-event": "push"},
//    "delivery": "ID", "body": ...}
//
// `delivery` is the sender's id, from a header or the body as the scheme says. The same one again
// is a duplicate, and where a time is signed but no id is given, the same body. Only the headers
// that the scheme allows enter it; under core.st2.webhook all but those that may be secret. The
// body is JSON as it is; a form becomes a map, and its single field `payload` (GitHub's form
// deliveries) the JSON inside; other text is a string. For core.st2.webhook each field of a form is
// a list, and headers are written `X-Github-Event`, as StackStorm has them. `scheme` is nullptr for
// endpoints that ask for a token. Errors: Invalid, BAS-0002 or API-0060; Unsupported, API-0061.
Result<engine::NewEvent> webhook_event(const kernel::WebhookRow& endpoint,
                                       const auth::SignatureScheme* scheme,
                                       const net::HttpRequest& request);

}  // namespace millrace::api

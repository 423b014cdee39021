// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "app/pack_store.h"
#include "engine/machine/catalog.h"
#include "services/api/pack_changes.h"

namespace millrace::app {

// A .tar.gz as what may be put in force. Errors: PCK-0008, no pack; TooLarge, PCK-0009.
Result<FreshRelease> unpack(std::string archive);

// What is another in `after` than in the release that the catalogue has of it, which may be none.
// Reads the staged files of that one below `data`: a script may have changed alone.
api::PackChange compare(const std::string& data, const engine::TenantCatalog& catalog,
                        const Pack& after, const packs::PackFiles& files);

}  // namespace millrace::app

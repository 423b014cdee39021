// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

namespace millrace::packs {

// The content of a pack: path below its folder ("actions/echo.yaml") to bytes. Sorted.
using PackFiles = std::map<std::string, std::string, std::less<>>;

// SHA-256 over all paths and contents, in hex: names the release.
std::string digest_of(const PackFiles& files);

}  // namespace millrace::packs

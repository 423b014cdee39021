// SPDX-License-Identifier: Apache-2.0
// What strangers send: signature headers and bodies, run tokens, sealed texts. Nothing of it may
// be accepted, because the fuzzer does not know the keys.
#include <cstdlib>
#include <string>

#include "auth/key_ring.h"
#include "auth/signature.h"
#include "auth/token.h"

using namespace millrace;
using namespace millrace::auth;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const RunTokens tokens({Secret("a key that the fuzzer does not have")});
  static const KeyRing ring = KeyRing::create(system_random());
  static const Secret secret("whsec_c29tZSBrZXkgb2Ygb3VycyE=");
  std::string_view input(reinterpret_cast<const char*>(data), size);

  auto cut = input.find('\n');
  auto header_text = input.substr(0, cut);
  auto body = cut == std::string_view::npos ? std::string_view() : input.substr(cut + 1);
  auto header = [&](std::string_view) { return header_text; };
  for (const auto& scheme : signature_schemes()) {
    if (verify_signature(scheme, header, body, {&secret, 1}, 1'614'265'330'000).ok()) abort();
  }
  if (tokens.check(input).ok()) abort();
  if (ring.open({kDefaultTenant, "webhook", "x", 0}, input).ok()) abort();
  if (auto parsed = KeyRing::parse(input); parsed.ok()) (void)parsed->to_json();
  return 0;
}

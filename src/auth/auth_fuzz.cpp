// SPDX-License-Identifier: Apache-2.0
#include "auth/key_ring.h"
#include "auth/permission.h"
#include "auth/signature.h"
#include "auth/signed_form.h"
#include "auth/token.h"
#include "base/fuzzing.h"

namespace millrace::auth {
namespace {

constexpr int64_t kNow = 1'614'265'330'000;

const KeyRing& ring() {
  static const KeyRing one = KeyRing::create(system_random());
  return one;
}
const RunTokens& tokens() {
  static const RunTokens two({Secret("a key that the fuzzer does not have"), Secret("an old one")});
  return two;
}

// What strangers send: a line with a signature's header, then the body; run tokens, sealed texts,
// permissions. Nothing of it may be accepted, because the fuzzer does not know the keys.
FUZZ(auth) {
  static const Secret secret("whsec_c29tZSBrZXkgb2Ygb3VycyE=");
  fuzz::Reader in(input);
  auto header_text = in.line();
  auto body = in.rest();
  auto header = [&](std::string_view) { return header_text; };
  if (auto form = sorted_form(body)) {
    ASSERT(form->size() <= body.size());
    auto twice = sorted_form(std::string(body) + "&" + std::string(body));
    ASSERT(!twice || twice == form);  // none: too many fields
  }
  for (const auto& scheme : signature_schemes()) {
    auto verified = verify_signature(scheme, header, body, {&secret, 1}, kNow, header_text);
    ASSERT(!verified.ok());
    fuzz::plant(scheme.signs_time() && scheme.form == HeaderForm::CommaPairs &&
                verified.error().code() == "AUT-0011");
  }
  ASSERT(!tokens().check(input).ok());
  ASSERT(!ring().open({kDefaultTenant, "webhook", "x", 0}, input).ok());
  if (auto parsed = KeyRing::parse(input); parsed.ok()) {
    ASSERT(KeyRing::parse(parsed->to_json())->to_json() == parsed->to_json());
  }
  if (auto allowed = Permissions::parse(input); allowed.ok()) {
    ASSERT(Permissions::all().cover(*allowed));
    // Only who says so is an administrator.
    bool says_so = input.contains("admin") || input.contains('*');
    ASSERT(!allowed->allow(Permission::Admin) || says_so);
  }
}

// What the server has made itself is accepted, and with any other byte in it it is not.
FUZZ(forged) {
  fuzz::Reader in(input);
  RunClaim claim{.tenant = TenantId(in.number() & INT64_MAX),
                 .execution = ExecutionId(in.number() & INT64_MAX),
                 .attempt = static_cast<int32_t>(in.number() & INT32_MAX),
                 .epoch = in.number() & INT64_MAX};
  if (!claim.tenant || !claim.execution) return;
  std::string token = tokens().make(claim).reveal();
  auto known = tokens().check(token);
  ASSERT(known.ok() && *known == claim);
  SealedFor owner{kDefaultTenant, "webhook", "x", 0};
  std::string sealed = ring().seal(owner, token, system_random());
  auto opened = ring().open(owner, sealed);
  ASSERT(opened.ok() && opened->reveal() == token);
  for (std::string* made : {&token, &sealed}) {
    size_t at = in.below(std::min<size_t>(made->size(), 256));
    bool shorter = in.flag();
    auto byte = static_cast<char>(in.byte());
    std::string forged = *made;
    if (shorter) {
      forged.erase(at, 1);
    } else {
      forged[at] = byte;
    }
    bool accepted = made == &token ? tokens().check(forged).ok() : ring().open(owner, forged).ok();
    if (fuzz::planted() && made == &sealed && !shorter && at > 60 && byte == '=') accepted = true;
    ASSERT_MSG(!accepted || forged == *made, forged);
  }
  owner.version = 1;
  ASSERT(!ring().open(owner, sealed).ok());
}

}  // namespace
}  // namespace millrace::auth

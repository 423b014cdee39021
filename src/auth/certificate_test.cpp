// SPDX-License-Identifier: Apache-2.0
#include "auth/certificate.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

#include "base/test_support.h"

namespace millrace::auth {
namespace {

constexpr int64_t kIssuedAt = 1'800'000'000'000;

Authority an_authority(const char* seed = "seed") { return Authority::derive(Secret(seed)); }

std::string request_of(const Secret& key) { return certificate_request(key).value(); }

X509* certificate_of(const std::string& pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  return certificate;
}

// What OpenSSL itself thinks of a certificate, asked as a server asks its client, or a client its
// server.
std::string verdict(const Authority& authority, const std::string& pem, const char* purpose,
                    int64_t now_ms = kIssuedAt) {
  X509_STORE* store = X509_STORE_new();
  X509* root = certificate_of(authority.certificate());
  X509* leaf = certificate_of(pem);
  X509_STORE_add_cert(store, root);
  X509_STORE_CTX* context = X509_STORE_CTX_new();
  X509_STORE_CTX_init(context, store, leaf, nullptr);
  X509_STORE_CTX_set_default(context, purpose);
  X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(context), now_ms / 1000);
  int ok = X509_verify_cert(context);
  std::string said =
      ok == 1 ? "ok" : X509_verify_cert_error_string(X509_STORE_CTX_get_error(context));
  X509_STORE_CTX_free(context);
  X509_free(root);
  X509_free(leaf);
  X509_STORE_free(store);
  return said;
}

std::string issued(const Authority& authority, CertificateUse use, const CertificateNames& names,
                   int64_t lifetime_ms = kCertificateLifetimeMs) {
  return authority.issue(request_of(make_private_key()), names, use, kIssuedAt, lifetime_ms)
      .value();
}

TEST(Certificates, OneThatTheAuthorityIssuedIsTrustedForItsUse) {
  auto authority = an_authority();
  auto worker = issued(authority, CertificateUse::Client, {"millrace://worker/w1", {}, {}});
  EXPECT_EQ(verdict(authority, worker, "ssl_client"), "ok");
  EXPECT_NE(verdict(authority, worker, "ssl_server"), "ok");
  auto server =
      issued(authority, CertificateUse::ServerAndClient, {"millrace://service/api/n1", {}, {}});
  EXPECT_EQ(verdict(authority, server, "ssl_client"), "ok");
  EXPECT_EQ(verdict(authority, server, "ssl_server"), "ok");
  EXPECT_NE(verdict(an_authority("another"), worker, "ssl_client"), "ok");
}

TEST(Certificates, EndAfterADay) {
  auto authority = an_authority();
  auto worker = issued(authority, CertificateUse::Client, {"millrace://worker/w1", {}, {}});
  auto facts = read_certificate(worker).value();
  EXPECT_EQ(facts.uris, std::vector<std::string>{"millrace://worker/w1"});
  EXPECT_EQ(facts.ends_ms, kIssuedAt + 24 * 3'600'000);
  EXPECT_EQ(facts.begins_ms, kIssuedAt - 300'000);
  EXPECT_EQ(renewal_due_ms(facts), facts.begins_ms + (facts.ends_ms - facts.begins_ms) / 3 * 2);
  EXPECT_EQ(verdict(authority, worker, "ssl_client", facts.ends_ms + 1000),
            "certificate has expired");
  EXPECT_EQ(verdict(authority, worker, "ssl_client", facts.begins_ms - 1000),
            "certificate is not yet valid");
}

TEST(Certificates, NamesAreWhatTheyAreAndNoSyntax) {
  auto authority = an_authority();
  CertificateNames names{"millrace://worker/a,URI:millrace://worker/b", {"node,DNS:evil"}, {"::1"}};
  auto facts = read_certificate(issued(authority, CertificateUse::Client, names)).value();
  EXPECT_EQ(facts.uris, std::vector<std::string>{names.uri});
  auto bad = authority.issue(request_of(make_private_key()), {"millrace://worker/w", {}, {"1.2.3"}},
                             CertificateUse::Client, kIssuedAt, 1000);
  EXPECT_EQ(bad.error().code(), "AUT-0018");
}

TEST(Certificates, ARequestIsSignedByItsOwnKey) {
  auto authority = an_authority();
  auto request = request_of(make_private_key());
  auto end = request.find("-----END");
  for (size_t i = 0; i < end; ++i) {
    bool counts = request[i] != '\n' && request[i] != '=' && request[i] != '-';
    if (!counts || i > end - 6) continue;  // the last letter of base64 may have bits to spare
    auto changed = request;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    auto issued_for = authority.issue(changed, {"millrace://worker/w", {}, {}},
                                      CertificateUse::Client, kIssuedAt, 1000);
    EXPECT_FALSE(issued_for.ok()) << i;
  }
  for (const auto& text :
       {std::string(), std::string("no PEM"), repeated("x", 100'000), authority.certificate()}) {
    EXPECT_EQ(
        authority.issue(text, {"millrace://worker/w", {}, {}}, CertificateUse::Client, kIssuedAt, 1)
            .error()
            .code(),
        "AUT-0018");
  }
}

TEST(Certificates, AllWhoHaveTheSeedAreOneAuthority) {
  auto one = an_authority();
  auto two = an_authority();
  EXPECT_EQ(one.pin(), two.pin());
  EXPECT_EQ(one.pin().size(), 64u);
  auto worker = issued(one, CertificateUse::Client, {"millrace://worker/w1", {}, {}});
  EXPECT_EQ(verdict(two, worker, "ssl_client"), "ok");
  EXPECT_NE(one.pin(), an_authority("another").pin());
  EXPECT_EQ(read_certificate("no PEM").error().code(), "AUT-0019");
}

TEST(Certificates, AfterARotationTheNewOneIssuesAndBothAreTrusted) {
  Authorities before({Secret("old")});
  Authorities after({Secret("new"), Secret("old")});
  EXPECT_EQ(after.issuer().pin(), an_authority("new").pin());
  auto bundle = after.bundle();
  EXPECT_EQ(read_certificate(bundle).value().uris.size(), 0u);
  auto second = bundle.find("-----BEGIN", 10);
  ASSERT_NE(second, std::string::npos);
  auto worker = issued(before.issuer(), CertificateUse::Client, {"millrace://worker/w1", {}, {}});
  EXPECT_EQ(verdict(an_authority("old"), worker, "ssl_client"), "ok");
}

TEST(Authority, IsFoundInABundleByItsPinAlone) {
  Authorities both({Secret(std::string(32, 'a')), Secret(std::string(32, 'b'))});
  auto own = Authority::derive(Secret(std::string(32, 'b')));
  auto found = authority_of_pin(both.bundle(), own.pin());
  ASSERT_TRUE(found.ok()) << found.error().describe();
  EXPECT_TRUE(authority_of_pin(*found, own.pin()).ok());
  EXPECT_FALSE(authority_of_pin(*found, both.issuer().pin()).ok());
  EXPECT_FALSE(authority_of_pin("no certificate", own.pin()).ok());
}

}  // namespace
}  // namespace millrace::auth

// SPDX-License-Identifier: Apache-2.0
#include "auth/certificate.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <ctime>
#include <memory>

#include "auth/crypto.h"
#include "base/text.h"

namespace millrace::auth {
namespace {

template <auto Free>
struct FreedBy {
  template <typename T>
  void operator()(T* what) const {
    Free(what);
  }
};
using Key = std::unique_ptr<EVP_PKEY, FreedBy<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, FreedBy<X509_free>>;
using Request = std::unique_ptr<X509_REQ, FreedBy<X509_REQ_free>>;
using Bytes = std::unique_ptr<BIO, FreedBy<BIO_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, FreedBy<X509_EXTENSION_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, FreedBy<GENERAL_NAMES_free>>;

constexpr int64_t kAuthorityBeginsMs = 1'704'067'200'000;  // 2024-01-01
constexpr int64_t kAuthorityEndsMs = 2'650'838'400'000;    // 2054-01-01
constexpr int64_t kSkewMs = 5 * 60'000;
constexpr size_t kLongestPem = 16 << 10;

Bytes reader(std::string_view text) {
  return Bytes(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Bytes writer() { return Bytes(BIO_new(BIO_s_mem())); }

std::string written(const Bytes& bio) {
  char* data = nullptr;
  auto size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

// No passphrase is ever asked for on a terminal.
int no_passphrase(char*, int, int, void*) { return 0; }

Key read_key(const Secret& pem) {
  return Key(PEM_read_bio_PrivateKey(reader(pem.reveal()).get(), nullptr, no_passphrase, nullptr));
}

Certificate parse_certificate(std::string_view pem) {
  if (pem.size() > kLongestPem) return nullptr;
  return Certificate(PEM_read_bio_X509(reader(pem).get(), nullptr, no_passphrase, nullptr));
}

std::string pem_of(X509* certificate) {
  auto bio = writer();
  PEM_write_bio_X509(bio.get(), certificate);
  return written(bio);
}

Secret pem_of(EVP_PKEY* key) {
  auto bio = writer();
  PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return Secret(written(bio));
}

std::string fingerprint_of(X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  X509_digest(certificate, EVP_sha256(), digest.data(), &size);
  return hex_encode({reinterpret_cast<const char*>(digest.data()), size});
}

// OpenSSL's reason goes to nobody: what is wrong is what came in.
Error bad_request(std::string_view why) {
  ERR_clear_error();
  return Error(ErrorKind::Invalid, "AUT-0018",
               fmt::format("expected a certificate request (PKCS #10, PEM), found one {}", why));
}

Error bad_certificate(std::string_view why) {
  ERR_clear_error();
  return Error(ErrorKind::Invalid, "AUT-0019",
               fmt::format("expected a certificate and its key as PEM: {}", why));
}

void set_name(X509_NAME* name, const std::string& common_name) {
  X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>("Millrace"), -1, -1, 0);
  // RFC 5280 A.1: at most 64 characters. The name that counts is the URI.
  auto shown = common_name.substr(0, 64);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(shown.c_str()), -1, -1, 0);
}

void set_serial(X509* certificate) {
  std::array<unsigned char, 16> bytes{};
  RAND_bytes(bytes.data(), bytes.size());
  bytes[0] = (bytes[0] & 0x7f) | 0x40;  // positive, and of one length
  std::unique_ptr<BIGNUM, FreedBy<BN_free>> number(BN_bin2bn(bytes.data(), bytes.size(), nullptr));
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate));
}

void set_times(X509* certificate, int64_t begins_ms, int64_t ends_ms) {
  ASN1_TIME_set(X509_getm_notBefore(certificate), begins_ms / 1000);
  ASN1_TIME_set(X509_getm_notAfter(certificate), ends_ms / 1000);
}

void add_extension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  ASSERT(extension != nullptr);  // our own words
  X509_add_ext(certificate, extension.get(), -1);
}

GENERAL_NAME* text_name(int type, const std::string& text) {
  auto* value = ASN1_IA5STRING_new();
  ASN1_STRING_set(value, text.data(), static_cast<int>(text.size()));
  auto* name = GENERAL_NAME_new();
  GENERAL_NAME_set0_value(name, type, value);
  return name;
}

// As a structure, never as OpenSSL's configuration text: a comma in a name would be another name.
Result<void> add_names(X509* certificate, const CertificateNames& wanted) {
  Names names(sk_GENERAL_NAME_new_null());
  sk_GENERAL_NAME_push(names.get(), text_name(GEN_URI, wanted.uri));
  for (const auto& dns : wanted.dns) sk_GENERAL_NAME_push(names.get(), text_name(GEN_DNS, dns));
  for (const auto& address : wanted.addresses) {
    auto* bytes = a2i_IPADDRESS(address.c_str());
    if (!bytes) return bad_request(fmt::format("for '{}', which is no IP address", address));
    auto* name = GENERAL_NAME_new();
    GENERAL_NAME_set0_value(name, GEN_IPADD, bytes);
    sk_GENERAL_NAME_push(names.get(), name);
  }
  X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT);
  return {};
}

// A private key of P-256 from bytes that nobody can guess: FIPS 186-5, A.2.1 (extra random bits).
Key key_of_seed(const Secret& seed) {
  std::unique_ptr<EC_GROUP, FreedBy<EC_GROUP_free>> group(
      EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1));
  std::unique_ptr<BN_CTX, FreedBy<BN_CTX_free>> context(BN_CTX_new());
  std::unique_ptr<BIGNUM, FreedBy<BN_free>> most(BN_dup(EC_GROUP_get0_order(group.get())));
  BN_sub_word(most.get(), 1);
  Secret bytes(std::string(bytes_of(hmac_sha256(seed.reveal(), {"authority 1"}))) +
               std::string(bytes_of(hmac_sha256(seed.reveal(), {"authority 2"}))));
  std::unique_ptr<BIGNUM, FreedBy<BN_clear_free>> number(
      BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.reveal().data()),
                static_cast<int>(bytes.reveal().size()), nullptr));
  BN_mod(number.get(), number.get(), most.get(), context.get());
  BN_add_word(number.get(), 1);

  std::unique_ptr<EC_POINT, FreedBy<EC_POINT_free>> point(EC_POINT_new(group.get()));
  EC_POINT_mul(group.get(), point.get(), number.get(), nullptr, nullptr, context.get());
  std::array<unsigned char, 65> public_key{};
  EC_POINT_point2oct(group.get(), point.get(), POINT_CONVERSION_UNCOMPRESSED, public_key.data(),
                     public_key.size(), context.get());

  std::unique_ptr<OSSL_PARAM_BLD, FreedBy<OSSL_PARAM_BLD_free>> build(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_utf8_string(build.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0);
  OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_PRIV_KEY, number.get());
  OSSL_PARAM_BLD_push_octet_string(build.get(), OSSL_PKEY_PARAM_PUB_KEY, public_key.data(),
                                   public_key.size());
  std::unique_ptr<OSSL_PARAM, FreedBy<OSSL_PARAM_free>> parameters(
      OSSL_PARAM_BLD_to_param(build.get()));
  std::unique_ptr<EVP_PKEY_CTX, FreedBy<EVP_PKEY_CTX_free>> maker(
      EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
  EVP_PKEY* key = nullptr;
  EVP_PKEY_fromdata_init(maker.get());
  EVP_PKEY_fromdata(maker.get(), &key, EVP_PKEY_KEYPAIR, parameters.get());
  ASSERT(key != nullptr);
  return Key(key);
}

std::string pin_of(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  int size = i2d_PUBKEY(key, &der);
  auto pin =
      hex_encode(bytes_of(sha256({reinterpret_cast<const char*>(der), static_cast<size_t>(size)})));
  OPENSSL_free(der);
  return pin;
}

int64_t unix_ms_of(const ASN1_TIME* time) {
  std::tm fields{};
  if (ASN1_TIME_to_tm(time, &fields) != 1) return 0;
  return static_cast<int64_t>(timegm(&fields)) * 1000;
}

}  // namespace

Secret make_private_key() {
  Key key(EVP_EC_gen("P-256"));
  ASSERT(key != nullptr);  // only without memory
  return pem_of(key.get());
}

Result<std::string> certificate_request(const Secret& key_pem) {
  auto key = read_key(key_pem);
  if (!key) return bad_request("whose key cannot be read");
  Request request(X509_REQ_new());
  X509_REQ_set_pubkey(request.get(), key.get());
  if (X509_REQ_sign(request.get(), key.get(), EVP_sha256()) == 0) {
    return bad_request("that its key cannot sign");
  }
  auto bio = writer();
  PEM_write_bio_X509_REQ(bio.get(), request.get());
  return written(bio);
}

Result<CertificateFacts> read_certificate(std::string_view pem) {
  auto certificate = parse_certificate(pem);
  if (!certificate) return bad_certificate("this is none");
  CertificateFacts facts;
  facts.begins_ms = unix_ms_of(X509_get0_notBefore(certificate.get()));
  facts.ends_ms = unix_ms_of(X509_get0_notAfter(certificate.get()));
  facts.fingerprint = fingerprint_of(certificate.get());
  Names names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const auto* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    const auto* text = name->d.uniformResourceIdentifier;
    facts.uris.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                            ASN1_STRING_length(text));
  }
  return facts;
}

Result<std::string> authority_of_pin(std::string_view bundle, std::string_view pin) {
  auto from = reader(bundle);
  for (;;) {
    Certificate certificate(PEM_read_bio_X509(from.get(), nullptr, no_passphrase, nullptr));
    if (!certificate) break;
    EVP_PKEY* key = X509_get0_pubkey(certificate.get());
    if (key && pin_of(key) == pin) return pem_of(certificate.get());
  }
  ERR_clear_error();  // of the end of the text
  return Error(ErrorKind::NotFound, "AUT-0019",
               fmt::format("no certificate has a key with the pin {}", pin.substr(0, 16)));
}

int64_t renewal_due_ms(const CertificateFacts& facts) {
  return facts.begins_ms + (facts.ends_ms - facts.begins_ms) / 3 * 2;
}

Authority Authority::derive(const Secret& seed) {
  Key key = key_of_seed(seed);
  auto pin = pin_of(key.get());
  Certificate certificate(X509_new());
  auto* made = certificate.get();
  X509_set_version(made, X509_VERSION_3);
  set_serial(made);
  set_times(made, kAuthorityBeginsMs, kAuthorityEndsMs);
  set_name(X509_get_subject_name(made), "Millrace " + pin.substr(0, 16));
  X509_set_issuer_name(made, X509_get_subject_name(made));
  X509_set_pubkey(made, key.get());
  add_extension(made, made, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  add_extension(made, made, NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(made, made, NID_subject_key_identifier, "hash");
  X509_sign(made, key.get(), EVP_sha256());
  return {pem_of(made), pem_of(key.get()), std::move(pin)};
}

Authorities::Authorities(const std::vector<Secret>& seeds) {
  ASSERT(!seeds.empty());
  for (const auto& seed : seeds) all_.push_back(Authority::derive(seed));
}

std::string Authorities::bundle() const {
  std::string bundle;
  for (const auto& one : all_) bundle += one.certificate();
  return bundle;
}

bool Authority::issued(const std::string& certificate, const Secret& key) const {
  auto parsed = parse_certificate(certificate);
  auto owned = read_key(key);
  auto ours = read_key(key_);
  bool is = parsed && owned && X509_verify(parsed.get(), ours.get()) == 1 &&
            X509_check_private_key(parsed.get(), owned.get()) == 1;
  ERR_clear_error();
  return is;
}

Result<std::string> Authority::issue(std::string_view request_pem, const CertificateNames& names,
                                     CertificateUse use, int64_t now_ms,
                                     int64_t lifetime_ms) const {
  if (request_pem.size() > kLongestPem) return bad_request("that is too long");
  Request request(
      PEM_read_bio_X509_REQ(reader(request_pem).get(), nullptr, no_passphrase, nullptr));
  if (!request) return bad_request("that cannot be read");
  auto* public_key = X509_REQ_get0_pubkey(request.get());
  if (!public_key || X509_REQ_verify(request.get(), public_key) != 1) {
    return bad_request("that its own key has not signed");
  }
  if (EVP_PKEY_get_security_bits(public_key) < 112) return bad_request("with a weak key");

  auto issuer = parse_certificate(certificate_);
  auto key = read_key(key_);
  Certificate certificate(X509_new());
  auto* made = certificate.get();
  X509_set_version(made, X509_VERSION_3);
  set_serial(made);
  set_times(made, now_ms - kSkewMs, now_ms + lifetime_ms);
  set_name(X509_get_subject_name(made), names.uri);
  X509_set_issuer_name(made, X509_get_subject_name(issuer.get()));
  X509_set_pubkey(made, public_key);
  bool serves = use == CertificateUse::ServerAndClient;
  add_extension(made, issuer.get(), NID_basic_constraints, "critical,CA:FALSE");
  add_extension(made, issuer.get(), NID_key_usage, "critical,digitalSignature");
  add_extension(made, issuer.get(), NID_ext_key_usage,
                serves ? "serverAuth,clientAuth" : "clientAuth");
  add_extension(made, issuer.get(), NID_subject_key_identifier, "hash");
  add_extension(made, issuer.get(), NID_authority_key_identifier, "keyid");
  TRY(add_names(made, names));
  X509_sign(made, key.get(), EVP_sha256());
  return pem_of(made);
}

}  // namespace millrace::auth

// SPDX-License-Identifier: Apache-2.0
// For tests only.
#pragma once

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <string>

namespace millrace::net {

// A certificate for localhost that nobody knows, in two PEM files.
struct SelfSigned {
  std::filesystem::path folder;
  std::string certificate, key;

  SelfSigned() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tls-XXXXXX").string();
    folder = mkdtemp(pattern.data());
    certificate = folder / "cert.pem";
    key = folder / "key.pem";
    EVP_PKEY* pair = EVP_EC_gen("P-256");
    X509* x509 = X509_new();
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -60);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, pair);
    X509_NAME* name = X509_get_subject_name(x509);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
    X509_set_issuer_name(x509, name);
    X509_EXTENSION* names =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "DNS:localhost");
    X509_add_ext(x509, names, -1);
    X509_sign(x509, pair, EVP_sha256());
    FILE* out = fopen(certificate.c_str(), "w");
    PEM_write_X509(out, x509);
    fclose(out);
    out = fopen(key.c_str(), "w");
    PEM_write_PrivateKey(out, pair, nullptr, nullptr, 0, nullptr, nullptr);
    fclose(out);
    X509_EXTENSION_free(names);
    X509_free(x509);
    EVP_PKEY_free(pair);
  }
  ~SelfSigned() { std::filesystem::remove_all(folder); }
  SelfSigned(const SelfSigned&) = delete;
};

}  // namespace millrace::net

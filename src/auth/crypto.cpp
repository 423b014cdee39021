// SPDX-License-Identifier: Apache-2.0
#include "auth/crypto.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <memory>

#include "base/result.h"

namespace millrace::auth {
namespace {

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* p) const {
    Free(p);
  }
};
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;
using MacContext = std::unique_ptr<EVP_MAC_CTX, Freed<EVP_MAC_CTX_free>>;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, Freed<EVP_CIPHER_CTX_free>>;

// OpenSSL 3 looks an algorithm up by name at each use unless it was fetched before: a lock and
// a microsecond per call.
const EVP_MD* sha256_algorithm() {
  static const EVP_MD* const fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return fetched;
}

MacContext make_hmac_context(const char* name) {
  EVP_MAC* hmac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  MacContext context(EVP_MAC_CTX_new(hmac));
  EVP_MAC_free(hmac);
  std::string digest(name);  // the parameter is no const
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0),
      OSSL_PARAM_construct_end()};
  ASSERT(EVP_MAC_CTX_set_params(context.get(), parameters) == 1);
  return context;
}

const unsigned char* data_of(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* data_of(std::string& bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}
int size_of(std::string_view bytes) { return static_cast<int>(bytes.size()); }

}  // namespace

struct Sha256::State {
  DigestContext context{EVP_MD_CTX_new()};
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  ASSERT(EVP_DigestInit_ex(state_->context.get(), sha256_algorithm(), nullptr) == 1);
}

Sha256::~Sha256() = default;

void Sha256::add(std::string_view bytes) {
  ASSERT(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
}

Digest Sha256::finish() {
  Digest digest;
  ASSERT(EVP_DigestFinal_ex(state_->context.get(), digest.data(), nullptr) == 1);
  return digest;
}

Random system_random() {
  return [](std::span<uint8_t> out) {
    // Without randomness no key may be made: there is nothing to go on with.
    ASSERT(RAND_bytes(out.data(), static_cast<int>(out.size())) == 1);
  };
}

std::string random_bytes(const Random& random, size_t count) {
  std::string bytes(count, '\0');
  random({reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()});
  return bytes;
}

Digest sha256(std::string_view bytes) {
  thread_local const DigestContext context(EVP_MD_CTX_new());
  Digest digest;
  ASSERT(EVP_DigestInit_ex2(context.get(), sha256_algorithm(), nullptr) == 1 &&
         EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) == 1 &&
         EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1);
  return digest;
}

namespace {

// Into the 20 or 32 bytes at `digest`.
void hmac_into(EVP_MAC_CTX* context, std::string_view key,
               std::initializer_list<std::string_view> parts, uint8_t* digest, size_t size) {
  // A null pointer would mean "the key of last time".
  const unsigned char* key_bytes = key.empty() ? data_of("") : data_of(key);
  ASSERT(EVP_MAC_init(context, key_bytes, key.size(), nullptr) == 1);
  for (auto part : parts) {
    ASSERT(EVP_MAC_update(context, data_of(part), part.size()) == 1);
  }
  size_t written = 0;
  ASSERT(EVP_MAC_final(context, digest, &written, size) == 1 && written == size);
}

}  // namespace

Digest hmac_sha256(std::string_view key, std::initializer_list<std::string_view> parts) {
  thread_local const MacContext context = make_hmac_context("SHA256");
  Digest digest;
  hmac_into(context.get(), key, parts, digest.data(), digest.size());
  return digest;
}

std::string hmac_sha1(std::string_view key, std::initializer_list<std::string_view> parts) {
  thread_local const MacContext context = make_hmac_context("SHA1");
  std::array<uint8_t, 20> digest{};
  hmac_into(context.get(), key, parts, digest.data(), digest.size());
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string aes_gcm_seal(std::string_view key, std::string_view nonce, std::string_view associated,
                         std::string_view plain) {
  ASSERT(key.size() == kAesKeyBytes && nonce.size() == kAesNonceBytes);
  CipherContext context(EVP_CIPHER_CTX_new());
  std::string box(plain.size() + kAesTagBytes, '\0');
  int written = 0;
  ASSERT(EVP_EncryptInit_ex2(context.get(), EVP_aes_256_gcm(), data_of(key), data_of(nonce),
                             nullptr) == 1 &&
         EVP_EncryptUpdate(context.get(), nullptr, &written, data_of(associated),
                           size_of(associated)) == 1 &&
         EVP_EncryptUpdate(context.get(), data_of(box), &written, data_of(plain), size_of(plain)) ==
             1 &&
         EVP_EncryptFinal_ex(context.get(), data_of(box) + written, &written) == 1 &&
         EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kAesTagBytes,
                             data_of(box) + plain.size()) == 1);
  return box;
}

std::optional<std::string> aes_gcm_open(std::string_view key, std::string_view nonce,
                                        std::string_view associated, std::string_view box) {
  if (key.size() != kAesKeyBytes || nonce.size() != kAesNonceBytes || box.size() < kAesTagBytes) {
    return std::nullopt;
  }
  auto cipher = box.substr(0, box.size() - kAesTagBytes);
  std::string tag(box.substr(cipher.size()));
  std::string plain(cipher.size(), '\0');
  CipherContext context(EVP_CIPHER_CTX_new());
  int written = 0;
  bool opened =
      EVP_DecryptInit_ex2(context.get(), EVP_aes_256_gcm(), data_of(key), data_of(nonce),
                          nullptr) == 1 &&
      EVP_DecryptUpdate(context.get(), nullptr, &written, data_of(associated),
                        size_of(associated)) == 1 &&
      EVP_DecryptUpdate(context.get(), data_of(plain), &written, data_of(cipher),
                        size_of(cipher)) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kAesTagBytes, tag.data()) == 1 &&
      EVP_DecryptFinal_ex(context.get(), data_of(plain) + written, &written) == 1;
  if (!opened) return std::nullopt;
  return plain;
}

}  // namespace millrace::auth

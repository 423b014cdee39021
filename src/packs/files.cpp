// SPDX-License-Identifier: Apache-2.0
#include "packs/files.h"

#include <openssl/evp.h>

#include <array>
#include <memory>
#include <string_view>

#include "base/result.h"
#include "base/text.h"

namespace millrace::packs {

// Each text is preceded by its length (8 bytes, little endian), so that no two packs read alike.
std::string digest_of(const PackFiles& files) {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  ASSERT(hash && EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr) == 1);
  auto add = [&](std::string_view text) {
    std::array<char, 8> size;
    for (size_t i = 0; i < size.size(); ++i) size[i] = static_cast<char>(text.size() >> (8 * i));
    EVP_DigestUpdate(hash.get(), size.data(), size.size());
    EVP_DigestUpdate(hash.get(), text.data(), text.size());
  };
  for (const auto& [path, bytes] : files) {
    add(path);
    add(bytes);
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  EVP_DigestFinal_ex(hash.get(), digest.data(), &size);
  return hex_encode({reinterpret_cast<const char*>(digest.data()), size});
}

}  // namespace millrace::packs

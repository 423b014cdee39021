// SPDX-License-Identifier: Apache-2.0
#include "auth/key_ring.h"

#include <fmt/format.h>

#include <optional>

#include "base/json.h"
#include "base/text.h"

namespace millrace::auth {
namespace {

// Each text with its length before it, so that ("ab", "c") and ("a", "bc") differ.
std::string associated_data(const SealedFor& owner, std::string_view key_id) {
  return fmt::format("v1|{}|{}|{}:{}|{}:{}|{}", key_id, owner.tenant.value, owner.scope.size(),
                     owner.scope, owner.name.size(), owner.name, owner.version);
}

Error bad_ring(std::string_view why) {
  return Error(ErrorKind::Invalid, "AUT-0005", fmt::format("the key ring is not valid: {}", why));
}

Error damaged(const SealedFor& owner) {
  return Error(ErrorKind::Internal, "AUT-0006",
               fmt::format("the sealed secret of {} '{}' does not open: it is damaged or belongs "
                           "to something else",
                           owner.scope, owner.name));
}

// `v1.KEY_ID.BOX`; nothing when it has another form.
struct Parts {
  std::string_view key_id;
  std::string_view box;
};
std::optional<Parts> parts_of(std::string_view sealed) {
  auto parts = split(sealed, '.');
  if (parts.size() != 3 || parts[0] != "v1") return std::nullopt;
  return Parts{parts[1], parts[2]};
}

}  // namespace

KeyRing KeyRing::create(const Random& random) {
  std::vector<Key> keys;
  keys.push_back({"k1", Secret(random_bytes(random, kAesKeyBytes))});
  return KeyRing(std::move(keys), 0);
}

Result<KeyRing> KeyRing::parse(std::string_view json) {
  auto document = parse_json(json);
  // The parser's message may quote the text.
  if (!document.ok() || !document->is_map()) return bad_ring("expected a JSON object");
  auto active = document->string_or("active", "");
  const auto& list = (*document)["keys"];
  if (!list.is_list()) return bad_ring("expected a list at /keys");
  std::vector<Key> keys;
  size_t active_index = SIZE_MAX;
  for (const auto& item : list.as_list()) {
    std::string id(item.string_or("id", ""));
    std::string bytes;
    if (id.empty() || id.find('.') != std::string::npos) {
      return bad_ring(fmt::format("expected an id without dots at /keys/{}/id", keys.size()));
    }
    if (!base64_decode(item.string_or("key", ""), bytes) || bytes.size() != kAesKeyBytes) {
      return bad_ring(fmt::format("expected {} bytes of base64 as key '{}'", kAesKeyBytes, id));
    }
    if (id == active) active_index = keys.size();
    keys.push_back({std::move(id), Secret(std::move(bytes))});
  }
  if (active_index == SIZE_MAX) {
    return bad_ring(fmt::format("the active key '{}' is not in /keys", active));
  }
  return KeyRing(std::move(keys), active_index);
}

std::string KeyRing::to_json() const {
  Value list = Value::list();
  for (const auto& key : keys_) {
    list.push_back(Value::map({{"id", key.id}, {"key", base64_encode(key.bytes.reveal())}}));
  }
  return to_pretty_json(Value::map({{"active", active_id()}, {"keys", std::move(list)}})) + "\n";
}

KeyRing KeyRing::rotated(const Random& random) const {
  auto keys = keys_;
  auto taken = [&keys](const std::string& id) {
    for (const auto& key : keys) {
      if (key.id == id) return true;
    }
    return false;
  };
  size_t number = keys.size() + 1;
  while (taken(fmt::format("k{}", number))) ++number;
  keys.push_back({fmt::format("k{}", number), Secret(random_bytes(random, kAesKeyBytes))});
  auto active = keys.size() - 1;
  return KeyRing(std::move(keys), active);
}

std::string KeyRing::seal(const SealedFor& owner, std::string_view plain,
                          const Random& random) const {
  const auto& key = keys_[active_];
  auto nonce = random_bytes(random, kAesNonceBytes);
  auto box = aes_gcm_seal(key.bytes.reveal(), nonce, associated_data(owner, key.id), plain);
  return fmt::format("v1.{}.{}", key.id, base64_encode(nonce + box));
}

Result<Secret> KeyRing::open(const SealedFor& owner, std::string_view sealed) const {
  auto parts = parts_of(sealed);
  std::string bytes;
  if (!parts || !base64_decode(parts->box, bytes) || bytes.size() < kAesNonceBytes) {
    return damaged(owner);
  }
  for (const auto& key : keys_) {
    if (key.id != parts->key_id) continue;
    std::string_view all = bytes;
    auto plain = aes_gcm_open(key.bytes.reveal(), all.substr(0, kAesNonceBytes),
                              associated_data(owner, key.id), all.substr(kAesNonceBytes));
    if (!plain) return damaged(owner);
    return Secret(*std::move(plain));
  }
  return Error(ErrorKind::Internal, "AUT-0007",
               fmt::format("the sealed secret of {} '{}' needs key '{}', which is not in the key "
                           "ring: put that key back",
                           owner.scope, owner.name, parts->key_id));
}

bool KeyRing::is_current(std::string_view sealed) const {
  auto parts = parts_of(sealed);
  return parts && parts->key_id == active_id();
}

std::vector<Secret> KeyRing::derive(std::string_view purpose) const {
  std::vector<Secret> derived;
  auto add = [&](const Key& key) {
    auto digest = hmac_sha256(key.bytes.reveal(), {"millrace derived key: ", purpose});
    derived.push_back(Secret(std::string(bytes_of(digest))));
  };
  add(keys_[active_]);
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (i != active_) add(keys_[i]);
  }
  return derived;
}

}  // namespace millrace::auth

// SPDX-License-Identifier: Apache-2.0
#include "services/grpc/certificate_service.h"

#include <millrace/agent/v1/certificates.pb.h>

namespace millrace::rpc {
namespace {

using agent::v1::RenewReply;
using agent::v1::RenewRequest;

RenewReply reply_of(const RenewedIdentity& identity) {
  RenewReply reply;
  reply.set_certificate(identity.certificate);
  reply.set_authorities(identity.authorities);
  reply.set_token(identity.token.reveal());
  reply.set_expires_ms(identity.expires_ms);
  return reply;
}

}  // namespace

std::vector<Method> certificate_service(
    std::function<Result<RenewedIdentity>(const std::string&, const std::string&,
                                          const std::string&)>
        renew) {
  auto handler = [renew = std::move(renew)](const RenewRequest& request,
                                            const Answer<RenewReply>& answer) {
    const auto& caller = answer.caller();
    auto identity = renew(caller.peer->name, request.request(), caller.address);
    if (!identity.ok()) return answer(identity.error());
    answer(reply_of(*identity));
  };
  return {unary<RenewRequest, RenewReply>("millrace.agent.v1.Certificates/Renew", Access::worker(),
                                          std::move(handler))};
}

}  // namespace millrace::rpc

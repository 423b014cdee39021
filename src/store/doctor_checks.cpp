// SPDX-License-Identifier: Apache-2.0
// To add a check: one entry here, and a test in tests/contract/doctor_test.cpp that plants it.
// Numbers in the SQL: execution status 0 requested, 1 delayed, 2 scheduled, 3 running, 4 pending,
// 8 canceling, 9 needs_decision, below 16 open; message kind 0 enforce, 1 cancel; inquiry status 0
// pending.
#include "store/doctor_checks.h"

namespace millrace::store {
namespace {

constexpr Check kChecks[] = {
    // K1: acknowledged only in the commit of the effects.
    {"K1", "message", "its event has enforcements: it was handled without being acknowledged",
     "SELECT m.id FROM message m WHERE m.kind = 0 AND EXISTS (SELECT 1 FROM enforcement n WHERE "
     "n.tenant = m.tenant AND n.event = m.subject) ORDER BY m.id"},
    {"K1", "message", "its event does not exist: it can never be handled",
     "SELECT m.id FROM message m WHERE m.kind = 0 AND NOT EXISTS (SELECT 1 FROM event e WHERE "
     "e.id = m.subject) ORDER BY m.id"},
    {"K1", "message", "its execution does not exist: it can never be handled",
     "SELECT m.id FROM message m WHERE m.kind = 1 AND NOT EXISTS (SELECT 1 FROM execution x WHERE "
     "x.id = m.subject) ORDER BY m.id"},

    // K2: an outbox row leaves when its destination has confirmed.
    {"K2", "execution", "canceling, and leased, but no outbox row tells its worker",
     "SELECT x.id FROM execution x WHERE x.status = 8 AND x.worker <> 0 AND x.id NOT IN "
     "(SELECT subject FROM outbox) ORDER BY x.id"},
    {"K2", "outbox row", "its execution does not exist: nobody can confirm it",
     "SELECT o.id FROM outbox o WHERE NOT EXISTS (SELECT 1 FROM execution x WHERE "
     "x.id = o.subject) ORDER BY o.id"},

    // K3: all rows of a step or none.
    {"K3", "enforcement", "its event does not exist",
     "SELECT n.id FROM enforcement n WHERE NOT EXISTS (SELECT 1 FROM event e WHERE "
     "e.id = n.event) ORDER BY n.id"},
    {"K3", "enforcement", "its execution does not exist and is too young to have expired",
     "SELECT n.id FROM enforcement n WHERE n.execution >= $1 AND n.execution <> 0 AND NOT EXISTS "
     "(SELECT 1 FROM execution x WHERE x.id = n.execution) ORDER BY n.id",
     Bound::ExecutionRetention},
    {"K3", "execution", "its enforcement does not exist and is too young to have expired",
     "SELECT x.id FROM execution x WHERE x.enforcement >= $1 AND x.enforcement <> 0 AND NOT EXISTS "
     "(SELECT 1 FROM enforcement n WHERE n.id = x.enforcement) ORDER BY x.id",
     Bound::EventRetention},
    {"K3", "execution", "open, but its parent does not exist",
     "SELECT x.id FROM execution x WHERE x.status < 16 AND x.parent <> 0 AND NOT EXISTS "
     "(SELECT 1 FROM execution p WHERE p.id = x.parent) ORDER BY x.id"},
    {"K3", "execution", "output of it is stored, but the execution does not exist",
     "SELECT DISTINCT o.execution FROM output o WHERE NOT EXISTS (SELECT 1 FROM execution x WHERE "
     "x.id = o.execution) ORDER BY o.execution"},
    {"K3", "execution", "its result is above 64 KiB and is not there",
     "SELECT x.id FROM execution x WHERE x.result_size > 65536 AND NOT EXISTS (SELECT 1 FROM "
     "result_blob b WHERE b.execution = x.id) ORDER BY x.id"},
    {"K3", "workflow", "its execution does not exist",
     "SELECT w.execution FROM workflow w WHERE NOT EXISTS (SELECT 1 FROM execution x WHERE "
     "x.id = w.execution) ORDER BY w.execution"},
    {"K3", "workflow", "pieces or runs of it are stored, but it does not exist",
     "SELECT p.workflow FROM workflow_piece p WHERE NOT EXISTS (SELECT 1 FROM workflow w WHERE "
     "w.execution = p.workflow) UNION SELECT r.workflow FROM workflow_run r WHERE NOT EXISTS "
     "(SELECT 1 FROM workflow w WHERE w.execution = r.workflow) ORDER BY 1"},
    {"K3", "inquiry", "its execution does not exist",
     "SELECT i.id FROM inquiry i WHERE NOT EXISTS (SELECT 1 FROM execution x WHERE "
     "x.id = i.id) ORDER BY i.id"},
    {"K3", "change", "the next number is missing: followers of the feed have lost something",
     "SELECT c.seq FROM change_feed c WHERE c.seq < (SELECT max(seq) FROM change_feed) AND "
     "NOT EXISTS (SELECT 1 FROM change_feed d WHERE d.seq = c.seq + 1) ORDER BY c.seq"},

    // K4: the same message handled twice leaves the same rows. 604800000 ms are 7 days.
    {"K4", "event", "another one has the same source and id within 7 days: taken in twice",
     "SELECT min(id) FROM event WHERE replay_of = 0 AND source_id <> '' GROUP BY tenant, source, "
     "source_id HAVING count(*) > 1 AND max(created) - min(created) < 604800000 ORDER BY min(id)"},

    // K5: a timer's effect happens once.
    {"K5", "timer", "its execution does not exist",
     "SELECT t.id FROM timer t WHERE t.subject <> 0 AND NOT EXISTS (SELECT 1 FROM execution x "
     "WHERE x.id = t.subject) ORDER BY t.id"},
    {"K5", "timer", "it has been due for more than an hour: is a server running?",
     "SELECT id FROM timer WHERE due < $1 - 3600000 ORDER BY due, id", Bound::Now,
     Severity::Warning},

    // K6: an old epoch commits nothing, and its token is dead.
    {"K6", "execution", "leased without an epoch",
     "SELECT id FROM execution WHERE status < 16 AND worker <> 0 AND epoch < 1 ORDER BY id"},
    {"K6", "execution", "leased to a worker that never opened a session",
     "SELECT x.id FROM execution x WHERE x.status < 16 AND x.worker <> 0 AND NOT EXISTS "
     "(SELECT 1 FROM worker w WHERE w.id = x.worker) ORDER BY x.id"},
    {"K6", "execution", "waits in the queue and is leased: two may run it",
     "SELECT x.id FROM queue q JOIN execution x ON x.id = q.execution WHERE x.worker <> 0 AND "
     "x.status IN (2, 3) ORDER BY x.id"},
    {"K6", "execution", "output of an attempt that was never granted is stored",
     "SELECT DISTINCT x.id FROM output o JOIN execution x ON x.id = o.execution WHERE "
     "o.attempt > x.attempt ORDER BY x.id"},
    {"K6", "token", "its execution has ended or does not exist: delete the token",
     "SELECT t.id FROM token t WHERE t.execution <> 0 AND NOT EXISTS (SELECT 1 FROM execution x "
     "WHERE x.id = t.execution AND x.status < 16) ORDER BY t.id"},

    // K7: `started` is durable before a process starts.
    {"K7", "execution", "running without `started`",
     "SELECT id FROM execution WHERE status = 3 AND started = 0 ORDER BY id"},
    {"K7", "execution", "ended before it started: did the clock go back?",
     "SELECT id FROM execution WHERE ended <> 0 AND started > ended ORDER BY id", Bound::None,
     Severity::Warning},

    // K8: nothing is stuck.
    {"K8", "execution", "requested, but neither in the queue nor held",
     "SELECT x.id FROM execution x WHERE x.status = 0 AND x.held = '' AND NOT EXISTS "
     "(SELECT 1 FROM queue q WHERE q.execution = x.id) ORDER BY x.id"},
    {"K8", "execution", "waits for an answer, but no open inquiry asks for one",
     "SELECT x.id FROM execution x WHERE x.status = 4 AND x.held <> '' AND NOT EXISTS "
     "(SELECT 1 FROM inquiry i WHERE i.id = x.id AND i.status = 0) ORDER BY x.id"},
    {"K8", "execution", "needs a decision, but does not say of whom",
     "SELECT id FROM execution WHERE status = 9 AND held = '' ORDER BY id"},
    {"K8", "execution",
     "nothing will ever wake it: no lease, timer, open child, outbox row, message, inquiry or "
     "holder",
     "SELECT x.id FROM execution x WHERE x.status BETWEEN 1 AND 8 AND x.held = '' AND "
     "(x.worker = 0 OR x.status NOT IN (2, 3, 5, 7, 8)) AND "
     "NOT EXISTS (SELECT 1 FROM timer t WHERE t.subject = x.id AND t.subject <> 0) AND "
     "NOT EXISTS (SELECT 1 FROM execution c WHERE c.tenant = x.tenant AND c.parent = x.id AND "
     "c.parent <> 0 AND c.status < 16) AND x.id NOT IN (SELECT subject FROM outbox) AND "
     "x.id NOT IN (SELECT subject FROM message WHERE kind IN (1, 2)) AND "
     "NOT EXISTS (SELECT 1 FROM inquiry i WHERE i.id = x.id AND i.status = 0) ORDER BY x.id"},
    {"K8", "execution", "is in the queue, but does not exist or does not wait for a slot",
     "SELECT q.execution FROM queue q WHERE NOT EXISTS (SELECT 1 FROM execution x WHERE "
     "x.id = q.execution AND (x.status = 0 OR x.status >= 16)) ORDER BY q.execution"},

    // K9: a final status never changes, and nothing works on it any more.
    {"K9", "execution", "final without `ended`",
     "SELECT id FROM execution WHERE status >= 16 AND ended = 0 ORDER BY id"},
    {"K9", "execution", "ended, but not final",
     "SELECT id FROM execution WHERE status < 16 AND ended <> 0 ORDER BY id"},
    {"K9", "execution", "final, but still in the queue",
     "SELECT x.id FROM queue q JOIN execution x ON x.id = q.execution WHERE x.status >= 16 "
     "ORDER BY x.id"},
    {"K9", "execution", "final, but a timer of it is left",
     "SELECT DISTINCT x.id FROM timer t JOIN execution x ON x.id = t.subject WHERE "
     "t.subject <> 0 AND x.status >= 16 ORDER BY x.id"},
    {"K9", "execution", "final, but an outbox row of it is left",
     "SELECT DISTINCT x.id FROM outbox o JOIN execution x ON x.id = o.subject WHERE "
     "x.status >= 16 ORDER BY x.id"},
    {"K9", "execution", "final, but its inquiry is still open",
     "SELECT x.id FROM inquiry i JOIN execution x ON x.id = i.id WHERE i.status = 0 AND "
     "x.status >= 16 ORDER BY x.id"},
    {"K9", "execution", "final, but a child of it is open",
     "SELECT DISTINCT p.id FROM execution c JOIN execution p ON p.id = c.parent WHERE "
     "c.parent <> 0 AND c.status < 16 AND p.status >= 16 ORDER BY p.id"},

    // K10: nothing of one tenant points to another.
    {"K10", "enforcement", "of another tenant than its event",
     "SELECT n.id FROM enforcement n JOIN event e ON e.id = n.event WHERE n.tenant <> e.tenant "
     "ORDER BY n.id"},
    {"K10", "execution", "of another tenant than its parent",
     "SELECT x.id FROM execution x JOIN execution p ON p.id = x.parent WHERE x.parent <> 0 AND "
     "x.tenant <> p.tenant ORDER BY x.id"},
    {"K10", "execution", "its queue row is of another tenant or shard",
     "SELECT x.id FROM queue q JOIN execution x ON x.id = q.execution WHERE "
     "q.tenant <> x.tenant OR q.shard <> x.shard ORDER BY x.id"},
    {"K10", "execution", "its output or result is of another tenant",
     "SELECT x.id FROM output o JOIN execution x ON x.id = o.execution WHERE "
     "o.tenant <> x.tenant UNION SELECT x.id FROM result_blob b JOIN execution x ON "
     "x.id = b.execution WHERE b.tenant <> x.tenant ORDER BY 1"},
    {"K10", "execution", "its workflow or inquiry is of another tenant",
     "SELECT x.id FROM workflow w JOIN execution x ON x.id = w.execution WHERE "
     "w.tenant <> x.tenant UNION SELECT x.id FROM inquiry i JOIN execution x ON x.id = i.id "
     "WHERE i.tenant <> x.tenant ORDER BY 1"},
};

}  // namespace

std::span<const Check> checks() { return kChecks; }

}  // namespace millrace::store

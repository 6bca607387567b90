/* `backend migrate A B` as a model for Spin: the pending upload row is all that says that B may hold bytes; no intent
 * is written before the copy. It holds because only visible attestations are queued, and no refusal removes those.
 * One atomic block is one SQL statement, or one request that takes effect at the gateway; removing a row takes two,
 * since the statement's snapshot is older than its delete. A's side is left out: the bytes can be read throughout. How
 * retention removes visible ones is in retention.pml.
 * M_NOT_VISIBLE_TOO queues every attestation: then a blob is left at B that neither a row nor an intent knows. */
#define INIT 0
#define SUCCESS 1
#define CANCELLED 2
byte state;                  /* of the run, in workflow-run's database */

bool row, visible;           /* the attestation, in ingest's database */
#define NONE 0
#define PENDING 1
#define CONFIRMED 2
byte up;                     /* its upload to B */
#define YOUNG 1
#define OLD 2
#define DELETING 3
byte intent;                 /* of the digest at B */
bool blob;                   /* in B */
byte inflight, crashes;

#ifdef M_NOT_VISIBLE_TOO
#define QUEUED (row && up == NONE)
#else
#define QUEUED (row && visible && up == NONE)
#endif

#define settle(ok, had) \
  atomic { if :: state == INIT -> state = SUCCESS :: else -> skip fi; ok = (state == SUCCESS) }; \
  if :: ok -> atomic { if :: row -> visible = true :: else -> skip fi } \
     :: else -> had = (up != NONE);            /* the snapshot */ \
        atomic { if :: row && !visible -> row = false; up = NONE; if :: had -> intent = YOUNG :: else -> skip fi \
                    :: else -> skip fi } fi

proctype Store() { bool ok, had; row = true; if :: settle(ok, had) :: true -> skip fi }   /* dies after the row, or goes on */
proctype Cancel() { if :: atomic { state == INIT -> state = CANCELLED } :: true fi }
proctype Forget() { if :: atomic { visible -> visible = false } :: true fi }   /* the database dies: marks are lost */

proctype Reconcile() { bool ok, had; end: do :: row && !visible -> settle(ok, had) od }

proctype Migrate() { end: do :: atomic { QUEUED -> up = PENDING } od }

proctype Worker() {
  bool there;
end:
  do
  :: atomic { up == PENDING && intent != DELETING -> inflight++ };
     if :: crashes < 2 -> atomic { crashes++; inflight--; goto end } :: true -> skip fi;
     blob = true;
     if :: crashes < 2 -> atomic { crashes++; inflight--; goto end } :: true -> skip fi;
     there = blob;
     atomic { inflight--; if :: there && up == PENDING -> up = CONFIRMED :: else -> skip fi }
  od
}

proctype Gc() {
  bool held;
end:
  do
  :: atomic { intent == OLD -> intent = DELETING };
     held = (row && up != NONE);
     if :: !held -> blob = false :: else -> skip fi;
     intent = 0
  od
}
proctype Age() { end: do :: atomic { intent == YOUNG && inflight == 0 -> intent = OLD } od }

proctype Judge() {
  timeout;
  assert(!(blob && !(row && up != NONE)));     /* no orphan is left */
  assert(intent == 0);
  assert(!(row && visible && up != CONFIRMED)) /* all that is shown was copied */
}

init { atomic { run Store(); run Cancel(); run Forget(); run Reconcile(); run Migrate(); run Worker(); run Gc(); run Age(); run Judge() } }

ltl safe { [] (!(up == CONFIRMED) || blob) }

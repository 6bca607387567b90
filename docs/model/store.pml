/* The Store protocol of docs/architecture.md, to be searched exhaustively with Spin.
 *
 * One atomic block is one SQL statement, or one request that takes effect at the gateway; between two
 * of them any process may act, and the acting one may die. Two clients store: two runs with the same
 * bytes (the default), or one run with different bytes (-DRIVAL).
 * MODE 0: database + async upload. 1: cas. 2: spool. See README.md for what holds and for the mutants.
 */
#ifndef MODE
#define MODE 0
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef TRIES
#define TRIES 2                /* calls a client makes before it gives up */
#endif

/* workflow-run's database */
#define INIT 0
#define SUCCESS 1
#define CANCELLED 2
#define EXPIRED 3
byte state[2];                 /* state of each run */
byte state_digest[2];          /* 0: none, else digest + 1 */

/* attestation-ingest's database */
bool row[2];                 /* the attestation of a run (unique by run) */
byte dig[2];                 /* its digest */
bool bytes[2];               /* its bundle bytes are in the row */
bool visible[2];             /* Get and List show it */
byte up[2];                  /* its upload: */
#define NONE 0
#define PENDING 1
#define CONFIRMED 2
byte intent[2];              /* by digest: bytes may be in the CAS without a row */
#define YOUNG 1
#define OLD 2                /* untouched for longer than any deadline (24 h) */
#define DELETING 3
bool touched[2];             /* touched again while DELETING */
byte lease[2];               /* 0, or the gc that may delete the blob until its lease ends */

bool blob[2];                /* the CAS */

byte inflight[2];            /* uploads under way: keeps an intent from growing OLD, as deadlines do */
byte acked[2];               /* what a client was told: 0, or digest + 1 */
bool cancel_acked;           /* run 0's Cancel was answered OK */
byte crashes;

#define may_crash(label) if :: crashes < CRASHES -> crashes++; goto label :: true -> skip fi

#ifdef M_SHOW_BEFORE_SUCCESS
#define SHOWN_AT_INSERT true
#else
#define SHOWN_AT_INSERT false
#endif

/* workflow-run: one conditional update, idempotent */
#ifdef M_DELETE_OUTLIVES_LEASE
#define UNDER_LEASE true
#else
#define UNDER_LEASE (lease[d] == me)
#endif
#ifdef M_CANCELLED_COMPLETES
#define COMPLETABLE(r) (state[r] != SUCCESS)
#else
#define COMPLETABLE(r) (state[r] == INIT || state[r] == EXPIRED)
#endif
#define complete(r, d, ok) \
  atomic { if :: COMPLETABLE(r) -> state[r] = SUCCESS; state_digest[r] = d + 1; ok = true \
              :: else -> ok = (state[r] == SUCCESS && state_digest[r] == d + 1) fi }

/* the row of a refused run goes; its bytes may be in the CAS, so an intent stays */
#ifdef M_REMOVE_WITHOUT_INTENT
#define leave_intent(d) skip
#else
#define leave_intent(d) \
  if :: intent[d] == DELETING -> touched[d] = true :: else -> intent[d] = YOUNG fi
#endif
#define remove_row(r, d) \
  atomic { if :: row[r] && dig[r] == d && !visible[r] -> row[r] = false; bytes[r] = false; up[r] = NONE; leave_intent(d) \
              :: else -> skip fi }

proctype Store(byte r; byte d) {
  byte tries;
  bool ok, there;
again:
  if :: tries == TRIES -> goto done :: else -> tries++ fi;
  atomic {                                        /* is it here already? */
    if :: row[r] && dig[r] == d -> goto finish
       :: row[r] && dig[r] != d -> goto done      /* ALREADY_EXISTS */
       :: else -> skip fi };
  may_crash(again);
  atomic { if :: state[r] == INIT -> skip :: else -> goto done fi };    /* GetStoragePlan */
  may_crash(again);
#if MODE == 1
  atomic {                                        /* the intent comes first */
    if :: intent[d] == DELETING -> goto again     /* UNAVAILABLE: gc is at it */
       :: else -> intent[d] = YOUNG; inflight[d]++ fi };
  if :: crashes < CRASHES -> atomic { crashes++; inflight[d]--; goto again } :: true -> skip fi;
#ifdef M_ROW_BEFORE_UPLOAD
  atomic { if :: row[r] -> skip :: else -> row[r] = true; dig[r] = d; bytes[r] = false; up[r] = CONFIRMED fi };
#endif
  there = blob[d];                                /* the gateway answers early if it is there */
  if :: there -> skip :: else -> blob[d] = true fi;
  if :: crashes < CRASHES -> atomic { crashes++; inflight[d]--; goto again } :: true -> skip fi;
  atomic {                                        /* row in, intent out: one statement */
    inflight[d]--;
    if :: row[r] && dig[r] != d -> goto done
       :: row[r] && dig[r] == d -> skip
       :: else -> row[r] = true; dig[r] = d; bytes[r] = false; up[r] = CONFIRMED; visible[r] = false; intent[d] = 0 fi };
#else
  atomic {                                        /* row and upload row: one statement */
    if :: row[r] && dig[r] != d -> goto done
       :: row[r] && dig[r] == d -> skip
       :: else -> row[r] = true; dig[r] = d; bytes[r] = true; up[r] = PENDING; visible[r] = SHOWN_AT_INSERT fi };
#endif
  may_crash(again);
finish:
#ifdef M_ANSWER_BEFORE_COMPLETE
  acked[r] = d + 1;
#endif
  complete(r, d, ok);
  may_crash(again);
  if :: !ok -> remove_row(r, d); goto done :: else -> skip fi;
  atomic { if :: row[r] && dig[r] == d -> visible[r] = true :: else -> skip fi };
  may_crash(again);
  acked[r] = d + 1;                               /* OK */
done:
  skip
}

proctype Worker() {
  byte r, d;
  bool there;
end:
  do
  :: atomic {                                     /* claim under a lease; not while gc is at the digest */
       if
#ifdef M_CLAIM_IGNORES_GC
       :: row[0] && up[0] == PENDING -> r = 0
       :: row[1] && up[1] == PENDING -> r = 1
#else
       :: row[0] && up[0] == PENDING && intent[dig[0]] != DELETING -> r = 0
       :: row[1] && up[1] == PENDING && intent[dig[1]] != DELETING -> r = 1
#endif
       fi;
       d = dig[r]; inflight[d]++ };
     if :: crashes < CRASHES -> atomic { crashes++; inflight[d]--; goto end } :: true -> skip fi;
     there = blob[d];
     if :: there -> skip :: else -> blob[d] = true fi;
     if :: crashes < CRASHES -> atomic { crashes++; inflight[d]--; goto end } :: true -> skip fi;
     there = blob[d];                             /* Describe after the write */
     atomic {                                     /* confirm */
       inflight[d]--;
       if :: there && row[r] && dig[r] == d -> up[r] = CONFIRMED :: else -> skip fi }
  od
}

proctype Prune() {                                /* spool: bytes leave the row */
end:
  do
#ifdef M_PRUNE_UNCONFIRMED
  :: atomic { row[0] && bytes[0] && visible[0] -> bytes[0] = false }
#else
  :: atomic { row[0] && bytes[0] && visible[0] && up[0] == CONFIRMED -> bytes[0] = false }
#endif
  :: atomic { row[1] && bytes[1] && visible[1] && up[1] == CONFIRMED -> bytes[1] = false }
  od
}

proctype Reconcile() {
  byte r, d;
  bool ok;
end:
  do
  :: atomic {
       if :: row[0] && !visible[0] -> r = 0 :: row[1] && !visible[1] -> r = 1 fi;
       d = dig[r] };
     complete(r, d, ok);
     may_crash(end);
     if :: ok -> atomic { if :: row[r] && dig[r] == d -> visible[r] = true :: else -> skip fi }
        :: else -> remove_row(r, d) fi
  od
}

proctype Gc(byte me) {
  byte d;
  bool held;
end:
  do
  :: atomic {                                     /* mark, under a lease */
#ifdef M_GC_LOOKS_BEFORE_MARK
       held = (row[0] && dig[0] == 0) || (row[1] && dig[1] == 0) };
     atomic {
#endif
       if :: intent[0] == OLD -> d = 0; touched[d] = false
          :: intent[1] == OLD -> d = 1; touched[d] = false
          :: intent[0] == DELETING && lease[0] == 0 -> d = 0
          :: intent[1] == DELETING && lease[1] == 0 -> d = 1
       fi;
       intent[d] = DELETING; lease[d] = me };
#ifndef M_GC_LOOKS_BEFORE_MARK
     held = (row[0] && dig[0] == d) || (row[1] && dig[1] == d);    /* after the mark, never before */
#endif
     atomic {                                     /* the delete takes effect under the lease or not at all */
       if :: !held && UNDER_LEASE -> blob[d] = false :: else -> skip fi };
     atomic {
       if :: lease[d] != me -> skip
          :: lease[d] == me && touched[d] -> intent[d] = YOUNG; touched[d] = false; lease[d] = 0
          :: lease[d] == me && !touched[d] -> intent[d] = 0; lease[d] = 0
       fi }
  od
}

proctype Lapse() {                                /* gc died, stalled, or its delete was lost: its lease ends */
end:
  do
  :: atomic { lease[0] != 0 && crashes < CRASHES -> crashes++; lease[0] = 0 }
  :: atomic { lease[1] != 0 && crashes < CRASHES -> crashes++; lease[1] = 0 }
  od
}

proctype Forget() {                               /* ingest's database died: marks not yet on disk are gone */
end:
  do
  :: atomic { (visible[0] || visible[1]) && crashes < CRASHES -> crashes++; visible[0] = false; visible[1] = false }
  od
}

proctype Age() {                                  /* a day passes */
end:
  do
  :: atomic { intent[0] == YOUNG && inflight[0] == 0 -> intent[0] = OLD }
  :: atomic { intent[1] == YOUNG && inflight[1] == 0 -> intent[1] = OLD }
  od
}

proctype Cancel() { if :: atomic { state[0] == INIT -> state[0] = CANCELLED; cancel_acked = true } :: true fi }
proctype Expire() { if :: atomic { state[0] == INIT -> state[0] = EXPIRED } :: true fi }

/* when nothing can move any more, all is mended */
proctype Judge() {
  timeout;
  assert(!(state[0] == CANCELLED && row[0]));
  assert(!(row[0] && (!visible[0] || state[0] != SUCCESS)));
  assert(!(row[1] && (!visible[1] || state[1] != SUCCESS)));
  assert(!(row[0] && up[0] != CONFIRMED));
  assert(!(row[1] && up[1] != CONFIRMED));
  assert(!(state[0] == SUCCESS && !row[0]));
  assert(!(blob[0] && !(row[0] && dig[0] == 0) && !(row[1] && dig[1] == 0)));   /* no orphan is left */
  assert(!(blob[1] && !(row[0] && dig[0] == 1) && !(row[1] && dig[1] == 1)));
  assert(intent[0] == 0 && intent[1] == 0)
}

init {
  atomic {
#ifdef RIVAL
    run Store(0, 0); run Store(0, 1);
#else
    run Store(0, 0); run Store(1, 0);
#endif
    run Worker(); run Gc(1); run Lapse(); run Age(); run Forget(); run Cancel(); run Expire(); run Judge();
#ifndef M_NO_RECONCILER
    run Reconcile();
#endif
#ifdef TWO_GC
    run Gc(2);
#endif
#if MODE == 2
    run Prune()
#endif
  }
}

/* at every moment, for every run (visible is not among them: marks written without waiting for the disk may be lost
 * with the database, until the reconciler sets them again) */
#define KEPT(r)     (acked[r] == 0 || (state[r] == SUCCESS && state_digest[r] == acked[r] && row[r] && dig[r] + 1 == acked[r] \
                     && (bytes[r] || blob[dig[r]])))
#define HONEST(r)   (!visible[r] || (row[r] && state[r] == SUCCESS))
#define TRUE_UP(r)  (!(row[r] && up[r] == CONFIRMED) || blob[dig[r]])
#define FINAL       (!cancel_acked || state[0] == CANCELLED)
ltl safe { [] (FINAL && KEPT(0) && KEPT(1) && HONEST(0) && HONEST(1) && TRUE_UP(0) && TRUE_UP(1)) }

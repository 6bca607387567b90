/* Retention as a model for Spin: an attestation that is past at_most is hidden, and after a grace deleted; beside it a
 * Store of the same run, one of another run with the same bytes, a migration to a second backend, the worker and gc.
 * Run 0 may become due, and be due no more when its at_most is raised; run 1 never is. Runs always complete here: what
 * else happens to them is in store.pml. One atomic block is one SQL statement, or one request at the gateway; removing
 * a row takes a transaction of two: its lock first, and then the look for its uploads.
 * MODE 0: database + async upload. 1: cas. See README.md for what holds and for the mutants.
 */
#ifndef MODE
#define MODE 0
#endif
#ifndef CRASHES
#define CRASHES 1
#endif

/* attestation-ingest's database; the two backends are 0, the runs' own, and 1, the migration's target */
bool row[2], visible[2], expired[2], bytes[2], locked[2];
#define NONE 0
#define PENDING 1
#define CONFIRMED 2
typedef Uploads { byte at[2] };
Uploads up[2];
byte intent[2];
#define YOUNG 1
#define OLD 2
#define DELETING 3
bool touched[2], leased[2];

bool blob[2];                /* the CAS */
byte inflight[2];            /* uploads under way: keep an intent from growing OLD */

bool past, promised;         /* run 0: at_most has passed; retain_until has not */
bool acked[2];               /* a Store was answered OK, and retention has not deleted it since */
bool unjust;                 /* deleted though promised, or not due */
byte crashes;

#ifdef M_FORGET_PROMISE
#define DUE past
#else
#define DUE (past && !promised)
#endif

#define leave_intent(b) if :: intent[b] == DELETING -> touched[b] = true :: else -> intent[b] = YOUNG fi

proctype Store(byte r) {
  byte tries;
again:
  if :: tries == 2 -> goto done :: else -> tries++ fi;
  atomic { if :: row[r] && expired[r] -> goto done      /* ATTESTATION_EXPIRED */
              :: row[r] && !expired[r] -> goto finish
              :: else -> skip fi };
#if MODE == 1
  atomic { if :: intent[0] == DELETING -> touched[0] = true; goto again   /* UNAVAILABLE; the touch stays */
              :: else -> intent[0] = YOUNG; inflight[0]++ fi };
  if :: crashes < CRASHES -> atomic { crashes++; inflight[0]--; goto again } :: true -> skip fi;
  blob[0] = true;
  if :: crashes < CRASHES -> atomic { crashes++; inflight[0]--; goto again } :: true -> skip fi;
  atomic { inflight[0]--;
    if :: row[r] && expired[r] -> goto done
       :: row[r] && !expired[r] -> skip
       :: else -> row[r] = true; up[r].at[0] = CONFIRMED;
          if :: intent[0] != DELETING -> intent[0] = 0 :: else -> skip fi fi };
#else
  atomic { if :: row[r] && expired[r] -> goto done
              :: row[r] && !expired[r] -> skip
              :: else -> row[r] = true; bytes[r] = true; up[r].at[0] = PENDING fi };
#endif
finish:
  atomic { if :: row[r] -> visible[r] = true; acked[r] = true :: else -> skip fi };
done:
  skip
}

proctype Policy() {                               /* time passes at_most; the admin raises it; it passes again */
  past = true;
  if :: past = false; past = true :: true fi
}
proctype Time() { promised = false }

proctype Retention() {
  byte b;
  bool had[2];
end:
  do
  :: atomic { row[0] && visible[0] && !expired[0] && DUE -> expired[0] = true }
  :: atomic { row[0] && expired[0] && !DUE && !locked[0] -> expired[0] = false }
#ifdef M_DELETE_UNSEEN
  :: atomic { row[0] && visible[0] && DUE && !locked[0] -> locked[0] = true };
#else
#ifdef M_DELETE_UNCHECKED
  :: atomic { row[0] && expired[0] && !locked[0] -> unjust = unjust || !past; locked[0] = true };
#else
  :: atomic { row[0] && expired[0] && DUE && !locked[0] -> locked[0] = true };
#endif
#endif
#ifdef M_ONE_SNAPSHOT
     locked[0] = false;                           /* looked for uploads before it had the row */
     atomic { had[0] = (up[0].at[0] != NONE); had[1] = (up[0].at[1] != NONE) };
     atomic { row[0] && expired[0] -> locked[0] = true };
#else
     if :: crashes < CRASHES -> atomic { crashes++; locked[0] = false; goto end } :: true -> skip fi;
     atomic { had[0] = (up[0].at[0] != NONE); had[1] = (up[0].at[1] != NONE) };
#endif
     if :: crashes < CRASHES -> atomic { crashes++; locked[0] = false; goto end } :: true -> skip fi;
     atomic {                                     /* row out, intents in: one statement */
       unjust = unjust || promised || !expired[0];
       row[0] = false; visible[0] = false; expired[0] = false; bytes[0] = false; acked[0] = false; locked[0] = false;
       up[0].at[0] = NONE; up[0].at[1] = NONE;
#ifndef M_NO_INTENT
       if :: had[0] -> leave_intent(0) :: else -> skip fi;
       if :: had[1] -> leave_intent(1) :: else -> skip fi
#endif
     };
     had[0] = false; had[1] = false
  od
}

proctype Migrate(byte r) {                        /* its statement has seen the row, and waits for a lock on it */
  bool mine;
  if :: atomic { row[r] && visible[r] -> mine = true } :: true fi;
  if :: mine -> atomic { !locked[r] -> if :: row[r] && up[r].at[1] == NONE -> up[r].at[1] = PENDING :: else -> skip fi }
     :: else -> skip fi
}

#define claimable(r, b) (row[r] && up[r].at[b] == PENDING && intent[b] != DELETING && !locked[r])
proctype Worker() {
  byte r, b;
  bool there;
end:
  do
  :: atomic { if :: claimable(0, 0) -> r = 0; b = 0 :: claimable(0, 1) -> r = 0; b = 1
                 :: claimable(1, 0) -> r = 1; b = 0 :: claimable(1, 1) -> r = 1; b = 1 fi;
       inflight[b]++;
       if :: bytes[r] || blob[0] -> skip :: else -> inflight[b]--; goto end fi };
     if :: crashes < CRASHES -> atomic { crashes++; inflight[b]--; goto end } :: true -> skip fi;
     blob[b] = true;
     there = blob[b];
     atomic { inflight[b]--;
       if :: there && row[r] && up[r].at[b] == PENDING -> up[r].at[b] = CONFIRMED :: else -> skip fi }
  od
}

#define HERE(b)   ((row[0] && up[0].at[b] != NONE) || (row[1] && up[1].at[b] != NONE))
#define ANYWHERE  (HERE(0) || HERE(1))
#define POSTPONED(b) (ANYWHERE && !HERE(b))       /* looked at each day in vain: here gc does not begin with it at all */
proctype Gc() {
  byte b;
  bool held, here;
end:
  do
  :: atomic {
#ifdef M_GC_TRUSTS_RETIREMENT
       held = false; here = false };
     atomic {
#endif
       if :: intent[0] == OLD && !POSTPONED(0) -> b = 0; touched[b] = false
          :: intent[1] == OLD && !POSTPONED(1) -> b = 1; touched[b] = false
          :: intent[0] == DELETING && !leased[0] -> b = 0
          :: intent[1] == DELETING && !leased[1] -> b = 1 fi;
       intent[b] = DELETING; leased[b] = true };
#ifndef M_GC_TRUSTS_RETIREMENT
     atomic { held = ANYWHERE; here = HERE(b) };
#endif
     if :: crashes < CRASHES -> atomic { crashes++; leased[b] = false; goto end } :: true -> skip fi;
     if :: !held -> blob[b] = false :: else -> skip fi;
     if :: crashes < CRASHES -> atomic { crashes++; leased[b] = false; goto end } :: true -> skip fi;
     atomic { leased[b] = false;
       if :: touched[b] -> intent[b] = YOUNG; touched[b] = false
#ifndef M_FORGET_POSTPONED
          :: !touched[b] && held && !here -> intent[b] = YOUNG
          :: !touched[b] && !(held && !here) -> intent[b] = 0 fi }
#else
          :: else -> intent[b] = 0 fi }
#endif
  od
}

proctype Age() {                                  /* a day passes */
end:
  do
  :: atomic { intent[0] == YOUNG && inflight[0] == 0 -> intent[0] = OLD }
  :: atomic { intent[1] == YOUNG && inflight[1] == 0 -> intent[1] = OLD }
  od
}

/* when nothing can move any more, all that was due is gone, with its blobs; a copy that is kept for a row of another
 * backend has its intent still */
proctype Judge() {
  timeout;
  assert(!(row[0] && visible[0] && DUE));
  assert(!(blob[0] && !ANYWHERE) && !(blob[1] && !ANYWHERE));
  assert(!(blob[0] && POSTPONED(0) && intent[0] == 0) && !(blob[1] && POSTPONED(1) && intent[1] == 0));
  assert((intent[0] == 0 || POSTPONED(0)) && (intent[1] == 0 || POSTPONED(1)))
}

init {
  atomic {
    promised = true;
    run Store(0); run Store(1); run Policy(); run Time(); run Retention(); run Migrate(0);
    run Worker(); run Gc(); run Age(); run Judge()
  }
}

/* at every moment */
#define KEPT(r)       (!acked[r] || (row[r] && (bytes[r] || blob[0] || blob[1])))
#define TRUE_UP(r, b) (!(row[r] && up[r].at[b] == CONFIRMED) || blob[b])
ltl safe { [] (!unjust && KEPT(0) && KEPT(1) && TRUE_UP(0, 0) && TRUE_UP(0, 1) && TRUE_UP(1, 0) && TRUE_UP(1, 1)) }

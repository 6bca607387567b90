#!/usr/bin/env bash
# Searches every interleaving of the models with Spin (Debian: spin, gcc); 4 min and 5 GB. Usage: check.sh [CRASHES], default 1.
# First the protocols: every configuration must hold. Then the mutants, each a rule left out: each must be found out.
set -euo pipefail
models=$(realpath "$(dirname "$0")")
crashes=${1:-1}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

# search MODEL OPTION...: sets errors and states
search() {
  local model=$1
  shift
  spin -DCRASHES="$crashes" "$@" -a "$models/$model.pml" >spin.log 2>&1 || { cat spin.log; exit 2; }
  gcc -O2 -DCOLLAPSE -DVECTORSZ=2048 -DMEMLIM=12000 -w -o pan pan.c
  ./pan -a -m400000 >pan.log 2>&1 || true
  if ! grep -q 'errors:' pan.log || grep -qE 'out of memory|max search depth too small' pan.log; then
    echo 'the search did not finish'
    tail -n 3 pan.log
    exit 2
  fi
  errors=$(sed -n 's/.*errors: //p' pan.log)
  states=$(sed -n 's/ states, stored.*//p' pan.log | tr -d ' ')
}

bad=0
holds() {
  search "$@"
  printf '%s: %s states, %s errors\n' "$*" "$states" "$errors"
  [ "$errors" = 0 ] || bad=1
}
fails() {
  search "$@"
  printf 'a rule left out, %s: %s errors\n' "$*" "$errors"
  [ "$errors" != 0 ] || bad=1
}

for mode in 0 1 2; do
  holds store -DSHARE -DMODE=$mode
  holds store -DRIVAL -DMODE=$mode
done
holds store -DTWO_GC -DMODE=1
holds migrate
for mode in 0 1; do holds retention -DMODE=$mode; done

fails store -DSHARE -DMODE=1 -DM_CANCELLED_COMPLETES
fails store -DSHARE -DMODE=0 -DM_ANSWER_BEFORE_COMPLETE
fails store -DRIVAL -DMODE=0 -DM_REMOVE_WITHOUT_INTENT
fails store -DSHARE -DMODE=0 -DM_CLAIM_IGNORES_GC
fails store -DSHARE -DMODE=2 -DM_PRUNE_UNCONFIRMED
fails store -DTWO_GC -DMODE=1 -DM_DELETE_OUTLIVES_LEASE
fails store -DSHARE -DMODE=0 -DM_SHOW_BEFORE_SUCCESS
fails store -DSHARE -DMODE=1 -DM_GC_LOOKS_BEFORE_MARK
fails store -DSHARE -DMODE=1 -DM_ROW_BEFORE_UPLOAD
fails store -DSHARE -DMODE=0 -DM_NO_RECONCILER -DTRIES=1
fails migrate -DM_NOT_VISIBLE_TOO
for rule in FORGET_PROMISE DELETE_UNSEEN DELETE_UNCHECKED ONE_SNAPSHOT NO_INTENT GC_TRUSTS_RETIREMENT FORGET_POSTPONED; do
  fails retention -DM_$rule
done
exit $bad

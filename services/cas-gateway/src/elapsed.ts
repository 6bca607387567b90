/**
 * Begins to count. The function tells how many milliseconds have passed, by whichever clock says more: the monotonic one may
 * stand still with a paused machine, and the other may be set back.
 */
export function elapsed(): () => number {
  const [steady, wall] = [performance.now(), Date.now()];
  return () => Math.max(performance.now() - steady, Date.now() - wall);
}

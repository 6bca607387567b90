/** Of settings by name those that have another value now, as the detail of an event: `NAME.old` and `NAME.new`. */
export function changedValues(before: Record<string, string>, after: Record<string, string>): Record<string, string> {
  const detail: Record<string, string> = {};
  for (const [name, value] of Object.entries(after)) {
    const old = before[name] ?? "";
    if (old === value) continue;
    detail[`${name}.old`] = old;
    detail[`${name}.new`] = value;
  }
  return detail;
}

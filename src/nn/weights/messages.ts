const LONGEST_NAME = 80;

/** A name that a file supplies, fit for a one-line message: quoted, control characters escaped, cut when long. */
export function quote(name: string): string {
  return JSON.stringify(name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME)}…` : name);
}

/** `a, b, c … and 37 more`. */
export function listFirst(items: readonly string[], limit = 3): string {
  const rest = items.length - limit;
  return items.slice(0, limit).join(', ') + (rest > 0 ? ` … and ${rest} more` : '');
}

/** Whether this is a length, an index or an offset. */
export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

export function isCountList(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isCount);
}

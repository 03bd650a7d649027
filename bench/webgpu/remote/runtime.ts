/* Which program this is, as it says itself. */

export interface Brand {
  readonly brand: string;
  readonly version: string;
}

/** What Chromium calls itself in every product that is made of it, and what it invents, so that nobody relies on the list. */
const GENERAL = /^Chromium$/;
const INVENTED = /not.*brand/i;

/** In this order: most name others that they want to be taken for. */
const AGENTS: readonly (readonly [name: string, version: RegExp])[] = [
  ['Deno', /\bDeno\/([\d.]+)/],
  ['Edge', /\bEdg(?:A|iOS)?\/([\d.]+)/],
  ['Opera', /\bOPR\/([\d.]+)/],
  ['Firefox', /\b(?:Firefox|FxiOS)\/([\d.]+)/],
  ['Chrome', /\b(?:HeadlessChrome|Chrome|CriOS)\/([\d.]+)/],
  ['Safari', /\bVersion\/([\d.]+).* Safari\//],
];

/**
 * Name and version of a browser, or Deno.
 * @param brands where it has such a list, which is more exact
 */
export function nameOfRuntime(userAgent: string, brands: readonly Brand[] = []): string {
  const honest = brands.filter(({ brand }) => !INVENTED.test(brand));
  const found = honest.find(({ brand }) => !GENERAL.test(brand)) ?? honest[0];
  if (found) return `${found.brand} ${found.version}`;
  for (const [name, pattern] of AGENTS) {
    const version = pattern.exec(userAgent)?.[1];
    if (version !== undefined) return `${name} ${version}`;
  }
  return userAgent || 'an unknown browser';
}

interface UserAgentData {
  getHighEntropyValues(hints: readonly string[]): Promise<{ fullVersionList?: readonly Brand[] }>;
}

export async function thisRuntime(): Promise<string> {
  // Of Chromium only.
  const data: UserAgentData | undefined = Reflect.get(navigator, 'userAgentData');
  const { fullVersionList } = (await data?.getHighEntropyValues(['fullVersionList'])) ?? {};
  return nameOfRuntime(navigator.userAgent, fullVersionList);
}

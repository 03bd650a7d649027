import { join } from 'node:path';

/** Where this library keeps what it can make again: the folder that the system has for that. */
export function cacheFolder(
  platform: NodeJS.Platform,
  env: Readonly<Record<string, string | undefined>>,
  home: string,
): string {
  const { XDG_CACHE_HOME, LOCALAPPDATA } = env;
  if (platform === 'darwin') return join(home, 'Library', 'Caches', NAME);
  if (platform === 'win32') return join(LOCALAPPDATA || join(home, 'AppData', 'Local'), NAME, 'Cache');
  // The XDG Base Directory Specification has relative paths ignored.
  return join(XDG_CACHE_HOME?.startsWith('/') ? XDG_CACHE_HOME : join(home, '.cache'), NAME);
}

const NAME = 'fm-g-cam';

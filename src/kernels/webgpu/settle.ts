/**
 * Waits for a promise of the GPU. Dawn under Node polls for it with `setImmediate`, which keeps one core busy; on a
 * machine whose GPU is a software driver that core is needed for the work itself, so the thread sleeps between polls.
 */
export async function settle<T>(promise: Promise<T>): Promise<T> {
  if (!('process' in globalThis) || typeof setImmediate !== 'function') return promise;
  let settled = false;
  const settling = promise.finally(() => {
    settled = true;
  });
  const nap = new Int32Array(new SharedArrayBuffer(4));
  const poll = () => {
    if (settled) return;
    Atomics.wait(nap, 0, 0, NAP_MILLISECONDS);
    setImmediate(poll);
  };
  setImmediate(poll);
  return settling;
}

/** Short against a forward pass, long against a poll. */
const NAP_MILLISECONDS = 0.3;

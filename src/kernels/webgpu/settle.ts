/** Waits for a promise of the GPU. */
export type Settle = <T>(promise: Promise<T>) => Promise<T>;

/** What every host but Node with the `webgpu` package needs: nothing. */
export const settleByItself: Settle = (promise) => promise;

/** Short against a forward pass, long against a poll. */
const NAP_MILLISECONDS = 0.3;

/**
 * Dawn under Node polls for its promises with `setImmediate`, which keeps one core busy. On a machine whose GPU is a
 * software driver that core is needed for the work itself, so the thread sleeps between polls.
 */
export const settleWithNaps: Settle = async (promise) => {
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
};

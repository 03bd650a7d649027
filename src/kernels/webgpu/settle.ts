/** Waits for a promise of the GPU. */
export type Settle = <T>(promise: Promise<T>) => Promise<T>;

/** What every host but Node with the `webgpu` package needs: nothing. */
export const settleByItself: Settle = (promise) => promise;

/**
 * Milliseconds to sleep after so many of waiting: a tenth, so that a pass takes little longer than it must. Each poll takes 0.02 ms
 * and a switch of threads from a core that the driver computes on. The process has other events to see to, every 2 ms at the least.
 */
const napAfter = (waited: number) => Math.min(2, Math.max(0.3, waited / 10));

/**
 * Dawn under Node polls for its promises with `setImmediate`, which keeps one core busy. On a machine whose GPU is a
 * software driver that core is needed for the work itself, so the thread sleeps between polls.
 */
export const settleWithNaps: Settle = async (promise) => {
  const start = performance.now();
  let settled = false;
  const settling = promise.finally(() => {
    settled = true;
  });
  const nap = new Int32Array(new SharedArrayBuffer(4));
  const poll = () => {
    if (settled) return;
    Atomics.wait(nap, 0, 0, napAfter(performance.now() - start));
    setImmediate(poll);
  };
  setImmediate(poll);
  return settling;
};

import type { Reporter, TestModule } from 'vitest/node';

/** Ends the output with why suites were skipped, and with the counts on one plain line, for tools that read logs. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    const counts = { passed: 0, failed: unhandled.length, skipped: 0 };
    const reasons = new Set<string>();
    for (const module of modules) {
      // What fails outside of a test, in a hook or while a file is read, counts as well.
      for (const suite of [module, ...module.children.allSuites()]) {
        counts.failed += suite.errors().length;
        const [, reason] = ('name' in suite && /\((skipped: .*)\)$/.exec(suite.name)) || [];
        if (reason) reasons.add(reason);
      }
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state !== 'pending') counts[state] += 1;
      }
    }
    for (const reason of reasons) console.log(reason);
    console.log(`tests: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  }
}

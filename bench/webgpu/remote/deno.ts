import { measureFor } from './client.ts';

/* What Deno runs. The command prints the progress, and what went wrong. */

const nothing = () => {};
const watcher = { begin: nothing, progress: nothing, results: nothing, done: nothing, failed: nothing };
await measureFor(process.argv[2] ?? '', watcher);

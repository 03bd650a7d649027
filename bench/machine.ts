import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';

export interface Machine {
  /** Year, month and day. */
  readonly date: string;
  readonly processor: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  readonly node: string;
}

export function thisMachine(): Machine {
  return {
    date: new Date().toISOString().slice(0, 10),
    processor: processor(),
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()} ${process.arch}`,
    node: process.versions.node,
  };
}

/** Virtual machines give several generations one name, so that Linux is asked for family and model as well. */
function processor(): string {
  const name = cpus()[0]?.model.trim() ?? 'unknown processor';
  try {
    const info = readFileSync('/proc/cpuinfo', 'utf8');
    const [, family] = /^cpu family\s*: (\d+)$/m.exec(info) ?? [];
    const [, model] = /^model\s*: (\d+)$/m.exec(info) ?? [];
    return family && model ? `${name} (family ${family}, model ${model})` : name;
  } catch {
    return name;
  }
}

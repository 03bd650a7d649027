import type { Report } from '../report.ts';

/** What a command finds out; the rest of a report is the same for all. */
export type Findings = Omit<Report, 'command' | 'machine'>;

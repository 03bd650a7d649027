import { expect, it } from 'vitest';
import { gradientRules } from '../../src/kernels/gradients.ts';
import { ops } from '../../src/kernels/ops.ts';

it('every op is in the tables under the name that it records itself with', () => {
  for (const [name, definition] of Object.entries(ops)) expect(definition.name).toBe(name);
  expect(Object.keys(gradientRules).sort()).toEqual(Object.keys(ops).sort());
});

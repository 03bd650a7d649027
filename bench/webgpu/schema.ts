import { isRecord } from '../../src/record.ts';

/** The part of JSON Schema (2020-12) that `results.schema.json` is written in. */
export interface Schema {
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  /** Of the properties that `properties` does not name. */
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
}

/** What is wrong with a value, and where; undefined when it is as the schema says. */
export function violation(value: unknown, schema: Schema, path = ''): string | undefined {
  const at = path || 'it';
  if ('const' in schema && value !== schema.const) return `${at} is not ${JSON.stringify(schema.const)}`;
  const types = schema.type === undefined ? undefined : [schema.type].flat();
  if (types && !types.some((type) => isOfType(value, type))) return `${at} is no ${types.join(' or ')}`;
  if (typeof value === 'number') {
    const { minimum, exclusiveMinimum } = schema;
    if (minimum !== undefined && value < minimum) return `${at} is below ${minimum}`;
    if (exclusiveMinimum !== undefined && value <= exclusiveMinimum) return `${at} is not above ${exclusiveMinimum}`;
  }
  const parts = Array.isArray(value) ? elements(value, schema) : isRecord(value) ? members(value, schema) : [];
  for (const [key, part, partSchema] of parts) {
    const wrong = violation(part, partSchema, path ? `${path}.${key}` : key);
    if (wrong) return wrong;
  }
  if (!isRecord(value)) return undefined;
  const missing = schema.required?.find((key) => !Object.hasOwn(value, key));
  return missing && `${at} has no "${missing}"`;
}

type Part = readonly [key: string, value: unknown, schema: Schema];

function elements(values: readonly unknown[], { items }: Schema): Part[] {
  return items ? values.map((value, i) => [`${i}`, value, items] as const) : [];
}

function members(value: Readonly<Record<string, unknown>>, { properties = {}, additionalProperties }: Schema): Part[] {
  return Object.entries(value).flatMap(([key, member]): Part[] => {
    const schema = Object.hasOwn(properties, key) ? properties[key] : additionalProperties;
    return schema ? [[key, member, schema]] : [];
  });
}

function isOfType(value: unknown, type: string): boolean {
  if (type === 'null') return value === null;
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isRecord(value);
  return typeof value === type;
}

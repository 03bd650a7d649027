import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteReader } from '../../../src/nn/weights/byte-reader.ts';
import { Inert, PickleFunction, unpickle } from '../../../src/nn/weights/pickle.ts';
import { type BytePart, bytesOf, inputError, resultOrInputError, u64 } from './fixtures.ts';

const FILE = 'file.pth';

const globals = new Map<string, unknown>([
  ['math.add', new PickleFunction((args) => args.reduce<number>((sum, x) => sum + Number(x), 0))],
  ['an.Object', new PickleFunction(() => new Inert('an.Object'))],
  ['a.constant', 5],
]);

type Parts = readonly BytePart[];

function load(...parts: Parts): unknown {
  const options = { globals, persistentLoad: (id: unknown) => ({ id }) };
  return unpickle(new ByteReader(bytesOf(...parts), FILE), options);
}

describe('unpickle', () => {
  it.each<[string, Parts, unknown]>([
    ['None and booleans', ['(N\x88\x89I01\nI00\nt.'], [null, true, false, true, false]],
    ['small integers', ['(K\xffM\xff\xffJ\xff\xff\xff\xffI-7\nL12L\nt.'], [255, 65535, -1, -7, 12]],
    ['long integers', ['(\x8a\x00\x8a\x01\xff\x8a\x02\xff\x00\x8b\x02\x00\x00\x00\x00\x80t.'], [0, -1, 255, -32768]],
    ['integers beyond 2^53', ['\x8a\x09', bytesOf(0, 0, 0, 0, 0, 0, 0, 0, 1), '.'], 2n ** 64n],
    ['floats', ['G\x3f\xf8\0\0\0\0\0\0.'], 1.5],
    ['text', ['(X\x02\0\0\0\xc3\xa9\x8c\x01a\x8d', u64(1), 'bU\x01\xe9T\x01\0\0\0ct.'], ['é', 'a', 'b', 'é', 'c']],
    ['bytes', ['(B\x01\0\0\0aC\x01b\x8e', u64(1), 'c\x96', u64(1), 'dt.'], ['a', 'b', 'c', 'd'].map((c) => bytesOf(c))],
    ['tuples', ['()N\x85NN\x86NNN\x87(Ntt.'], [[], [null], [null, null], [null, null, null], [null]]],
    ['lists', ['](K\x01K\x02eK\x03a.'], [1, 2, 3]],
    ['the list of protocol 0', ['(K\x01l.'], [1]],
    [
      'dicts',
      ['}(K\x01K\x02uK\x03K\x04s.'],
      new Map([
        [1, 2],
        [3, 4],
      ]),
    ],
    ['the dict of protocol 0', ['(K\x01K\x02d.'], new Map([[1, 2]])],
    ['sets', ['(\x8f(K\x01\x90(K\x02\x91t.'], [new Set([1]), new Set([2])]],
    ['the stack', ['(K\x01K\x020(K\x03K\x0412t.'], [1, 1]],
    [
      'the memo',
      ['\x80\x04\x95', u64(9), '(K\x01\x94K\x02q\x07K\x03r\x08\0\0\0h\0h\x07j\x08\0\0\0t.'],
      [1, 2, 3, 1, 2, 3],
    ],
    ['GLOBAL and REDUCE', ['cmath\nadd\nK\x02K\x03\x86R.'], 5],
    ['STACK_GLOBAL and NEWOBJ', ['\x8c\x02an\x8c\x06Object\x93)\x81}b.'], new Inert('an.Object')],
    ['BUILD on a dict, which drops the attributes', ['}(\x8c\x01aNu}(\x8c\x01bNub.'], new Map([['a', null]])],
    ['BINPERSID', ['K\x07Q.'], { id: 7 }],
  ])('reads %s', (_, parts, value) => {
    expect(load(...parts)).toStrictEqual(value);
  });

  it('shares what Python shares, and so may form cycles', () => {
    const list = load(']q\x00h\x00a.') as unknown[];
    expect(list[0]).toBe(list);
  });

  it('leaves the reader behind the pickle', () => {
    const reader = new ByteReader(bytesOf('K\x01.K\x02.'), FILE);
    expect([unpickle(reader, { globals }), unpickle(reader, { globals })]).toEqual([1, 2]);
  });

  it.each<[string, Parts]>([
    ['GLOBAL', ['cos\nsystem\n.']],
    ['GLOBAL and REDUCE', ['cos\nsystem\n\x8c\x02ls\x85R.']],
    ['STACK_GLOBAL', ['\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85R.']],
    ['STACK_GLOBAL from the memo', ['\x8c\x02os\x94\x8c\x06system\x9400h\x00h\x01\x93.']],
    ['INST', ['(\x8c\x02lsios\nsystem\n.']],
    ['OBJ', ['(cos\nsystem\n\x8c\x02lso.']],
    ['NEWOBJ', ['cos\nsystem\n\x8c\x02ls\x85\x81.']],
    ['NEWOBJ_EX', ['cos\nsystem\n)}\x92.']],
    ['BUILD', ['cos\nsystem\n}b.']],
    ['a class inside a persistent id', ['\x8c\x06modulecos\nsystem\n\x86Q.']],
  ])('refuses os.system by %s', (_, parts) => {
    expect(inputError(() => load(...parts))).toBe(
      `${FILE}: the pickle asks for "os.system", which is not on the allow-list; the file was not executed, save the model's state_dict() instead`,
    );
  });

  it.each(['builtins.eval', 'builtins.exec', 'builtins.getattr', 'posix.system', 'nt.system', 'subprocess.Popen'])(
    'refuses %s',
    (name) => {
      expect(inputError(() => load(`c${name.replace('.', '\n')}\n.`))).toContain(`asks for "${name}"`);
    },
  );

  it('refuses names that JavaScript objects inherit', () => {
    for (const name of ['__proto__', 'constructor', 'toString']) inputError(() => load(`c${name}\n${name}\n.`));
  });

  it.each([
    ['EXT1', '\x82\x01.'],
    ['EXT2', '\x83\x01\0.'],
    ['EXT4', '\x84\x01\0\0\0.'],
    ['NEWOBJ_EX', 'can\nObject\n)}\x92.'],
    ['INST', '(ian\nObject\n.'],
    ['OBJ', '(can\nObject\no.'],
    ['FLOAT', 'F1.5\n.'],
    ['PERSID', 'P1\n.'],
    ['the unknown opcode 0x3f', '?'],
    ['NEXT_BUFFER', '\x97.'],
  ])('refuses the opcode %s', (name, pickle) => {
    expect(inputError(() => load(pickle))).toContain(`the pickle uses ${name}, which PyTorch checkpoints do not need`);
  });

  it.each<[string, Parts, string]>([
    ['calling a value', ['ca\nconstant\n)R.'], 'calls what is not a function'],
    ['instantiating a value', ['K\x01)\x81.'], 'calls what is not a function'],
    ['calling without a tuple', ['cmath\nadd\nK\x01R.'], 'without a tuple'],
    ['attributes of a number', ['K\x01}b.'], 'sets attributes'],
    ['attributes of a function', ['cmath\nadd\n}b.'], 'sets attributes'],
    ['an empty stack', ['.'], 'empty stack'],
    ['taking values below a mark', ['K\x01(0.'], 'empty stack'],
    ['a mark that is not open', ['t.'], 'mark'],
    ['an unknown memo entry', ['h\x05.'], 'recalls value 5'],
    ['appending to a dict', ['}Na.'], 'not a list'],
    ['items of a list', [']NNs.'], 'not a dict'],
    ['adding to a list', ['](N\x90.'], 'not a set'],
    ['a key without a value', ['}(Nu.'], 'key without a value'],
    ['protocol 6', ['\x80\x06N.'], 'protocol 6'],
    ['a decimal number that is none', ['Ix\n.'], '"x" for an integer'],
    ['a very long decimal number', ['L', '9'.repeat(1000), 'L\n.'], 'for an integer'],
    ['a very long integer', ['\x8b\xff\xff\xff\x7f.'], 'integer of 2147483647 bytes'],
    ['a negative length', ['\x8b\xff\xff\xff\xff.'], 'integer of -1 bytes'],
    ['a negative string length', ['T\xff\xff\xff\xff.'], 'bytes should follow'],
    ['text of 4 GB', ['X\xff\xff\xff\xffa.'], '4294967295 bytes should follow'],
    ['bytes of 2^60', ['\x8e', u64(2n ** 60n), '.'], 'bytes should follow'],
    ['text that is not UTF-8', ['\x8c\x01\xff.'], 'not UTF-8'],
    ['a line without an end', ['cos'], 'bytes should follow'],
  ])('refuses %s', (_, parts, message) => {
    expect(inputError(() => load(...parts))).toContain(message);
  });

  it('refuses persistent ids where none are expected', () => {
    inputError(() => unpickle(new ByteReader(bytesOf('NQ.'), FILE), { globals }));
  });

  it('keeps hostile names on one short line', () => {
    const name = `${'x'.repeat(1e6)}\u2028`;
    const pickle = bytesOf(
      '\x8d',
      u64(6),
      'a\nb\r\x1b[\x8d',
      u64(name.length),
      new TextEncoder().encode(name).subarray(0, name.length),
      '\x93.',
    );
    expect(inputError(() => unpickle(new ByteReader(pickle, FILE), { globals })).length).toBeLessThan(300);
  });

  it('survives deep nesting', () => {
    const depth = 200_000;
    expect(load(']'.repeat(depth), 'a'.repeat(depth - 1), '.')).toHaveLength(1);
  });

  it('reads or refuses random bytes', () => {
    const opcodes = fc.constantFrom(...bytesOf('(012qh\x94N\x88KMJ\x8aGUX\x8cC)\x85\x86t]ael}sud\x8f\x90cR\x81bQ.'));
    const bytes = fc.array(fc.oneof(opcodes, fc.nat(255)), { maxLength: 60 });
    fc.assert(
      fc.property(bytes, (values) => {
        resultOrInputError(() => load(Uint8Array.from(values)));
      }),
      { numRuns: 2000 },
    );
  });
});

import { InputError } from '../../errors.ts';
import type { ByteReader } from './byte-reader.ts';
import { quote } from './messages.ts';

const HIGHEST_PROTOCOL = 5;
/** PyTorch's magic number takes 10 bytes; parsing much longer ones would take quadratic time. */
const LONGEST_INTEGER = 64;

/** A Python function or class that a pickle may call: an implementation here stands in for it. */
export class PickleFunction {
  /** Makes the result from the arguments; may throw InputError. */
  readonly call: (args: readonly unknown[], fileName: string) => unknown;

  constructor(call: PickleFunction['call']) {
    this.call = call;
  }
}

/** Stands for a Python object whose content nobody needs, such as a dtype or the arguments of a training script. */
export class Inert {
  readonly typeName: string;

  constructor(typeName: string) {
    this.typeName = typeName;
  }
}

export interface UnpickleOptions {
  /** What dotted Python names stand for. Any other name is refused. */
  readonly globals: ReadonlyMap<string, unknown>;
  /** What `persistent_load` returns for an id. Without it, persistent ids are refused. */
  readonly persistentLoad?: (id: unknown) => unknown;
}

/**
 * Reads one Python pickle, of protocol 0 to 5 as PyTorch writes them, without running anything that the file names: it
 * builds plain values, and the only calls are to the `globals` given. Opcodes that no PyTorch checkpoint needs are
 * refused. Opcodes: https://github.com/python/cpython/blob/main/Lib/pickletools.py
 *
 * None is null; int is number, or bigint beyond 2^53; str and Python 2's 8-bit strings are string; bytes is Uint8Array;
 * list and tuple are arrays; dict is Map; set is Set. Values that Python shares are shared, so they may form cycles.
 *
 * @param reader is left behind the pickle's last byte.
 * @throws InputError when the pickle is damaged or asks for something that is not allowed.
 */
export function unpickle(reader: ByteReader, options: UnpickleOptions): unknown {
  const machine = new PickleMachine(reader, options);
  for (;;) {
    const opcode = reader.u8();
    if (opcode === STOP) return machine.pop();
    const run = OPCODES.get(opcode);
    if (run === undefined)
      throw machine.refusal(`uses ${describeOpcode(opcode)}, which PyTorch checkpoints do not need`);
    run(machine);
  }
}

/** The stack and the memo of the pickle language. Both grow by at most one value per opcode, so the file bounds them. */
class PickleMachine {
  readonly reader: ByteReader;
  readonly #options: UnpickleOptions;
  readonly #stack: unknown[] = [];
  /** Heights of the stack at each MARK that is still open. */
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, unknown>();

  constructor(reader: ByteReader, options: UnpickleOptions) {
    this.reader = reader;
    this.#options = options;
  }

  damage(problem: string): InputError {
    return new InputError(
      `${this.reader.name}: the pickle ${problem} before byte ${this.reader.offset}; the file is damaged, download it again`,
    );
  }

  refusal(problem: string): InputError {
    return new InputError(
      `${this.reader.name}: the pickle ${problem}; the file was not executed, save the model's state_dict() instead`,
    );
  }

  push(value: unknown): void {
    this.#stack.push(value);
  }

  pop(): unknown {
    if (this.#stack.length <= (this.#marks.at(-1) ?? 0)) throw this.damage('takes a value from an empty stack');
    return this.#stack.pop();
  }

  top(): unknown {
    const value = this.pop();
    this.push(value);
    return value;
  }

  mark(): void {
    this.#marks.push(this.#stack.length);
  }

  /** Everything since the last MARK. */
  popMark(): unknown[] {
    const mark = this.#marks.pop();
    if (mark === undefined) throw this.damage('closes a mark that is not open');
    return this.#stack.splice(mark);
  }

  /** The last `length` values as a tuple. */
  tuple(length: number): void {
    const items = Array.from({ length }, () => this.pop());
    this.push(items.reverse());
  }

  memoize(index = this.#memo.size): void {
    this.#memo.set(index, this.top());
  }

  recall(index: number): void {
    if (!this.#memo.has(index)) throw this.damage(`recalls value ${index}, which it has not stored`);
    this.push(this.#memo.get(index));
  }

  append(items: readonly unknown[]): void {
    const list = this.top();
    if (!Array.isArray(list)) throw this.damage('appends to what is not a list');
    for (const item of items) list.push(item);
  }

  setItems(items: readonly unknown[]): void {
    const dict = this.top();
    if (!(dict instanceof Map)) throw this.damage('sets an item of what is not a dict');
    for (const [key, value] of this.pairs(items)) dict.set(key, value);
  }

  addItems(items: readonly unknown[]): void {
    const set = this.top();
    if (!(set instanceof Set)) throw this.damage('adds to what is not a set');
    for (const item of items) set.add(item);
  }

  pairs(items: readonly unknown[]): [unknown, unknown][] {
    if (items.length % 2 !== 0) throw this.damage('has a key without a value');
    return Array.from({ length: items.length / 2 }, (_, i) => [items[2 * i], items[2 * i + 1]]);
  }

  global(module: unknown, attribute: unknown): void {
    const name = `${module}.${attribute}`;
    if (!this.#options.globals.has(name)) throw this.refusal(`asks for ${quote(name)}, which is not on the allow-list`);
    this.push(this.#options.globals.get(name));
  }

  /** Calls the function below the arguments on the stack: REDUCE, and NEWOBJ, whose function is a class. */
  call(): void {
    const args = this.pop();
    const callee = this.pop();
    if (!(callee instanceof PickleFunction)) throw this.refusal('calls what is not a function');
    if (!Array.isArray(args)) throw this.damage('calls a function without a tuple of arguments');
    this.push(callee.call(args, this.reader.name));
  }

  /** Attributes set on a dict (such as a state dict's `_metadata`) or on an inert object are dropped. */
  build(): void {
    this.pop();
    const target = this.top();
    if (!(target instanceof Map || target instanceof Inert))
      throw this.refusal('sets attributes of what is not a dict');
  }

  persistentLoad(): void {
    const id = this.pop();
    if (!this.#options.persistentLoad) throw this.refusal('refers to a value outside of it');
    this.push(this.#options.persistentLoad(id));
  }

  /** INT: a decimal number, or the booleans of protocol 1. */
  intLine(): void {
    const text = this.reader.line();
    this.push(text === '01' ? true : text === '00' ? false : this.#parseInteger(text));
  }

  /** LONG: a decimal number and Python 2's suffix L. */
  longLine(): void {
    this.push(this.#parseInteger(this.reader.line().replace(/L$/, '')));
  }

  #parseInteger(text: string): number | bigint {
    if (text.length > LONGEST_INTEGER || !/^[+-]?\d+$/.test(text))
      throw this.damage(`has ${quote(text)} for an integer`);
    return toInteger(BigInt(text.replace('+', '')));
  }

  /** A two's complement integer, little-endian. */
  long(length: number): void {
    if (length < 0 || length > LONGEST_INTEGER) throw this.damage(`has an integer of ${length} bytes`);
    const magnitude = this.reader.take(length).reduceRight((value, byte) => value * 256n + BigInt(byte), 0n);
    this.push(toInteger(BigInt.asIntN(8 * length, magnitude)));
  }

  checkProtocol(protocol: number): void {
    if (protocol > HIGHEST_PROTOCOL) throw this.damage(`is of protocol ${protocol}`);
  }
}

function toInteger(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

const STOP = code('.');

function code(character: string): number {
  return character.charCodeAt(0);
}

function opcode(character: string, run: (machine: PickleMachine) => void): [number, typeof run] {
  return [code(character), run];
}

const OPCODES: ReadonlyMap<number, (machine: PickleMachine) => void> = new Map([
  opcode('\x80', (m) => m.checkProtocol(m.reader.u8())), // PROTO
  opcode('\x95', (m) => m.reader.u64()), // FRAME: only a hint how much to buffer

  // The stack and the memo
  opcode('(', (m) => m.mark()), // MARK
  opcode('0', (m) => m.pop()), // POP
  opcode('1', (m) => m.popMark()), // POP_MARK
  opcode('2', (m) => m.push(m.top())), // DUP
  opcode('q', (m) => m.memoize(m.reader.u8())), // BINPUT
  opcode('r', (m) => m.memoize(m.reader.u32())), // LONG_BINPUT
  opcode('\x94', (m) => m.memoize()), // MEMOIZE
  opcode('h', (m) => m.recall(m.reader.u8())), // BINGET
  opcode('j', (m) => m.recall(m.reader.u32())), // LONG_BINGET

  // None, booleans and numbers
  opcode('N', (m) => m.push(null)), // NONE
  opcode('\x88', (m) => m.push(true)), // NEWTRUE
  opcode('\x89', (m) => m.push(false)), // NEWFALSE
  opcode('I', (m) => m.intLine()), // INT
  opcode('L', (m) => m.longLine()), // LONG
  opcode('J', (m) => m.push(m.reader.i32())), // BININT
  opcode('K', (m) => m.push(m.reader.u8())), // BININT1
  opcode('M', (m) => m.push(m.reader.u16())), // BININT2
  opcode('\x8a', (m) => m.long(m.reader.u8())), // LONG1
  opcode('\x8b', (m) => m.long(m.reader.i32())), // LONG4
  opcode('G', (m) => m.push(m.reader.f64BigEndian())), // BINFLOAT

  // Text and bytes; Python 2's strings, with which old checkpoints name their tensors, are ASCII in practice
  opcode('T', (m) => m.push(m.reader.latin1(m.reader.i32()))), // BINSTRING
  opcode('U', (m) => m.push(m.reader.latin1(m.reader.u8()))), // SHORT_BINSTRING
  opcode('X', (m) => m.push(m.reader.utf8(m.reader.u32()))), // BINUNICODE
  opcode('\x8c', (m) => m.push(m.reader.utf8(m.reader.u8()))), // SHORT_BINUNICODE
  opcode('\x8d', (m) => m.push(m.reader.utf8(m.reader.u64()))), // BINUNICODE8
  opcode('B', (m) => m.push(m.reader.take(m.reader.u32()))), // BINBYTES
  opcode('C', (m) => m.push(m.reader.take(m.reader.u8()))), // SHORT_BINBYTES
  opcode('\x8e', (m) => m.push(m.reader.take(m.reader.u64()))), // BINBYTES8
  opcode('\x96', (m) => m.push(m.reader.take(m.reader.u64()))), // BYTEARRAY8

  // Containers
  opcode(')', (m) => m.tuple(0)), // EMPTY_TUPLE
  opcode('\x85', (m) => m.tuple(1)), // TUPLE1
  opcode('\x86', (m) => m.tuple(2)), // TUPLE2
  opcode('\x87', (m) => m.tuple(3)), // TUPLE3
  opcode('t', (m) => m.push(m.popMark())), // TUPLE
  opcode(']', (m) => m.push([])), // EMPTY_LIST
  opcode('l', (m) => m.push(m.popMark())), // LIST
  opcode('a', (m) => m.append([m.pop()])), // APPEND
  opcode('e', (m) => m.append(m.popMark())), // APPENDS
  opcode('}', (m) => m.push(new Map())), // EMPTY_DICT
  opcode('d', (m) => m.push(new Map(m.pairs(m.popMark())))), // DICT
  opcode('s', (m) => m.setItems([m.pop(), m.pop()].reverse())), // SETITEM
  opcode('u', (m) => m.setItems(m.popMark())), // SETITEMS
  opcode('\x8f', (m) => m.push(new Set())), // EMPTY_SET
  opcode('\x90', (m) => m.addItems(m.popMark())), // ADDITEMS
  opcode('\x91', (m) => m.push(new Set(m.popMark()))), // FROZENSET

  // Objects
  opcode('c', (m) => m.global(m.reader.line(), m.reader.line())), // GLOBAL
  opcode('\x93', (m) => {
    const attribute = m.pop();
    m.global(m.pop(), attribute);
  }), // STACK_GLOBAL
  opcode('R', (m) => m.call()), // REDUCE
  opcode('\x81', (m) => m.call()), // NEWOBJ
  opcode('b', (m) => m.build()), // BUILD
  opcode('Q', (m) => m.persistentLoad()), // BINPERSID
  opcode('i', (m) => {
    m.global(m.reader.line(), m.reader.line()); // names what it asks for, if that is not allowed
    throw m.refusal('uses INST, which PyTorch checkpoints do not need');
  }),
]);

/** The opcodes that are left out on purpose, for messages. */
const REFUSED: ReadonlyMap<number, string> = new Map([
  [code('F'), 'FLOAT'],
  [code('S'), 'STRING'],
  [code('V'), 'UNICODE'],
  [code('g'), 'GET'],
  [code('p'), 'PUT'],
  [code('P'), 'PERSID'],
  [code('o'), 'OBJ'],
  [code('\x82'), 'EXT1'],
  [code('\x83'), 'EXT2'],
  [code('\x84'), 'EXT4'],
  [code('\x92'), 'NEWOBJ_EX'],
  [code('\x97'), 'NEXT_BUFFER'],
  [code('\x98'), 'READONLY_BUFFER'],
]);

function describeOpcode(opcode: number): string {
  return REFUSED.get(opcode) ?? `the unknown opcode 0x${opcode.toString(16).padStart(2, '0')}`;
}

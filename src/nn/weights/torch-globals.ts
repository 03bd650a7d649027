import { InputError } from '../../errors.ts';
import type { ElementType } from './element-types.ts';
import { isCount, isCountList } from './messages.ts';
import { Inert, PickleFunction } from './pickle.ts';
import { TorchStorage, TorchTensor } from './torch-tensor.ts';

/** PyTorch's own limit. */
const HIGHEST_RANK = 64;

/** The Python class of a storage, which says what its elements are. */
export class StorageType {
  readonly elementType: ElementType;

  constructor(elementType: ElementType) {
    this.elementType = elementType;
  }
}

const STORAGE_TYPES: Readonly<Record<string, ElementType>> = {
  'torch.DoubleStorage': 'F64',
  'torch.FloatStorage': 'F32',
  'torch.HalfStorage': 'F16',
  'torch.BFloat16Storage': 'BF16',
  'torch.LongStorage': 'I64',
  'torch.IntStorage': 'I32',
  'torch.ShortStorage': 'I16',
  'torch.CharStorage': 'I8',
  'torch.ByteStorage': 'U8',
  'torch.BoolStorage': 'BOOL',
  'torch.storage.UntypedStorage': 'U8',
};

/** The rest of what training scripts put beside a state dict: epochs as NumPy scalars, schedules, arguments. */
const INERT_CALLABLES = [
  'torch.device',
  'numpy.dtype',
  'numpy.core.multiarray.scalar',
  'numpy._core.multiarray.scalar',
  '_codecs.encode',
  'argparse.Namespace',
  'collections.Counter',
  'builtins.set',
  '__builtin__.set',
];

const DTYPES = ['float64', 'float32', 'float16', 'bfloat16', 'int64', 'int32', 'int16', 'int8', 'uint8', 'bool'];

/** All that a PyTorch checkpoint may name. None of it does more than to describe data. */
export const TORCH_GLOBALS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ['collections.OrderedDict', new PickleFunction(orderedDict)],
  ['torch.Size', new PickleFunction(([sizes = []]) => sizes)],
  ['torch._utils._rebuild_tensor', new PickleFunction(rebuildTensor)],
  ['torch._utils._rebuild_tensor_v2', new PickleFunction(rebuildTensor)],
  ['torch._utils._rebuild_parameter', new PickleFunction(([tensor]) => tensor)],
  ...Object.entries(STORAGE_TYPES).map(([name, type]): [string, StorageType] => [name, new StorageType(type)]),
  ...INERT_CALLABLES.map((name): [string, PickleFunction] => [name, new PickleFunction(() => new Inert(name))]),
  ...DTYPES.map((dtype): [string, Inert] => [`torch.${dtype}`, new Inert(`torch.${dtype}`)]),
]);

/** `OrderedDict()`, which is filled later, or as Python 2 has it, `OrderedDict([[key, value], ...])`. */
function orderedDict([items = []]: readonly unknown[], fileName: string): Map<unknown, unknown> {
  if (!Array.isArray(items) || !items.every((item) => Array.isArray(item) && item.length === 2)) {
    throw new InputError(`${fileName}: an OrderedDict is not made of keys and values; the file is damaged`);
  }
  return new Map(items);
}

/** `_rebuild_tensor(storage, offset, size, stride)`; version 2 adds arguments that only matter in training. */
function rebuildTensor([storage, offset, shape, strides]: readonly unknown[], fileName: string): TorchTensor {
  if (!(storage instanceof TorchStorage && isCount(offset) && isCountList(shape) && isCountList(strides))) {
    throw new InputError(
      `${fileName}: a tensor is not described by a storage, an offset, sizes and strides; the file is damaged`,
    );
  }
  if (shape.length !== strides.length || shape.length > HIGHEST_RANK) {
    throw new InputError(
      `${fileName}: a tensor has ${shape.length} sizes and ${strides.length} strides; the file is damaged`,
    );
  }
  return new TorchTensor(storage, { shape, strides, offset });
}

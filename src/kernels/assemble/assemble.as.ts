/** Rows of `row` bytes, which lie `strideTo` and `strideFrom` bytes behind each other. */
// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Rows {
  to: usize;
  from: usize;
  row: usize;
  strideTo: usize;
  strideFrom: usize;
}

/** Copies rows `begin` to `end`. */
export function copyRows(job: usize, begin: usize, end: usize, _scratch: usize): void {
  const rows = changetype<Rows>(job);
  for (let i = begin; i < end; i++) {
    memory.copy(rows.to + i * rows.strideTo, rows.from + i * rows.strideFrom, rows.row);
  }
}

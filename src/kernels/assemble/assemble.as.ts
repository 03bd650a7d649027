/** Copies `rows` rows of `row` bytes, which lie `strideTo` and `strideFrom` bytes behind each other. */
export function copyRows(
  to: usize,
  from: usize,
  rows: usize,
  row: usize,
  strideTo: usize,
  strideFrom: usize,
): void {
  for (let i: usize = 0; i < rows; i++) memory.copy(to + i * strideTo, from + i * strideFrom, row);
}

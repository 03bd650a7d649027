/*
 * The script of the page. The function's own text is what the page holds, so it uses nothing from outside of it.
 *
 * A frame is a picture of a tensor: `data-grid` has its rows and columns, `data-values` the values in base64 (float32,
 * [channels, rows, columns]). Frames of one `data-group` show the same place: a pixel of the image, or a channel.
 */
export function readUnderPointer(): void {
  interface Frame {
    readonly element: HTMLElement;
    readonly group: string;
    readonly rows: number;
    readonly columns: number;
    /** The part of the picture that the grid covers: left, top, width, height, in fractions. */
    readonly region: readonly [number, number, number, number];
    readonly values: Float32Array;
    /** What the values stand for, where they are positions in a list. */
    readonly names: readonly string[];
    readonly cursor: HTMLElement;
    readonly output: HTMLElement | null;
    row: number;
    column: number;
  }

  const status = document.getElementById('status');
  const frames = [...document.querySelectorAll<HTMLElement>('.frame')].map(frameOf);

  function frameOf(element: HTMLElement): Frame {
    const { grid = '1 1', region = '0 0 1 1', values = '', names = '', group = 'pixel' } = element.dataset;
    const [rows = 1, columns = 1] = grid.split(' ').map(Number);
    const [left = 0, top = 0, width = 1, height = 1] = region.split(' ').map(Number);
    const bytes = Uint8Array.from(atob(values), (letter) => letter.charCodeAt(0));
    const cursor = document.createElement('span');
    cursor.className = 'cursor';
    element.append(cursor);
    const output = element.parentElement?.querySelector<HTMLElement>('.value') ?? null;
    return {
      ...{ element, group, rows, columns, cursor, output, row: 0, column: 0 },
      region: [left, top, width, height],
      values: new Float32Array(bytes.buffer),
      names: names === '' ? [] : names.split('\n'),
    };
  }

  /** The shortest decimal number that is read back as the same float32. */
  function shortest(value: number): string {
    for (let digits = 1; digits < 9; digits++) {
      const text = value.toPrecision(digits);
      if (Math.fround(Number(text)) === value) return compact(Number(text));
    }
    return compact(Number(value.toPrecision(9)));
  }

  function compact(value: number): string {
    return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential() : String(value);
  }

  function textAt({ values, names, rows, columns, row, column }: Frame): string {
    const texts: string[] = [];
    for (let i = row * columns + column; i < values.length; i += rows * columns) {
      const value = values[i] ?? Number.NaN;
      texts.push(names[value] ?? shortest(value));
    }
    return texts.join(', ');
  }

  function placeOf({ group, row, column }: Frame): string {
    return group === 'pixel' ? `row ${row}, column ${column}` : `${group} ${column}`;
  }

  /** Shows a place, in fractions of the grid, in all frames of a group. */
  function show(group: string, across: number, down: number): void {
    for (const frame of frames) {
      if (frame.group !== group) continue;
      const { rows, columns, cursor, output, region } = frame;
      frame.row = Math.min(rows - 1, Math.max(0, Math.floor(down * rows)));
      frame.column = Math.min(columns - 1, Math.max(0, Math.floor(across * columns)));
      const [left, top, width, height] = region;
      cursor.style.left = `${100 * (left + (frame.column / columns) * width)}%`;
      cursor.style.top = `${100 * (top + (frame.row / rows) * height)}%`;
      cursor.style.width = `${(100 * width) / columns}%`;
      cursor.style.height = `${(100 * height) / rows}%`;
      if (!output) continue;
      const text = textAt(frame);
      output.textContent = text;
      output.title = `${placeOf(frame)}: ${text}`;
    }
    for (const place of document.querySelectorAll(`[data-place="${group}"]`)) {
      const like = frames.find((frame) => frame.group === group);
      if (like) place.textContent = placeOf(like);
    }
  }

  function showCell({ group, rows, columns }: Frame, row: number, column: number): void {
    const within = (value: number, size: number) => (Math.min(size - 1, Math.max(0, value)) + 0.5) / size;
    show(group, within(column, columns), within(row, rows));
  }

  function follow(frame: Frame): void {
    const point = ({ clientX, clientY }: PointerEvent) => {
      const box = frame.element.getBoundingClientRect();
      const [left, top, width, height] = frame.region;
      const across = ((clientX - box.left) / box.width - left) / width;
      const down = ((clientY - box.top) / box.height - top) / height;
      show(frame.group, across, down);
    };
    frame.element.addEventListener('pointermove', point);
    frame.element.addEventListener('pointerdown', point);
    frame.element.addEventListener('keydown', (event) => {
      const leap = Math.max(1, Math.round(frame.columns / 20));
      const steps: Record<string, readonly [down: number, across: number]> = {
        ArrowUp: [-1, 0],
        ArrowDown: [1, 0],
        ArrowLeft: [0, -1],
        ArrowRight: [0, 1],
        PageUp: [0, -leap],
        PageDown: [0, leap],
        Home: [0, -frame.columns],
        End: [0, frame.columns],
      };
      const step = steps[event.key];
      if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      showCell(frame, frame.row + step[0], frame.column + step[1]);
      if (status) status.textContent = `${placeOf(frame)}: ${textAt(frame)}`;
    });
  }

  for (const frame of frames) follow(frame);
  for (const frame of frames) {
    const { start } = frame.element.dataset;
    if (start !== undefined) showCell(frame, Math.floor(Number(start) / frame.columns), Number(start) % frame.columns);
  }
}

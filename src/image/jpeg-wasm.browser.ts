/** Nothing: in a browser the decoder fetches its WebAssembly file itself, from the folder of the script that it is in. */
export async function readWasmBinary(): Promise<undefined> {}

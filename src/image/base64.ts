/** The bytes that a base64 text stands for. */
export function bytesOfBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** Few enough that they fit as arguments of a call. */
const CHUNK = 0x8000;

/** The base64 text of bytes. */
export function base64OfBytes(bytes: Uint8Array): string {
  const letters: string[] = [];
  for (let start = 0; start < bytes.length; start += CHUNK) {
    letters.push(String.fromCharCode(...bytes.subarray(start, start + CHUNK)));
  }
  return btoa(letters.join(''));
}

// The hashes of docs/format.md.
import { blake3 } from "@noble/hashes/blake3.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { join, utf8Bytes } from "./bytes.js";

const context = (name) => {
  const bytes = utf8Bytes(name);
  return (...parts) => blake3(parts.length === 1 ? parts[0] : join(...parts), { context: bytes });
};

const u64 = (number) => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(number), true);
  return bytes;
};

const padded = (hash) => (secret, bytes) => {
  const length = 8 + secret.length + bytes.length;
  const whole = new Uint8Array(Math.ceil(length / 64) * 64);
  whole.set(u64(bytes.length));
  whole.set(secret, 8);
  whole.set(bytes, 8 + secret.length);
  return hash(whole);
};

export const sectionHash = padded(context("factlog 1 section"));
export const sealedHash = padded(context("factlog 1 sealed section"));
export const factsHash = padded(context("factlog 1 facts"));
export const caseCommitment = padded(context("factlog 1 case"));
export const eventHash = context("factlog 1 event");
export const keyCommitment = context("factlog 1 key commitment");
export const caseFileHash = context("factlog 1 case file");
const nextKey = context("factlog 1 next key");
export const nextKeyHash = (key) => nextKey(Uint8Array.of(1), key);

export const leafHash = (hash) => sha256(join(Uint8Array.of(0), hash));
export const nodeHash = (left, right) => sha256(join(Uint8Array.of(1), left, right));
export { sha256 };

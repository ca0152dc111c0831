// Bytes taken from the front, and texts with one spelling each.

export class Bad extends Error {
  constructor(code, what) {
    super(what);
    this.code = code;
  }
}

export const need = (holds, what) => {
  if (!holds) throw new Bad("case.malformed", what);
};

/** What only another version may know, most likely a newer one. */
export const known = (holds, what) => {
  if (!holds) throw new Bad("case.unsupported", `${what} needs another version`);
};

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/u;

export const textOf = (bytes, what) => {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new Bad("case.malformed", `${what} is not UTF-8`);
  }
};

/** Text without control characters. */
export const plainText = (bytes, what) => {
  const text = textOf(bytes, what);
  need(!CONTROL.test(text), `${what} has a control character`);
  return text;
};

export class Cut {
  constructor(bytes, at = 0) {
    this.bytes = bytes;
    this.at = at;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left() {
    return this.bytes.length - this.at;
  }

  take(length) {
    need(length <= this.left, "it ends too early");
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  u8() {
    return this.take(1)[0];
  }

  u16() {
    this.take(2);
    return this.view.getUint16(this.at - 2, true);
  }

  u32() {
    this.take(4);
    return this.view.getUint32(this.at - 4, true);
  }

  u64() {
    this.take(8);
    return this.view.getBigUint64(this.at - 8, true);
  }

  i64() {
    this.take(8);
    return this.view.getBigInt64(this.at - 8, true);
  }

  zeros(length) {
    need(this.take(length).every((byte) => byte === 0), "a reserved byte is not zero");
  }

  name() {
    known(this.u8() === 0, "the class of a name");
    const text = textOf(this.take(this.u8()), "a name");
    need(text !== "" && !CONTROL.test(text), "a name is empty or has a control character");
    return text;
  }

  reason() {
    const text = textOf(this.take(this.u16()), "a reason");
    need(text !== "" && !CONTROL.test(text) && utf8Bytes(text).length <= 1024, "a reason");
    return text;
  }

  /** A counted list of entries that take at least so many bytes. */
  list(least, read) {
    const count = this.u32();
    need(count * least <= this.left, "it ends too early");
    return Array.from({ length: count }, read);
  }

  end() {
    need(this.left === 0, "bytes are left over");
  }
}

export const same = (one, other) =>
  one.length === other.length && one.every((byte, at) => byte === other[at]);

export const isZero = (bytes) => bytes.every((byte) => byte === 0);

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export const join = (...parts) => {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
};

export const utf8Bytes = (text) => new TextEncoder().encode(text);

/** Texts in the order of their bytes, which is not that of JavaScript's strings. */
export const compare = (one, other) => {
  const [left, right] = [utf8Bytes(one), utf8Bytes(other)];
  for (let at = 0; at < left.length && at < right.length; at++) {
    if (left[at] !== right[at]) return left[at] - right[at];
  }
  return left.length - right.length;
};

export const base64 = (bytes) => {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
};

/** Standard base64 in its one spelling; null for any other. */
export const fromBase64 = (text) => {
  try {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return base64(bytes) === text ? bytes : null;
  } catch {
    return null;
  }
};

/** Decimal without sign or leading zeros, below 2^64; null for anything else. */
export const fromDecimal = (text) => {
  if (!/^(0|[1-9][0-9]{0,19})$/.test(text)) return null;
  const number = BigInt(text);
  return number < 1n << 64n ? number : null;
};

const NAME = /^[^+\p{White_Space}\p{Cc}]+$/u;
export const isKeyName = (name) => NAME.test(name) && utf8Bytes(name).length <= 255;

// Verifier keys, signed notes and checkpoints (C2SP).
import { ed25519 } from "@noble/curves/ed25519.js";
import { sha512 } from "@noble/hashes/sha2.js";
import { Bad, fromBase64, fromDecimal, hex, isKeyName, join, need, same, textOf, utf8Bytes } from "./bytes.js";
import { sha256 } from "./hashes.js";

const { Point } = ed25519;
const ORDER = Point.Fn.ORDER;

const littleEndian = (bytes) => BigInt("0x" + hex(Uint8Array.from(bytes).reverse()));

/** A point that is canonical and not of low order; null for any other. */
const goodPoint = (bytes) => {
  try {
    const point = Point.fromBytes(bytes, false);
    return point.isSmallOrder() || !same(point.toBytes(), bytes) ? null : point;
  } catch {
    return null;
  }
};

/** As strict as the library: one equation, without the cofactor. */
const verifies = (key, message, signature) => {
  if (signature.length !== 64) return false;
  const [first, second] = [signature.subarray(0, 32), littleEndian(signature.subarray(32))];
  const public_ = goodPoint(key);
  if (!public_ || !goodPoint(first) || second >= ORDER) return false;
  const challenge = littleEndian(sha512(join(first, key, message))) % ORDER;
  const right = challenge === 0n ? Point.ZERO : public_.multiplyUnsafe(challenge);
  const left = second === 0n ? Point.ZERO : Point.BASE.multiplyUnsafe(second);
  return same(left.subtract(right).toBytes(), first);
};

export class Key {
  constructor(name, bytes) {
    this.name = name;
    this.bytes = bytes;
    this.id = sha256(join(utf8Bytes(name), Uint8Array.of(10, 1), bytes)).subarray(0, 4);
  }

  /** Reads a vkey. */
  static parse(text) {
    const wrong = (why) => new Bad("key.malformed", `This is not a verifier key: ${why}.`);
    const [name, id, ...rest] = text.split("+");
    if (rest.length === 0) throw wrong("it is not of the form name+id+key");
    if (!isKeyName(name)) throw wrong("its name is no name");
    const bytes = fromBase64(rest.join("+"));
    if (!bytes || bytes.length !== 33 || bytes[0] !== 1) throw wrong("it is not an Ed25519 key");
    const key = new Key(name, bytes.subarray(1));
    if (!goodPoint(key.bytes)) throw wrong("it is no point of the curve that is usable");
    if (hex(key.id) !== id) throw wrong("its id is not that of the key; a letter was mistyped");
    return key;
  }

  /** Whether a signature says that it is of this key. */
  made({ name, id }) {
    return name === this.name && same(id, this.id);
  }

  verifies(text, signature) {
    return verifies(this.bytes, utf8Bytes(text), signature);
  }
}

const MAX_NOTE = 64 << 10;

export class Checkpoint {
  constructor(bytes) {
    need(bytes.length <= MAX_NOTE, "a checkpoint is too long");
    const whole = textOf(bytes, "a checkpoint");
    need(!/[\u0000-\u0009\u000b-\u001f]/.test(whole), "a control character in a checkpoint");
    need(whole.endsWith("\n"), "a checkpoint does not end in a line");
    const at = whole.slice(0, -1).lastIndexOf("\n\n");
    need(at >= 0, "a checkpoint has no signatures");
    this.text = whole.slice(0, at + 1);
    const lines = this.text.slice(0, -1).split("\n");
    need(lines.length === 3 && isKeyName(lines[0]), "a checkpoint is not origin, size and root");
    this.origin = lines[0];
    this.size = fromDecimal(lines[1]);
    this.root = fromBase64(lines[2]);
    need(this.size !== null && this.root?.length === 32, "size or root of a checkpoint");
    need(this.size > 0n || same(this.root, sha256(new Uint8Array())), "root of an empty tree");
    this.signatures = whole.slice(at + 2, -1).split("\n").map((line) => {
      const [dash, name, encoded, ...more] = line.split(" ");
      const bytes = encoded === undefined ? null : fromBase64(encoded);
      const fits = dash === "\u2014" && isKeyName(name ?? "") && more.length === 0 && bytes?.length > 4;
      need(fits, "a signature line of a checkpoint");
      return { name, id: bytes.subarray(0, 4), bytes: bytes.subarray(4) };
    });
    need(this.signatures.length <= 100, "too many signatures");
  }

  by(key) {
    return this.signatures.filter((signature) => key.made(signature));
  }

  /** Whether the log's key has signed it, once. */
  signedBy(key) {
    const own = key.name === this.origin ? this.by(key) : [];
    return own.length === 1 && key.verifies(this.text, own[0].bytes);
  }
}

// Who signs certificates outside of the vault. Node reads certificates and makes none, so the few elements of DER that
// RFC 5280 and RFC 2986 need are written and read here.

import assert from "node:assert/strict";
import { X509Certificate, createPublicKey, generateKeyPairSync, randomBytes, sign, verify } from "node:crypto";

const ECDSA_WITH_SHA256 = Buffer.from("300a06082a8648ce3d040302", "hex");
const COMMON_NAME = Buffer.from("0603550403", "hex");
// The oid of the extension, `critical`, and the sequence that says whether it is an authority.
const NO_AUTHORITY = Buffer.from("300c0603551d130101ff04023000", "hex");
const AN_AUTHORITY = Buffer.from("300f0603551d130101ff040530030101ff", "hex");

function element(tag, ...parts) {
  const content = Buffer.concat(parts.map((part) => Buffer.from(part)));
  const length = [];
  for (let left = content.length; left > 0; left >>= 8) length.unshift(left & 0xff);
  const head = content.length < 128 ? [content.length] : [0x80 | length.length, ...length];
  return Buffer.concat([Buffer.from([tag, ...head]), content]);
}

/** The elements inside of one, whole. */
function elements(der) {
  const found = [];
  const [start, end] = bounds(der, 0);
  for (let at = start; at < end; at = bounds(der, at)[1]) found.push(der.subarray(at, bounds(der, at)[1]));
  return found;
}

/** Where the content of the element at `at` begins and ends. */
function bounds(der, at) {
  const said = der[at + 1];
  if (said < 128) return [at + 2, at + 2 + said];
  const start = at + 2 + (said & 0x7f);
  return [start, start + der.readUIntBE(at + 2, said & 0x7f)];
}

const time = (days) => {
  const text = new Date(Date.now() + days * 86_400_000).toISOString().replaceAll(/[-:T]|\.\d+/g, "").slice(2);
  return element(0x17, Buffer.from(text));
};
const numbered = () => Buffer.concat([Buffer.from([0x40]), randomBytes(8)]);

/** A name of one part. */
export function named(text) {
  return element(0x30, element(0x31, element(0x30, COMMON_NAME, element(0x0c, Buffer.from(text)))));
}

export function ecKeys() {
  return generateKeyPairSync("ec", { namedCurve: "P-256" });
}

export class Authority {
  #own = ecKeys();
  #name = named("Somebody Else's Authority");
  certificate = this.#certified(this.#own.publicKey, this.#name, AN_AUTHORITY);

  /** A certificate for this key. */
  issue(publicKey, subject) {
    return this.#certified(publicKey, subject, NO_AUTHORITY);
  }

  #certified(publicKey, subject, constraints) {
    const spki = publicKey.export({ type: "spki", format: "der" });
    const signed = element(
      0x30, element(0xa0, element(0x02, [2])), element(0x02, numbered()), ECDSA_WITH_SHA256, this.#name,
      element(0x30, time(-1), time(90)), subject, spki, element(0xa3, element(0x30, constraints)),
    );
    const signature = sign("sha256", signed, this.#own.privateKey);
    return new X509Certificate(element(0x30, signed, ECDSA_WITH_SHA256, element(0x03, [0], signature)));
  }
}

/** Reads a request, and checks that who made it has the key. */
export function opened(request) {
  const [signed, , bits] = elements(Buffer.from(request));
  const [, subject, spki] = elements(signed);
  const publicKey = createPublicKey({ key: spki, type: "spki", format: "der" });
  // The first byte says how many bits are left over.
  const signature = bits.subarray(bounds(bits, 0)[0] + 1);
  assert(verify("sha256", signed, publicKey, signature), "the request is not signed by its key");
  return { subject, publicKey };
}

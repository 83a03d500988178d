// The HTTP API: JSON in, JSON out, and one kind of error.

const TIMEOUT_MS = 15_000; // no answer counts as no network

/** What the server refused (RFC 9457), or `status` 0 where nothing came back. */
export class Problem extends Error {
  constructor(status, { code = "", detail = "", title = "", errors = [] } = {}, retryAfterS = 0) {
    super(detail || title || "The server did not answer as expected.");
    this.status = status;
    this.code = code;
    this.errors = errors;
    this.retryAfterMs = retryAfterS * 1_000;
  }

  /** Whether the same request may well succeed a little later. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }

  /** Every sentence for the reader, each once. */
  get sentences() {
    return [...new Set([this.message, ...this.errors.map((error) => error.message)])];
  }
}

/** Resolves to the parsed body (null for 204), rejects with `Problem`. */
export async function request(method, path, body) {
  const response = await reach(method, path, body);
  const answer = response.status === 204 ? null : await response.json().catch(() => ({}));
  if (response.ok) return answer;
  throw new Problem(response.status, answer, Number(response.headers.get("Retry-After")) || 0);
}

async function reach(method, path, body) {
  const json = body === undefined ? {} : {
    body: JSON.stringify(body),
    headers: { "Content-Type": "application/json" },
  };
  try {
    return await fetch(path, { method, ...json, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch {
    throw new Problem(0, { detail: "The server cannot be reached." });
  }
}

/** As `request`, for pages that need a session: without one, the login page takes over. */
export async function call(method, path, body) {
  try {
    return await request(method, path, body);
  } catch (problem) {
    if (problem.code === "unauthenticated") toLogin(); // a wrong password is a 401, too
    throw problem;
  }
}

export function toLogin() {
  location.replace("/login");
}

export const get = (path) => call("GET", path);
export const post = (path, body) => call("POST", path, body);
export const put = (path, body) => call("PUT", path, body);
export const patch = (path, body) => call("PATCH", path, body);
export const remove = (path, body) => call("DELETE", path, body);

// How long to wait before the next try: doubling, capped, then jittered, so that
// the clients of a server that comes back do not all come back in the same moment.

const FIRST_MS = 1_000;
const CAP_MS = 30_000;

export class Backoff {
  #tries = 0;
  #wake = () => {};

  /** Wait for the next try; `wake` cuts it short. `atLeastMs` is what a Retry-After asks for. */
  async wait(atLeastMs = 0) {
    const capped = Math.min(CAP_MS, FIRST_MS * 2 ** this.#tries);
    this.#tries += 1;
    const ms = Math.max(atLeastMs, capped * (0.5 + Math.random()));
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  wake() {
    this.#wake();
  }

  reset() {
    this.#tries = 0;
  }
}

/** Try until it works; what is refused for good (a 401 leads to the login page) never does. */
export async function persist(attempt, onproblem) {
  const backoff = new Backoff();
  for (;;) {
    try {
      return await attempt();
    } catch (problem) {
      onproblem(problem);
      await backoff.wait(problem.retryAfterMs);
    }
  }
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

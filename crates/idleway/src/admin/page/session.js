// Who looks on, and whether that one may change something.
//
// The cookie lets its bearer look; the proof, which only this page has, lets it change. See docs/admin.md.

const KEPT = "idleway-proof";

export class Session {
  constructor(changed) {
    this.changed = changed;
    this.mayChange = false;
    this.hasToken = true;
    // It could change something, and cannot any more, without having signed out.
    this.isOver = false;
    // Another tab has signed in or out.
    addEventListener("storage", (event) => { if (event.key === KEPT) { own = event.newValue; this.look(); } });
  }

  /** With the key of an address that works once, where there is one. Answers what is wrong with it. */
  async begin() {
    const key = new URLSearchParams(location.hash.slice(1)).get("key");
    if (key) {
      // It is used up, and nobody is to read it over a shoulder.
      history.replaceState(null, "", location.pathname);
      const trouble = await this.open(key);
      if (!trouble) return null;
      await this.look();
      return this.mayChange ? null : trouble;
    }
    await this.look();
    return null;
  }

  async open(key) {
    const answer = await ask("POST", "/v1/session", { key }).catch(() => null);
    if (!answer) return "The gateway does not answer.";
    if (!answer.ok) return answer.told.title ? `${answer.told.title}.` : "That did not work.";
    keep(answer.told.proof);
    await this.look();
    return null;
  }

  async close() {
    await ask("DELETE", "/v1/session").catch(() => null);
    keep(null);
    this.mayChange = false;
    await this.look();
  }

  /** Answers whether one may look on at all. */
  async look() {
    const answer = await ask("GET", "/v1/session").catch(() => null);
    const could = this.mayChange;
    this.mayChange = answer?.ok === true && answer.told.may_change === true;
    if (answer?.ok) this.isOver = !this.mayChange && (this.isOver || could) && kept() !== null;
    if (answer?.ok) this.hasToken = answer.told.has_token;
    this.changed();
    return answer?.status !== 401;
  }
}

/** How long an answer is waited for, in milliseconds. */
const PATIENCE = 10000;

/** An answer of the API. By `signal` it is given up before, and not sent if it has not been. */
export async function ask(method, path, body, signal) {
  const headers = {};
  const proof = kept();
  if (proof) headers["X-Idleway-Session"] = proof;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store", signal: AbortSignal.any([AbortSignal.timeout(PATIENCE), ...(signal ? [signal] : [])]) });
  return { ok: response.ok, status: response.status, told: await response.json().catch(() => ({})) };
}

// Where nothing can be kept, the proof holds for this tab.
let own = null;
function keep(proof) {
  own = proof;
  try { proof ? localStorage.setItem(KEPT, proof) : localStorage.removeItem(KEPT); } catch { /* kept here alone */ }
}
function kept() {
  try { return localStorage.getItem(KEPT) ?? own; } catch { return own; }
}

// @ts-check
/**
 * What is brought to the kernel, one thing after the other and each until it was heard; files in pieces. The protocol
 * is in ../../../images/input.py. Pure: no DOM.
 */

export const PIECE = 4_000_000; // bytes: Jupyter loses messages over 10 MB without a word
export const BUSY = 2000; // ms without an answer after which the reader is told
export const ASK = 5000; // and after which the kernel is asked how far it is; later and later, it may be busy for hours
const LATEST = 60_000;
const TRIES = 5; // pieces that do not arrive

/** @typedef {{ line?: unknown, turn?: unknown, have?: unknown, end?: unknown, said?: unknown }} Answer */
/** @typedef {(content: object, buffers?: ArrayBuffer[]) => void} Send */

export class Line {
  /**
   * @param {string} name
   * @param {Send} send
   * @param {(waiting: boolean) => void} onWaiting the kernel does not answer; it does again
   */
  constructor(name, send, onWaiting) {
    this.name = name;
    this.send = send;
    this.onWaiting = onWaiting;
    this.put = 0;
    this.turn = 0;
    /** @type {Promise<unknown>} */
    this.last = Promise.resolve();
    /** @type {((answer: Answer) => void) | null} */
    this.resolve = null;
    this.since = 0; // the turn that has to be answered
    /** @type {ReturnType<typeof setTimeout>[]} */
    this.timers = [];
    this.closed = false;
  }

  /**
   * @param {object} what
   * @returns {Promise<string>} what the kernel has to say to it; empty if nothing
   */
  ask(what) {
    return this.after(() => this.bring(async () => [what, undefined], () => {}));
  }

  /**
   * @param {string} name
   * @param {Blob} file
   * @param {[number, number] | null} before its pixels before it was shrunk
   * @param {(share: number) => void} onProgress
   * @returns {Promise<string>} what the kernel has to say to it; empty if nothing
   */
  file(name, file, before, onProgress) {
    const { size } = file;
    return this.after(() =>
      this.bring(
        async (at) => [{ name, size, at, before }, [await file.slice(at, at + PIECE).arrayBuffer()]],
        (have) => onProgress(size ? have / size : 1),
      ),
    );
  }

  /** @param {Answer} answer */
  heard({ line, turn, ...answer }) {
    if (line === this.name && typeof turn === "number" && turn >= this.since) this.resolve?.(answer);
  }

  /** The view is gone: nothing more is sent, and nothing ends. */
  close() {
    this.closed = true;
    this.timers.forEach(clearTimeout);
  }

  /**
   * @template T
   * @param {() => Promise<T>} next
   * @returns {Promise<T>}
   */
  after(next) {
    const turn = this.last.then(next);
    this.last = turn.catch(() => {});
    return turn;
  }

  /**
   * @param {(at: number) => Promise<[content: object, buffers: ArrayBuffer[] | undefined]>} piece
   * @param {(have: number) => void} onHave
   */
  async bring(piece, onHave) {
    this.put++;
    let have = 0;
    for (let tries = 0; tries < TRIES; tries++) {
      const [content, buffers] = await piece(have);
      const answer = await this.say(content, buffers);
      if (answer.end) return typeof answer.said === "string" ? answer.said : "";
      const had = have;
      have = Number(answer.have) || 0;
      onHave(have);
      if (have > had) tries = -1;
    }
    throw new Error("it does not arrive");
  }

  /**
   * @param {object} content
   * @param {ArrayBuffer[]} [buffers]
   * @returns {Promise<Answer>}
   */
  say(content, buffers) {
    return new Promise((resolve) => {
      const { name: line, put } = this;
      let pause = ASK;
      const again = () => {
        // Not the piece: it may only be waiting, and then it would come twice.
        this.send({ line, put, turn: ++this.turn, ask: 1 });
        pause = Math.min(2 * pause, LATEST);
        this.timers[1] = setTimeout(again, pause);
      };
      this.resolve = (answer) => {
        this.timers.forEach(clearTimeout);
        this.resolve = null;
        this.onWaiting(false);
        resolve(answer);
      };
      this.since = ++this.turn;
      if (this.closed) return;
      this.timers = [setTimeout(() => this.onWaiting(true), BUSY), setTimeout(again, pause)];
      this.send({ ...content, line, put, turn: this.turn }, buffers);
    });
  }
}

// Requests and answers between the page and its worker. Every message is one of these:
//
//   page to worker   { id, method, parameters }    a request
//                    { id, cancel: true }          it is to end soon, with what it has
//   worker to page   { id, progress }              how it goes, any number of times
//                    { id, result }                its answer, once; or
//                    { id, error }                 { message, lost, fatal }: why there is none
//
// `lost`: the device was lost; `fatal`: the library stopped. Either way this worker is of no more use.
// The methods and their parameters are listed at the top of worker.js.

/** What a request failed with. */
export class RequestError extends Error {
  constructor({ message, lost = false, fatal = false }) {
    super(message);
    this.lost = lost;
    this.fatal = fatal;
  }
}

/** The page's end. */
export class Client {
  #worker;
  #waiting = new Map();
  #next = 0;

  constructor(worker) {
    this.#worker = worker;
    worker.onmessage = ({ data }) => this.#receive(data);
    worker.onerror = (event) => {
      event.preventDefault?.();
      this.close(new RequestError({ message: event.message || "the worker could not be loaded", fatal: true }));
    };
  }

  /**
   * Asks for something. `signal` asks it to end soon: the promise then gives what there is, it is not rejected.
   */
  call(method, parameters, { onProgress, signal, transfer = [] } = {}) {
    if (!this.#worker) return Promise.reject(new RequestError({ message: "the worker has ended" }));
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, onProgress });
      this.#worker.postMessage({ id, method, parameters }, transfer);
      const cancel = () => this.#worker?.postMessage({ id, cancel: true });
      if (signal?.aborted) cancel();
      else signal?.addEventListener("abort", cancel, { once: true });
    });
  }

  /** Ends the worker, whatever it is doing. */
  close(error = new RequestError({ message: "the worker was ended", fatal: true })) {
    this.#worker?.terminate();
    this.#worker = undefined;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  #receive({ id, progress, result, error }) {
    const request = this.#waiting.get(id);
    if (!request) return;
    if (progress !== undefined) {
      request.onProgress?.(progress);
      return;
    }
    this.#waiting.delete(id);
    if (error) request.reject(new RequestError(error));
    else request.resolve(result);
  }
}

/** An answer whose buffers are handed over, not copied. */
export class HandOver {
  constructor(value, buffers) {
    this.value = value;
    this.buffers = buffers;
  }
}

/**
 * The worker's end: handlers by method, each called with its parameters and { progress, signal }. `explain` turns
 * what a handler throws into { message, lost, fatal }; it may take its time.
 */
export function serve(scope, handlers, explain) {
  const running = new Map();
  const post = (message, value, field) => {
    const [content, buffers] = value instanceof HandOver ? [value.value, value.buffers] : [value, []];
    scope.postMessage({ ...message, [field]: content }, buffers);
  };
  scope.onmessage = async ({ data: { id, method, parameters, cancel } }) => {
    if (cancel) {
      running.get(id)?.abort();
      return;
    }
    const controller = new AbortController();
    running.set(id, controller);
    try {
      const progress = (value) => post({ id }, value, "progress");
      const result = await handlers[method](parameters ?? {}, { progress, signal: controller.signal });
      post({ id }, result ?? null, "result");
    } catch (error) {
      post({ id }, await explain(error), "error");
    } finally {
      running.delete(id);
    }
  };
}

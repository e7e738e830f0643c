// What outlives a reload, and the closing of the window: values by name, in this browser's IndexedDB. Whatever fails, throws an
// error that says what to do.

const DATABASE = "wgrnn-demo";
const STORE = "kept";
/** A browser that has not answered by then has nothing to give: a page should not wait for it. */
const PATIENCE_MS = 4000;

/** The value by this name; undefined where there is none. */
export const load = (name) => transaction("readonly", (store) => store.get(name));

/** Keeps all of these values by their names, or none. */
export const save = (values) =>
  transaction("readwrite", (store) => {
    for (const [name, value] of Object.entries(values)) store.put(value, name);
  });

export const remove = (names) =>
  transaction("readwrite", (store) => {
    for (const name of names) store.delete(name);
  });

async function transaction(mode, work) {
  let database;
  try {
    database = await open();
    return await new Promise((resolve, reject) => {
      const made = database.transaction(STORE, mode);
      const request = work(made.objectStore(STORE));
      made.oncomplete = () => resolve(request?.result);
      // A full disk is told by the transaction, not by its request.
      made.onabort = made.onerror = () => reject(made.error ?? request?.error);
    });
  } catch (error) {
    throw new Error(reason(error));
  } finally {
    database?.close();
  }
}

function open() {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error("it does not answer")), PATIENCE_MS);
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      clearTimeout(late);
      resolve(request.result);
    };
  });
}

function reason(error) {
  const known = {
    QuotaExceededError: "its storage is full: delete other sites’ data, or train a smaller network",
    SecurityError: "its settings let this page store nothing: allow site data for this page",
    InvalidStateError: "a private window stores nothing: open the page in an ordinary one",
    ReferenceError: "it has no IndexedDB: take a newer browser",
    VersionError: "a newer version of this page has stored in it: reload the page",
    NotFoundError: `its database ‘${DATABASE}’ is not this page’s: delete this site’s data`,
  };
  return known[error?.name] ?? error?.message ?? String(error);
}

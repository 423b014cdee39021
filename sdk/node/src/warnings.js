// SPDX-License-Identifier: Apache-2.0
// What node says about the form of a file while it loads it: of use to who writes the pack (`pack
// check` tells it), noise in the stderr of each run.
const ABOUT_FORM = /MODULE_TYPELESS_PACKAGE_JSON|Type Stripping|loading ES Module/;

/** No such words from now on. @returns {() => void} the way back */
export function mute() {
  const own = process.emitWarning;
  /** @param {any} warning @param {any[]} more */
  const emitWarning = (warning, ...more) => {
    const [{ code = "" } = {}] = more;
    const said = `${warning?.message ?? warning} ${code} ${more.join(" ")}`;
    if (!ABOUT_FORM.test(said)) /** @type {any} */ (own).call(process, warning, ...more);
  };
  process.emitWarning = emitWarning;
  return () => {
    if (process.emitWarning === emitWarning) process.emitWarning = own;
  };
}

/** @template T @param {() => Promise<T>} load @returns {Promise<T>} */
export async function quietly(load) {
  const unmute = mute();
  try {
    return await load();
  } finally {
    unmute();
  }
}

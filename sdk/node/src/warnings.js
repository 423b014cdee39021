// SPDX-License-Identifier: Apache-2.0
// What node says about the form of a file while it loads it: of use to who writes the pack (`pack
// check` tells it), noise in the stderr of each run.
const ABOUT_FORM = /MODULE_TYPELESS_PACKAGE_JSON|Type Stripping|loading ES Module/;

/** @template T @param {() => Promise<T>} load @returns {Promise<T>} */
export async function quietly(load) {
  const own = process.emitWarning;
  /** @param {any} warning @param {any[]} more */
  process.emitWarning = (warning, ...more) => {
    const [{ code = "" } = {}] = more;
    const said = `${warning?.message ?? warning} ${code} ${more.join(" ")}`;
    if (!ABOUT_FORM.test(said)) /** @type {any} */ (own).call(process, warning, ...more);
  };
  const mine = process.emitWarning;
  try {
    return await load();
  } finally {
    if (process.emitWarning === mine) process.emitWarning = own;
  }
}

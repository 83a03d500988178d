// Taking a text along from a field that shows it.

/** Resolves to whether it is copied; where the browser forbids that, it is selected. */
export async function copyFrom(input) {
  input.select();
  try {
    await navigator.clipboard.writeText(input.value);
    return true;
  } catch {
    input.focus();
    return false;
  }
}

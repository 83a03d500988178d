// Lists of elements that are made anew from what is known, without losing those that stay.

/** A row that says the same stays the same element: somebody may be about to press it. */
export function keepRows(list, rows) {
  const old = new Map([...list.children].map((row) => [row.textContent, row]));
  const kept = rows.map((row) => {
    const known = old.get(row.textContent);
    return known?.isEqualNode(row) ? known : row;
  });
  for (const row of [...list.children]) if (!kept.includes(row)) row.remove();
  let place = list.firstElementChild;
  for (const row of kept) {
    if (row === place) place = place.nextElementSibling;
    else list.insertBefore(row, place);
  }
}

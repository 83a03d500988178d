// Times in the reader's own language and zone.

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });
const date = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const dateAndYear = new Intl.DateTimeFormat(undefined, { dateStyle: "long" });
const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const shortAndYear = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const DAY_MS = 86_400_000;

export const time = (iso) => clock.format(new Date(iso));
export const shortTime = (iso) => {
  const parts = clock.formatToParts(new Date(iso)).filter(({ type }) => type !== "dayPeriod");
  return parts.map(({ value }) => value).join("").trim();
};
export const timeAndDate = (iso) => full.format(new Date(iso));

/** The same for all moments of one local day. */
export const dayKey = (iso) => new Date(iso).toDateString();

/** "today", "yesterday" or the date, as a heading. */
export function day(iso, now = new Date()) {
  const then = new Date(iso);
  const days = Math.round((midnight(then) - midnight(now)) / DAY_MS); // rounded: days of 23 h exist
  if (days === 0 || days === -1) return capitalise(relative.format(days, "day"));
  return (then.getFullYear() === now.getFullYear() ? date : dateAndYear).format(then);
}

/** The time for a moment of today, else its date, as short as may be. */
export function when(iso, now = new Date()) {
  const then = new Date(iso);
  if (dayKey(then) === dayKey(now)) return clock.format(then);
  return (then.getFullYear() === now.getFullYear() ? short : shortAndYear).format(then);
}

const midnight = (moment) => new Date(moment).setHours(0, 0, 0, 0);
const capitalise = (text) => text.charAt(0).toLocaleUpperCase() + text.slice(1);

// How values are shown: times on a 24-hour clock, ages, durations, numbers, JSON.

const two = (number) => String(number).padStart(2, "0");
const day = (when) => `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())}`;

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MONTH = 30 * DAY; // beyond it a date says more than an age

export const clock = (when) => `${two(when.getHours())}:${two(when.getMinutes())}:${two(when.getSeconds())}`;

// "14:03:22", with the day in front of it if that is not today.
export function time(text) {
  const when = new Date(text);
  return day(when) === day(new Date()) ? clock(when) : `${day(when)} ${clock(when)}`;
}

// "2026-11-30 14:03:22.123 UTC+01:00"
export function exactTime(text) {
  const when = new Date(text);
  const offset = -when.getTimezoneOffset();
  const zone = `${offset < 0 ? "-" : "+"}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  return `${day(when)} ${clock(when)}.${String(when.getMilliseconds()).padStart(3, "0")} UTC${zone}`;
}

// One unit is enough for an age: "12 s", "5 min", "3 h", "2 d".
function rough(ms) {
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  return ms < 2 * DAY ? `${Math.floor(ms / HOUR)} h` : `${Math.floor(ms / DAY)} d`;
}

export function ago(text) {
  const ms = Math.max(0, Date.now() - Date.parse(text)); // the two clocks may differ a little
  if (ms < SECOND) return "now";
  return ms < MONTH ? `${rough(ms)} ago` : day(new Date(text));
}

export function until(text) {
  const ms = Math.max(0, Date.parse(text) - Date.now());
  return ms < MONTH ? `in ${rough(ms)}` : `on ${day(new Date(text))}`;
}

export function duration(ms) {
  if (ms < SECOND) return `${Math.round(ms)} ms`;
  if (ms < 10 * SECOND) return `${Number((ms / SECOND).toFixed(1))} s`;
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min${tail(ms % MINUTE, SECOND, "s")}`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h${tail(ms % HOUR, MINUTE, "min")}`;
  return `${Math.floor(ms / DAY)} d${tail(ms % DAY, HOUR, "h")}`;
}

const tail = (rest, unit, name) => (rest < unit ? "" : ` ${Math.floor(rest / unit)} ${name}`);

// From one time to another, or until now, which is told in whole seconds: it goes on.
export function between(from, to) {
  if (to !== undefined) return duration(Math.max(0, Date.parse(to) - Date.parse(from)));
  return duration(Math.floor(Math.max(0, Date.now() - Date.parse(from)) / SECOND) * SECOND).replace(/^0 ms$/, "0 s");
}

export const count = (number) => number.toLocaleString("en");

export const size = (characters) => (characters < 1000 ? `${characters} characters` : `${count(Math.round(characters / 1000))} kB`);

export const json = (value) => JSON.stringify(value, null, 2);

// How values are shown.

export function time(text) {
  const when = new Date(text);
  const today = when.toDateString() === new Date().toDateString();
  const clock = when.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return today ? clock : `${when.toLocaleDateString()} ${clock}`;
}

export function duration(from, to) {
  const ms = Math.max(0, (to ? new Date(to) : new Date()) - new Date(from));
  if (ms < 1000) return `${ms} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 && to ? 1 : 0)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.floor(ms / 1000) % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export const count = (number) => number.toLocaleString();

export const json = (value) => JSON.stringify(value, null, 2);

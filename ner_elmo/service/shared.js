// What the pages share: finding and making elements, saying something, asking the server. Text is put in as text, so that
// no input can become markup.

export const at = (id) => document.getElementById(id);

document.documentElement.classList.add("on");

export function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== null && text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export function say(message, isError = false) {
  at("status").textContent = message;
  at("status").className = isError ? "error" : "";
}

// The object that the server answers; an error in its words otherwise.
export async function call(path, body, signal) {
  const headers = body ? { "Content-Type": "application/json" } : {};
  if (at("key").value) headers.Authorization = `Bearer ${at("key").value}`;
  const answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal });
  let value = {};
  try { value = await answer.json(); } catch { /* an answer that is no JSON has no words for people */ }
  if (answer.status === 401) at("keyrow").hidden = false;
  if (!answer.ok) throw new Error(value.error || `the server answered ${answer.status}`);
  return value;
}

"use strict";
// Requests to this server, and the elements of the page. Texts are only ever set as textContent, never as markup.

const get = (id) => document.getElementById(id);
// The page may be at a proxy's prefix, with or without a slash at its end.
const BASE = location.origin + (location.pathname.endsWith("/") ? location.pathname : `${location.pathname}/`);
let key = "";

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

async function fetchFrom(path, body) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const options = { headers, credentials: "omit", referrerPolicy: "no-referrer", cache: "no-store" };
  if (body !== undefined) {
    options.method = "POST";
    options.body = JSON.stringify(body);
    headers["Content-Type"] = "application/json";
  }
  const answer = await fetch(new URL(path, BASE), options);
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  const error = new Error(said.error?.message ?? said.error ?? `the server answered ${answer.status}`);
  error.status = answer.status;
  throw error;
}

const askFor = async (path, body) => (await fetchFrom(path, body)).json();

function show(error) {
  get("error").textContent = error ? error.message : "";
}

// Runs `work` when the form is submitted, by button or Ctrl+Enter, one at a time.
function onSubmit(id, work) {
  const form = get(id);
  const button = form.querySelector("button");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    show(null);
    try {
      await work();
    } catch (error) {
      show(error);
    } finally {
      button.disabled = false;
    }
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

// Returns the first `most` lines that are not blank, and says how many were left out.
function lines(id, most) {
  const all = allLines(id);
  get("status").textContent = all.length > most ? `The first ${most} of ${all.length} lines are shown.` : "";
  return all.slice(0, most);
}

function allLines(id) {
  return get(id).value.split("\n").map((line) => line.trim()).filter(Boolean);
}

function copyButton(what, text) {
  const button = element("button", { type: "button", class: "small", "aria-label": `Copy ${what}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(typeof text === "function" ? text() : text);
      get("status").textContent = `Copied ${what}.`;
    } catch {
      // Browsers allow it on https and localhost only.
      show(new Error("the browser does not allow copying here; select the text instead"));
    }
  });
  return button;
}

"use strict";
// The page: each section's form, and what it shows.

const MOST_COMPARED = 32;
const MOST_PASSAGES = 200;
const MOST_TOKENS_SHOWN = 2000;
const NUMBERS_SHOWN = 6;
let info = null;
let ready = false;

const cosine = (one, other) => Math.max(-1, Math.min(1, one.reduce((sum, value, place) => sum + value * other[place], 0)));
// Which text colour is readable on a heat map's cell.
const warmth = (value) => (value > 0.75 ? "hot" : value > 0.5 ? "warm" : "");
const shorten = (text, most = 60) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
const fixed = (value) => value.toFixed(3);

// Texts in parts that the server takes.
async function embed(texts, options) {
  const vectors = [];
  for (let start = 0; start < texts.length; start += info.limits.texts) {
    const body = { texts: texts.slice(start, start + info.limits.texts), ...options };
    vectors.push(...(await askFor("embed", body)).embeddings);
  }
  return vectors;
}

function headed(cells, scope = "col") {
  return cells.map((cell) => element("th", { scope, title: cell }, shorten(cell)));
}

function showMatrix(texts, vectors) {
  const table = element("table", {}, element("caption", {}, "Cosine of each pair of texts"));
  table.append(element("tr", {}, element("td"), ...headed(texts.map((_, place) => String(place + 1)))));
  vectors.forEach((row, place) => {
    const cells = vectors.map((column) => {
      const value = cosine(row, column);
      const cell = element("td", { class: `heat ${warmth(value)}` }, fixed(value));
      cell.style.setProperty("--heat", `${100 * Math.max(0, value)}%`);
      return cell;
    });
    table.append(element("tr", {}, ...headed([`${place + 1}. ${texts[place]}`], "row"), ...cells));
  });
  get("matrix").replaceChildren(table);
}

function showVectors(texts, vectors) {
  const items = vectors.map((vector, place) => {
    const first = vector.slice(0, NUMBERS_SHOWN).map((value) => value.toFixed(4)).join(", ");
    const copy = copyButton(`the vector of text ${place + 1}`, () => JSON.stringify(vector));
    return element("li", {}, element("code", {}, `[${first}, …]`), copy);
  });
  get("vectors").replaceChildren(element("h3", {}, "First numbers of each vector"), element("ol", {}, ...items));
}

async function compare() {
  const texts = lines("texts", MOST_COMPARED);
  if (!texts.length) throw new Error("enter at least one text");
  const vectors = await embed(texts, promptOptions());
  showMatrix(texts, vectors);
  showVectors(texts, vectors);
  showSnippets();
}

function promptOptions() {
  const prompt = get("prompt").value;
  return prompt ? { prompt_name: prompt } : {};
}

async function rank() {
  const passages = lines("passages", MOST_PASSAGES);
  const query = get("query").value;
  if (!passages.length) throw new Error("enter at least one passage");
  const [vectors, [plain], [prompted]] = await Promise.all([
    embed(passages, { input_type: "document" }),
    embed([query], {}),
    embed([query], { input_type: "query" }),
  ]);
  showRanking(passages, vectors.map((vector) => cosine(prompted, vector)), vectors.map((vector) => cosine(plain, vector)));
}

function places(scores) {
  const order = scores.map((_, place) => place).sort((one, other) => scores[other] - scores[one]);
  const ranks = [];
  order.forEach((place, index) => { ranks[place] = index + 1; });
  return ranks;
}

function showRanking(passages, prompted, plain) {
  const withPrompt = Object.hasOwn(info.prompts, "query");
  const ranks = places(prompted), plainRanks = places(plain);
  const title = withPrompt ? "Passages by cosine with the query, with and without the model's prompt for queries"
    : "Passages by cosine with the query; this model has no prompt for queries";
  const table = element("table", {}, element("caption", {}, title));
  const head = ["Place", "Passage", "Cosine", ...(withPrompt ? ["Without prompt", "Place without"] : [])];
  table.append(element("tr", {}, ...headed(head)));
  const order = passages.map((_, place) => place).sort((one, other) => ranks[one] - ranks[other]);
  for (const place of order) {
    const numbers = withPrompt ? [fixed(plain[place]), String(plainRanks[place])] : [];
    table.append(element("tr", {}, element("td", { class: "number" }, String(ranks[place])),
      ...headed([passages[place]], "row"), element("td", { class: "number" }, fixed(prompted[place])),
      ...numbers.map((number) => element("td", { class: "number" }, number))));
  }
  get("ranking").replaceChildren(table);
}

async function showTokens() {
  const text = get("long").value;
  const [tokens] = await askFor("tokenize", { inputs: text });
  const special = tokens.filter((token) => token.special).length;
  const read = info.max_tokens - special;
  const spans = [];
  let seen = 0, end = 0;
  const characters = [...text]; // places are of characters, not of UTF-16 units
  for (const token of tokens.slice(0, MOST_TOKENS_SHOWN)) {
    if (!token.special && token.start > end) spans.push(characters.slice(end, token.start).join(""));
    if (!token.special) end = Math.max(end, token.stop);
    const kind = token.special ? "special" : seen++ < read ? "" : "cut";
    spans.push(element("span", { class: kind, title: `id ${token.id}` }, token.text));
  }
  const cut = Math.max(0, tokens.length - info.max_tokens);
  const hidden = Math.max(0, tokens.length - MOST_TOKENS_SHOWN);
  get("token-count").textContent = `${tokens.length} tokens, of which the model reads ${tokens.length - cut}`
    + (cut ? `; the last ${cut} of the text are cut` : "") + (hidden ? `; ${hidden} are not shown here` : "") + ".";
  get("token-list").replaceChildren(...spans);
}

const inShell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function showSnippets() {
  const options = promptOptions();
  const texts = allLines("texts").slice(0, 4);
  const body = JSON.stringify({ texts, ...options }, null, 2);
  const url = BASE.replace(/\/$/, "");
  const extra = options.prompt_name ? `, extra_body=${JSON.stringify(options)}` : "";
  const made = {
    curl: `curl -s ${inShell(`${url}/embed`)} \\\n  -H 'Content-Type: application/json' -H "Authorization: Bearer $API_KEY" \\\n  -d ${inShell(body)}`,
    Python: `import json, urllib.request\n\nbody = json.dumps(${body}).encode()\nheaders = {"Content-Type": "application/json", "Authorization": "Bearer $API_KEY"}\nrequest = urllib.request.Request(${JSON.stringify(`${url}/embed`)}, body, headers)\nvectors = json.load(urllib.request.urlopen(request))["embeddings"]`,
    "OpenAI client": `from openai import OpenAI\n\nclient = OpenAI(base_url=${JSON.stringify(`${url}/v1`)}, api_key="$API_KEY")\nanswer = client.embeddings.create(model=${JSON.stringify(info.model)}, input=${JSON.stringify(texts)}${extra})\nvectors = [row.embedding for row in answer.data]`,
  };
  get("snippets").replaceChildren(...Object.entries(made).map(([name, text]) =>
    element("div", {}, element("h3", {}, name, copyButton(`the request as ${name}`, text)), element("pre", {}, text))));
}

function showFacts() {
  const { source, limits } = info;
  const facts = {
    Model: info.model, Space: info.space, Source: source.id, Revision: source.revision, Licence: source.licence,
    Architecture: info.architecture, Dimensions: info.dimension, "Tokens read of a text": info.max_tokens,
    Pooling: info.pooling, Precision: info.precision, Device: info.device, Threads: info.threads,
    Streams: info.streams, "Texts in a request": limits.texts, "Characters in a text": limits.text_characters,
    "Longest request": `${limits.request_seconds} s`, Version: info.version,
  };
  for (const [name, prompt] of Object.entries(info.prompts)) facts[`Prompt “${name}”`] = prompt || "(empty)";
  const known = Object.entries(facts).filter(([, value]) => value !== undefined && value !== null && value !== "");
  get("facts").replaceChildren(...known.flatMap(([name, value]) => {
    const shown = element("dd", {}, String(value));
    if (name === "Space") shown.append(copyButton("the space", String(value)));
    return [element("dt", {}, name), shown];
  }));
}

async function start() {
  try {
    info = await askFor("info");
  } catch (error) {
    ready = false;
    get("access").hidden = error.status !== 401;
    if (error.status !== 401) throw error;
    get("status").textContent = "This server asks for a key.";
    get("key").focus();
    if (key) throw error;
    return;
  }
  ready = true;
  get("key").value = "";
  get("status").textContent = "";
  get("access").hidden = true;
  get("title").textContent = info.model;
  get("subtitle").textContent = `${info.dimension} dimensions, ${info.precision} on ${info.device}`
    + (info.space ? `, space ${info.space}` : "");
  const prompts = Object.keys(info.prompts).map((name) => element("option", { value: name }, name));
  get("prompt").replaceChildren(element("option", { value: "" }, "as the model's default"), ...prompts);
  showFacts();
  showSnippets();
}

get("docs").href = new URL("docs", BASE);
get("access").hidden = true;
const updateCharts = startCharts();
onSubmit("access", async () => {
  key = get("key").value.trim();
  await start();
  updateCharts();
});
const whenReady = (work) => async () => {
  if (!ready) await start();
  if (ready) await work();
};
onSubmit("compare-form", whenReady(compare));
onSubmit("rank-form", whenReady(rank));
onSubmit("tokens-form", whenReady(showTokens));
get("prompt").addEventListener("change", () => ready && showSnippets());
get("texts").addEventListener("input", () => ready && showSnippets());
start().then(updateCharts).catch(show);
